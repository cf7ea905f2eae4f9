package courier

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Store is what the desk needs of the ring. All of it speaks of synced bytes only.
type Store interface {
	EachCall(visit func(call.Stored) bool) error
	ReadCall(id call.ID) (io.ReadCloser, error)
	// EntriesAfter gives up to most waiting entries behind a number, in order.
	EntriesAfter(number uint64, most int) ([]call.SignedEntry, error)
	// Accept keeps a receipt that was checked, and releases what it speaks of.
	Accept(r call.Receipt, jws string) error
	// Sync makes what was accepted durable.
	Sync() error
}

// DeskConfig is what a Desk is made of.
type DeskConfig struct {
	Store      Store
	Epoch      call.Epoch         // of the ring
	LastEntry  func() uint64      // number of the ledger's last
	Key        ed25519.PrivateKey // the recorder's
	ReceiptKey ed25519.PublicKey  // headquarters'; nil: the recorder belongs to none, and takes no receipts
	Now        func() time.Time
	Accepted   func(id call.ID) // hears of each call that a receipt released; nil: nobody
}

// Desk is where the recorder hands calls to whoever has the stick, and takes receipts. It is safe for concurrent use.
type Desk struct {
	cfg    DeskConfig
	device call.DeviceID

	mu      sync.Mutex
	offered map[call.ID]bool // the calls of the last index
}

var _ Recorder = (*Desk)(nil)

// NewDesk gives a Desk.
func NewDesk(cfg DeskConfig) *Desk {
	if cfg.Accepted == nil {
		cfg.Accepted = func(call.ID) {}
	}
	return &Desk{cfg: cfg, device: call.DeviceIDOf(cfg.Key.Public().(ed25519.PublicKey))}
}

// runOfEntries is how many entries are handed out at a time.
const runOfEntries = 200

// goes says whether a call is one to take out.
func goes(c call.Stored) bool {
	return c.Ended && c.Manifest != nil && !c.Receipt && c.Parked == ""
}

// Index implements Recorder.
func (d *Desk) Index(context.Context) (string, error) {
	var waiting []call.Stored
	if err := d.cfg.Store.EachCall(func(c call.Stored) bool {
		if goes(c) {
			waiting = append(waiting, c)
		}
		return true
	}); err != nil {
		return "", fmt.Errorf("list the calls that wait: %w", err)
	}
	slices.SortStableFunc(waiting, func(a, b call.Stored) int { return cmp.Compare(rank(a), rank(b)) })
	x := wire.CourierIndex{Device: d.device, Epoch: d.cfg.Epoch, Time: d.cfg.Now().UTC(), Calls: []wire.CourierCall{}}
	offered := make(map[call.ID]bool, len(waiting))
	for _, c := range waiting {
		if len(x.Calls) == wire.MaxCourierCalls {
			x.More = len(waiting) - len(x.Calls)
			break
		}
		x.Calls = append(x.Calls, wire.CourierCall{Call: c.Header.Call, Size: c.Manifest.Size, SHA256: c.Manifest.SHA256})
		offered[c.Header.Call] = true
	}
	d.mu.Lock()
	d.offered = offered
	d.mu.Unlock()
	first, err := d.cfg.Store.EntriesAfter(0, 1)
	if err != nil {
		return "", fmt.Errorf("look at the entries that wait: %w", err)
	}
	if len(first) > 0 {
		x.First, x.Last = first[0].Number, max(first[0].Number, d.cfg.LastEntry())
	}
	return wire.SignCourierIndex(d.cfg.Key, x)
}

// rank puts what headquarters asked for first, then what is on hold, then what is flagged; the rest goes from the oldest.
func rank(c call.Stored) int {
	switch {
	case c.Asked:
		return 0
	case c.Hold != "":
		return 1
	case c.Flagged:
		return 2
	}
	return 3
}

// Entries implements Recorder.
func (d *Desk) Entries(_ context.Context, after uint64) (Entries, error) {
	run, err := d.cfg.Store.EntriesAfter(after, runOfEntries)
	if len(run) == 0 && err != nil {
		return Entries{}, fmt.Errorf("read the entries behind %d: %w", after, err)
	}
	e := Entries{Entries: []string{}}
	for _, one := range run {
		e.Last, e.Entries = one.Number, append(e.Entries, string(one.JWS))
	}
	return e, nil
}

// Call implements Recorder, for the calls of the last index.
func (d *Desk) Call(_ context.Context, id call.ID) (io.ReadCloser, error) {
	d.mu.Lock()
	offered := d.offered[id]
	d.mu.Unlock()
	if !offered {
		return nil, fmt.Errorf("call %s is not one that waits", id)
	}
	return d.cfg.Store.ReadCall(id)
}

// Accept implements Recorder. A receipt that does not fit what is stored releases nothing.
func (d *Desk) Accept(_ context.Context, receipts []string) (Accepted, error) {
	a := Accepted{Calls: []call.ID{}, Refused: []string{}}
	for _, jws := range receipts {
		r, err := d.check(jws)
		if err == nil {
			err = d.cfg.Store.Accept(r, jws)
		}
		switch {
		case err != nil:
			a.Refused = append(a.Refused, err.Error())
		case r.Call == nil:
			a.Entries++
		default:
			a.Calls = append(a.Calls, *r.Call)
			d.cfg.Accepted(*r.Call)
		}
	}
	if err := d.cfg.Store.Sync(); err != nil {
		return Accepted{}, fmt.Errorf("keep the receipts: %w", err)
	}
	return a, nil
}

func (d *Desk) check(jws string) (call.Receipt, error) {
	if d.cfg.ReceiptKey == nil {
		return call.Receipt{}, errors.New("this recorder belongs to no headquarters")
	}
	if len(jws) > wire.MaxCourierReceipt {
		return call.Receipt{}, fmt.Errorf("receipt of %d bytes, at most %d", len(jws), wire.MaxCourierReceipt)
	}
	r, err := wire.VerifyReceipt(d.cfg.ReceiptKey, jws)
	if err == nil && r.Device != d.device {
		err = fmt.Errorf("receipt is for recorder %s", r.Device)
	}
	return r, err
}
