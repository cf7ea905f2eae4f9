package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

func TestHeadquarters(t *testing.T) {
	at := func(apart time.Duration) func(context.Context) (wire.HaveAnswer, error) {
		return func(context.Context) (wire.HaveAnswer, error) {
			return wire.HaveAnswer{Time: time.Now().Add(apart)}, nil
		}
	}
	failing := func(err error) func(context.Context) (wire.HaveAnswer, error) {
		return func(context.Context) (wire.HaveAnswer, error) {
			return wire.HaveAnswer{}, fmt.Errorf("POST /v1/have: %w", err)
		}
	}
	for _, c := range []struct {
		name     string
		ask      func(context.Context) (wire.HaveAnswer, error)
		want, do string
	}{
		{"well", at(0), "PASS it is ours, knows this recorder, and its time is ", ""},
		{"a clock behind", at(time.Hour), "FAIL it knows this recorder, but this clock is 1h0m0s behind its own", "timedatectl"},
		{"a clock ahead", at(-time.Minute), "FAIL it knows this recorder, but this clock is 1m0s ahead of its own", "timedatectl"},
		{"another name", failing(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "hq"}), "FAIL POST /v1/have: ", "`names`"},
		{"another authority", failing(x509.UnknownAuthorityError{}), "FAIL", "not our headquarters"},
		{"out of date", failing(x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}}), "FAIL", "timedatectl"},
		{"an identity refused in TLS", failing(&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}), "FAIL", "linekeeper-hq recorder add"},
		{"an identity that is not known", failing(errors.New("headquarters answered 403 Forbidden: recorder ABCDEFGH is not known at this headquarters")), "FAIL", "linekeeper-hq recorder add"},
		{"refused over MQTT", failing(&uplink.RefusedError{Reason: "not known"}), "FAIL", "linekeeper-hq recorder add"},
		{"busy", failing(&uplink.BusyError{Err: errors.New("answered 507")}), "FAIL", "look at its log"},
		{"no answer", failing(context.DeadlineExceeded), "FAIL", "firewall or proxy"},
		{"gone meanwhile", failing(unix.ECONNREFUSED), "FAIL", "whether headquarters runs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Headquarters(t.Context(), Way{Name: "https", Ask: c.ask})
			if got := string(r.Verdict) + " " + r.Says; !strings.HasPrefix(got, c.want) || !strings.Contains(r.Do, c.do) || (r.Do == "") != (r.Verdict == Pass) {
				t.Errorf("%s -> %s\nwant %s -> %s", got, r.Do, c.want, c.do)
			}
		})
	}
}

func TestLink(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if r := Link(t.Context(), Way{Name: "mqtt", Address: "mqtts://" + address}); r.Verdict != Pass || r.Of != "mqtt" || !strings.Contains(r.Says, address) {
		t.Errorf("%+v", r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := Link(t.Context(), Way{Name: "mqtt", Address: "mqtts://" + address}); r.Verdict != Fail || !strings.Contains(r.Do, "whether headquarters runs") {
		t.Errorf("%+v", r)
	}
	for err, want := range map[error]string{
		&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "hq.example"}}: "name server",
		&net.OpError{Op: "dial", Err: unix.ENETUNREACH}:                                       "no way out",
		context.DeadlineExceeded: "firewall",
	} {
		if got := linkAdvice(err); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestDialled: where a connection goes, with the port that the address leaves out, and by way of a proxy.
func TestDialled(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128") // read once in a program's life, here
	for address, want := range map[string]string{
		"https://hq.example:8444": "proxy.example:3128",
		"mqtts://hq.example":      "hq.example:8883",
		"mqtts://[::1]:9":         "[::1]:9",
	} {
		if got, err := dialled(Way{Address: address}); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", address, got, err, want)
		}
	}
}

// TestHandshake: beside a recorder that runs, certificates are shown and no more.
func TestHandshake(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	way := Way{Name: "mqtt", Address: "mqtts://" + server.Listener.Addr().String(), SkipAsk: "no more", TLS: &tls.Config{RootCAs: roots}}
	if r := Headquarters(t.Context(), way); r.Verdict != Fail || !strings.Contains(r.Do, "does not accept this recorder") {
		t.Errorf("without a certificate: %+v", r)
	}
	way.TLS.Certificates = server.TLS.Certificates
	if r := Headquarters(t.Context(), way); r.Verdict != Pass || !strings.HasSuffix(r.Says, "no more") {
		t.Errorf("with one: %+v", r)
	}
	way.TLS = &tls.Config{}
	if r := Headquarters(t.Context(), way); r.Verdict != Fail || !strings.Contains(r.Do, "not our headquarters") {
		t.Errorf("of another authority: %+v", r)
	}
}

func TestRunning(t *testing.T) {
	for _, c := range []struct{ alarm, level, hum, hook string }{
		{"", "PASS -40 dBFS", "PASS", "SKIP"},
		{"hum of 50 Hz", "PASS", "FAIL hum 50 Hz", "SKIP"},
		{"digital silence; no frames", "FAIL no frames", "PASS", "SKIP"},
		{"hum of 60 Hz; " + line.AlarmTone, "PASS", "FAIL hum 60 Hz", "FAIL stuck off-hook"},
		{"its hook, usbe23b_1_2, is away: plug the handset in", "PASS", "PASS", "FAIL its hook, usbe23b_1_2, is away"},
		{line.AlarmOffHook, "PASS", "PASS", "FAIL stuck off-hook"},
	} {
		results := Running("desk", c.alarm, -40)
		for i, want := range []string{c.level, c.hum, c.hook, "SKIP", "SKIP", "SKIP"} {
			if got := string(results[i].Verdict) + " " + results[i].Says; !strings.HasPrefix(got, want) {
				t.Errorf("%q: %s, want %s", c.alarm, got, want)
			}
		}
		if now := Running("desk", c.alarm, capture.Silence)[0]; now.Verdict == Pass || results[0].Verdict == Fail && now.Verdict != Fail {
			t.Errorf("at digital silence: %+v", now)
		}
		if !strings.Contains(results[5].Says, "systemctl stop linekeeper") {
			t.Errorf("%+v", results[5])
		}
	}
}
