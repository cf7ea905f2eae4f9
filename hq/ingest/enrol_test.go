package ingest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/wire"
)

// wears gives the device another client with this certificate; empty: none.
func (d *device) wears(certificate string) *device {
	d.w.t.Helper()
	worn := &device{w: d.w, id: d.id, cert: tls.Certificate{PrivateKey: d.cert.PrivateKey}}
	if block, _ := pem.Decode([]byte(certificate)); block != nil {
		worn.cert.Certificate = [][]byte{block.Bytes}
	}
	cfg := worn.tls()
	if certificate == "" {
		cfg.Certificates = nil
	}
	transport := &http.Transport{TLSClientConfig: cfg}
	d.w.t.Cleanup(transport.CloseIdleConnections)
	worn.http = &http.Client{Transport: transport}
	return worn
}

// tokenOf is a token that one recorder alone may use.
func (w *world) tokenOf(site string, only call.DeviceID) string {
	w.t.Helper()
	token, err := w.library.AddToken(w.t.Context(), hq.Token{Site: site, Only: only, Expires: time.Now().Add(time.Hour)})
	must(w.t, err)
	return token
}

// newcomer has a key and nothing else.
func (w *world) newcomer() *device {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(w.t, err)
	d := &device{w: w, id: call.DeviceIDOf(key.Public().(ed25519.PublicKey)), cert: tls.Certificate{PrivateKey: key}}
	return d.wears("")
}

func (w *world) token(site string, life time.Duration) string {
	w.t.Helper()
	token, err := w.library.AddToken(w.t.Context(), hq.Token{Site: site, Expires: time.Now().Add(life)})
	must(w.t, err)
	return token
}

func (d *device) status() response {
	return d.json(http.MethodPut, wire.PathStatus, wire.Status{Device: d.id, Online: true, State: "idle", Time: time.Now()}, nil)
}

func TestEnrol(t *testing.T) {
	w := newWorld(t)
	token := w.token("Southam", time.Hour)
	d := w.newcomer()
	if r := d.status(); r.code != http.StatusUnauthorized {
		t.Fatalf("without a certificate its status is answered with %d", r.code)
	}
	var first, second wire.CertificateAnswer
	if r := d.json(http.MethodPost, wire.PathEnrol, wire.NewEnrolment(d.key(), token), &first); r.code != http.StatusOK {
		t.Fatalf("enrol: %d %s", r.code, r.body)
	}
	if r := d.wears(first.Certificate).status(); r.code != http.StatusNoContent {
		t.Errorf("with its certificate its status is answered with %d %s", r.code, r.body)
	}
	known, err := w.library.Recorder(t.Context(), d.id)
	if err != nil || known.Site != "Southam" || !known.Key.Equal(d.key().Public()) {
		t.Errorf("the library has %+v, %v", known, err)
	}
	// The answer may have been lost: the same recorder may ask again, and no other.
	if r := d.json(http.MethodPost, wire.PathEnrol, wire.NewEnrolment(d.key(), token), &second); r.code != http.StatusOK || second.Certificate == "" {
		t.Errorf("enrol again: %d %s", r.code, r.body)
	}
	other := w.newcomer()
	if r := other.json(http.MethodPost, wire.PathEnrol, wire.NewEnrolment(other.key(), token), nil); r.code != http.StatusForbidden || !strings.Contains(r.body, "was used by recorder "+string(d.id)) {
		t.Errorf("another recorder with the used token: %d %s", r.code, r.body)
	}
	if _, err := w.library.Recorder(t.Context(), other.id); err == nil {
		t.Error("the other recorder is known now")
	}
}

func TestEnrolmentsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	thief, victim := w.newcomer(), w.device()
	good := w.token("Southam", time.Hour)
	pretend := wire.NewEnrolment(thief.key(), good)
	pretend.Key = victim.key().Public().(ed25519.PublicKey)
	for name, tt := range map[string]struct {
		e    wire.Enrolment
		code int
	}{
		"a token that nobody made":   {wire.NewEnrolment(thief.key(), wire.NewToken()), http.StatusForbidden},
		"a token of another":         {wire.NewEnrolment(thief.key(), w.tokenOf("Southam", victim.id)), http.StatusForbidden},
		"a token that has ended":     {wire.NewEnrolment(thief.key(), w.token("Southam", -time.Minute)), http.StatusForbidden},
		"no token":                   {wire.NewEnrolment(thief.key(), ""), http.StatusBadRequest},
		"the key of another":         {pretend, http.StatusBadRequest},
		"no key":                     {wire.Enrolment{Token: good}, http.StatusBadRequest},
		"a signature for another":    {wire.Enrolment{Token: good, Key: thief.key().Public().(ed25519.PublicKey), Signature: wire.NewEnrolment(thief.key(), wire.NewToken()).Signature}, http.StatusBadRequest},
		"a token with a line's end":  {wire.NewEnrolment(thief.key(), good[:25]+"\n"), http.StatusBadRequest},
		"a token in lower case":      {wire.NewEnrolment(thief.key(), strings.ToLower(good)), http.StatusBadRequest},
		"a token that is far longer": {wire.NewEnrolment(thief.key(), strings.Repeat(good, 1000)), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if r := thief.json(http.MethodPost, wire.PathEnrol, tt.e, nil); r.code != tt.code || strings.Contains(r.body, "BEGIN CERTIFICATE") {
				t.Errorf("%d %s", r.code, r.body)
			}
		})
	}
	if r := victim.json(http.MethodPost, wire.PathEnrol, wire.NewEnrolment(victim.key(), w.tokenOf("Southam", victim.id)), nil); r.code != http.StatusOK {
		t.Errorf("a token of its own: %d %s", r.code, r.body)
	}
	if _, err := w.library.UseToken(t.Context(), good, thief.key().Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("the good token was used up: %v", err)
	}
}

// twoYearsOver gives a certificate that ended two years ago.
func (d *device) twoYearsOver() string {
	d.w.t.Helper()
	then, err := authority.Open(filepath.Join(d.w.dir, "authority"), func() time.Time { return time.Now().AddDate(-3, 0, 0) })
	must(d.w.t, err)
	cert, err := then.IssueDevice(d.key().Public().(ed25519.PublicKey))
	must(d.w.t, err)
	return string(cert)
}

// TestOffForYears: a recorder whose certificate has ended may renew it, and do nothing else.
func TestOffForYears(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	old := d.wears(d.twoYearsOver())
	for _, try := range []response{
		old.status(),
		old.json(http.MethodPost, wire.PathHave, wire.HaveQuestion{Epoch: 5, Calls: []call.ID{}}, nil),
		old.do(http.MethodPost, wire.PathCalls, nil, "Tus-Resumable", "1.0.0", "Upload-Length", "5"),
	} {
		if try.code != http.StatusUnauthorized || !strings.Contains(try.body, "renew") {
			t.Errorf("with a certificate that has ended: %d %s", try.code, try.body)
		}
	}
	url := w.broker()
	if _, err := old.connect(old.options(url)); err == nil {
		t.Error("with a certificate that has ended it is let in over MQTT")
	}
	var a wire.CertificateAnswer
	if r := old.json(http.MethodPost, wire.PathRenew, struct{}{}, &a); r.code != http.StatusOK {
		t.Fatalf("renew: %d %s", r.code, r.body)
	}
	renewed := d.wears(a.Certificate)
	if r := renewed.status(); r.code != http.StatusNoContent {
		t.Errorf("with the new certificate: %d %s", r.code, r.body)
	}
	if _, err := renewed.connect(renewed.options(url)); err != nil {
		t.Errorf("with the new certificate over MQTT: %v", err)
	}
}

// TestShutOut: a recorder that is revoked is out at once, over connections that stand, too, and may not renew.
func TestShutOut(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	url := w.broker()
	c, err := d.connect(d.options(url))
	must(t, err)
	if r := d.status(); r.code != http.StatusNoContent {
		t.Fatalf("before: %d %s", r.code, r.body)
	}
	must(t, w.library.Revoke(t.Context(), d.id, true))
	ended := d.wears(d.twoYearsOver())
	for name, r := range map[string]response{
		"status":                        d.status(),
		"renewal":                       d.json(http.MethodPost, wire.PathRenew, struct{}{}, nil),
		"renewal of one that has ended": ended.json(http.MethodPost, wire.PathRenew, struct{}{}, nil),
		"enrolment":                     d.json(http.MethodPost, wire.PathEnrol, wire.NewEnrolment(d.key(), w.token("Southam", time.Hour)), nil),
	} {
		if r.code != http.StatusForbidden || !strings.Contains(r.body, "shut out") {
			t.Errorf("%s: %d %s", name, r.code, r.body)
		}
	}
	c.Publish(wire.TopicStatus(d.id), 1, false, `{"device":"`+string(d.id)+`","online":true}`)
	for c.IsConnected() {
		select {
		case <-time.After(time.Millisecond):
		case <-time.After(10 * time.Second):
			t.Fatal("its MQTT connection stands")
		}
	}
	if _, err := d.connect(d.options(url)); err == nil {
		t.Error("it is let in over MQTT again")
	}
	must(t, w.library.Revoke(t.Context(), d.id, false))
	if r := d.status(); r.code != http.StatusNoContent {
		t.Errorf("let in again: %d %s", r.code, r.body)
	}
}
