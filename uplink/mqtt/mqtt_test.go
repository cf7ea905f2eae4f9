package mqtt_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) {
	// paho's Publish waits up to 30 s for a client whose connection ended in that moment.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/eclipse/paho%2emqtt%2egolang.(*client).Publish"))
}

type callFile struct {
	id    call.ID
	bytes []byte
	state []byte
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
		Call: c.id, Size: int64(len(c.bytes)), SHA256: hex.EncodeToString(sum[:]), Bytes: bytes.NewReader(c.bytes),
		State:    slices.Clone(c.state),
		Save:     func(state []byte) error { c.state = state; return nil },
		Progress: func(_, acknowledged int64) { c.acked = max(c.acked, acknowledged) },
	}
}

func connect(t *testing.T, r *receiver, opts mqtt.Options) *mqtt.Transport {
	t.Helper()
	tr := transport(t, r, opts)
	online(t, tr)
	return tr
}

// online connects, however long it takes.
func online(t *testing.T, tr *mqtt.Transport) {
	t.Helper()
	defer tr.SetStall(tr.SetStall(uplink.Silence))
	if err := tr.Status(t.Context(), wire.Status{Device: device, Online: true}); err != nil {
		t.Fatal(err)
	}
}

// trust is a recorder's in the receiver's certificate.
func trust(t *testing.T, server *tls.Config) *tls.Config {
	t.Helper()
	leaf, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{RootCAs: pool}
}

func transport(t *testing.T, r *receiver, opts mqtt.Options) *mqtt.Transport {
	t.Helper()
	tr, err := mqtt.New("mqtts://"+r.address, trust(t, r.tls), device, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// deliver delivers as the uplink does: after an error of the link it connects again, and it asks headquarters first
// whether it has the call.
func deliver(t *testing.T, r *receiver, tr *mqtt.Transport, c *callFile) (failures int) {
	t.Helper()
	for ; failures < 10; failures++ {
		receipt, err := tr.Deliver(t.Context(), c.file())
		var later *uplink.LaterError
		if err != nil {
			t.Logf("attempt %d: %v", failures, err)
			if !errors.As(err, &later) {
				_ = tr.Close()
			}
			online(t, tr)
			stall := tr.SetStall(uplink.Silence)
			a, err := tr.Have(t.Context(), wire.HaveQuestion{Calls: []call.ID{c.id}})
			tr.SetStall(stall)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Receipts) == 0 {
				continue
			}
			receipt = a.Receipts[0]
			failures++
		}
		got, err := wire.VerifyReceipt(r.key.Public().(ed25519.PublicKey), receipt)
		if err != nil || got.Call == nil || *got.Call != c.id {
			t.Fatalf("receipt %+v, %v", got, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if copies := r.copies[c.id.String()]; len(copies) != 1 || !bytes.Equal(copies[0], c.bytes) {
			t.Errorf("headquarters has %d copies of the call, want 1 with the same bytes", len(copies))
		}
		return failures
	}
	t.Fatal("not delivered after 10 attempts")
	return failures
}

func TestDeliver(t *testing.T) {
	r := newReceiver(t)
	tr := connect(t, r, mqtt.Options{})
	for _, size := range []int{1, wire.SegmentSize - 1, wire.SegmentSize, wire.SegmentSize + 1, 300_000} {
		c := newCall(size)
		if n := deliver(t, r, tr, c); n != 0 {
			t.Errorf("%d bytes: %d failures on a good link", size, n)
		}
		if c.acked != int64(size) {
			t.Errorf("%d of %d bytes acknowledged", c.acked, size)
		}
	}
	if _, again, attempts := r.sent(); again != 0 || attempts != 5 {
		t.Errorf("%d segments sent twice, %d attempts", again, attempts)
	}
}

func TestWindow(t *testing.T) {
	r := newReceiver(t)
	full := make(chan struct{})
	r.judge = func(n int, _ wire.FileCommand) (bool, string) {
		if n == 3 {
			close(full)
		}
		return true, "" // no answer, ever
	}
	tr := connect(t, r, mqtt.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := tr.Deliver(ctx, newCall(100_000).file())
		ended <- err
	}()
	<-full
	if err := tr.Status(t.Context(), wire.Status{Device: device, Online: true}); err != nil { // by whose acknowledgement all before has come
		t.Error(err)
	}
	cancel(uplink.ErrStalled)
	if err := <-ended; !errors.Is(err, uplink.ErrStalled) {
		t.Fatalf("%v, want stalled", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.commands); n < 3 || n > mqtt.MostWindow {
		t.Errorf("%d messages sent without an answer, want 3 to %d", n, mqtt.MostWindow)
	}
}

// first judges the first command of a kind.
func first(verb wire.FileVerb, times int, description string) func(int, wire.FileCommand) (bool, string) {
	return func(_ int, c wire.FileCommand) (bool, string) {
		if c.Verb != verb || times == 0 {
			return false, ""
		}
		times--
		return false, description
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name     string
		judge    func(int, wire.FileCommand) (bool, string)
		failures int
		attempts int
		again    int // segments sent again under the same file ID
	}{
		{"incomplete", first(wire.FileFinish, 1, wire.FileIncomplete), 0, 2, 0},
		{"conflict", first(wire.FileInit, 2, wire.FileMetaConflict), 0, 3, 0},
		{"checksum of the whole, twice", first(wire.FileFinish, 2, wire.FileChecksumMismatch), 0, 3, 0},
		{"checksum of a segment", first(wire.FileSegment, 1, wire.FileChecksumMismatch), 0, 1, 1},
		{"timeout", first(wire.FileFinish, 1, wire.FileTimeout), 1, 1, 0},
		{"something else", first(wire.FileSegment, 1, "error"), 1, 1, mqtt.MostWindow},
		{"incomplete without end", first(wire.FileFinish, 4, wire.FileIncomplete), 1, 5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t)
			r.judge = tt.judge
			c := newCall(100_000)
			if n := deliver(t, r, connect(t, r, mqtt.Options{}), c); n != tt.failures {
				t.Errorf("%d failures, want %d", n, tt.failures)
			}
			if _, again, attempts := r.sent(); attempts != tt.attempts || again > tt.again {
				t.Errorf("%d attempts, want %d; %d segments sent again, want at most %d", attempts, tt.attempts, again, tt.again)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, judge := range map[string]func(int, wire.FileCommand) (bool, string){
		"of another device":            first(wire.FileInit, 1, "refused: of another device"),
		"3 times with another SHA-256": first(wire.FileFinish, 3, wire.FileChecksumMismatch),
		"without a reason":             first(wire.FileFinish, 1, wire.FileRefused),
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.judge = judge
			c := newCall(50_000)
			_, err := connect(t, r, mqtt.Options{}).Deliver(t.Context(), c.file())
			var refused *uplink.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, name) {
				t.Fatalf("%v, want refused", err)
			}
			if c.state != nil {
				t.Errorf("kept %s of a refused call", c.state)
			}
		})
	}
}

// TestBrokerKilled kills the broker at each of many points and starts it again.
func TestBrokerKilled(t *testing.T) {
	const size, segments = 200_000, 25
	for _, at := range []int{1, 2, 5, 14, segments + 1, segments + 2} {
		r := newReceiver(t)
		killed := make(chan struct{})
		r.judge = func(n int, _ wire.FileCommand) (bool, string) {
			if n == at {
				go func() { r.stop(); close(killed) }() // it waits for this handler
				return true, ""
			}
			return n > at && isOpen(killed), ""
		}
		c := newCall(size)
		tr := connect(t, r, mqtt.Options{})
		if _, err := tr.Deliver(t.Context(), c.file()); err == nil {
			t.Fatalf("at %d: delivered although the broker was killed", at)
		}
		_ = tr.Close()
		<-killed
		r.start()
		if err := tr.Status(t.Context(), wire.Status{Online: true}); err != nil {
			t.Fatal(err)
		}
		deliver(t, r, tr, c)
		sent, again, attempts := r.sent()
		if attempts != 1 || again > mqtt.MostWindow {
			t.Errorf("killed at %d: %d attempts, %d of %d segments sent again, want at most the window", at, attempts, again, sent)
		}
	}
}

func isOpen(c chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// TestRestart has a recorder that is killed between two savings of its state: it sends some segments again, with the
// same boundaries, or none where the receiver tells what it has.
func TestRestart(t *testing.T) {
	for _, tells := range []bool{false, true} {
		r := newReceiver(t)
		r.tells = tells
		c := newCall(500_000) // 62 segments
		var kept []byte
		f := c.file()
		r.judge = func(n int, _ wire.FileCommand) (bool, string) { return n > 40, "" }
		tr := connect(t, r, mqtt.Options{Stall: 100 * time.Millisecond})
		f.Save = func(state []byte) error {
			if n, _, _ := r.sent(); n < 40 { // the rest of the savings do not reach the card
				kept = state
			}
			return nil
		}
		if _, err := tr.Deliver(t.Context(), f); !errors.Is(err, uplink.ErrStalled) {
			t.Fatal(err)
		}
		r.mu.Lock()
		r.judge = nil
		r.mu.Unlock()
		_ = tr.Close()
		c.state = kept
		if n := deliver(t, r, connect(t, r, mqtt.Options{}), c); n != 0 {
			t.Errorf("%d failures", n)
		}
		least, most := 1, 16+mqtt.MostWindow // no more than are saved at a time, and those whose answer had not come
		if tells {
			least, most = 0, mqtt.MostWindow
		}
		if _, again, attempts := r.sent(); attempts != 1 || again < least || again > most {
			t.Errorf("tells %v: %d attempts, %d segments sent again; want one attempt, and %d to %d again", tells, attempts, again, least, most)
		}
	}
}

func TestStateThatDoesNotFit(t *testing.T) {
	for _, state := range []string{"nonsense", `{}`, `{"attempt":"xyz","init":"e30=","acked":"AA=="}`, `{"attempt":"00000000","init":"e30=","acked":"AAAAAA=="}`} {
		r := newReceiver(t)
		c := newCall(50_000)
		c.state = []byte(state)
		if n := deliver(t, r, connect(t, r, mqtt.Options{}), c); n != 0 {
			t.Errorf("%s: %d failures", state, n)
		}
	}
}

func TestExpired(t *testing.T) {
	r := newReceiver(t)
	r.judge = func(_ int, c wire.FileCommand) (bool, string) { return c.Verb == wire.FileFinish, "" }
	c := newCall(50_000)
	tr := connect(t, r, mqtt.Options{Stall: 100 * time.Millisecond})
	if _, err := tr.Deliver(t.Context(), c.file()); !errors.Is(err, uplink.ErrStalled) {
		t.Fatal(err)
	}
	_ = tr.Close()
	r.mu.Lock()
	r.judge = nil
	clear(r.files) // after 24 h
	r.mu.Unlock()
	if n := deliver(t, r, connect(t, r, mqtt.Options{}), c); n != 0 {
		t.Errorf("%d failures", n)
	}
	if _, _, attempts := r.sent(); attempts != 2 {
		t.Errorf("%d attempts, want a second from nothing", attempts)
	}
}

func TestLostAnswers(t *testing.T) {
	for name, judge := range map[string]func(int, wire.FileCommand) (bool, string){
		"init":    func(n int, _ wire.FileCommand) (bool, string) { return n == 1, "" },
		"segment": func(n int, _ wire.FileCommand) (bool, string) { return n == 4, "" },
		"fin":     func(n int, c wire.FileCommand) (bool, string) { return n < 10 && c.Verb == wire.FileFinish, "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.judge = judge
			tr := connect(t, r, mqtt.Options{Stall: 200 * time.Millisecond})
			n := deliver(t, r, tr, newCall(50_000))
			if n < 1 { // more, where the machine took so long for an answer that was given
				t.Error("nothing failed")
			}
			if _, again, attempts := r.sent(); n == 1 && again > 1 || attempts != 1 {
				t.Errorf("%d segments sent again, %d attempts", again, attempts)
			}
		})
	}
}

func TestReceiptThatDoesNotCome(t *testing.T) {
	r := newReceiver(t)
	r.mute = true
	tr := connect(t, r, mqtt.Options{Receipt: 20 * time.Millisecond})
	if n := deliver(t, r, tr, newCall(50_000)); n != 1 {
		t.Errorf("%d failures, want 1 and then the receipt from have", n)
	}
}

func TestUnreadable(t *testing.T) {
	r := newReceiver(t)
	tr := connect(t, r, mqtt.Options{})
	f := newCall(50_000).file()
	f.Bytes = bytes.NewReader(make([]byte, 20_000))
	if _, err := tr.Deliver(t.Context(), f); err == nil || !strings.Contains(err.Error(), "read segment at 16384") {
		t.Errorf("%v", err)
	}
	deliver(t, r, tr, newCall(1000))
}

// A receiver that takes connections and says nothing is given up, so that another has its turn: by default after
// uplink.Silence, whatever it is that it does not answer.
func TestBlackHole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // with what the kernel has taken for it
	tr, err := mqtt.New("mqtts://"+l.Addr().String(), &tls.Config{}, device, mqtt.Options{Stall: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := tr.Open(t.Context(), wire.Status{Device: device, Online: true}, func() { t.Error("a black hole stands") }); err == nil {
		t.Error("a black hole has taken the status")
	}
}
