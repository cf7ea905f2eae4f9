package uplink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	device = call.DeviceID("ABCDEFGH")
	epoch  = call.Epoch(7)
)

var errLink = errors.New("link is cut")

// world is a store, headquarters, and what happened between them, in order.
type world struct {
	t      *testing.T
	key    ed25519.PrivateKey
	uplink *uplink.Uplink // set by run

	mu      sync.Mutex
	calls   []call.Stored
	files   map[call.ID][]byte
	entries []call.SignedEntry
	number  uint64
	state   map[string][]byte
	log     []string
	broken  map[call.ID]error // of the card
	status  wire.Status
	durable map[call.ID]bool // at headquarters
	length  int              // of the next calls, in some 8 bytes
	size    int              // the same, in bytes

	priority []uplink.Priority
}

func newWorld(t *testing.T) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, key: key, files: map[call.ID][]byte{}, state: map[string][]byte{}, broken: map[call.ID]error{}, durable: map[call.ID]bool{}, length: 100}
}

// addEntry puts an entry into the ledger.
func (w *world) addEntry() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	e := call.SignedEntry{Entry: call.Entry{Device: device, Epoch: epoch, Number: w.number}}
	e.JWS = fmt.Appendf(nil, "entry-%d", w.number)
	w.entries = append(w.entries, e)
	return w.number
}

// addCall puts an ended call and its manifest into the ring. Its name in the log is its number.
func (w *world) addCall() call.ID {
	n := w.addEntry()
	w.addEntry()
	w.mu.Lock()
	defer w.mu.Unlock()
	id := call.ID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
	b := []byte(strings.Repeat(fmt.Sprint("call ", n, " "), w.length))
	if w.size > 0 {
		b = bytes.Repeat(b, w.size/len(b)+1)[:w.size]
	}
	sum := sha256.Sum256(b)
	w.files[id] = b
	w.calls = append(w.calls, call.Stored{
		Header: call.Header{Call: id, Number: n}, Size: int64(len(b)), Ended: true,
		Manifest: &call.Manifest{Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])},
	})
	return id
}

// addSized is addCall with so many bytes.
func (w *world) addSized(size int) call.ID {
	w.size = size
	return w.addCall()
}

func name(id call.ID) string { return fmt.Sprint("call ", binary.BigEndian.Uint32(id[12:])) }

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// happened gives what happened since it was last asked.
func (w *world) happened() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// settle lets what is under way come to its end.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if got := w.happened(); !slices.Equal(got, want) {
		w.t.Errorf("happened:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (w *world) stored(id call.ID) *call.Stored {
	i := slices.IndexFunc(w.calls, func(c call.Stored) bool { return c.Header.Call == id })
	return &w.calls[i]
}

// set changes the world while an uplink runs in it.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// look gives a call as the store has it.
func (w *world) look(id call.ID) call.Stored {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.stored(id)
}

// left is the number of entries without a receipt.
func (w *world) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// hook reads a link's hook, which a test may change at any time.
func hook[T any](w *world, h *T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *h
}

// The store.

func (w *world) EachWaiting(visit func(call.Waiting) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		number := c.Header.Number + 1
		if !c.Ended {
			number = 0
		}
		if !c.Receipt && !visit(call.Waiting{
			Call: c.Header.Call, Number: number, Size: c.Size, Ended: c.Ended, Parked: c.Parked != "",
			Asked: c.Asked, Hold: c.Hold != "", Flagged: c.Flagged,
		}) {
			return
		}
	}
}

func (w *world) Call(id call.ID) (call.Stored, error) { return w.look(id), nil }

type openFile struct{ *bytes.Reader }

func (openFile) Close() error { return nil }

type brokenFile struct {
	openFile
	err error
}

func (b brokenFile) ReadAt([]byte, int64) (int, error) { return 0, b.err }

func (w *world) OpenCall(id call.ID) (uplink.CallFile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := openFile{bytes.NewReader(w.files[id])}
	if err := w.broken[id]; err != nil {
		return brokenFile{f, err}, nil
	}
	return f, nil
}

func (w *world) Entries(limit int) ([]call.SignedEntry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.entries[:min(limit, len(w.entries))]), nil
}

func (w *world) Accept(r call.Receipt, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Call != nil {
		w.stored(*r.Call).Receipt = true
		return nil
	}
	w.entries = slices.DeleteFunc(w.entries, func(e call.SignedEntry) bool { return e.Number <= r.Last })
	return nil
}

func (w *world) Park(id call.ID, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored(id).Parked = reason
	return nil
}

func (w *world) SaveTransfer(id call.ID, via string, state []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[id.String()+via] = state
	return nil
}

func (w *world) Transfer(id call.ID, via string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state[id.String()+via], nil
}

// The observer.

func (w *world) Connected(link string)             { w.say("connected %s", link) }
func (w *world) Disconnected(link string, _ error) { w.say("disconnected %s", link) }
func (w *world) Delivered(id call.ID)              { w.say("delivered %s", name(id)) }
func (w *world) Parked(id call.ID, reason string)  { w.say("parked %s: %s", name(id), reason) }
func (w *world) sign(r call.Receipt) string        { return w.signAs(w.key, r) }
func (w *world) receipt(f uplink.File) call.Receipt {
	return call.Receipt{Device: device, Call: &f.Call, Size: f.Size, SHA256: f.SHA256}
}

func (w *world) signAs(key ed25519.PrivateKey, r call.Receipt) string {
	jws, err := wire.SignReceipt(key, r)
	if err != nil {
		w.t.Error(err)
	}
	return jws
}

// link is a transport to this world's headquarters, which can be made to fail.
type link struct {
	*world
	via  string
	lost chan struct{}

	onStatus  func(wire.Status) error
	onHave    func(wire.HaveQuestion) error
	onEntries func() (string, error)
	onDeliver func(context.Context, uplink.File) (string, error) // both empty: deliver as usual
}

func (w *world) link(via string) *link { return &link{world: w, via: via, lost: make(chan struct{})} }

func (l *link) Name() string          { return l.via }
func (l *link) Lost() <-chan struct{} { return l.lost }
func (l *link) Close() error          { l.say("close %s", l.via); return nil }

func (l *link) Status(_ context.Context, s wire.Status) error {
	if s.Device != device || s.Online && s.Waiting.Link != l.via {
		l.t.Errorf("status %+v over %s", s, l.via)
	}
	if do := hook(l.world, &l.onStatus); do != nil {
		if err := do(s); err != nil {
			l.say("no answer from %s", l.via)
			return err
		}
	}
	if !s.Online {
		l.say("offline")
		return nil
	}
	l.say("status %s", s.State)
	return nil
}

func (l *link) Have(_ context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error) {
	var a wire.HaveAnswer
	if q.Epoch != epoch {
		l.t.Errorf("asked for epoch %s", q.Epoch)
	}
	l.say("have %d", len(q.Calls))
	if do := hook(l.world, &l.onHave); do != nil {
		if err := do(q); err != nil {
			return a, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range q.Calls {
		if l.durable[id] {
			m := l.stored(id).Manifest
			a.Receipts = append(a.Receipts, l.sign(call.Receipt{Device: device, Call: &id, Size: m.Size, SHA256: m.SHA256}))
		}
	}
	return a, nil
}

func (l *link) Entries(_ context.Context, b wire.EntryBatch) (string, error) {
	first, last := number(b.Entries[0]), number(b.Entries[len(b.Entries)-1])
	l.say("entries %d-%d", first, last)
	if do := hook(l.world, &l.onEntries); do != nil {
		if jws, err := do(); err != nil || jws != "" {
			return jws, err
		}
	}
	return l.sign(call.Receipt{Device: device, Epoch: epoch, First: first, Last: last}), nil
}

func number(entry string) (n uint64) {
	_, _ = fmt.Sscanf(entry, "entry-%d", &n)
	return n
}

// Deliver takes a moment, so that what happens at its end comes before what the next one does.
func (l *link) Deliver(ctx context.Context, f uplink.File) (string, error) {
	b := make([]byte, f.Size)
	n, err := f.Bytes.ReadAt(b, 0)
	if err != nil && int64(n) < f.Size {
		return "", fmt.Errorf("deliver: %w", err)
	}
	time.Sleep(time.Millisecond)
	l.say("%s over %s", name(f.Call), l.via)
	if do := hook(l.world, &l.onDeliver); do != nil {
		if jws, err := do(ctx, f); err != nil || jws != "" {
			return jws, err
		}
	}
	f.Progress(f.Size, f.Size)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !bytes.Equal(b, l.files[f.Call]) || l.durable[f.Call] {
		l.t.Errorf("%s: other bytes, or a second time", name(f.Call))
	}
	l.durable[f.Call] = true
	return l.sign(l.receipt(f)), nil
}

// run runs an uplink over the links, in the bubble of a synctest, until the test ends it.
func (w *world) run(links ...*link) (*uplink.Uplink, func()) {
	w.t.Helper()
	transports := make([]uplink.Transport, len(links))
	for i, l := range links {
		transports[i] = l
	}
	return w.runOver(transports...)
}

func (w *world) runOver(transports ...uplink.Transport) (*uplink.Uplink, func()) {
	w.t.Helper()
	u, err := uplink.New(w, transports, uplink.Config{
		Device: device, Epoch: epoch, ReceiptKey: w.key.Public().(ed25519.PublicKey), Observer: w, Log: slog.New(slog.DiscardHandler),
		Priority: w.priority,
		Status: func() wire.Status {
			w.mu.Lock()
			defer w.mu.Unlock()
			s := w.status
			s.Time = time.Now()
			return s
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.uplink = u
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	return u, func() {
		w.t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.t.Errorf("Run: %v", err)
		}
	}
}
