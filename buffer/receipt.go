package buffer

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/linekeeper/linekeeper/call"
)

// Entries gives up to max entries that are synced and not receipted, in order and without a hole between them: behind
// one that damage has made, it goes on when those before are receipted. One that is found damaged now is an error this
// time, and missing the next.
func (r *Ring) Entries(max int) ([]call.SignedEntry, error) { return r.EntriesAfter(0, max) }

// EntriesAfter does the same from behind a number, for whoever takes them all before any is receipted.
func (r *Ring) EntriesAfter(number uint64, max int) ([]call.SignedEntry, error) {
	r.mu.Lock()
	waiting := r.table.unreceipted()
	waiting = waiting[sort.Search(len(waiting), func(i int) bool { return waiting[i].number > number }):]
	n := 0
	for n < min(max, len(waiting)) && waiting[n].number == waiting[0].number+uint64(n) {
		n++
	}
	waiting = slices.Clone(waiting[:n])
	places := make([]place, 0, len(waiting))
	for _, w := range waiting {
		places = append(places, w.place)
	}
	release := r.lease(nil, places...)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		release()
	}()
	entries := make([]call.SignedEntry, 0, len(waiting))
	for _, w := range waiting {
		jws, err := r.disk.readData(w.place, call.KindEntry)
		var e call.Entry
		if err == nil {
			e, err = r.opts.Entry(jws)
		}
		if err != nil {
			damage{r}.entry(w, err)
			return entries, fmt.Errorf("read entry %d: %w", w.number, err)
		}
		entries = append(entries, call.SignedEntry{Entry: e, JWS: jws})
	}
	return entries, nil
}

// weakly stands before the word of a receiver that signs nothing, where a receipt is kept: no JWS begins so.
const weakly = "weak: "

// Accept takes headquarters' receipt, whose signature the caller has checked (or what the caller takes for one: what is
// kept says so then), and releases what it speaks of: a call, or a range of entries. The room is used again when the release is synced; should power fail before, the call waits for
// its receipt again. A receipt that does not fit what is stored is an error and releases nothing; one of something
// released already is none. A call on hold stays until it is not.
func (r *Ring) Accept(rcpt call.Receipt, jws string) error {
	if rcpt.Weak != "" {
		jws = weakly + rcpt.Weak
	}
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
	if errors.Is(err, ErrUnknownCall) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !c.waits():
		return nil
	case !s.Ended || rcpt.Size != s.Size:
		return fmt.Errorf("receipt of call %v speaks of %d bytes, stored are %d", c.id, rcpt.Size, s.Size)
	case s.Manifest != nil && s.Manifest.SHA256 != rcpt.SHA256 && (rcpt.SHA256 == "" || c.state().Was != rcpt.SHA256):
		// That it had the file as it was before some of it was damaged here is as good.
		return fmt.Errorf("receipt of call %v speaks of other bytes", c.id)
	}
	it := noteItem(note{Op: opReceipt, Call: &c.id, Receipt: jws, Where: r.space.standing(c.where())})
	if c.onHold() {
		state := c.state()
		state.Kept = jws
		it = noteItem(note{Op: opCall, Call: &c.id, callState: state})
	}
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("receipt of call %v: %w", c.id, err)
	}
	r.table.change(c, func() { c.receipt = true })
	if it.note.Op == opCall {
		r.table.setState(c, it.note.callState)
	}
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
