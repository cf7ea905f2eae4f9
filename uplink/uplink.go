// Package uplink delivers what the ring holds until headquarters has receipted it.
//
// An Uplink connects over the first of its transports that answers and then, in this order:
//
//  1. says how the recorder is (status), and again whenever that changes, and every few minutes;
//  2. asks what headquarters has (have), and accepts the receipts it has missed;
//  3. sends the entries of the ledger, manifests among them, in batches until none are left; the first few go out with
//     status and have, before any of these is answered, where the transport is Pipelined;
//  4. sends call files in the order of Config.Priority, and then the backlog from its oldest. Before each it looks for
//     new entries, so that a call's manifest goes ahead of the next media.
//
// While the last bytes of one call are on their way the next transfer is created, and its bytes follow at once, so that
// the link does not fall idle for the round trips between.
//
// Then it sleeps until Wake, the next status, or the next retry.
//
// What it promises:
//
//   - Nothing is released but on a receipt that headquarters' receipt key signed and that names this device, this call,
//     and the size and SHA-256 of its call file. A receipt that does not match is logged, counted, and never accepted.
//   - It never gives up. A link that fails is tried again, over the next transport where there is one, with a back-off
//     of 1 s to 5 min and jitter, which starts again at 1 s once something has got through.
//   - No call blocks another. One that headquarters refuses is parked with the reason; one that cannot be read, or that
//     headquarters cannot take now, waits for its own back-off while the others go on.
//   - A call file is sent only when its call has ended and its manifest stands in the ledger; but for calls in progress,
//     which are streamed while the link carries more than they need: what was synced goes out every 2 s, ahead of the
//     bytes of ended calls, so that a recorder that is taken in mid-call has lost less than 10 s. What is left of such a
//     call goes when it has ended, as that of any other.
//
// The package knows no protocol: those are uplink/tus and uplink/mqtt.
package uplink

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Store is what the uplink needs of the ring. All of it speaks of synced bytes only.
type Store interface {
	// EachWaiting visits the calls without a receipt, in any order, until visit returns false. visit calls nothing of the
	// store.
	EachWaiting(visit func(call.Waiting) bool)
	// Call gives what is stored of a call.
	Call(id call.ID) (call.Stored, error)
	// OpenCall opens a call file. The caller closes it.
	OpenCall(id call.ID) (CallFile, error)
	// Entries gives entries without a receipt, in order, at most limit of them.
	Entries(limit int) ([]call.SignedEntry, error)
	// Accept keeps a receipt that was checked, durably, and releases what it speaks of.
	Accept(r call.Receipt, jws string) error
	// Park sets a call aside, durably, with the reason for which it was refused.
	Park(id call.ID, reason string) error
	// SaveTransfer keeps where a transfer stands, durably before it returns; nil forgets it.
	SaveTransfer(id call.ID, via string, state []byte) error
	// Transfer gives what SaveTransfer kept; nil where there is nothing.
	Transfer(id call.ID, via string) ([]byte, error)
}

// CallFile is an open call file.
type CallFile interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// Transport carries messages and call files to headquarters over one protocol. Several methods are called at once: a
// Status, one of Have and Entries, and some Deliver, each for another call. An error that is none of the types below means that the link failed: the
// transport is closed and tried again later.
type Transport interface {
	// Name is https or mqtt: in status, logs, and the store's transfers.
	Name() string
	// Status connects where there is no connection yet, and says how the recorder is.
	Status(ctx context.Context, s wire.Status) error
	// Have asks what headquarters has.
	Have(ctx context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error)
	// Entries sends a batch and gives the receipt for it, unchecked.
	Entries(ctx context.Context, b wire.EntryBatch) (receipt string, err error)
	// Deliver sends a call file, or the rest of it, and gives the receipt for it, unchecked. Of a call in progress it
	// sends what there is, as far as the protocol's parts allow, and gives no receipt when that is acknowledged; the
	// same call is delivered again later, longer or whole, and goes on from there. RefusedError then says that the
	// receiver takes no calls in progress.
	Deliver(ctx context.Context, f File) (receipt string, err error)
	// Lost is closed when the connection that Status made is known to be gone; nil where that is not noticed.
	Lost() <-chan struct{}
	// Close ends the connection. Status makes a new one.
	Close() error
}

// Pipelined is a Transport over which the first messages of a connection need not wait for each other's answers.
type Pipelined interface {
	// Open is Status, and calls standing, at most once, when a Have and an Entries sent from now on go out at once behind
	// that status. Where it does not call it, they have to wait for Open's return.
	Open(ctx context.Context, s wire.Status, standing func()) error
}

// File is a call file to deliver.
type File struct {
	Call   call.ID
	Size   int64       // bytes
	SHA256 string      // hex; empty where Grows
	Grows  bool        // the call is in progress: the file is synced up to Size, and will be longer
	Bytes  io.ReaderAt // reading waits until the bytes of this file are next to go
	State  []byte      // what Save kept when this call was last sent over this transport; nil: nothing

	// Save keeps where the transfer stands. It is durable when Save returns; nil forgets it.
	Save func(state []byte) error
	// Progress tells how many bytes have been handed to the link, and how many headquarters has acknowledged.
	Progress func(sent, acknowledged int64)
}

// RefusedError says that headquarters will not take this call (or these entries), however often it is sent.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused by headquarters: " + e.Reason }

// LaterError says that headquarters cannot take this call now; the link is well, and other calls can go.
type LaterError struct {
	After time.Duration // not before; 0: as the back-off has it
	Err   error
}

func (e *LaterError) Error() string { return e.Err.Error() }
func (e *LaterError) Unwrap() error { return e.Err }

// BusyError says that headquarters answered, and can take nothing now.
type BusyError struct {
	After time.Duration // not before; 0: as the back-off has it
	Err   error
}

func (e *BusyError) Error() string { return e.Err.Error() }
func (e *BusyError) Unwrap() error { return e.Err }

// Observer hears what happens, and is the one to log it. Its methods return at once. They are called from the goroutine
// of Run.
type Observer interface {
	Connected(transport string)
	Disconnected(transport string, err error) // err: why
	Delivered(id call.ID)
	Parked(id call.ID, reason string)
}

// HealthLog is the log of the board's health. Its methods are called from several goroutines.
type HealthLog interface {
	// After gives lines that headquarters was not told, the oldest first, at most limit of them.
	After(limit int) []wire.Health
	// Told says that headquarters has the line with this number, and asks for those behind it.
	Told(number uint64)
}

// Config is what an Uplink needs to know.
type Config struct {
	Device     call.DeviceID
	Epoch      call.Epoch         // of the ring
	ReceiptKey ed25519.PublicKey  // headquarters'
	Status     func() wire.Status // how the recorder is; Device, Online and Waiting.Link are filled in here
	Observer   Observer           // nil: nobody
	Log        *slog.Logger
	Priority   []Priority // the sorts of calls that go first; nil: DefaultPriority

	// Recipients keeps headquarters' word on whom calls are sealed to from now on, a wire.Recipients as it was signed, which
	// it checks; nil: nobody wants to know.
	Recipients func(jws string) error

	Health HealthLog // nil: none is kept

	// Ready is called before each attempt to connect, and now and then while connected; an error keeps the recorder off the
	// link. nil: nothing has to be ready.
	Ready func(context.Context) error

	Command func(wire.Command) error // does what headquarters wants; nil: nothing is done
	Memory  Memory                   // nil: nothing is done at headquarters' command

	Time func(time.Time) // told headquarters' time, as it was signed, at each connection; nil: nobody wants to know

	Policy  Policy                             // of the link
	Traffic *Traffic                           // of the transports; nil: the volume is not counted
	Clock   func() (now time.Time, known bool) // by which the policy goes; nil: the system's

	StatusEvery time.Duration // at the latest; 0: 5 min
	StatusPause time.Duration // between two, however fast it changes; 0: 10 s
	ReturnAfter time.Duration // an idle link that is not the first choice is given up for it after this; 0: 1 h
}

// Snapshot is what the uplink is doing.
type Snapshot struct {
	Link         string  // name of the transport that is connected; empty: none
	Call         call.ID // being sent; zero: none
	Sent         int64   // bytes of it handed to the link
	Size         int64   // bytes of it
	Delivered    int64   // calls, since the program started
	Weak         string  // what their receipts are worth, where the receiver is not headquarters
	BadReceipts  int64   // that did not match, since the program started
	LastError    string  // why the last connection or attempt failed; empty once connected
	Disconnected time.Time
}

// Uplink delivers. Make it with New, run it with Run.
type Uplink struct {
	store      Store
	transports []Transport
	cfg        Config
	log        *slog.Logger

	wake       chan struct{} // one slot each
	wakeStatus chan struct{}
	now        chan struct{} // try to connect

	mu   sync.Mutex
	snap Snapshot

	meter   meter
	streams streams
	gate    *gate

	// Of Run's goroutine:
	begun       bool             // known is known
	known       uint64           // calls up to this number were stored when the program started: headquarters may have them
	asked       map[call.ID]bool // of the calls that come next, those that headquarters was asked about
	askedParked uint64           // and of the parked ones all up to this number
	horizon     uint64           // calls with a higher number are new
	troubles    map[call.ID]*trouble
	scan        int // how often the store's calls were gone through
	entries     retry
	entriesCut  int // how often in a row the link failed while entries were sent
}

// New gives an Uplink that delivers from the store over the transports, the first choice first.
func New(store Store, transports []Transport, cfg Config) (*Uplink, error) {
	switch {
	case len(transports) == 0:
		return nil, errors.New("uplink: no transport: name headquarters' address over https or mqtt")
	case len(cfg.ReceiptKey) != ed25519.PublicKeySize:
		return nil, errors.New("uplink: no receipt key: nothing could ever be released")
	}
	if cfg.Priority == nil {
		cfg.Priority = DefaultPriority()
	}
	if err := CheckPriority(cfg.Priority); err != nil {
		return nil, fmt.Errorf("uplink: order of calls: %w", err)
	}
	if cfg.StatusEvery == 0 {
		cfg.StatusEvery = 5 * time.Minute
	}
	if cfg.StatusPause == 0 {
		cfg.StatusPause = 10 * time.Second
	}
	if cfg.ReturnAfter == 0 {
		cfg.ReturnAfter = time.Hour
	}
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	gate, err := openGate(cfg)
	if err != nil {
		return nil, err
	}
	var worth string
	for _, t := range transports {
		if w, weak := t.(Weak); weak {
			worth = w.Weak()
		}
	}
	return &Uplink{
		gate: gate,
		snap: Snapshot{Weak: worth}, store: store, transports: transports, cfg: cfg, log: cfg.Log,
		wake: make(chan struct{}, 1), wakeStatus: make(chan struct{}, 1), now: make(chan struct{}, 1),
		asked: make(map[call.ID]bool), troubles: make(map[call.ID]*trouble),
	}, nil
}

// Wake says that the ring has something new, or that the status has changed. It never waits.
func (u *Uplink) Wake() {
	for _, c := range []chan struct{}{u.wake, u.wakeStatus} {
		select {
		case c <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Snapshot says what the uplink is doing.
func (u *Uplink) Snapshot() Snapshot {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.snap
}

func (u *Uplink) note(change func(s *Snapshot)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&u.snap)
}

type nobody struct{}

func (nobody) Connected(string)           {}
func (nobody) Disconnected(string, error) {}
func (nobody) Delivered(call.ID)          {}
func (nobody) Parked(call.ID, string)     {}
