package recorder_test

import (
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/recorder"
)

// pauses are the pause entries of the ledger.
func (r *rig) pauses() (all []call.Entry) {
	for _, e := range r.entries() {
		if e.Type == call.EntryPause {
			all = append(all, e.Entry)
		}
	}
	return all
}

// marks of a kind, as "value@second".
func marks(c heardCall, kind call.MarkKind) (all []call.Mark) {
	for _, m := range c.Marks {
		if m.Kind == kind {
			all = append(all, m)
		}
	}
	return all
}

// TestPause pauses a call: what is heard meanwhile is silence and its digits are not noted, and the ledger says so.
func TestPause(t *testing.T) {
	const second = rate
	r := newRig(t, mono, nil, began(second, 2*second), marked(4*second, 4*second, "1"), marked(6*second, 6*second, "2"), marked(9*second, 9*second, "3"),
		ended(11*second, 12*second))
	r.line.Pause(true) // there is no call: nothing happens
	r.hearUntil(5*second, 800)
	if r.line.Status().Paused {
		t.Error("paused without a call")
	}
	r.line.Pause(true)
	r.hearUntil(8*second, 800)
	if !r.line.Status().Paused {
		t.Error("not paused")
	}
	r.line.Pause(false)
	r.hearUntil(13*second, 800)
	r.stop()

	c := r.pausedCalls()[0]
	for i := range c.End.Frames {
		at := c.start + i
		want := signal(at, 0)
		if at >= 5*second && at < 8*second {
			want = 0
		}
		if c.samples[i] != want {
			t.Fatalf("frame at %d is %d, want %d", at, c.samples[i], want)
		}
	}
	if got := marks(c, call.MarkPause); len(got) != 2 || got[0].Value != "begin" || got[0].Position != 4*second || got[1].Value != "end" || got[1].Position != 7*second {
		t.Errorf("marks of the pause: %+v", got)
	}
	digits := marks(c, call.MarkDigits)
	if !slices.EqualFunc(digits, []string{"1", "3"}, func(m call.Mark, v string) bool { return m.Value == v }) {
		t.Errorf("digits that were noted: %+v", digits)
	}
	got := r.pauses()
	if len(got) != 1 || *got[0].Gap != (call.Gap{Position: 4 * second, Frames: 3 * second, Cause: call.CausePause}) || *got[0].Call != c.Header.Call {
		t.Errorf("entries of the pause: %+v", got)
	}
}

// TestPauseIsForgotten never ends its pauses: one ends after the longest time, the other with its call.
func TestPauseIsForgotten(t *testing.T) {
	const second = rate
	longest := func(c *recorder.LineConfig) { c.MaxPause = 2 * time.Second }
	r := newRig(t, mono, longest, began(second, 2*second), ended(9*second, 9*second), began(10*second, 11*second), ended(14*second, 14*second))
	r.hearUntil(4*second, 800)
	r.line.Pause(true)
	r.hearUntil(8*second, 800)
	r.line.Pause(true)
	r.hearUntil(15*second, 800)
	r.stop()
	calls := r.pausedCalls()
	silent := func(c heardCall) (frames int64) {
		for _, s := range c.samples {
			if s == 0 {
				frames++
			}
		}
		return frames
	}
	if len(calls) != 2 || silent(calls[0]) != 3*second || silent(calls[1]) != 0 {
		t.Errorf("%d calls, silent for %d and %d frames, want %d and 0", len(calls), silent(calls[0]), silent(calls[1]), 3*second)
	}
	if got := r.pauses(); len(got) != 2 || got[0].Gap.Frames != 2*second || got[1].Gap.Frames != second {
		t.Errorf("entries of the pauses: %+v", got)
	}
}
