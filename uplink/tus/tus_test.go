package tus_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) {
	// tusd lets the context of each request live on for a while.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/tus/tusd/v2/pkg/handler.newDelayedContext.func1"))
}

func rand8() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// callFile is a call file to deliver, with a store of its own for its state.
type callFile struct {
	id    call.ID
	bytes []byte
	state []byte
	saved int
	acked int64
}

func newCall(size int) *callFile {
	c := &callFile{id: call.NewID(), bytes: make([]byte, size)}
	_, _ = rand.Read(c.bytes)
	return c
}

func (c *callFile) file() uplink.File {
	sum := sha256.Sum256(c.bytes)
	return uplink.File{
		Call: c.id, Size: int64(len(c.bytes)), SHA256: hex.EncodeToString(sum[:]), Bytes: bytes.NewReader(c.bytes), State: c.state,
		Save:     func(state []byte) error { c.state = state; c.saved++; return nil },
		Progress: func(_, acknowledged int64) { c.acked = max(c.acked, acknowledged) },
	}
}

func connect(t *testing.T, h *headquarters, opts tus.Options) *tus.Transport {
	t.Helper()
	tr, err := tus.New(h.server.URL, h.tls(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// deliver delivers as the uplink does: again after each error of the link, from the state that was kept.
func deliver(t *testing.T, h *headquarters, tr *tus.Transport, c *callFile) (failures int) {
	t.Helper()
	for ; failures < 10; failures++ {
		receipt, err := tr.Deliver(t.Context(), c.file())
		if err != nil {
			t.Logf("attempt %d: %v", failures, err)
			continue
		}
		r, err := wire.VerifyReceipt(h.key.Public().(ed25519.PublicKey), receipt)
		if err != nil || r.Call == nil || *r.Call != c.id || r.Size != int64(len(c.bytes)) {
			t.Fatalf("receipt %+v, %v", r, err)
		}
		h.got(c.id, c.bytes)
		return failures
	}
	t.Fatal("not delivered after 10 attempts")
	return failures
}

func bothHTTP(t *testing.T, test func(t *testing.T, http2 bool)) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) { test(t, http2) })
	}
}

func TestDeliver(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		h := newHeadquarters(t, http2)
		tr := connect(t, h, tus.Options{})
		c := newCall(300_000)
		savedFirst := false
		h.spoil = []spoiler{{http.MethodPatch, 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			savedFirst = c.saved == 1
			next.ServeHTTP(w, r)
		}}}
		if n := deliver(t, h, tr, c); n != 0 {
			t.Errorf("%d failures on a good link", n)
		}
		if !savedFirst {
			t.Error("the upload's address was not kept before the first PATCH")
		}
		if c.acked != 300_000 || h.count(http.MethodPost) != 1 || h.count(http.MethodPatch) != 1 || h.count(http.MethodHead) != 0 {
			t.Errorf("acknowledged %d, requests %v", c.acked, h.requests)
		}
		// After the loss of the receipt and of the state: headquarters has it already.
		c.state = nil
		deliver(t, h, tr, c)
		if h.count(http.MethodPatch) != 1 {
			t.Error("a call that headquarters had was sent again")
		}
	})
}

func TestCuts(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		const size = 200_000
		for _, after := range []int64{0, 100, 1500, 2500, 3500, 5000, 10_000, 100_000, 199_000, 200_500, 201_000} {
			t.Run(fmt.Sprint(after), func(t *testing.T) {
				h := newHeadquarters(t, http2)
				c := newCall(size)
				h.cut.left.Store(after)
				tr := connect(t, h, tus.Options{})
				deliver(t, h, tr, c)
			})
		}
	})
}

func TestResumesAtTheByte(t *testing.T) {
	h := newHeadquarters(t, true)
	c := newCall(4 << 20)
	h.cut.left.Store(3 << 20)
	if n := deliver(t, h, connect(t, h, tus.Options{}), c); n != 1 {
		t.Fatalf("%d failures, want the cut alone", n)
	}
	if h.count(http.MethodPost) != 1 || h.count(http.MethodHead) != 1 {
		t.Errorf("requests: %v; want one upload, resumed", h.requests)
	}
	if c.acked != 4<<20 {
		t.Errorf("acknowledged %d", c.acked)
	}
}

func TestAnswers(t *testing.T) {
	const size = 50_000
	tests := []struct {
		name     string
		spoil    []spoiler
		failures int // of Deliver before it succeeds; negative: net/http itself may have tried again
		posts    int
	}{
		{"answer of the POST lost", []spoiler{lose("POST", 1)}, 1, 2},
		{"answer of the last PATCH lost", []spoiler{lose("PATCH", 1)}, 1, 1},
		{"answers of the last PATCH and the HEAD lost", []spoiler{lose("PATCH", 1), lose("HEAD", 1)}, 2, 1},
		{"answers of the last PATCH and the receipt lost", []spoiler{lose("PATCH", 1), lose("GET", 1)}, -1, 1},
		{"PATCH 409", []spoiler{answer("PATCH", 1, 409)}, 0, 1},
		{"PATCH 404", []spoiler{answer("PATCH", 1, 404)}, 0, 2},
		{"PATCH 410", []spoiler{answer("PATCH", 1, 410)}, 0, 2},
		{"PATCH 423", []spoiler{answer("PATCH", 1, 423)}, 1, 1},
		{"HEAD 423 after a lost answer", []spoiler{lose("PATCH", 1), answer("HEAD", 1, 423)}, 2, 1},
		{"HEAD 404 after a 409", []spoiler{answer("PATCH", 1, 409), answer("HEAD", 1, 404)}, 0, 2},
		{"HEAD says more than there is", []spoiler{answer("PATCH", 1, 409), answer("HEAD", 1, 200, "Upload-Offset", "50001")}, 0, 2},
		{"HEAD is of another length", []spoiler{answer("PATCH", 1, 409), answer("HEAD", 1, 200, "Upload-Offset", "5", "Upload-Length", "6")}, 0, 2},
		{"PATCH 460 twice", []spoiler{answer("PATCH", 1, 460), answer("PATCH", 2, 460)}, 0, 3},
		{"PATCH 503", []spoiler{answer("PATCH", 1, 503)}, 1, 1},
		{"POST 500", []spoiler{answer("POST", 1, 500)}, 1, 2},
		{"receipt late", []spoiler{lose("PATCH", 1), answer("GET", 1, 404)}, 2, 1},
		{"receipt never", []spoiler{lose("PATCH", 1), answer("GET", 1, 404), answer("GET", 2, 404), answer("GET", 3, 404)}, 3, 2},
		{"PATCH takes nothing", []spoiler{answer("PATCH", 1, 204), answer("PATCH", 2, 204)}, 0, 1},
	}
	bothHTTP(t, func(t *testing.T, http2 bool) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				h := newHeadquarters(t, http2)
				h.spoil = tt.spoil
				if n := deliver(t, h, connect(t, h, tus.Options{}), newCall(size)); n != tt.failures && tt.failures >= 0 {
					t.Errorf("%d failures, want %d", n, tt.failures)
				}
				if n := h.count("POST"); n != tt.posts {
					t.Errorf("%d uploads begun, want %d", n, tt.posts)
				}
			})
		}
	})
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name  string
		spoil []spoiler
		want  string
	}{
		{"403", []spoiler{answer("POST", 1, 403)}, "403 Forbidden: spoilt"},
		{"413", []spoiler{answer("PATCH", 1, 413)}, "413 Request Entity Too Large: spoilt"},
		{"460 three times", []spoiler{answer("PATCH", 1, 460), answer("PATCH", 2, 460), answer("PATCH", 3, 460)}, "3 times with another SHA-256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeadquarters(t, true)
			h.spoil = tt.spoil
			c := newCall(5000)
			_, err := connect(t, h, tus.Options{}).Deliver(t.Context(), c.file())
			var refused *uplink.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, tt.want) {
				t.Fatalf("%v, want a refusal with %q", err, tt.want)
			}
			if c.state != nil {
				t.Errorf("kept %s of a refused call", c.state)
			}
		})
	}
}

// TestNotLetIn has headquarters, whose clock may be wrong, not take the recorder's certificate for once: no call is refused
// for that, and what was begun goes on.
func TestNotLetIn(t *testing.T) {
	for _, method := range []string{"POST", "PATCH", "HEAD"} {
		h := newHeadquarters(t, true)
		h.spoil = []spoiler{answer("PATCH", 1, 503), answer(method, 1, 401)}
		if method == "PATCH" {
			h.spoil = h.spoil[1:]
		}
		c, tr := newCall(5000), connect(t, h, tus.Options{})
		var refused *uplink.RefusedError
		var receipt string
		for n := 0; receipt == "" && n < 5; n++ {
			var err error
			if receipt, err = tr.Deliver(t.Context(), c.file()); errors.As(err, &refused) {
				t.Errorf("401 to %s: %v", method, err)
			}
		}
		if posts := h.count("POST"); receipt == "" || posts > 2 || method != "POST" && posts != 1 {
			t.Errorf("401 to %s: receipt %q, %d uploads begun", method, receipt, posts)
		}
	}
}

func TestBusy(t *testing.T) {
	in := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		status int
		after  string
		least  time.Duration
	}{{503, "120", 2 * time.Minute}, {429, in, 59 * time.Minute}, {500, "", 0}, {502, "soon", 0}} {
		h := newHeadquarters(t, false)
		h.spoil = []spoiler{answer("PUT", 1, tt.status, "Retry-After", tt.after)}
		err := connect(t, h, tus.Options{}).Status(t.Context(), wire.Status{Device: device})
		var busy *uplink.BusyError
		if !errors.As(err, &busy) || busy.After < tt.least || busy.After > tt.least+time.Minute {
			t.Errorf("%d with Retry-After %q: %v", tt.status, tt.after, err)
		}
	}
}

func TestLocationElsewhere(t *testing.T) {
	for _, where := range []string{"https://elsewhere.example/x", "http://HOST/v1/calls/x", "//elsewhere.example/x", "https://me@HOST/v1/calls/x", "", "%zz"} {
		h := newHeadquarters(t, false)
		h.spoil = []spoiler{answer("POST", 1, 201, "Location", strings.ReplaceAll(where, "HOST", h.server.Listener.Addr().String()))}
		c := newCall(100)
		if _, err := connect(t, h, tus.Options{}).Deliver(t.Context(), c.file()); err == nil || c.state != nil {
			t.Errorf("address %q was taken: %v", where, err)
		}
	}
}

func TestStateOfAnotherHeadquarters(t *testing.T) {
	for _, state := range []string{`{"url":"https://before.example/v1/calls/x"}`, `nonsense`, `{"url":"%zz"}`} {
		h := newHeadquarters(t, true)
		c := newCall(10_000)
		c.state = []byte(state)
		if n := deliver(t, h, connect(t, h, tus.Options{}), c); n != 0 {
			t.Errorf("%s: %d failures", state, n)
		}
	}
}

// swallow takes the whole request and never answers. (An HTTP/1.1 server notices that the client has gone only after
// it has read the body.)
func swallow(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestStall has a headquarters that takes a request and never answers.
func TestStall(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		h := newHeadquarters(t, http2)
		h.spoil = []spoiler{{http.MethodPatch, 1, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			swallow(r)
		}}}
		tr := connect(t, h, tus.Options{Stall: 50 * time.Millisecond})
		c := newCall(50_000)
		_, err := tr.Deliver(t.Context(), c.file())
		if err == nil || !strings.Contains(err.Error(), "nothing got through for 50ms") {
			t.Fatalf("%v, want a stall", err)
		}
		deliver(t, h, tr, c)
	})
}

func TestCancel(t *testing.T) {
	h := newHeadquarters(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	h.spoil = []spoiler{{http.MethodPatch, 1, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel()
		swallow(r)
	}}}
	_, err := connect(t, h, tus.Options{}).Deliver(ctx, newCall(50_000).file())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
}

type brokenReader struct{}

var errBroken = errors.New("card is broken")

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

func TestUnreadable(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		h := newHeadquarters(t, http2)
		tr := connect(t, h, tus.Options{})
		f := newCall(50_000).file()
		f.Bytes = io.ReaderAt(brokenReader{})
		if _, err := tr.Deliver(t.Context(), f); !errors.Is(err, errBroken) {
			t.Errorf("%v, want what the card said", err)
		}
		deliver(t, h, tr, newCall(1000))
	})
}

func TestMessages(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		h := newHeadquarters(t, http2)
		tr := connect(t, h, tus.Options{})
		if err := tr.Status(t.Context(), wire.Status{Device: device}); err != nil {
			t.Error(err)
		}
		if a, err := tr.Have(t.Context(), wire.HaveQuestion{Calls: []call.ID{call.NewID()}}); err != nil || a.Entries != 1 {
			t.Errorf("%+v, %v", a, err)
		}
		if r, err := tr.Entries(t.Context(), wire.EntryBatch{Entries: []string{"a", "b"}}); err != nil || r != "for a b" {
			t.Errorf("%q, %v", r, err)
		}
		var refused *uplink.RefusedError
		if _, err := tr.Entries(t.Context(), wire.EntryBatch{Entries: []string{"a"}}); !errors.As(err, &refused) {
			t.Errorf("%v, want refused", err)
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	h := newHeadquarters(t, false)
	h.spoil = []spoiler{answer("PUT", 1, 307, "Location", "https://elsewhere.example/")}
	if err := connect(t, h, tus.Options{}).Status(t.Context(), wire.Status{}); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("%v", err)
	}
}

func TestAddress(t *testing.T) {
	for _, bad := range []string{"", "http://hq.example", "hq.example:8444", "https://", "://"} {
		if _, err := tus.New(bad, nil, tus.Options{}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Over HTTP/2 the next messages go before the status is answered; over HTTP/1.1 they would need connections of their own.
func TestOpen(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		h := newHeadquarters(t, http2)
		asked := make(chan struct{})
		h.spoil = []spoiler{{"PUT", 1, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			if http2 {
				<-asked
			}
			w.WriteHeader(http.StatusNoContent)
		}}}
		tr := connect(t, h, tus.Options{})
		standing := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			<-standing
			_, err := tr.Have(t.Context(), wire.HaveQuestion{})
			close(asked)
			done <- err
		}()
		stood := false
		if err := tr.Open(t.Context(), wire.Status{Device: device}, func() { stood = true; close(standing) }); err != nil {
			t.Error(err)
		}
		if stood != http2 {
			t.Errorf("other messages might go at once: %v, want %v", stood, http2)
		}
		if !stood {
			close(standing)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A receiver that takes connections and says nothing is given up, so that another has its turn: by default after
// uplink.Silence, whatever it is that it does not answer.
func TestBlackHole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // with what the kernel has taken for it
	tr, err := tus.New("https://"+l.Addr().String(), &tls.Config{}, tus.Options{Stall: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := tr.Open(t.Context(), wire.Status{Device: device, Online: true}, func() { t.Error("a black hole stands") }); err == nil {
		t.Error("a black hole has taken the status")
	}
}
