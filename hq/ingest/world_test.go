package ingest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a headquarters with real parts, in a folder that outlives a restart of it.
type world struct {
	t         testing.TB
	dir       string
	authority *authority.Authority
	library   *library.Library
	files     *blob.Store
	in        *Ingest
	room      atomic.Int64 // bytes free on the disk
	events    chan Event
	server    *httptest.Server
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir(), events: make(chan Event, 1000)}
	w.room.Store(1 << 40)
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	w.authority, err = authority.Open(filepath.Join(w.dir, "authority"), time.Now)
	must(w.t, err)
	w.library, err = library.Open(filepath.Join(w.dir, "library.db"), time.Now)
	must(w.t, err)
	w.files, err = blob.Open(filepath.Join(w.dir, "calls"), blob.Options{Reserve: 1, Free: func(string) (int64, error) { return w.room.Load(), nil }})
	must(w.t, err)
	w.in, err = Open(w.t.Context(), w.config())
	must(w.t, err)
	cfg, err := w.authority.EnrolTLS([]string{"127.0.0.1"})
	must(w.t, err)
	w.server = httptest.NewUnstartedServer(w.in.Handler())
	w.server.Listener = tls.NewListener(w.server.Listener, cfg) // StartTLS would show a certificate of its own
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.server.Config.MaxHeaderBytes = MaxHeaderBytes
	w.server.Start()
	w.server.URL = "https://" + w.server.Listener.Addr().String()
}

func (w *world) config() Config {
	log := slog.New(slog.DiscardHandler)
	if t, ok := w.t.(*testing.T); ok { // fuzz targets may not log through their F
		log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	return Config{Recipient: func() (string, error) { return recipient, nil }, Library: w.library, Ledger: w.library, Recorders: w.library, Authority: w.authority, Files: w.files, Commands: w.library, Spool: filepath.Join(w.dir, "spool"),
		Key: w.authority.ReceiptKey(), MaxCall: 1 << 20, Now: time.Now, Log: log,
		OnEvent: func(e Event) { w.events <- e }}
}

// testWriter gives the log to the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (w *world) stop() {
	w.server.Close()
	must(w.t, w.library.Close())
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// event waits for an event of a kind.
func (w *world) event(kind EventKind) Event {
	w.t.Helper()
	for {
		select {
		case e := <-w.events:
			if e.Kind == kind {
				return e
			}
		case <-time.After(10 * time.Second):
			w.t.Fatalf("no event %q", kind)
		}
	}
}

// recipient is whom recorders are told to seal their calls to.
const recipient = "age1yw33lq98ynayj8fd0tzxjh8sw47mle73jn8m3emy2uedxlwxdfcqakf985"

// device is a recorder with its identity.
type device struct {
	w    *world
	id   call.DeviceID
	cert tls.Certificate
	http *http.Client
}

func (w *world) device() *device {
	w.t.Helper()
	d := w.stranger()
	must(w.t, w.library.SaveRecorder(w.t.Context(), hq.Recorder{Device: d.id, Key: d.key().Public().(ed25519.PublicKey), Site: "Northam"}))
	return d
}

// key signs the device's ledger.
func (d *device) key() ed25519.PrivateKey { return d.cert.PrivateKey.(ed25519.PrivateKey) }

// stranger has a certificate, and is not known to the library.
func (w *world) stranger() *device {
	w.t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(w.t, err)
	b, err := w.authority.IssueDevice(pub)
	must(w.t, err)
	block, _ := pem.Decode(b)
	d := &device{w: w, id: call.DeviceIDOf(pub), cert: tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}
	transport := &http.Transport{TLSClientConfig: d.tls(), DisableCompression: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	d.http = &http.Client{Transport: transport}
	return d
}

func (d *device) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.w.authority.CertificatePEM())
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{d.cert}, MinVersion: tls.VersionTLS13, ServerName: "127.0.0.1"}
}

type response struct {
	code   int
	header http.Header
	body   string
}

func (r response) receipt() string { return r.header.Get(wire.HeaderReceipt) }

// do sends a request; the header's odd elements are values.
func (d *device) do(method, path string, body io.Reader, header ...string) response {
	d.w.t.Helper()
	r, err := d.try(method, path, body, header...)
	must(d.w.t, err)
	return r
}

func (d *device) try(method, path string, body io.Reader, header ...string) (response, error) {
	if !strings.HasPrefix(path, "https:") {
		path = d.w.server.URL + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, path, body)
	must(d.w.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := d.http.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(b)}, err
}

// json sends v and reads the answer into answer.
func (d *device) json(method, path string, v, answer any) response {
	d.w.t.Helper()
	b, err := json.Marshal(v)
	must(d.w.t, err)
	r := d.do(method, path, bytes.NewReader(b))
	if answer != nil && r.code == http.StatusOK {
		must(d.w.t, json.Unmarshal([]byte(r.body), answer))
	}
	return r
}

// verify checks a receipt's signature and that it speaks of the file.
func (d *device) verify(jws string, f file) {
	d.w.t.Helper()
	r, err := wire.VerifyReceipt(d.w.authority.ReceiptKey().Public().(ed25519.PublicKey), jws)
	must(d.w.t, err)
	if r.Device != d.id || r.Call == nil || *r.Call != f.id || r.SHA256 != f.sha || r.Size != int64(len(f.bytes)) {
		d.w.t.Fatalf("receipt of something else: %+v", r)
	}
}

// durable checks that headquarters has the file, and once.
func (d *device) durable(f file) {
	d.w.t.Helper()
	c, err := d.w.library.Call(d.w.t.Context(), f.id)
	must(d.w.t, err)
	if c.Stage != "durable" || c.SHA256 != f.sha || c.Site != "Northam" || c.Line != "Front desk" || c.Duration != time.Second {
		d.w.t.Fatalf("library has %+v", c)
	}
	r, err := d.w.files.Open(d.w.t.Context(), f.id)
	must(d.w.t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(d.w.t, err)
	if !bytes.Equal(b, f.bytes) {
		d.w.t.Fatal("the call file is altered")
	}
	d.spoolEmpty()
}

func (d *device) spoolEmpty() {
	d.w.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(d.w.dir, "spool", "*", "*", "*")); len(left) > 0 {
		d.w.t.Fatalf("left in the spool: %v", left)
	}
}

// file is a call file.
type file struct {
	id    call.ID
	bytes []byte
	sha   string
}

func (f file) metadata() string {
	return "call " + base64.StdEncoding.EncodeToString([]byte(f.id.String())) + ",sha256 " + base64.StdEncoding.EncodeToString([]byte(f.sha))
}

// file makes a call file of some size, of one second of audio.
func (d *device) file(size int) file { return makeFile(d.w.t, d.id, call.NewID(), size) }

func makeFile(t testing.TB, device call.DeviceID, id call.ID, size int) file {
	t.Helper()
	w, first, err := seal.NewWriter(call.Header{Call: id, Device: device, Epoch: 5, Number: 1, Line: "Front desk", Codec: call.Opus,
		Channels: 1, Rate: 8000, Anchor: call.Anchor{Wall: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}}, nil)
	must(t, err)
	var b []byte
	for _, record := range first {
		b = append(b, record.Data...)
	}
	media := make([]byte, size)
	_, _ = rand.Read(media)
	record, err := w.Chunk(0, 8000, media)
	must(t, err)
	b = append(b, record.Data...)
	record, err = w.End(call.End{Reason: call.EndedSilence, Frames: 8000, Gaps: []call.Gap{}})
	must(t, err)
	return fileOf(id, append(b, record.Data...))
}

func fileOf(id call.ID, b []byte) file {
	sum := sha256.Sum256(b)
	return file{id, b, hex.EncodeToString(sum[:])}
}

// entries makes a run of a ledger that begins and ends a call.
func (d *device) entries(epoch call.Epoch, f file) (batch wire.EntryBatch) {
	d.w.t.Helper()
	l := ledger.New(ledger.State{Device: d.id, Epoch: epoch, Next: 1}, d.key())
	for _, e := range []call.Entry{
		{Type: call.EntryBegin, Call: &f.id, Line: "Front desk", Reason: call.BeganVoice},
		{Type: call.EntryEnd, Call: &f.id, Line: "Front desk", Manifest: &call.Manifest{Began: call.BeganVoice, Ended: call.EndedSilence, Duration: 1, Frames: 8000,
			Rate: 8000, Codec: call.Opus, Channels: 1, Gaps: []call.Gap{}, Size: int64(len(f.bytes)), SHA256: f.sha, Chain: f.sha, Software: "test"}},
	} {
		_, err := l.Add(e, func(_ uint64, jws []byte) error {
			batch.Entries = append(batch.Entries, string(jws))
			return nil
		})
		must(d.w.t, err)
	}
	return batch
}

func (d *device) String() string { return fmt.Sprintf("recorder %s", d.id) }

// anonymous is a TLS configuration without a client certificate.
func (w *world) anonymous(d *device) *tls.Config {
	cfg := d.tls()
	cfg.Certificates = nil
	return cfg
}

// opener dials as paho would, and keeps the connection so that a test can cut it.
func opener(d *device, dialled *net.Conn) func(*url.URL, paho.ClientOptions) (net.Conn, error) {
	return func(u *url.URL, _ paho.ClientOptions) (net.Conn, error) {
		conn, err := tls.Dial("tcp", u.Host, d.tls())
		if err == nil {
			*dialled = conn.NetConn()
		}
		return conn, err
	}
}
