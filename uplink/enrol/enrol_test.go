package enrol_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/uplink/enrol"
	"github.com/linekeeper/linekeeper/wire"
)

var quiet = slog.New(slog.DiscardHandler)

// desk is headquarters, which gives certificates; what it asks for first is the test's.
type desk struct {
	t         *testing.T
	authority *authority.Authority
	server    *httptest.Server

	mu      sync.Mutex
	clock   time.Time
	asked   []string // paths
	refuse  string   // why nothing is given; empty: it is
	instead ed25519.PublicKey
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

// pass lets time pass.
func (d *desk) pass(years, months int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.AddDate(years, months, 0)
}

// give says why nothing is given (empty: it is), and for which key instead of the recorder's (nil: for that).
func (d *desk) give(refuse string, instead ed25519.PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse, d.instead = refuse, instead
}

// heard is what was asked.
func (d *desk) heard() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.asked)
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, clock: time.Now()}
	var err error
	if d.authority, err = authority.Open(t.TempDir(), d.now); err != nil {
		t.Fatal(err)
	}
	cfg, err := d.authority.EnrolTLS([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewUnstartedServer(d)
	d.server.Listener = tls.NewListener(d.server.Listener, cfg)
	d.server.Start()
	t.Cleanup(d.server.Close)
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.asked = append(d.asked, r.URL.Path)
	refuse, instead := d.refuse, d.instead
	d.mu.Unlock()
	var key ed25519.PublicKey
	switch r.URL.Path {
	case wire.PathEnrol:
		var e wire.Enrolment
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || !ed25519.Verify(e.Key, []byte("linekeeper enrolment\n"+e.Token), e.Signature) {
			d.t.Errorf("an enrolment that is not right: %v", err)
		}
		key = e.Key
	case wire.PathRenew:
		key = r.TLS.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	}
	if instead != nil {
		key = instead
	}
	var a wire.CertificateAnswer
	if a.Error = refuse; a.Error != "" {
		w.WriteHeader(http.StatusForbidden)
	} else if pem, err := d.authority.IssueDevice(key); err == nil {
		a.Certificate = string(pem)
	}
	_ = json.NewEncoder(w).Encode(a)
}

// recorder is a folder of identity.
type recorder struct {
	*desk
	dir string
	key ed25519.PrivateKey
}

func (d *desk) recorder() *recorder {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	return &recorder{d, d.t.TempDir(), key}
}

func (r *recorder) open() (*enrol.Enroller, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.authority.CertificatePEM())
	return enrol.Open(r.dir, r.key, enrol.Options{Address: "https://" + r.server.Listener.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Time: r.now}, Now: r.now})
}

func (r *recorder) write(name string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) ready(e *enrol.Enroller) *x509.Certificate {
	r.t.Helper()
	if err := e.Ready(context.Background(), quiet); err != nil {
		r.t.Fatal(err)
	}
	cert, err := e.Certificate(nil)
	if err != nil || cert.Leaf == nil {
		r.t.Fatalf("no certificate: %v", err)
	}
	return cert.Leaf
}

func TestLife(t *testing.T) {
	r := newDesk(t).recorder()
	if _, err := r.open(); !errors.Is(err, enrol.ErrNoToken) {
		t.Fatalf("without token and certificate: %v", err)
	}
	r.write(enrol.FileToken, []byte(wire.NewToken()+"\n"))
	e, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	first := r.ready(e)
	if _, err := os.Stat(filepath.Join(r.dir, enrol.FileToken)); !os.IsNotExist(err) {
		t.Errorf("the token is there yet: %v", err)
	}
	r.ready(e)
	if len(r.heard()) != 1 {
		t.Errorf("asked %v, where all was well", r.heard())
	}
	if e, err = r.open(); err != nil { // started again
		t.Fatal(err)
	}
	r.pass(0, 7)
	second := r.ready(e)
	if !second.NotAfter.After(first.NotAfter) || !slices.Contains(r.heard(), wire.PathRenew) {
		t.Errorf("after half of its time it is the same certificate, until %v; asked %v", second.NotAfter, r.heard())
	}
	r.pass(2, 0) // off for two years
	if third := r.ready(e); !third.NotAfter.After(r.now()) {
		t.Errorf("after two years it has a certificate until %v", third.NotAfter)
	}
}

// TestMayHaveEnded has a recorder without a clock be off until its certificate has ended, as only headquarters knows: it
// renews it when it was not let in, and does not ask at each attempt.
func TestMayHaveEnded(t *testing.T) {
	r := newDesk(t).recorder()
	r.write(enrol.FileToken, []byte(wire.NewToken()+"\n"))
	e, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	r.ready(e)
	if e, err = r.open(); err != nil {
		t.Fatal(err)
	}
	saved := r.now()
	known := false
	e.GoBy(func() (time.Time, bool) { return saved, known })
	r.pass(1, 2)
	r.ready(e) // for the first attempt
	if r.ready(e); !slices.Equal(r.heard(), []string{wire.PathEnrol, wire.PathRenew}) {
		t.Errorf("asked %v", r.heard())
	}
	if cert := r.ready(e); !cert.NotAfter.After(r.now()) {
		t.Errorf("it has a certificate until %v, and it is %v", cert.NotAfter, r.now())
	}
	r.give("down", nil)
	for range 7 {
		r.ready(e) // whatever headquarters answers
	}
	known = true
	r.ready(e)
	if n := len(r.heard()); n != 3 {
		t.Errorf("asked %d times: %v", n, r.heard())
	}
}

func TestRenewalThatFails(t *testing.T) {
	r := newDesk(t).recorder()
	r.write(enrol.FileToken, []byte(wire.NewToken()))
	e, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	first := r.ready(e)
	r.give("not today", nil)
	r.pass(0, 8)
	if kept := r.ready(e); !kept.Equal(first) {
		t.Error("it gave up the certificate that it had")
	}
	asked := len(r.heard())
	r.ready(e)
	if len(r.heard()) != asked {
		t.Error("it asks again at once")
	}
	r.pass(1, 0)
	if err := e.Ready(t.Context(), quiet); err == nil || !strings.Contains(err.Error(), "not today") || !strings.Contains(err.Error(), "ended on") {
		t.Errorf("with a certificate that has ended: %v", err)
	}
}

func TestWhatHeadquartersGivesIsLookedAt(t *testing.T) {
	r := newDesk(t).recorder()
	r.write(enrol.FileToken, []byte(wire.NewToken()))
	e, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	r.give("", r.authority.ReceiptKey().Public().(ed25519.PublicKey))
	if err := e.Ready(t.Context(), quiet); err == nil || !strings.Contains(err.Error(), "not taken") {
		t.Errorf("a certificate for another key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, enrol.FileToken)); err != nil {
		t.Errorf("the token is gone: %v", err)
	}
	r.give("", nil)
	r.ready(e)
}

func TestDamagedCertificate(t *testing.T) {
	r := newDesk(t).recorder()
	other, err := r.authority.IssueDevice(r.authority.ReceiptKey().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"empty": nil, "noise": []byte("no certificate"), "another's": other, "cut": other[:len(other)/2]} {
		r.write(enrol.FileCertificate, text)
		if _, err := r.open(); err == nil || !strings.Contains(err.Error(), enrol.FileCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
