package buffer

import (
	"errors"
	"fmt"
	"slices"
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
	for _, c := range r.table.order {
		if c.gone || c.receipt || c.givenUp {
			continue
		}
		s.WaitingCalls++
		if c.parked != "" {
			s.Parked++
		}
	}
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
// them. A call whose header or manifest is damaged is visited without it, and reported in the error.
func (r *Ring) EachCall(visit func(call.Stored) bool) error {
	r.mu.Lock()
	live := make([]*stored, 0, len(r.table.calls))
	for _, c := range r.table.order {
		if !c.gone && !c.givenUp {
			live = append(live, c)
		}
	}
	r.mu.Unlock()
	var damaged error
	for _, c := range live {
		s, err := r.describeCall(c)
		if errors.Is(err, ErrUnknownCall) {
			continue // released meanwhile
		}
		if err != nil && damaged == nil {
			damaged = fmt.Errorf("call %v: %w", c.id, err)
		}
		if !visit(s) {
			break
		}
	}
	return damaged
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
	held := []*segment{c.parts[0].seg}
	if c.manifest.seg != nil {
		held = append(held, c.manifest.seg)
	}
	for _, s := range held {
		s.leases++
	}
	snapshot := *c
	snapshot.parts = slices.Clone(c.parts[:1]) // the rest of it changes while the call goes on
	r.mu.Unlock()
	d, err := r.disk.describe(&snapshot)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range held {
		s.leases--
	}
	if err == nil && c.manifest == snapshot.manifest {
		r.table.describe(c, d)
	}
	return snapshot.stored(d), err
}

// stored is what is known of a call, with what its records say where they were read.
func (c *stored) stored(d *description) call.Stored {
	s := call.Stored{Size: c.size, Ended: c.ended, Receipt: c.receipt, Parked: c.parked}
	s.Header.Call = c.id
	if d != nil {
		s.Header = d.header
	}
	if d != nil && c.ended {
		s.Manifest = d.manifest
	}
	return s
}

// Entries gives up to max entries that are synced and not receipted, in order and without a hole between them: behind
// one that damage has made, it goes on when those before are receipted.
func (r *Ring) Entries(max int) ([]call.SignedEntry, error) {
	r.mu.Lock()
	waiting := r.table.unreceipted()
	n := 0
	for n < min(max, len(waiting)) && waiting[n].number == waiting[0].number+uint64(n) {
		n++
	}
	waiting = slices.Clone(waiting[:n])
	for _, w := range waiting {
		w.seg.leases++
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, w := range waiting {
			w.seg.leases--
		}
	}()
	entries := make([]call.SignedEntry, 0, len(waiting))
	for _, w := range waiting {
		jws, err := r.disk.readData(w.place, call.KindEntry)
		if err != nil {
			return entries, fmt.Errorf("read entry %d: %w", w.number, err)
		}
		e, err := r.opts.Entry(jws)
		if err != nil {
			return entries, fmt.Errorf("read entry %d: %w", w.number, err)
		}
		entries = append(entries, call.SignedEntry{Entry: e, JWS: jws})
	}
	return entries, nil
}

// Accept takes headquarters' receipt, whose signature the caller has checked, and releases what it speaks of: a call, or
// a range of entries. The room is used again when the release is synced; should power fail before, the call waits for
// its receipt again. A receipt that does not fit what is stored is an error and releases nothing; one of something
// released already is none.
func (r *Ring) Accept(rcpt call.Receipt, jws string) error {
	if rcpt.Call == nil {
		return r.acceptEntries(rcpt, jws)
	}
	r.mu.Lock()
	c := r.table.calls[*rcpt.Call]
	r.mu.Unlock()
	if c == nil {
		return nil
	}
	s, err := r.describeCall(c) // what cannot be read back cannot be compared, and is released all the same
	switch {
	case errors.Is(err, ErrUnknownCall):
		return nil
	case !s.Ended || rcpt.Size != s.Size:
		return fmt.Errorf("receipt of call %v speaks of %d bytes, stored are %d", c.id, rcpt.Size, s.Size)
	case s.Manifest != nil && s.Manifest.SHA256 != rcpt.SHA256:
		return fmt.Errorf("receipt of call %v speaks of other bytes", c.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.gone || c.receipt || c.givenUp {
		return nil
	}
	it := noteItem(note{Op: opReceipt, Call: &c.id, Receipt: jws, Where: c.where()})
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("receipt of call %v: %w", c.id, err)
	}
	c.receipt = true
	r.table.bytes -= c.size
	r.queue.put(it)
	return nil
}

func (r *Ring) acceptEntries(rcpt call.Receipt, jws string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.table
	switch {
	case rcpt.Epoch != r.disk.epoch:
		return fmt.Errorf("receipt of entries of epoch %v: this ring's is %v", rcpt.Epoch, r.disk.epoch)
	case rcpt.Last > t.last:
		return fmt.Errorf("receipt of entries up to %d: there are %d", rcpt.Last, t.last)
	case rcpt.Last <= t.taken:
		return nil
	}
	if w := t.unreceipted(); len(w) > 0 && rcpt.First > w[0].number {
		return fmt.Errorf("receipt of entries from %d: those from %d are not receipted yet", rcpt.First, w[0].number)
	}
	it := noteItem(note{Op: opAccept, Last: rcpt.Last, Receipt: jws})
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("receipt of entries up to %d: %w", rcpt.Last, err)
	}
	t.taken = rcpt.Last
	r.queue.put(it)
	return nil
}

// Park notes that headquarters refuses a call, and why. It stays, and is passed over.
func (r *Ring) Park(id call.ID, why string) error {
	if why == "" {
		why = "refused"
	}
	return r.park(id, note{Op: opPark, Call: &id, Why: why})
}

// Requeue lets a parked call be sent again.
func (r *Ring) Requeue(id call.ID) error { return r.park(id, note{Op: opRequeue, Call: &id}) }

func (r *Ring) park(id call.ID, n note) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.table.calls[id]
	if c == nil {
		return fmt.Errorf("park or requeue call %v: %w", id, ErrUnknownCall)
	}
	if c.parked == n.Why {
		return nil
	}
	it := noteItem(n)
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("park or requeue call %v: %w", id, err)
	}
	c.parked = n.Why
	r.queue.put(it)
	return nil
}
