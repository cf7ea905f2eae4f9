package provision_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/provision"
	"github.com/linekeeper/linekeeper/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// headquarters makes bundles.
type headquarters struct {
	t         testing.TB
	key       ed25519.PrivateKey
	authority string
	number    uint64
}

func newHeadquarters(t testing.TB) *headquarters {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.PublicKey, ca)
	must(t, err)
	return &headquarters{t: t, key: key, authority: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), number: 100}
}

func (h *headquarters) bundle(change func(*wire.Bundle)) string {
	h.t.Helper()
	h.number++
	b := wire.Bundle{Number: h.number, Time: time.Now(), Site: "Lichinga", Enrol: "https://hq.example:8444", Token: wire.NewToken(), Authority: h.authority,
		SealTo: []string{"age1yw33lq98ynayj8fd0tzxjh8sw47mle73jn8m3emy2uedxlwxdfcqakf985"}, Settings: "[uplink]\nhttps = \"https://hq.example:8444\"\n"}
	if change != nil {
		change(&b)
	}
	jws, err := wire.SignBundle(h.key, b)
	must(h.t, err)
	return jws
}

// recorder is one in a folder of its own.
type recorder struct {
	t   testing.TB
	cfg provision.Config
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{t, provision.Config{Dir: filepath.Join(t.TempDir(), "data", "identity")}}
}

func (r *recorder) apply(jws string) *provision.Plan {
	r.t.Helper()
	p, err := provision.Judge(r.cfg, jws)
	must(r.t, err)
	must(r.t, p.Apply())
	return p
}

// state is all that stands in the recorder's folder.
func (r *recorder) state() map[string]string {
	all := map[string]string{}
	must(r.t, filepath.WalkDir(filepath.Dir(filepath.Dir(r.cfg.Dir)), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

func (r *recorder) file(name string) string {
	b, err := os.ReadFile(filepath.Join(r.cfg.Dir, name))
	must(r.t, err)
	return string(b)
}

func TestFirstBundle(t *testing.T) {
	hq, r := newHeadquarters(t), newRecorder(t)
	jws := hq.bundle(nil)
	p := r.apply(jws + "\n")
	if p.Bundle.Site != "Lichinga" || len(p.Device) != 8 {
		t.Errorf("%+v", p)
	}
	if r.file(provision.FileBundle) != jws || !strings.HasPrefix(r.file(provision.FileRecipients), "age1") || !strings.Contains(r.file(provision.FileSettings), "uplink") {
		t.Errorf("%v", r.state())
	}
	if key, err := provision.ParsePublicKey([]byte(r.file(provision.FileReceipt))); err != nil || !key.Equal(hq.key.Public()) {
		t.Error(err)
	}
	for name := range r.state() {
		if s, err := os.Stat(name); err != nil || s.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, s.Mode())
		}
	}
	// Put in again, it is done; the key stays through later ones.
	key := r.file(provision.FileKey)
	if again := r.apply(jws); !again.Done || again.Device != p.Device {
		t.Errorf("again: %+v", again)
	}
	must(t, os.WriteFile(filepath.Join(r.cfg.Dir, provision.FileCert), []byte("certificate"), 0o600))
	if next := r.apply(hq.bundle(nil)); next.Done || next.Device != p.Device || r.file(provision.FileKey) != key || r.file(provision.FileCert) != "certificate" {
		t.Errorf("the next: %+v", next)
	}
	if _, err := os.Stat(filepath.Join(r.cfg.Dir, provision.FileToken)); !os.IsNotExist(err) {
		t.Errorf("a token beside the certificate: %v", err)
	}
	// It moves only by name, and then asks for a certificate anew, so that headquarters knows.
	r.apply(hq.bundle(func(b *wire.Bundle) { b.Site, b.Device = "Pemba", p.Device }))
	if _, err := os.Stat(filepath.Join(r.cfg.Dir, provision.FileCert)); !os.IsNotExist(err) || wire.CheckToken(strings.TrimSpace(r.file(provision.FileToken))) != nil {
		t.Errorf("moved: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(r.cfg.Dir), "*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestRefused: each bundle that is not to be taken is refused with its reason, and changes nothing, not a byte.
func TestRefused(t *testing.T) {
	hq, other := newHeadquarters(t), newHeadquarters(t)
	old, has := hq.bundle(nil), hq.bundle(nil)
	flip := func(jws string) string { return jws[:len(jws)/2] + "A" + jws[len(jws)/2+1:] }
	for name, c := range map[string]struct {
		jws  string
		want string
	}{
		"nothing":              {"", "bundle"},
		"rubbish":              {strings.Repeat("x", 1000), "bundle"},
		"huge":                 {strings.Repeat("x", wire.MaxBundle+2), "at most"},
		"cut":                  {old[:len(old)-10], "bundle"},
		"altered":              {flip(hq.bundle(nil)), "bundle"},
		"two of them":          {hq.bundle(nil) + "\n" + hq.bundle(nil), "bundle"},
		"another headquarters": {other.bundle(nil), "another headquarters"},
		"an old one":           {old, "not newer"},
		"another site's":       {hq.bundle(func(b *wire.Bundle) { b.Site = "Pemba" }), `is for site "Pemba"`},
		"another recorder's":   {hq.bundle(func(b *wire.Bundle) { b.Device = "ABCDEFGH" }), "for recorder ABCDEFGH"},
		"settings":             {hq.bundle(func(b *wire.Bundle) { b.Settings = "wrong" }), "the bundle's settings"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fresh := range []bool{false, true} {
				r := newRecorder(t)
				r.cfg.Settings = func(text string) (string, error) {
					if text == "wrong" {
						return "", errors.New("key that is not known")
					}
					return text, nil
				}
				if !fresh {
					r.apply(has)
				} else if !strings.Contains("nothing rubbish huge cut altered settings", name) {
					continue // a new recorder may take it
				}
				before := r.state()
				p, err := provision.Judge(r.cfg, c.jws)
				var refused *provision.RefusedError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("new %t: %v, %v; want %q", fresh, p, err, c.want)
				}
				after := r.state()
				if len(before) != len(after) {
					t.Errorf("new %t: files %d, then %d", fresh, len(before), len(after))
				}
				for name, b := range before {
					if after[name] != b {
						t.Errorf("%s is another", name)
					}
				}
			}
		})
	}
}

func TestPinned(t *testing.T) {
	hq, other, r := newHeadquarters(t), newHeadquarters(t), newRecorder(t)
	r.cfg.Pinned = hq.key.Public().(ed25519.PublicKey)
	if _, err := provision.Judge(r.cfg, other.bundle(nil)); err == nil || !strings.Contains(err.Error(), "another headquarters") {
		t.Error(err)
	}
	r.apply(hq.bundle(nil))
}

// TestIdentityMadeAtHeadquarters: a recorder whose identity folder was copied to it takes a bundle by name only.
func TestIdentityMadeAtHeadquarters(t *testing.T) {
	hq, r := newHeadquarters(t), newRecorder(t)
	p := r.apply(hq.bundle(nil))
	must(t, os.Remove(filepath.Join(r.cfg.Dir, provision.FileBundle)))
	if _, err := provision.Judge(r.cfg, hq.bundle(nil)); err == nil || !strings.Contains(err.Error(), "--device "+string(p.Device)) {
		t.Error(err)
	}
	r.apply(hq.bundle(func(b *wire.Bundle) { b.Device = p.Device }))
}

// TestDamagedIdentity: what is broken on the recorder itself is said so, and not blamed on the bundle.
func TestDamagedIdentity(t *testing.T) {
	for _, name := range []string{provision.FileKey, provision.FileReceipt, provision.FileBundle} {
		hq, r := newHeadquarters(t), newRecorder(t)
		r.apply(hq.bundle(nil))
		must(t, os.WriteFile(filepath.Join(r.cfg.Dir, name), []byte("x"), 0o600))
		_, err := provision.Judge(r.cfg, hq.bundle(nil))
		var refused *provision.RefusedError
		if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCutShort: what an Apply that was cut short has left is cleared away by the next, whatever it is, and the old identity
// holds until the new one is whole.
func TestCutShort(t *testing.T) {
	hq, r := newHeadquarters(t), newRecorder(t)
	first := hq.bundle(nil)
	r.apply(first)
	next := r.cfg.Dir + ".new"
	must(t, os.MkdirAll(filepath.Join(next, "folder"), 0o700))
	must(t, os.WriteFile(filepath.Join(next, provision.FileKey), []byte("half"), 0o600))
	if r.file(provision.FileBundle) != first {
		t.Error("the old identity is gone")
	}
	second := hq.bundle(nil)
	r.apply(second)
	if r.file(provision.FileBundle) != second {
		t.Error("the new one is not there")
	}
	if _, err := os.Stat(next); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	// No room for the new one: the old one stays.
	must(t, os.WriteFile(next, nil, 0o600))
	p, err := provision.Judge(r.cfg, hq.bundle(nil))
	must(t, err)
	must(t, os.Chmod(filepath.Dir(r.cfg.Dir), 0o500))
	defer os.Chmod(filepath.Dir(r.cfg.Dir), 0o700)
	if os.Getuid() != 0 {
		if err := p.Apply(); err == nil {
			t.Error("applied without the right to")
		}
	}
	if !bytes.Equal([]byte(r.file(provision.FileBundle)), []byte(second)) {
		t.Error("the old identity is gone")
	}
}
