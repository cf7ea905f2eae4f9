package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// acceptEntries receipts all entries but the last few.
func (p phone) acceptEntries(but uint64) {
	p.t.Helper()
	s := p.r.State()
	noError(p.t, p.r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: max(s.Last, but+1) - but}, "jws"))
}

// One call in a hundred is never delivered: the others' room comes back all the same, and nothing of them is lost.
func TestUndeliveredCallsPinNoRoom(t *testing.T) {
	o := memoryOptions(newCard(1))
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	var kept []*talk
	talking := p.begin() // and one call goes on all the time
	for i := range 400 {
		c := p.call(4, 3000)
		if i%6 == 0 && len(kept) < 12 { // one in each segment: 12 times 12 KB would pin all of it
			kept = append(kept, c)
		} else {
			noError(t, r.Sync())
			noError(t, r.Accept(c.receipt(), "jws"))
		}
		if i%8 == 0 {
			talking.speak(500)
		}
		noError(t, r.Sync())
		p.acceptEntries(3)
		if i%100 == 50 {
			noError(t, r.Close())
			var rec Recovered
			r, rec = mustOpen(t, o)
			p.r = r
			if len(rec.Damaged)+len(rec.LostEntries)+len(rec.Unsigned)+len(rec.Holed) > 0 || len(rec.Interrupted) > 1 {
				t.Fatalf("round %d: %+v", i, rec)
			}
			if len(rec.Interrupted) == 1 {
				talking.r = r
				talking.end()
				kept = append(kept, talking)
				talking = p.begin()
			}
		}
	}
	if g := r.space.generation; g < 20 {
		t.Errorf("the ring came to generation %d only", g)
	}
	for i, c := range kept {
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Errorf("kept call %d changed", i)
		}
	}
	if got := readCall(t, r, talking.id); !bytes.Equal(got, talking.file) {
		t.Error("the call in progress changed")
	}
}

// What one Sync carries is bounded.
func TestCarryingIsBounded(t *testing.T) {
	c := newCard(1)
	o := memoryOptions(c)
	o.SegmentBytes, o.SizeBytes = 1<<20, 8<<20
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	var all []*talk
	for r.Status().FreeBytes > 64<<10 {
		all = append(all, p.call(4, 8000))
		noError(t, r.Sync())
	}
	for i, c := range all {
		if i%3 == 0 {
			noError(t, r.Accept(c.receipt(), "jws"))
		}
	}
	p.acceptEntries(1)
	noError(t, r.writer.drain())
	for _, budget := range []int64{1 << 20 / copyShare, 1 << 20} {
		before, files := c.written, len(c.names)
		m := &reclaimer{r: r, budget: budget, urgent: true}
		for m.makeRoom() {
			noError(t, r.writer.drain())
		}
		const rest = 160 << 10                             // a segment's head and directory, its small things, and rounding
		made := int64(len(c.names)-files) * o.SegmentBytes // segments, for the first time
		if got := c.written - before - made; got > budget+rest || got < budget/2 {
			t.Errorf("with a budget of %d, %d bytes were written", budget, got)
		}
	}
	for range 20 {
		noError(t, r.Sync())
	}
	if free := r.space.free; free < lowWater {
		t.Errorf("%d segments are free", free)
	}
	for i, c := range all {
		if i%3 != 0 && !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Errorf("call %d changed", i)
		}
	}
}

// A release says also where records stand that were copied and do not count any more, until their segments are used
// again: else they would bring the call back once its note is overwritten.
func TestReleasesNameOldPlaces(t *testing.T) {
	c := newCard(1)
	r, _ := mustOpen(t, memoryOptions(c))
	p := phone{t, r}
	kept := p.call(4, 3000)
	noError(t, r.Sync())
	old := r.table.calls[kept.id].parts[0].seg
	old.leases++ // a reader: it is not used again
	var rest []*talk
	for range 9 {
		rest = append(rest, p.call(4, 3000))
		noError(t, r.Sync())
	}
	for _, c := range rest {
		noError(t, r.Accept(c.receipt(), "jws"))
	}
	noError(t, r.Sync())
	m := &reclaimer{r: r, budget: testSegment}
	if !m.carry(old) {
		t.Fatal("nothing was carried")
	}
	copies := r.queue.take()
	noError(t, r.Accept(kept.receipt(), "jws")) // while the copies are on their way
	_, err := r.writer.writeGroup(copies)
	noError(t, err)
	parts := slices.Clone(r.table.calls[kept.id].parts)
	if len(parts) != 1 || parts[0].seg == old {
		t.Fatalf("the call was not carried: %+v", parts)
	}
	r.writer.closeSegment()
	noError(t, r.writer.drain())
	if refs := r.writer.open.seg.refs; !slices.Contains(refs, old.ref()) || !slices.Contains(refs, parts[0].seg.ref()) {
		t.Errorf("the release outlives %v, not %v and %v", refs, old.ref(), parts[0].seg.ref())
	}
}

func TestHolds(t *testing.T) {
	o := memoryOptions(newCard(1))
	var p phone
	o.WhenFull = OverwriteWhenFull
	o.GiveUp = func(s call.Stored) error {
		p.entry(call.Entry{Type: call.EntryTombstone, Call: &s.Header.Call})
		return nil
	}
	r, _ := mustOpen(t, o)
	p = phone{t, r}
	held, receipted := p.call(4, 3000), p.call(4, 3000)
	if err := r.Hold(held.id, ""); err == nil {
		t.Error("held without a reason")
	}
	if err := r.Hold(call.NewID(), "court"); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("held an unknown call: %v", err)
	}
	noError(t, r.Sync())
	noError(t, r.Hold(held.id, "court"))
	noError(t, r.Hold(receipted.id, "complaint"))
	noError(t, r.Park(held.id, "refused"))
	noError(t, r.Accept(receipted.receipt(), "the receipt"))
	for i := range 100 {
		p.call(4, 3000)
		noError(t, r.Sync())
		p.acceptEntries(3)
		if i%30 == 20 {
			noError(t, r.Close())
			r, _ = mustOpen(t, o)
			p.r = r
		}
	}
	if s := r.Status(); s.HeldCalls != 2 || s.HeldBytes != int64(len(held.file)+len(receipted.file)) || s.HoldsExceeded || s.Parked != 1 {
		t.Errorf("status %+v", s)
	}
	calls, err := r.Calls()
	noError(t, err)
	for _, c := range []struct {
		*talk
		want call.Stored
	}{{held, call.Stored{Hold: "court", Parked: "refused"}}, {receipted, call.Stored{Hold: "complaint", Receipt: true}}} {
		i := slices.IndexFunc(calls, func(s call.Stored) bool { return s.Header.Call == c.id })
		if i < 0 || calls[i].Hold != c.want.Hold || calls[i].Receipt != c.want.Receipt || calls[i].Parked != c.want.Parked {
			t.Fatalf("call on hold: %d, %+v", i, calls[i])
		}
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Error("a call on hold changed")
		}
	}
	noError(t, r.Unhold(receipted.id))
	if err := r.Hold(receipted.id, "late"); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("held a call that is being released: %v", err)
	}
	noError(t, r.Unhold(held.id))
	noError(t, r.Close())
	r, _ = mustOpen(t, o)
	p.r = r
	if _, err := r.OpenCall(receipted.id); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("a receipted call stays after its hold: %v", err)
	}
	for range 80 {
		p.call(4, 3000)
		noError(t, r.Sync())
		p.acceptEntries(3)
	}
	if _, err := r.OpenCall(held.id); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("the oldest call stays after its hold: %v", err)
	}
	if s := r.Status(); s.HeldCalls+int(s.HeldBytes) != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestHoldsExceedTheirShare(t *testing.T) {
	r, _ := mustOpen(t, memoryOptions(newCard(1)))
	p := phone{t, r}
	for i := range 24 { // 12 KB each, of 1 MiB
		c := p.call(4, 3000)
		noError(t, r.Sync())
		noError(t, r.Hold(c.id, "court"))
		if s := r.Status(); s.HoldsExceeded != (s.HeldBytes > s.SizeBytes/4) || s.HeldCalls != i+1 {
			t.Errorf("%d held: %+v", i, s)
		}
	}
	if !r.Status().HoldsExceeded {
		t.Error("no alarm")
	}
}

// Lines, the sync loop, readers and an uplink at once, while the ring goes round and calls that stay are copied forward
// under their readers.
func TestReadersWhileCarrying(t *testing.T) {
	r, _ := mustOpen(t, memoryOptions(newCard(1)))
	p := phone{t, r}
	var stay []*talk
	var work, readers sync.WaitGroup
	var mu sync.Mutex
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				calls := slices.Clone(stay)
				mu.Unlock()
				if len(calls) == 0 {
					runtime.Gosched()
					continue
				}
				if err := compare(r, calls[i%len(calls)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Go(func() {
		for i := range 300 {
			c := p.call(4, 3000)
			err := r.Sync()
			if i%25 == 0 {
				mu.Lock()
				stay = append(stay, c)
				mu.Unlock()
			} else {
				err = errors.Join(err, r.Accept(c.receipt(), "jws"))
			}
			s := r.State()
			err = errors.Join(err, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: max(s.Last, 4) - 3}, "jws"))
			for range 20 { // the readers hold what could be carried
				if r.Status().FreeBytes > 2*testSegment {
					break
				}
				runtime.Gosched()
				err = errors.Join(err, r.Sync())
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	work.Wait()
	close(done)
	readers.Wait()
	if g := r.space.generation; g < 15 {
		t.Errorf("the ring came to generation %d only", g)
	}
	for _, c := range stay {
		noError(t, compare(r, c))
	}
}

// compare reads a call in small pieces, as an upload does.
func compare(r *Ring, c *talk) error {
	f, err := r.OpenCall(c.id)
	if err != nil {
		return err
	}
	var got []byte
	for piece := make([]byte, 1000); err == nil; {
		var n int
		n, err = f.ReadAt(piece, int64(len(got)))
		got = append(got, piece[:n]...)
	}
	if err := errors.Join(err, f.Close()); !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(got, c.file) {
		return fmt.Errorf("call %v reads as %d other bytes, of %d", c.id, len(got), len(c.file))
	}
	return nil
}
