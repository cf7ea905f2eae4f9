package recorder_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/recorder"
)

// TestRefusedForAShortTime: nothing of a call is lost when the ring takes nothing for a while.
func TestRefusedForAShortTime(t *testing.T) {
	r := newRig(t, mono, nil, began(100, 1000), marked(30000, 30000, "5"), ended(150000, 150000))
	r.hearUntil(20000, 800)
	r.ring.fail = func(call.Record) error { return errFull }
	r.hearUntil(60000, 800)
	if s := r.line.Status(); !s.Recording || s.Fault || s.Alarm != recorder.AlarmNotStored {
		t.Errorf("status %+v", s)
	}
	r.ring.fail = nil
	r.hearUntil(160000, 800)
	r.stop()
	calls := r.calls()
	if got := summaries(calls); !slices.Equal(got, []summary{{100, 150000, call.BeganVoice, call.EndedSilence}}) || len(calls[0].End.Gaps) != 0 {
		t.Errorf("got %v, gaps %v", got, calls[0].End.Gaps)
	}
	if want := []string{recorder.AlarmNotStored, ""}; !slices.Equal(r.watch.alarms, want) {
		t.Errorf("alarms %q", r.watch.alarms)
	}
}

// TestRingFull: the call ends as well as possible, the fault shows, and recording begins again when room returns. A full
// ring keeps room for ends and entries; one that is stuck does not.
func TestRingFull(t *testing.T) {
	for _, roomForEnds := range []bool{true, false} {
		r := newRig(t, mono, nil, began(0, 100), ended(1000000, 1000000))
		r.hearUntil(20000, 1000)
		r.ring.fail = func(rec call.Record) error {
			if roomForEnds && (rec.Kind == call.KindEnd || rec.Kind == call.KindEntry) {
				return nil
			}
			return errFull
		}
		r.hearUntil(30000, 1000)
		r.hear(400, call.CauseOverrun, 1000)
		r.hearUntil(20000+25*rate, 1000)
		if s := r.line.Status(); !s.Recording || s.Fault || s.Alarm != recorder.AlarmNotStored {
			t.Errorf("status while it waits %+v", s)
		}
		r.hearUntil(20000+60*rate, 1000)
		if s := r.line.Status(); !s.Fault && !roomForEnds || s.Alarm != recorder.AlarmNotStored {
			t.Errorf("status when it is full %+v", s)
		}
		if c := r.ring.records[len(r.ring.records)-1]; roomForEnds && len(r.watch.ended) != 1 || !roomForEnds && c.Kind != call.KindChunk {
			t.Errorf("%d calls ended while it was full", len(r.watch.ended))
		}
		r.ring.fail = nil
		r.hearUntil(1000100, 1000)
		r.stop()
		calls := r.calls()
		if c := calls[0]; c.end != 20000 || c.End.Reason != call.EndedRingFull || len(c.End.Gaps) != 0 {
			t.Fatalf("got %v", summaries(calls))
		}
		last := calls[len(calls)-1]
		if last.Header.Began != call.BeganContinued || last.end != 1000000 || last.start > 20000+60*rate {
			t.Errorf("got %v", summaries(calls))
		}
		stored := int64(0)
		for _, c := range calls {
			stored += c.End.Frames
		}
		lost := map[string]int64{}
		for _, g := range r.losses() {
			lost[g.Cause] += g.Frames
		}
		if lost[call.CauseOverrun] != 400 || stored+lost[call.CauseOverrun]+lost[call.CauseOverflow] != 1000000 {
			t.Errorf("%d frames stored, lost %v", stored, lost)
		}
	}
}

// TestFullEnded: a call that has ended while the ring is full is not kept open by what cannot be stored of it.
func TestFullEnded(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 100), ended(30000, 30000))
	r.hearUntil(20000, 1000)
	r.ring.fail = func(rec call.Record) error {
		if rec.Kind == call.KindChunk {
			return errFull
		}
		return nil
	}
	r.hearUntil(20000+29*rate, 1000)
	if len(r.watch.ended) != 0 {
		t.Error("given up too early")
	}
	r.hearUntil(20000+32*rate, 1000)
	if got := summaries(r.calls()); !slices.Equal(got, []summary{{0, 20000, call.BeganVoice, call.EndedRingFull}}) {
		t.Errorf("got %v", got)
	}
	r.stop()
	if got := r.losses(); !slices.Equal(got, []call.Gap{{Position: 20000, Frames: 10000, Cause: call.CauseOverflow}}) {
		t.Errorf("losses %v", got)
	}
}

// TestFullBeforeTheCall: a call that comes and goes while nothing can be stored is owned up to.
func TestFullBeforeTheCall(t *testing.T) {
	r := newRig(t, mono, nil, began(1000, 2000), marked(1500, 2000, "7"), ended(100000, 100000))
	r.ring.fail = func(call.Record) error { return errFull }
	r.hearUntil(120000, 800)
	r.ring.fail = nil
	r.hearUntil(130000, 800)
	r.stop()
	if got := r.losses(); !slices.Equal(got, []call.Gap{{Position: 1000, Frames: 99000, Cause: call.CauseOverflow}}) || len(r.calls()) != 0 {
		t.Errorf("losses %v", got)
	}
}

// TestFullWhenTheCallBegins: what the history holds is not lost, marks included.
func TestFullWhenTheCallBegins(t *testing.T) {
	r := newRig(t, mono, nil, began(1000, 2000), marked(1500, 2000, "7"), ended(50000, 50000))
	r.ring.fail = func(call.Record) error { return errFull }
	r.hearUntil(30000, 800)
	r.ring.fail = nil
	r.hearUntil(60000, 800)
	r.stop()
	calls := r.calls()
	if got := summaries(calls); !slices.Equal(got, []summary{{1000, 50000, call.BeganVoice, call.EndedSilence}}) || len(r.losses()) != 0 {
		t.Fatalf("got %v, losses %v", got, r.losses())
	}
	if m := calls[0].Marks; len(m) != 1 || m[0].Position != 500 || m[0].Value != "7" {
		t.Errorf("marks %v", m)
	}
}

// TestStopWhileFullOfAudio: the call is ended after what is stored of it.
func TestStopWhileFullOfAudio(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 100))
	r.hearUntil(20000, 1000)
	r.ring.fail = func(rec call.Record) error {
		if rec.Kind == call.KindChunk {
			return errFull
		}
		return nil
	}
	r.hearUntil(30000, 1000)
	r.stop()
	if got := summaries(r.calls()); !slices.Equal(got, []summary{{0, 20000, call.BeganVoice, call.EndedRingFull}}) {
		t.Errorf("got %v", got)
	}
	if got := r.losses(); !slices.Equal(got, []call.Gap{{Position: 20000, Frames: 10000, Cause: call.CauseOverflow}}) {
		t.Errorf("losses %v", got)
	}
}

func TestStopWhileFull(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 100))
	r.hearUntil(20000, 800)
	r.ring.fail = func(call.Record) error { return errFull }
	r.hearUntil(30000, 800)
	err := r.recorder.Stop()
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), `"1"`) {
		t.Errorf("got %v", err)
	}
	before := len(r.ring.records)
	r.ring.fail = nil
	r.hearUntil(40000, 800)
	if len(r.ring.records) != before || r.recorder.Stop() != nil {
		t.Error("a stopped line goes on")
	}
}
