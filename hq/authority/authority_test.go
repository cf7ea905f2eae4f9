package authority

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// device gives a client certificate with its key.
func device(t *testing.T, a *Authority) (tls.Certificate, call.DeviceID) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.IssueDevice(pub)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, call.DeviceIDOf(pub)
}

// shake does a TLS handshake and gives the server's error, or else the client's.
func shake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	s, c := net.Pipe()
	defer s.Close()
	defer c.Close()
	failed := make(chan error, 1)
	go func() {
		// Reads on, since in TLS 1.3 the server's refusal of a certificate comes after the handshake.
		_, err := io.Copy(io.Discard, tls.Client(c, client))
		_ = c.Close()
		failed <- err
	}()
	srv := tls.Server(s, server)
	if err := srv.Handshake(); err != nil {
		_ = s.Close()
		<-failed
		return err
	}
	_ = s.Close()
	<-failed // io.EOF and the like: the server let it in
	return nil
}

func roots(a *Authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.CertificatePEM())
	return pool
}

func TestRecordersAreLetInByTheirCertificateOnly(t *testing.T) {
	a := open(t, t.TempDir())
	server, err := a.RecorderTLS([]string{"hq.test", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	own, id := device(t, a)
	strange, _ := device(t, open(t, t.TempDir()))

	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	swapped := own
	swapped.PrivateKey = key
	forged := &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	forged.Subject.CommonName = string(id) // another's name over a key of its own
	der, err := a.sign(forged, pub)
	if err != nil {
		t.Fatal(err)
	}
	asServer, err := a.serverCertificate([]string{"hq.test", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}

	for name, tc := range map[string]struct {
		certs []tls.Certificate
		max   uint16
		want  string // in the error; empty: let in
	}{
		"own certificate":         {certs: []tls.Certificate{own}},
		"TLS 1.2":                 {certs: []tls.Certificate{own}, max: tls.VersionTLS12, want: "version"},
		"no certificate":          {want: "didn't provide a certificate"},
		"another authority's":     {certs: []tls.Certificate{strange}, want: "unknown authority"},
		"without its key":         {certs: []tls.Certificate{swapped}, want: "invalid signature"},
		"another recorder's name": {certs: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, want: "its key says"},
		"the server's own, as if": {certs: []tls.Certificate{*asServer}, want: "incompatible key usage"},
		"by the address":          {certs: []tls.Certificate{own}},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: roots(a), ServerName: "hq.test", Certificates: tc.certs, MaxVersion: tc.max}
			if name == "by the address" {
				client.ServerName = "127.0.0.1"
			}
			err := shake(t, server, client)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// A recorder that comes back shows no certificate again, as long as the one that it has shown holds; and whatever a ticket
// says, it lets nobody in by itself.
func TestSessions(t *testing.T) {
	now := time.Now()
	a, err := Open(t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	server, err := a.RecorderTLS([]string{"hq.test"})
	if err != nil {
		t.Fatal(err)
	}
	var resumed bool
	verify := server.VerifyConnection
	server.VerifyConnection = func(s tls.ConnectionState) error {
		resumed = s.DidResume
		return verify(s)
	}
	own, _ := device(t, a)
	client := &tls.Config{RootCAs: roots(a), ServerName: "hq.test", Certificates: []tls.Certificate{own}, ClientSessionCache: tls.NewLRUClientSessionCache(0), Time: func() time.Time { return now }}
	come := func(what string, want bool) {
		t.Helper()
		if err := shake(t, server, client); err != nil || resumed != want {
			t.Errorf("%s: resumed %v, want %v, %v", what, resumed, want, err)
		}
	}
	come("the first time", false)
	come("again", true)
	come("and again", true)
	restarted, err := a.RecorderTLS([]string{"hq.test"})
	if err != nil {
		t.Fatal(err)
	}
	server.WrapSession, server.UnwrapSession = restarted.WrapSession, restarted.UnwrapSession
	come("after headquarters was restarted", false)
	come("after that", true)
	for _, name := range [][]byte{nil, {1}, make([]byte, 16), make([]byte, 17)} {
		if s, err := server.UnwrapSession(name, tls.ConnectionState{}); s != nil || err != nil {
			t.Errorf("ticket %x is of %v, %v", name, s, err)
		}
	}
	now = now.Add(deviceLife + time.Hour)
	client.Time = func() time.Time { return now.Add(-2 * time.Hour) } // the recorder does not know
	if err := shake(t, server, client); err == nil {
		t.Error("a recorder whose certificate has ended was let in with its session")
	}
}

// What is kept does not grow with the connections.
func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	for range mostSessions + 100 {
		if _, err := s.wrap(tls.ConnectionState{}, &tls.SessionState{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.kept) != mostSessions || len(s.order) != mostSessions {
		t.Errorf("%d sessions are kept, %d in order", len(s.kept), len(s.order))
	}
}

func TestABrokerBesideHeadquarters(t *testing.T) {
	a := open(t, t.TempDir())
	key, cert, err := a.IssueServer([]string{"broker.test"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	broker := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots(a),
		VerifyConnection: func(s tls.ConnectionState) error {
			if name := s.PeerCertificates[0].Subject.CommonName; name != BrokerClient {
				return errors.New("client is " + name)
			}
			return nil
		}}
	client, err := a.BrokerTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "broker.test"
	if err := shake(t, broker, client); err != nil {
		t.Error(err)
	}
	recorders, err := a.RecorderTLS([]string{"broker.test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := shake(t, recorders, client); err == nil || !strings.Contains(err.Error(), "not a recorder") {
		t.Errorf("headquarters passes for a recorder: %v", err)
	}
	if _, err := a.BrokerTLS([]byte("x")); err == nil {
		t.Error("roots that are none")
	}
	if _, _, err := a.IssueServer(nil); err == nil {
		t.Error("a server without a name")
	}
}

func TestKeysOutliveTheProgram(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	a := open(t, dir)
	b := open(t, dir)
	if string(a.CertificatePEM()) != string(b.CertificatePEM()) || !a.ReceiptKey().Equal(b.ReceiptKey()) || !a.caKey.Equal(b.caKey) {
		t.Fatal("opened again it is another authority")
	}
	jws, err := wire.SignReceipt(a.ReceiptKey(), call.Receipt{First: 1, Last: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.VerifyReceipt(b.ReceiptKey().Public().(ed25519.PublicKey), jws); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.key", "ca.crt", "receipt.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestServerCertificateIsRenewed(t *testing.T) {
	now := time.Now()
	a, err := Open(t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	get := func(names ...string) string {
		cfg, err := a.WebTLS(names)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := cfg.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.String()
	}
	first := get("a.test")
	if get("a.test") != first {
		t.Error("signed again without need")
	}
	if get("a.test", "::1") == first {
		t.Error("kept although the names changed")
	}
	cfg, err := a.WebTLS([]string{"a.test"})
	if err != nil {
		t.Fatal(err)
	}
	running, err := cfg.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(serverLife - renewLeft + time.Minute)
	renewed, err := cfg.GetCertificate(nil)
	if err != nil || renewed.Leaf.SerialNumber.Cmp(running.Leaf.SerialNumber) == 0 {
		t.Errorf("near its end the running server still shows the old one (%v)", err)
	}
	now = now.Add(-serverLife) // the clock was ahead, and is put right
	if back, err := cfg.GetCertificate(nil); err != nil || back.Leaf.NotBefore.After(now) {
		t.Errorf("after the clock was ahead the server shows a certificate that is not valid yet (%v)", err)
	}
	if _, err := a.WebTLS(nil); err == nil || !strings.Contains(err.Error(), "host name") {
		t.Errorf("no names: %v", err)
	}
}

func TestDamagedKeysAreNamedAndKept(t *testing.T) {
	other := t.TempDir()
	open(t, other)
	for name, tc := range map[string]struct {
		file   string
		damage func(path string) error
		advice string
	}{
		"cut":        {"ca.key", func(p string) error { return os.Truncate(p, 20) }, "backup"},
		"empty":      {"receipt.key", func(p string) error { return os.Truncate(p, 0) }, "backup"},
		"other kind": {"receipt.key", func(p string) error { return copyFile(filepath.Join(filepath.Dir(p), "ca.key"), p) }, "backup"},
		"gone":       {"ca.key", os.Remove, "backup"},
		"bad base64": {"ca.key", func(p string) error {
			return os.WriteFile(p, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)
		}, "backup"},
		"certificate":    {"ca.crt", func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, "backup"},
		"another's cert": {"ca.crt", func(p string) error { return copyFile(filepath.Join(other, "ca.crt"), p) }, "backup"},
		"server key":     {"server.key", func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, "new one will be made"},
		"a folder":       {"ca.key", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "backup"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := open(t, dir).WebTLS([]string{"a.test"}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, tc.file)
			if err := tc.damage(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			a, err := Open(dir, time.Now)
			if err == nil {
				_, err = a.WebTLS([]string{"a.test"})
			}
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tc.advice) {
				t.Fatalf("error %v: want it to name %s and say %q", err, path, tc.advice)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Fatal("the damaged file was written to")
			}
		})
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
