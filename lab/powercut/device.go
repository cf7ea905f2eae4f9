package powercut

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

// Device is the ring on a card, and the recorder that fills it: the recorder's own rooms, put together as its program
// does, but for small segments, so that the ring goes round often.
type Device struct {
	Ring     *buffer.Ring
	Found    buffer.Recovered
	Recorder *recorder.Recorder
}

// DeviceOptions say what a workload changes. All may be left out.
type DeviceOptions struct {
	FS       buffer.FS                        // of the ring
	Wrap     func(*buffer.Ring) recorder.Ring // what the recorder appends to
	Clock    recorder.Clock                   // nil: stands still
	Observer recorder.Observer
}

// Recipient is whom the calls of every card here are sealed to. Nobody has the key: the checks have none, as recovery has
// none.
const Recipient = "age1yw33lq98ynayj8fd0tzxjh8sw47mle73jn8m3emy2uedxlwxdfcqakf985"

// Key is that of every recorder here.
func Key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// PublicKey checks its ledger.
func PublicKey() ed25519.PublicKey { return Key().Public().(ed25519.PublicKey) }

// DeviceID follows from the key.
func DeviceID() call.DeviceID { return call.DeviceIDOf(PublicKey()) }

// Sizes of the ring.
const (
	segmentBytes = 256 << 10
	ringBytes    = 16 * segmentBytes
)

// Where the ring and its index stand on the card.
const (
	RingFolder = "ring"
	indexFile  = "index.db"
)

// OpenDevice opens the ring in a card's root folder. Nothing is appended yet: see Settle.
func OpenDevice(root string, o DeviceOptions) (*Device, error) {
	ring, found, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(root, RingFolder), Index: filepath.Join(root, indexFile),
		SizeBytes: ringBytes, SegmentBytes: segmentBytes, FS: o.FS, Header: seal.ParseHeader, Entry: ledger.Parse,
	})
	if err != nil {
		return nil, err
	}
	recipients, err := seal.ParseRecipients(Recipient)
	if err != nil {
		return nil, err
	}
	state := ring.State()
	next := ledger.State{Device: DeviceID(), Epoch: state.Epoch, Next: state.Last + 1}
	if state.JWS != nil {
		next.Previous = ledger.Hash(state.JWS)
	}
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	var to recorder.Ring = ring
	if o.Wrap != nil {
		to = o.Wrap(ring)
	}
	d := &Device{Ring: ring, Found: found}
	d.Recorder = recorder.New(recorder.Config{
		Device: DeviceID(), Epoch: state.Epoch, Software: "powercut", Ledger: ledger.New(next, Key()), Ring: to,
		Seal:  func(h call.Header) (recorder.File, []call.Record, error) { return seal.NewWriter(h, recipients) },
		Clock: o.Clock, Observer: o.Observer, Log: slog.New(slog.DiscardHandler),
	})
	return d, nil
}

// Settle closes what a cut left open, as the recorder does when it starts, and syncs.
func (d *Device) Settle() error {
	if d.Ring.State().Last == 0 {
		if err := d.Recorder.BeginEpoch(nil); err != nil {
			return err
		}
	}
	for _, e := range d.Found.Announced {
		if err := d.Recorder.Bury(*e.Call, e.Line, call.EndedPowerLost); err != nil {
			return err
		}
	}
	calls, err := d.Ring.Calls()
	if err != nil {
		return err
	}
	err = d.Recorder.CloseInterrupted(calls, d.Ring.ReadCall, func(stored io.Reader) (recorder.Ending, call.End, bool, error) {
		return seal.ResumeWriter(stored)
	})
	if err := errors.Join(err, d.Ring.Sync()); err != nil {
		return fmt.Errorf("settle what the cut left: %w", err)
	}
	return nil
}

// Clock is set, and does not go on its own.
type Clock struct{ Now time.Duration }

// Anchor implements recorder.Clock.
func (c *Clock) Anchor() call.Anchor {
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return call.Anchor{BootID: "powercut", BootTime: c.Now, Wall: begin.Add(c.Now), Grade: call.GradeNTP}
}
