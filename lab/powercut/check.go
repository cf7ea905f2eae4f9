package powercut

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// ChunkLength is how much audio a workload's encoder holds back: what is lost beside what came since the last sync.
const ChunkLength = time.Second

// CheckRing opens the ring in a card's root folder with the real recovery and compares it with what was promised:
//
//   - every call is there, at least as far as it was synced, and every byte of it is the one that was written
//   - a call that goes on has lost no more than came since the last sync, and the chunk being filled
//   - a call whose end is not stored stops after a whole record, and is not given as whole
//   - entries are gapless, chained, those that were promised are there, and they are those that were written
//   - what headquarters has is not brought back
//   - the recovery knows of no damage
//   - after the recorder has closed what was open, every call is whole and as its manifest says, and the ledger goes on
//     without a hole; and so it is found when the ring is opened again
func CheckRing(root string, p *Promise) (err error) {
	d, err := OpenDevice(root, DeviceOptions{})
	if err != nil {
		return err
	}
	err = func() error {
		if err := d.checkFound(p); err != nil {
			return err
		}
		if err := d.Settle(); err != nil {
			return err
		}
		return d.checkSettled(p)
	}()
	if err := errors.Join(err, d.Ring.Close()); err != nil {
		return err
	}
	again, err := OpenDevice(root, DeviceOptions{})
	if err != nil {
		return fmt.Errorf("open the ring again: %w", err)
	}
	if n := len(again.Found.Interrupted) + len(again.Found.Unsigned) + len(again.Found.Announced); n > 0 {
		err = fmt.Errorf("%d calls are open again", n)
	}
	return errors.Join(err, again.checkSettled(p), again.Ring.Close())
}

// checkFound looks at the ring as the cut left it.
func (d *Device) checkFound(p *Promise) error {
	f := d.Found
	if f.New && len(p.truth.entries) > 0 && p.entry > 0 {
		return errors.New("the ring is gone: a new one was made")
	}
	if len(f.Damaged) > 0 || len(f.LostEntries) > 0 {
		return fmt.Errorf("the recovery reports damage: %v, lost entries %v", f.Damaged, f.LostEntries)
	}
	calls, err := d.Ring.Calls()
	if err != nil {
		return err
	}
	there := make(map[call.ID]bool)
	for _, c := range calls {
		id := c.Header.Call
		there[id] = true
		if p.released[id] && !c.Receipt {
			return fmt.Errorf("call %s, which headquarters has, waits again", id)
		}
		if c.Receipt {
			if _, announced := p.released[id]; !announced {
				return fmt.Errorf("call %s is taken for receipted, and never was", id)
			}
			continue
		}
		if err := d.checkCall(c, p); err != nil {
			return fmt.Errorf("call %s: %w", id, err)
		}
	}
	for id, c := range p.calls {
		if _, announced := p.released[id]; !there[id] && !announced {
			return fmt.Errorf("call %s, of which %d bytes were synced, is gone", id, c.Size)
		}
	}
	return d.checkEntries(p, p.entry, true)
}

// checkCall compares a call with what was written and what was promised.
func (d *Device) checkCall(c call.Stored, p *Promise) error {
	id := c.Header.Call
	if err := d.compare(id, p); err != nil {
		return err
	}
	contents, err := d.verify(id)
	var truncated *seal.TruncatedError
	switch {
	case c.Ended && err != nil:
		return fmt.Errorf("given as whole: %w", err)
	case !c.Ended && err == nil:
		return errors.New("whole, and given as going on")
	case !c.Ended && (!errors.As(err, &truncated) || truncated.Torn != 0):
		return fmt.Errorf("does not stop after a whole record: %w", err)
	case c.Manifest != nil && !c.Ended:
		return errors.New("has a manifest and no end")
	}
	promised, ok := p.calls[id]
	if !ok || promised.Ended && c.Ended {
		return nil
	}
	if promised.Ended {
		return errors.New("its end was synced, and is gone")
	}
	h := contents.Header
	till := h.Anchor.BootTime + time.Duration(float64(contents.Frames)/float64(h.Rate)*float64(time.Second))
	if !c.Ended && till < p.heard-ChunkLength {
		return fmt.Errorf("its audio ends at %v; it was synced when all up to %v had been heard", till, p.heard)
	}
	return nil
}

// compare reads the call's file and compares it with what was written, wherever the workload said how it stood.
func (d *Device) compare(id call.ID, p *Promise) error {
	r, err := d.Ring.ReadCall(id)
	if err != nil {
		return err
	}
	defer r.Close()
	hash, at := sha256.New(), int64(0)
	for _, want := range p.truth.calls[id] {
		n, err := io.CopyN(hash, r, want.Size-at)
		at += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
			return fmt.Errorf("its first %d bytes are not those that were written", at)
		}
	}
	if promised := p.calls[id]; at < promised.Size {
		return fmt.Errorf("%d bytes of it are left, %d were synced", at, promised.Size)
	}
	return nil
}

func (d *Device) verify(id call.ID) (seal.Contents, error) {
	r, err := d.Ring.ReadCall(id)
	if err != nil {
		return seal.Contents{}, err
	}
	defer r.Close()
	return seal.Verify(r, nil)
}

// checkEntries checks that the ledger reaches at least to last, without a hole. Before the cut was settled all entries
// must be those of the workload.
func (d *Device) checkEntries(p *Promise, last uint64, written bool) error {
	entries, err := d.Ring.Entries(math.MaxInt)
	if err != nil {
		return err
	}
	state := d.Ring.State()
	if state.Last < last {
		return fmt.Errorf("the ledger ends with entry %d, %d was synced", state.Last, last)
	}
	run := make([][]byte, len(entries))
	for i, e := range entries {
		run[i] = e.JWS
		if want, ok := p.truth.entries[e.Number]; written && ok && want != ledger.Hash(e.JWS) {
			return fmt.Errorf("entry %d is not the one that was written", e.Number)
		}
	}
	if _, err := ledger.Check(nil, PublicKey(), run...); err != nil {
		return err
	}
	first := state.Last + 1
	if len(entries) > 0 {
		first = entries[0].Number
		if end := entries[len(entries)-1].Number; end != state.Last {
			return fmt.Errorf("waiting entries end with %d, the ledger with %d", end, state.Last)
		}
	}
	if first <= p.accepted {
		return fmt.Errorf("entry %d waits again, which headquarters has", first)
	}
	if limit := max(p.accepted, p.perhaps) + 1; first > limit {
		return fmt.Errorf("entries wait from %d on, headquarters needs them from %d on", first, limit)
	}
	return nil
}

// checkSettled looks at the ring when the recorder has closed what was open.
func (d *Device) checkSettled(p *Promise) error {
	calls, err := d.Ring.Calls()
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.Receipt {
			continue
		}
		contents, err := d.verify(c.Header.Call)
		switch {
		case err != nil:
			return fmt.Errorf("settled call %s: %w", c.Header.Call, err)
		case !c.Ended || c.Manifest == nil:
			return fmt.Errorf("call %s was not settled", c.Header.Call)
		case c.Manifest.Size != contents.Size || c.Manifest.SHA256 != contents.SHA256:
			return fmt.Errorf("settled call %s: its manifest speaks of other bytes", c.Header.Call)
		}
	}
	return d.checkEntries(p, p.entry, false)
}
