package uplink

import (
	"context"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	maxEntries = 200 // read from the ring at a time
	// Of a batch, uncompressed. One that is cut is sent again from its beginning: so the first of a session is small, and
	// each may be twice as large as the last that got through.
	// What goes out with the greeting, before headquarters has said what it has, is smaller still.
	earlyBatch = 4 << 10
	firstBatch = 32 << 10
	mostBatch  = wire.MaxEntryBatch * 3 / 4
)

// sendEntries sends entries until none are left. Its error means that the link has failed; entries that are refused, or
// answered with a receipt that does not match, are put off, and media goes on.
func (s *session) sendEntries(ctx context.Context) error {
	var pending []call.SignedEntry
	for s.entries.due() {
		if len(pending) == len(nextBatch(pending, s.batch)) { // there may be more behind them
			var err error
			if pending, err = s.store.Entries(maxEntries); err != nil {
				s.putOffEntries(fmt.Errorf("read the ring's entries: %w", err))
				return nil
			}
		}
		if len(pending) == 0 {
			s.entries.reset()
			return nil
		}
		taken, err := s.sendBatch(ctx, nextBatch(pending, s.batch))
		if err != nil {
			return err
		}
		pending = pending[taken:]
	}
	return nil
}

// nextBatch is the first run of entries that goes out together, of at most so many bytes. It holds at least one.
func nextBatch(pending []call.SignedEntry, most int) []call.SignedEntry {
	size := 0
	for i, e := range pending {
		size += len(e.JWS)
		if i > 0 && (size > most || e.Epoch != pending[0].Epoch || e.Number != pending[i-1].Number+1) {
			return pending[:i]
		}
	}
	return pending
}

// sendBatch sends a batch and says how many entries of it were receipted.
func (s *session) sendBatch(ctx context.Context, batch []call.SignedEntry) (taken int, err error) {
	jws, err := s.transport.Entries(ctx, message(batch))
	return s.took(batch, jws, err)
}

func message(batch []call.SignedEntry) wire.EntryBatch {
	m := wire.EntryBatch{Entries: make([]string, len(batch))}
	for i, e := range batch {
		m.Entries[i] = string(e.JWS)
	}
	return m
}

// took takes in the answer to a batch.
func (s *session) took(batch []call.SignedEntry, jws string, err error) (taken int, _ error) {
	var refused *RefusedError
	if errors.As(err, &refused) {
		s.putOffEntries(err)
		return 0, nil
	}
	if err != nil {
		var busy *BusyError
		if s.entriesCut++; errors.As(err, &busy) || s.entriesCut >= maxBarren {
			s.putOffEntries(err) // should they never get through, media has to go all the same
		}
		return 0, fmt.Errorf("send entries: %w", err)
	}
	first, last := batch[0], batch[len(batch)-1]
	r, err := s.receipt(jws, call.Receipt{Epoch: first.Epoch, First: first.Number, Last: last.Number})
	if err == nil {
		err = ofEntries(r, batch)
	}
	if err != nil {
		s.badReceipt(err)
		s.putOffEntries(err)
		return 0, nil
	}
	if err := s.store.Accept(r, jws); err != nil {
		s.putOffEntries(fmt.Errorf("accept receipt: %w", err))
		return 0, nil
	}
	s.entries.reset()
	s.entriesCut = 0
	s.batch = min(2*s.batch, mostBatch)
	s.worked = true
	s.stale = true // they may speak of calls that have ended
	return int(r.Last - batch[0].Number + 1), nil
}

func (s *session) putOffEntries(why error) {
	s.log.Error("entries are put off", "for", s.entries.fail(0), "error", why)
}

// acceptOldEntries takes a receipt for entries whose own answer was lost. It has to speak of the entries that are next,
// and of none that do not exist.
func (s *session) acceptOldEntries(r call.Receipt, jws string) {
	pending, err := s.store.Entries(maxEntries)
	if err != nil || len(pending) == 0 || r.Epoch != pending[0].Epoch || r.Last < pending[0].Number {
		return // nothing that was still waited for
	}
	if last := pending[len(pending)-1]; len(pending) < maxEntries && r.Last > last.Number {
		s.badReceipt(fmt.Errorf("receipt for entries up to %d: the last there is has number %d", r.Last, last.Number))
		return
	}
	if r.First > pending[0].Number {
		return
	}
	if err := s.store.Accept(r, jws); err != nil {
		s.log.Error("accept receipt for entries", "error", err)
		return
	}
	s.worked = true
}

// accept checks the receipt for a call and gives it to the ring. One that does not match puts the call off.
func (s *session) accept(c call.Stored, jws string) {
	id := c.Header.Call
	r, err := s.receipt(jws, call.Receipt{Call: &id, Size: c.Manifest.Size, SHA256: c.Manifest.SHA256})
	if err == nil {
		err = ofCall(r, c)
	}
	if err != nil {
		s.badReceipt(err)
		s.later(id, 0, err)
		return
	}
	if err := s.store.Accept(r, jws); err != nil {
		s.later(id, 0, fmt.Errorf("accept receipt: %w", err))
		return
	}
	delete(s.troubles, id)
	s.worked = true
	s.note(func(n *Snapshot) { n.Delivered++ })
	if r.Weak != "" {
		s.log.Warn("a call is released on a receipt that nobody signed", "call", id, "receipt", r.Weak)
	}
	s.cfg.Observer.Delivered(id)
}

func (s *session) badReceipt(err error) {
	s.note(func(n *Snapshot) { n.BadReceipts++ })
	s.log.Error("headquarters gave a receipt that does not match: not accepted", "error", err)
}

// verify checks the signature and the device.
func (s *session) verify(jws string) (call.Receipt, error) {
	r, err := wire.VerifyReceipt(s.cfg.ReceiptKey, jws)
	if err != nil {
		return call.Receipt{}, err
	}
	if r.Device != s.cfg.Device {
		return call.Receipt{}, fmt.Errorf("receipt is for device %s", r.Device)
	}
	return r, nil
}

// ofCall checks that the receipt speaks of this call, as it was sent.
func ofCall(r call.Receipt, c call.Stored) error {
	switch {
	case r.Call == nil:
		return errors.New("receipt is for entries, not for a call")
	case *r.Call != c.Header.Call:
		return fmt.Errorf("receipt is for call %s", *r.Call)
	case r.Size != c.Manifest.Size:
		return fmt.Errorf("receipt is for %d bytes, not %d", r.Size, c.Manifest.Size)
	case r.SHA256 != c.Manifest.SHA256:
		return fmt.Errorf("receipt is for other bytes: SHA-256 %s, not %s", r.SHA256, c.Manifest.SHA256)
	}
	return nil
}

// ofEntries checks that the receipt speaks of the batch, or of its beginning.
func ofEntries(r call.Receipt, batch []call.SignedEntry) error {
	first, last := batch[0], batch[len(batch)-1]
	switch {
	case r.Call != nil:
		return errors.New("receipt is for a call, not for entries")
	case r.Epoch != first.Epoch:
		return fmt.Errorf("receipt is for epoch %s", r.Epoch)
	case r.First > first.Number || r.Last < first.Number || r.Last > last.Number:
		return fmt.Errorf("receipt is for entries %d to %d, not %d to %d", r.First, r.Last, first.Number, last.Number)
	}
	return nil
}
