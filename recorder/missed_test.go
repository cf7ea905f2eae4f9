package recorder_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/recorder"
)

// TestMissed: a call that nobody answered is a call as any, and an entry of the ledger that names it, also where the ring
// took neither for a while.
func TestMissed(t *testing.T) {
	const second = rate
	missed := call.Missed{Rings: 3, Waited: 14}
	for _, full := range []bool{false, true} {
		r := newRig(t, mono, nil, began(second, 2*second),
			told{20 * second, call.Event{Kind: call.EventEnded, Position: 18 * second, Reason: call.EndedMissed}},
			told{20 * second, call.Event{Kind: call.EventMissed, Position: 3 * second, Missed: missed}})
		r.hearUntil(15*second, 800)
		if full {
			r.ring.fail = func(call.Record) error { return errFull }
		}
		r.hearUntil(25*second, 800)
		r.ring.fail = nil
		r.hearUntil(30*second, 800)
		r.stop()
		entries := r.entries()
		at := slices.IndexFunc(entries, func(e call.SignedEntry) bool { return e.Type == call.EntryMissed })
		if at < 0 {
			t.Fatalf("full %v: no entry of a missed call", full)
		}
		e, end := entries[at], entries[at-1]
		if end.Type != call.EntryEnd || end.Manifest.Ended != call.EndedMissed || *e.Call != *end.Call {
			t.Errorf("full %v: follows %s entry of %v", full, end.Type, end.Call)
		}
		if *e.Missed != missed || e.Line != "1" || e.Anchor.BootTime != 3*time.Second {
			t.Errorf("full %v: %+v at %v", full, e.Missed, e.Anchor.BootTime)
		}
	}
}

// TestShort: the manifest and the call file say that a call is short.
func TestShort(t *testing.T) {
	const second = rate
	r := newRig(t, mono, nil, began(second, 2*second),
		told{6 * second, call.Event{Kind: call.EventEnded, Position: 5 * second, Reason: call.EndedSilence, Short: true}},
		began(10*second, 11*second), ended(20*second, 21*second))
	r.hearUntil(25*second, 800)
	r.stop()
	var short []bool
	for _, e := range r.entries() {
		if e.Type == call.EntryEnd {
			short = append(short, e.Manifest.Short)
		}
	}
	if !slices.Equal(short, []bool{true, false}) {
		t.Errorf("short %v", short)
	}
	_, files := files(r.ring.records)
	for _, file := range files {
		if _, end, whole, err := resumed(bytes.NewReader(file)); err != nil || !whole || end.Short != (end.Frames < 8*second) {
			t.Errorf("end %+v, whole %v, %v", end, whole, err)
		}
	}
}

// TestDialledInPause: a number that was keyed in a pause is not noted, also when it is told afterwards.
func TestDialledInPause(t *testing.T) {
	const second = rate
	dialled := func(at, known int64, value string) told {
		return told{known, call.Event{Kind: call.EventMark, Position: at, Mark: call.Mark{Kind: call.MarkDialled, Frames: second, Value: value}}}
	}
	r := newRig(t, mono, nil, began(second, 2*second), dialled(3*second, 12*second, "1"), dialled(6*second, 12*second, "2"), ended(14*second, 15*second))
	r.hearUntil(5*second, 800)
	r.line.Pause(true)
	r.hearUntil(8*second, 800)
	r.line.Pause(false)
	r.hearUntil(16*second, 800)
	r.stop()
	if m := marks(r.pausedCalls()[0], call.MarkDialled); len(m) != 1 || m[0].Value != "1" {
		t.Errorf("marks %+v", m)
	}
}

// TestDetectorAlarm: what the detector finds wrong is the line's alarm until it is over.
func TestDetectorAlarm(t *testing.T) {
	const second = rate
	r := newRig(t, mono, nil, told{2 * second, call.Event{Kind: call.EventAlarm, Alarm: "off-hook"}}, told{4 * second, call.Event{Kind: call.EventAlarm}})
	r.hearUntil(5*second, 800)
	if want := []string{"off-hook", ""}; !slices.Equal(r.watch.alarms, want) {
		t.Errorf("alarms %q, want %q", r.watch.alarms, want)
	}
}

// TestQuiet: business hours without a call are an alarm, until there is one.
func TestQuiet(t *testing.T) {
	const minute = 60 * rate
	var days [7]bool
	days[boot.Weekday()] = true // the rig's clock begins at midnight, UTC
	r := newRig(t, mono, func(c *recorder.LineConfig) {
		c.Hours = recorder.Hours{Days: days, From: 2 * time.Hour, To: 4 * time.Hour, Zone: time.FixedZone("east", 3600)}
		c.Quiet = 30 * time.Minute
	}, began(100*minute, 100*minute), ended(101*minute, 101*minute))
	for at := range int64(8) {
		r.hearUntil((at+1)*20*minute, 10*rate)
		alarm := r.line.Status().Alarm
		// Open from 1:00 to 3:00 by the rig's clock; the call is at 1:40.
		if want := at == 4 || at >= 6; (alarm == recorder.AlarmQuiet) != want {
			t.Errorf("after %d minutes: alarm %q", (at+1)*20, alarm)
		}
	}
}
