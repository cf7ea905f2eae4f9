package buffer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Status is how the ring stands.
type Status struct {
	SizeBytes      int64 // of all segments
	FreeBytes      int64 // that can be written before anything undelivered would have to go
	WaitingCalls   int   // that headquarters does not have, parked ones included
	WaitingBytes   int64 // of their call files
	Parked         int
	WaitingEntries int
	QueuedBytes    int64 // appended and not synced yet
	HeldCalls      int   // on hold
	HeldBytes      int64 // of their call files
	HoldsExceeded  bool  // they take more than Options.HoldShare: an alarm
	LastSync       time.Time
	Full           bool   // audio is refused
	Err            string // why the last sync failed; empty: it did not
}

// Status says how the ring stands.
func (r *Ring) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.SizeBytes = r.opts.SizeBytes
	s.FreeBytes = max(0, r.space.room(reserveForAudio, r.table.overhead(), r.queue.largest)-r.queue.cost)
	s.Full = s.FreeBytes < 2*pageSize
	s.QueuedBytes = r.queue.bytes
	s.WaitingBytes = r.table.bytes
	s.WaitingEntries = len(r.table.unreceipted())
	s.HeldBytes = r.table.held
	s.HoldsExceeded = float64(s.HeldBytes) > r.opts.HoldShare*float64(s.SizeBytes)
	s.WaitingCalls, s.Parked, s.HeldCalls = r.table.waiting, r.table.parked, r.table.heldCalls
	return s
}

// Calls gives all live calls as far as they are synced, oldest first.
func (r *Ring) Calls() ([]call.Stored, error) {
	var all []call.Stored
	err := r.EachCall(func(s call.Stored) bool {
		all = append(all, s)
		return true
	})
	return all, err
}

// EachCall visits all live calls, oldest first, until visit returns false. Unlike Calls it needs no memory for all of
// them. A call whose header or manifest is damaged is visited without it. An error says that the card could not be read.
func (r *Ring) EachCall(visit func(call.Stored) bool) error {
	r.mu.Lock()
	live := make([]*stored, 0, len(r.table.calls))
	for _, c := range r.table.order {
		if !c.gone && !c.givenUp {
			live = append(live, c)
		}
	}
	r.mu.Unlock()
	var failed error
	for _, c := range live {
		s, err := r.describeCall(c)
		if errors.Is(err, ErrUnknownCall) {
			continue // released meanwhile
		}
		if err != nil && !damaged(err) && failed == nil {
			failed = fmt.Errorf("call %v: %w", c.id, err)
		}
		if !visit(s) {
			break
		}
	}
	return failed
}

// EachWaiting visits the calls that headquarters does not have, in no order that counts, until visit returns false. It
// reads nothing from the card and holds up Append, so visit must be quick; it must call nothing of the ring.
func (r *Ring) EachWaiting(visit func(call.Waiting) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.table.order {
		if c.waits() && !visit(c.waiting()) {
			return
		}
	}
}

// waiting is what is known of a call without reading it.
func (c *stored) waiting() call.Waiting {
	w := call.Waiting{Call: c.id, Number: c.manifest.number, Size: c.size(), Ended: c.ended && c.manifest.seg != nil,
		Parked: c.refused() != "", Hold: c.onHold()}
	if c.callState != nil {
		w.Asked, w.Flagged = c.Asked, c.Flag
	}
	return w
}

// Call says what the ring has of a call. One whose header or manifest is damaged comes without it.
func (r *Ring) Call(id call.ID) (call.Stored, error) {
	r.mu.Lock()
	c := r.table.calls[id]
	r.mu.Unlock()
	if c == nil {
		return call.Stored{}, fmt.Errorf("call %v: %w", id, ErrUnknownCall)
	}
	s, err := r.describeCall(c)
	if err != nil && !damaged(err) {
		return call.Stored{}, fmt.Errorf("call %v: %w", id, err)
	}
	return s, nil
}

// describeCall says what the ring knows of a call, holding its segments while it reads.
func (r *Ring) describeCall(c *stored) (call.Stored, error) {
	r.mu.Lock()
	if c.gone {
		r.mu.Unlock()
		return call.Stored{}, ErrUnknownCall
	}
	if c.said != nil {
		defer r.mu.Unlock()
		return c.stored(c.said), nil
	}
	snapshot := *c
	snapshot.parts = slices.Clone(c.parts) // the call may go on meanwhile
	release := r.lease(snapshot.parts, snapshot.manifest.place)
	r.mu.Unlock()
	d, err := r.disk.describe(&snapshot, damage{r}.found)
	r.mu.Lock()
	defer r.mu.Unlock()
	release()
	if err == nil && c.manifest == snapshot.manifest && len(c.state().Holes) == len(snapshot.state().Holes) {
		r.table.describe(c, d)
	}
	return snapshot.stored(d), err
}

// stored is what is known of a call, with what its records say where they were read.
func (c *stored) stored(d *description) call.Stored {
	s := call.Stored{Size: c.size(), Ended: c.ended, Receipt: c.receipt, Parked: c.refused()}
	s.Header.Call = c.id
	state := c.state()
	s.Hold, s.Asked, s.Flagged = state.Hold, state.Asked, state.Flag
	if word, weak := strings.CutPrefix(state.Kept, weakly); weak && c.receipt {
		s.Weak = word
	}
	if d != nil {
		s.Header = d.header
	}
	if d != nil && d.manifest != nil && c.ended {
		s.Manifest = d.manifest
		if state.SHA256 != "" { // the file is another since records of it were damaged
			m := *d.manifest
			m.SHA256, m.Chain = state.SHA256, state.Chain
			s.Manifest = &m
		}
	}
	return s
}

// lease keeps segments from being used again until the function it gives is called; r.mu is held at both times.
func (r *Ring) lease(parts []part, places ...place) (release func()) {
	var held []*segment
	for _, p := range parts {
		if p.seg != nil {
			held = append(held, p.seg)
		}
	}
	for _, p := range places {
		if p.seg != nil {
			held = append(held, p.seg)
		}
	}
	for _, s := range held {
		s.leases++
	}
	return func() {
		for _, s := range held {
			s.leases--
		}
	}
}
