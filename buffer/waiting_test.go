package buffer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// checkCounts compares the numbers of Status, which are kept as calls change, with those of the calls.
func checkCounts(t testing.TB, r *Ring) {
	t.Helper()
	r.mu.Lock()
	var waiting, parked, held int
	var bytes, heldBytes int64
	for _, c := range r.table.calls {
		if c.waits() {
			waiting, bytes = waiting+1, bytes+c.size()
			if c.refused() != "" {
				parked++
			}
		}
		if c.onHold() {
			held, heldBytes = held+1, heldBytes+c.size()
		}
	}
	r.mu.Unlock()
	if s := r.Status(); s.WaitingCalls != waiting || s.Parked != parked || s.HeldCalls != held || s.WaitingBytes != bytes || s.HeldBytes != heldBytes {
		t.Fatalf("status %+v: want %d waiting with %d bytes, %d parked, %d held with %d bytes", s, waiting, bytes, parked, held, heldBytes)
	}
}

// TestWaiting has one call of each sort. What was asked for and flagged outlives the program and the index.
func TestWaiting(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Index = filepath.Join(t.TempDir(), "index.db")
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	asked, flagged, both, parked, delivered := p.call(4, 3000), p.call(4, 3000), p.call(4, 3000), p.call(4, 3000), p.call(4, 3000)
	noError(t, r.Sync())
	for _, err := range []error{
		r.Ask(asked.id), r.Flag(flagged.id), r.Ask(both.id), r.Flag(both.id), r.Hold(both.id, "court"), r.Flag(asked.id), r.Unflag(asked.id),
		r.Park(parked.id, "refused"), r.Accept(delivered.receipt(), "jws"),
	} {
		noError(t, err)
	}
	if err := r.Ask(call.NewID()); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("asked for an unknown call: %v", err)
	}
	check := func() {
		t.Helper()
		checkCounts(t, r)
		got := make(map[call.ID]call.Waiting)
		r.EachWaiting(func(w call.Waiting) bool {
			if !w.Ended || w.Number == 0 || w.Size != int64(len(asked.file)) {
				t.Errorf("%+v", w)
			}
			got[w.Call] = call.Waiting{Asked: w.Asked, Hold: w.Hold, Flagged: w.Flagged, Parked: w.Parked}
			return true
		})
		if len(got) != 4 || got[asked.id] != (call.Waiting{Asked: true}) || got[flagged.id] != (call.Waiting{Flagged: true}) ||
			got[both.id] != (call.Waiting{Asked: true, Hold: true, Flagged: true}) || got[parked.id] != (call.Waiting{Parked: true}) {
			t.Errorf("waiting: %+v", got)
		}
		s, err := r.Call(both.id)
		if err != nil || !s.Asked || !s.Flagged || s.Hold != "court" || s.Manifest == nil {
			t.Errorf("call: %+v, %v", s, err)
		}
	}
	check()
	noError(t, r.Close())
	noError(t, os.Remove(o.Index))
	r, _ = mustOpen(t, o)
	check()
	noError(t, r.Close())
}
