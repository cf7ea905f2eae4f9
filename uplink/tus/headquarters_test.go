package tus_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	expslog "golang.org/x/exp/slog"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

const device = call.DeviceID("ABCDEFGH")

// headquarters is tusd with the receipts of ours, behind a door at which requests can be spoilt.
type headquarters struct {
	t      *testing.T
	dir    string
	server *httptest.Server
	key    ed25519.PrivateKey
	cut    *cutter

	mu       sync.Mutex
	spoil    []spoiler
	requests []string // METHOD path
	durable  map[string]string
	copies   map[string][][]byte // what was made durable, by call
}

// spoiler answers the nth request of a method in the place of tusd, or spoils tusd's answer.
type spoiler struct {
	method string
	nth    int
	do     func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newHeadquarters(t *testing.T, http2 bool) *headquarters {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &headquarters{t: t, dir: t.TempDir(), key: key, durable: map[string]string{}, copies: map[string][][]byte{}}
	h.server = httptest.NewUnstartedServer(h.routes())
	h.server.EnableHTTP2 = http2
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.cut = &cutter{Listener: h.server.Listener}
	h.cut.left.Store(-1)
	h.server.Listener = h.cut
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	return h
}

func (h *headquarters) routes() http.Handler {
	composer := handler.NewStoreComposer()
	filestore.New(h.dir).UseIn(composer)
	composer.UseLocker(patient{memorylocker.New()})
	tusd, err := handler.NewHandler(handler.Config{
		BasePath: wire.PathCalls, StoreComposer: composer, DisableDownload: true, DisableTermination: true,
		Logger:                           expslog.New(expslog.NewTextHandler(io.Discard, nil)),
		PreUploadCreateCallback:          h.create,
		PreFinishResponseCallback:        h.finish,
		GracefulRequestCompletionTimeout: time.Second,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(wire.PathCalls, http.StripPrefix(wire.PathCalls, tusd))
	mux.HandleFunc("GET "+wire.PathCalls+"{call}/receipt", func(w http.ResponseWriter, r *http.Request) {
		if receipt := h.receipt(r.PathValue("call")); receipt != "" {
			_ = json.NewEncoder(w).Encode(wire.ReceiptAnswer{Receipt: receipt})
			return
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("PUT "+wire.PathStatus, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST "+wire.PathEntries, func(w http.ResponseWriter, r *http.Request) {
		var b wire.EntryBatch
		if readMessage(r, &b) != nil || len(b.Entries) != 2 {
			http.Error(w, "want two entries", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(wire.ReceiptAnswer{Receipt: "for " + strings.Join(b.Entries, " ")})
	})
	mux.HandleFunc("POST "+wire.PathHave, func(w http.ResponseWriter, r *http.Request) {
		var q wire.HaveQuestion
		_ = readMessage(r, &q)
		_ = json.NewEncoder(w).Encode(wire.HaveAnswer{Entries: uint64(len(q.Calls))})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
		for _, s := range h.spoil {
			if s.method == r.Method && s.nth == h.count(r.Method) {
				s.do(w, r, mux)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

func readMessage(r *http.Request, into any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return wire.Decode(b, into)
}

func (h *headquarters) create(e handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
	id := e.Upload.MetaData[wire.MetaCall]
	if r := h.receipt(id); r != "" {
		refusal := handler.NewError("ERR_DURABLE", "is here already", http.StatusConflict)
		refusal.HTTPResponse.Header[wire.HeaderReceipt] = r
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, refusal
	}
	return handler.HTTPResponse{}, handler.FileInfoChanges{ID: string(device) + "-" + id + "-" + rand8()}, nil
}

func (h *headquarters) finish(e handler.HookEvent) (handler.HTTPResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := os.ReadFile(filepath.Join(h.dir, e.Upload.ID))
	if err != nil {
		return handler.HTTPResponse{}, err
	}
	sum := sha256.Sum256(b)
	declared := e.Upload.MetaData[wire.MetaSHA256]
	if declared == "" {
		declared = e.HTTPRequest.Header.Get(wire.HeaderSHA256)
	}
	if hex.EncodeToString(sum[:]) != declared {
		return handler.HTTPResponse{}, handler.NewError("ERR_HASH", "hash differs", 460)
	}
	text := e.Upload.MetaData[wire.MetaCall]
	if h.durable[text] == "" {
		id, err := call.ParseID(text)
		if err != nil {
			return handler.HTTPResponse{}, err
		}
		h.durable[text], err = wire.SignReceipt(h.key, call.Receipt{Device: device, Call: &id, Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])})
		if err != nil {
			return handler.HTTPResponse{}, err
		}
		h.copies[text] = append(h.copies[text], b)
	}
	return handler.HTTPResponse{Header: handler.HTTPHeader{wire.HeaderReceipt: h.durable[text]}}, nil
}

func (h *headquarters) receipt(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.durable[id]
}

// count says how many requests had this method.
func (h *headquarters) count(method string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if strings.HasPrefix(r, method+" ") {
			n++
		}
	}
	return n
}

// got checks that a call arrived once and whole.
func (h *headquarters) got(id call.ID, want []byte) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.copies[id.String()]; len(c) != 1 || !bytes.Equal(c[0], want) {
		h.t.Errorf("headquarters has %d copies of the call, want 1 with the same bytes", len(c))
	}
}

func (h *headquarters) tls() *tls.Config {
	return h.server.Client().Transport.(*http.Transport).TLSClientConfig
}

// Spoilers.

// answer answers the nth request of a method in the place of tusd.
func answer(method string, nth, status int, header ...string) spoiler {
	return spoiler{method, nth, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		http.Error(w, "spoilt", status)
	}}
}

// lose lets tusd do its work on the nth request of a method, and then cuts the connection before the answer.
func lose(method string, nth int) spoiler {
	return spoiler{method, nth, func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}}
}

// cutter resets the connection that has brought so many bytes since it was set.
type cutter struct {
	net.Listener
	left atomic.Int64 // negative: no cut is wanted
}

func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c}, nil
}

type cutConn struct {
	net.Conn
	cutter *cutter
}

func (c *cutConn) Read(b []byte) (int, error) {
	left := c.cutter.left.Load()
	if left >= 0 && int64(len(b)) > left {
		b = b[:max(left, 1)]
	}
	n, err := c.Conn.Read(b)
	if left >= 0 && c.cutter.left.Add(-int64(n)) <= 0 {
		c.cutter.left.Store(-1)
		_ = c.Conn.(*net.TCPConn).SetLinger(0) // a reset, which the client notices at once
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// patient is a locker that waits for whoever has a lock, and does not ask him for it: how tusd takes an upload over from
// another request races with that one's beginning. Here a request's end is always near.
type patient struct{ handler.Locker }

// NewLock implements handler.Locker.
func (p patient) NewLock(id string) (handler.Lock, error) {
	inner, err := p.Locker.NewLock(id)
	return patientLock{inner}, err
}

type patientLock struct{ inner handler.Lock }

// Lock implements handler.Lock.
func (l patientLock) Lock(ctx context.Context, _ func()) error { return l.inner.Lock(ctx, func() {}) }

// Unlock implements handler.Lock.
func (l patientLock) Unlock() error { return l.inner.Unlock() }
