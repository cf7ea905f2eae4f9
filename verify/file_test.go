package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/verify"
)

// TestFile looks at one call file of the day, with what lies beside it.
func TestFile(t *testing.T) {
	o := newOffice(t)
	manifest := callID(9).String() + ".jws"
	alone := func(d *day) { // but for its certificate
		d.files = map[string][]byte{name(d.calls[9]): d.files[name(d.calls[9])], "device.crt": d.files["device.crt"], "day.ledger": nil}
	}
	for title, c := range map[string]struct {
		do     func(d *day)
		colour verify.Colour
		want   []string
	}{
		"with its ledger":   {func(*day) {}, verify.Green, nil},
		"with its manifest": {func(d *day) { jws := d.jws[20]; alone(d); d.files[manifest] = jws }, verify.Green, nil},
		"with a manifest that ends its line": {func(d *day) { jws := d.jws[20]; alone(d); d.files[manifest] = append(jws, '\n') },
			verify.Green, nil},
		"with both":    {func(d *day) { d.files[manifest] = d.jws[20] }, verify.Green, nil},
		"with nothing": {alone, verify.Amber, []string{"amber no-manifest entry 20 call 9 in lkc"}},
		"with another's manifest": {func(d *day) { jws := d.jws[18]; alone(d); d.files[manifest] = jws },
			verify.Red, []string{"red call-foreign entry 19 call 9 in jws"}},
		"with its begin entry": {func(d *day) { jws := d.jws[19]; alone(d); d.files[manifest] = jws },
			verify.Red, []string{"red entry-wrong entry 20 call 9 in jws"}},
		"with a forged manifest": {func(d *day) { jws := d.forge(20); alone(d); d.files[manifest] = jws },
			verify.Red, []string{"red wrong-signer entry 21 call 9 in jws"}},
		"with a broken manifest": {func(d *day) { alone(d); d.files[manifest] = []byte("rubbish") },
			verify.Red, []string{"red not-an-entry in jws", "amber no-manifest entry 20 call 9 in lkc"}},
		"with a manifest and a ledger that differ": {func(d *day) {
			d.files[manifest] = d.sign(d.office.device, d.jws[20], func(e *call.Entry) { e.Line = "2" })
		}, verify.Red, []string{"red entry-wrong entry 21 call 9 in ledger"}},
		"altered": {func(d *day) { f := d.files[name(d.calls[9])]; f[len(f)-200] ^= 1 },
			verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
		"cut short": {func(d *day) { d.files[name(d.calls[9])] = d.files[name(d.calls[9])][:700] },
			verify.Amber, []string{"amber incomplete entry 21 call 9 record 3 in lkc"}},
		"cut short, with nothing": {func(d *day) { alone(d); d.files[name(d.calls[9])] = d.files[name(d.calls[9])][:700] },
			verify.Amber, []string{"amber incomplete entry 20 call 9 record 3 in lkc"}},
		"amended": {func(d *day) { d.damage(d.t, 9, 4) }, verify.Amber, []string{"amber hole entry 42 call 9 record 4 in lkc"}},
		"amended by another": {func(d *day) { d.damage(d.t, 9, 4); d.jws[41] = d.forge(41) },
			verify.Red, []string{"red wrong-signer entry 42 call 9 in ledger", "red altered entry 21 call 9 in lkc"}},
		"of another call under its name": {func(d *day) { d.files[name(d.calls[9])] = d.files[name(d.calls[8])] },
			verify.Red, []string{"red call-foreign call 8 in lkc"}},
		"no certificate": {func(d *day) { delete(d.files, "device.crt") }, verify.Amber, []string{"amber signer-unknown"}},
	} {
		t.Run(title, func(t *testing.T) {
			d := newDay(t, o)
			c.do(d)
			r := d.verify(verify.Options{Trust: d.trust()}, name(d.calls[9]))
			if got := d.brief(r); r.Colour != c.colour || !slices.Equal(got, c.want) || r.Calls != 1 {
				t.Errorf("%s\ngot  %s\nwant %s", r, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

func TestNothingToVerify(t *testing.T) {
	d := newDay(t, newOffice(t))
	dir := d.write()
	for _, path := range []string{filepath.Join(dir, "device.crt"), filepath.Join(dir, "nowhere"), filepath.Join(dir, "nowhere.lkc"), t.TempDir()} {
		if r, err := verify.Paths(t.Context(), []string{path}, verify.Options{}); err == nil {
			t.Errorf("%s: %s", path, r)
		}
	}
}

// TestFoldersBelow: what is to be looked at may be anywhere below, and links lead nowhere.
func TestFoldersBelow(t *testing.T) {
	d := newDay(t, newOffice(t))
	below := newDay(t, d.office)
	dir := d.write()
	must(t, os.Mkdir(filepath.Join(dir, "monday"), 0o700))
	for _, n := range []string{name(d.calls[3]), "day.ledger"} {
		must(t, os.Rename(filepath.Join(dir, n), filepath.Join(dir, "monday", n)))
	}
	if r, err := verify.Paths(t.Context(), []string{dir}, verify.Options{Trust: d.trust()}); err != nil || r.Colour != verify.Green || r.Calls != 20 {
		t.Errorf("%s %q, %v", r, d.brief(r), err)
	}
	must(t, os.Remove(filepath.Join(dir, name(d.calls[4]))))
	must(t, os.Symlink(filepath.Join(below.write(), name(d.calls[4])), filepath.Join(dir, name(d.calls[4]))))
	if r, err := verify.Paths(t.Context(), []string{dir}, verify.Options{Trust: d.trust()}); err != nil || r.Colour != verify.Red {
		t.Errorf("a link: %s %q, %v", r, d.brief(r), err)
	}
}

func TestWithoutAuthority(t *testing.T) {
	d := newDay(t, newOffice(t))
	if r := d.verify(verify.Options{}); r.Colour != verify.Amber || !slices.Equal(d.brief(r), []string{"amber signer-unknown"}) {
		t.Errorf("a key that lies beside: %s %q", r, d.brief(r))
	}
	d.jws[20] = d.forge(20)
	d.files["day.ledger"] = nil
	delete(d.files, "day.ledger")
	if r := d.verify(verify.Options{}); r.Colour != verify.Red {
		t.Errorf("and is not the signer's: %s %q", r, d.brief(r))
	}
}

func TestTrust(t *testing.T) {
	o := newOffice(t)
	public, err := x509.MarshalPKIXPublicKey(o.device.Public())
	must(t, err)
	alone := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	rsa := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x")})
	serverKey, server, err := o.ca.IssueServer([]string{"localhost"})
	must(t, err)
	foreign := newOffice(t)
	for _, c := range []struct {
		name      string
		authority []byte
		add       []byte
		fails     string
	}{
		{"a certificate", o.ca.CertificatePEM(), o.certificate(t, o.device), ""},
		{"a certificate, no authority", nil, o.certificate(t, o.device), ""},
		{"a key, no authority", nil, alone, ""},
		{"a key, and an authority", o.ca.CertificatePEM(), alone, "give the recorder's device.crt"},
		{"by another authority", o.ca.CertificatePEM(), foreign.certificate(t, o.device), "not by headquarters' authority"},
		{"a server's", o.ca.CertificatePEM(), server, "is not a recorder's"},
		{"the authority's own", o.ca.CertificatePEM(), o.ca.CertificatePEM(), "is not a recorder's"},
		{"a private key", nil, serverKey, "is not a recorder's"},
		{"something else in PEM", nil, rsa, "is not a recorder's"},
		{"no PEM", nil, []byte("x"), "not in PEM"},
		{"noise in PEM", nil, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "recorder's certificate"},
		{"noise as key", nil, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), "recorder's public key"},
	} {
		trust, err := verify.NewTrust(c.authority)
		must(t, err)
		err = trust.Add(c.add)
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, no := range [][]byte{[]byte("x"), alone, o.certificate(t, o.device), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"})} {
		if _, err := verify.NewTrust(no); err == nil {
			t.Errorf("an authority: %s", no)
		}
	}
}

// v1 is a ledger and a call as version 1 wrote them, and their recorder's key.
func v1(t testing.TB) (text, file []byte, trust *verify.Trust) {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		must(t, err)
		return b
	}
	trust, err := verify.NewTrust(nil)
	must(t, err)
	must(t, trust.Add(read("recorder.pub")))
	return read("day.ledger"), read(name(callID(0))), trust
}

// TestVersion1 is for every later version: what was green stays green.
func TestVersion1(t *testing.T) {
	_, _, trust := v1(t)
	r, err := verify.Paths(t.Context(), []string{"testdata/v1", filepath.Join("testdata/v1", name(callID(0)))}, verify.Options{Trust: trust})
	if err != nil || r.Colour != verify.Green || r.Calls != 2 || r.Entries != 4 {
		t.Errorf("%s %v, %v", r, r.Findings, err)
	}
}

// FuzzCheck: whatever is done to a ledger and a call file, only the true ones are green, and nothing falls over. It goes
// without a disk; what reads the bytes has fuzzers of its own (packages ledger and seal).
func FuzzCheck(f *testing.F) {
	text, file, _ := v1(f)
	f.Add(text, file)
	f.Add(text, file[:400])
	f.Add(append(bytes.Clone(text), text...), file)
	f.Add([]byte{}, []byte{})
	truth := bytes.Fields(text)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, ledgerText, callFile []byte) {
		l := &library{entries: map[verify.Ledger][]verify.Line{}, key: key,
			files: map[call.ID][]byte{callID(0): callFile}, due: map[call.ID]verify.Due{callID(0): verify.DueHere}}
		for _, jws := range bytes.Fields(ledgerText) {
			if e, err := ledger.Parse(jws); err == nil {
				l.take(e, jws)
			}
		}
		r, err := verify.Check(t.Context(), l, verify.Options{})
		must(t, err)
		if r.Colour != verify.Green {
			return
		}
		if !bytes.Equal(callFile, file) {
			t.Errorf("another call file is green: %s", r)
		}
		for _, jws := range truth {
			if !bytes.Contains(ledgerText, jws) {
				t.Errorf("green without entry %s", jws)
			}
		}
	})
}
