package service

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/ingest"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(t *testing.T) Config {
	t.Helper()
	return Config{Data: filepath.Join(t.TempDir(), "hq"), Names: []string{"127.0.0.1"},
		Web: "127.0.0.1:0", Recorders: "127.0.0.1:0", MQTT: "127.0.0.1:0"}
}

// run runs a service until stop is called, which gives Run's error.
func run(t *testing.T, s *Service, pages http.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, pages) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("it does not stop")
			return nil
		}
	}
}

// identity makes a recorder known and gives its TLS configuration.
func identity(t *testing.T, s *Service) (call.DeviceID, *tls.Config) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	b, err := s.Authority().IssueDevice(pub)
	must(t, err)
	block, _ := pem.Decode(b)
	device := call.DeviceIDOf(pub)
	must(t, s.Library().SaveRecorder(t.Context(), hq.Recorder{Device: device, Key: pub, Site: "Northam"}))
	cfg := browser(s)
	cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}
	return device, cfg
}

func browser(s *Service) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Authority().CertificatePEM())
	return &tls.Config{RootCAs: roots}
}

func client(t *testing.T, cfg *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func request(t *testing.T, c *http.Client, method, url string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	must(t, err)
	res, err := c.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

func TestHeadquartersServesAllWaysIn(t *testing.T) {
	events := make(chan ingest.Event, 10)
	cfg := config(t)
	cfg.OnEvent = func(e ingest.Event) { events <- e }
	s, err := Open(t.Context(), cfg)
	must(t, err)
	stop := run(t, s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "pages") }))
	device, id := identity(t, s)

	if code, body := request(t, client(t, browser(s)), "GET", "https://"+s.WebAddress().String(), nil); code != 200 || body != "pages" {
		t.Errorf("web: %d %s", code, body)
	}
	status, err := json.Marshal(wire.Status{Device: device, Online: true})
	must(t, err)
	recorders := "https://" + s.RecordersAddress().String()
	if code, body := request(t, client(t, id), "PUT", recorders+wire.PathStatus, status); code != http.StatusNoContent {
		t.Errorf("status: %d %s", code, body)
	}
	if e := <-events; e.Kind != ingest.EventOnline || e.Device != device {
		t.Errorf("event %+v", e)
	}
	if code, _ := request(t, client(t, browser(s)), "PUT", recorders+wire.PathStatus, status); code != http.StatusUnauthorized {
		t.Errorf("without a certificate it is answered %d", code)
	}
	o := paho.NewClientOptions().AddBroker("mqtts://" + s.MQTTAddress().String()).SetClientID(string(device)).SetTLSConfig(id).SetAutoReconnect(false)
	lost := make(chan struct{})
	o.SetConnectionLostHandler(func(paho.Client, error) { close(lost) })
	c := paho.NewClient(o)
	token := c.Connect()
	token.Wait()
	must(t, token.Error())

	must(t, stop())
	<-lost

	again, err := Open(t.Context(), cfg)
	must(t, err)
	if r, err := again.Library().Recorder(t.Context(), device); err != nil || r.Status == nil || !r.Status.Online {
		t.Errorf("after a restart: %+v, %v", r, err)
	}
	must(t, again.Close())
}

func TestAnUploadDoesNotHoldUpTheStop(t *testing.T) {
	s, err := Open(t.Context(), config(t))
	must(t, err)
	inside := make(chan struct{})
	stop := run(t, s, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		_, _ = io.Copy(io.Discard, r.Body) // until the connection is cut
	}))
	body, feed := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+s.WebAddress().String(), body)
		if err == nil {
			var res *http.Response
			if res, err = client(t, browser(s)).Do(req); err == nil {
				_ = res.Body.Close()
			}
		}
		answered <- err
	}()
	<-inside
	must(t, stop())
	must(t, feed.Close())
	<-answered
}

func TestWhatCannotWorkIsSaid(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	busy := taken.Addr().String()
	for what, tc := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"web port in use":       {func(c *Config) { c.Web = busy }, []string{"the web pages", busy, "in use", "another address"}},
		"recorders port in use": {func(c *Config) { c.Recorders = busy }, []string{"recorders", busy, "in use"}},
		"MQTT port in use":      {func(c *Config) { c.MQTT = busy }, []string{"MQTT", busy, "in use"}},
		"no such address":       {func(c *Config) { c.Web = "192.0.2.1:0" }, []string{"192.0.2.1:0", "no such address"}},
		"not an address":        {func(c *Config) { c.Web = "x" }, []string{"web pages", "x"}},
		"no names":              {func(c *Config) { c.Names = nil }, []string{"host name"}},
		"broker's roots":        {func(c *Config) { c.Broker = &Broker{URL: "mqtts://b:1", Roots: []byte("x")} }, []string{"mqtts://b:1", "PEM"}},
		"unreadable key": {func(c *Config) {
			must(t, os.MkdirAll(filepath.Join(c.Data, "authority"), 0o700))
			must(t, os.WriteFile(filepath.Join(c.Data, "authority", "receipt.key"), []byte("x"), 0o600))
		}, []string{"receipt.key", "backup"}},
		"library is a folder": {func(c *Config) { must(t, os.MkdirAll(filepath.Join(c.Data, "library.db"), 0o700)) }, []string{"library.db"}},
		"data is a file": {func(c *Config) {
			c.Data = filepath.Join(t.TempDir(), "file")
			must(t, os.WriteFile(c.Data, nil, 0o600))
		}, []string{"data folder"}},
	} {
		t.Run(what, func(t *testing.T) {
			cfg := config(t)
			tc.change(&cfg)
			s, err := Open(t.Context(), cfg)
			if err == nil {
				must(t, s.Close())
				t.Fatal("opened")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestOneHeadquartersOnAFolder(t *testing.T) {
	cfg := config(t)
	s, err := Open(t.Context(), cfg)
	must(t, err)
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second one: %v", err)
	}
	must(t, s.Close())
	s, err = Open(t.Context(), cfg)
	must(t, err)
	must(t, s.Close())
}
