package recorder_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
)

// summary is a call in short.
type summary struct {
	start, end int64
	began      call.Reason
	ended      call.Reason
}

func summaries(calls []heardCall) (s []summary) {
	for _, c := range calls {
		s = append(s, summary{c.start, c.end, c.Header.Began, c.End.Reason})
	}
	return s
}

// TestSpan: a call is the line from began to ended, whatever the size of the periods.
func TestSpan(t *testing.T) {
	for _, f := range []pcm.Format{mono, {Rate: rate, Channels: 2}} {
		for _, period := range []int{1, 7, 80, 160, 799, 8000, 48000, 1000000} {
			t.Run(fmt.Sprintf("%d channels, %d frames", f.Channels, period), func(t *testing.T) {
				r := newRig(t, f, nil,
					began(1234, 20001), marked(500, 20001, "1"), marked(20100, 20101, "2"), ended(45678, 45678),
					began(45000, 60000), ended(61000, 61000), // its pre-roll reaches into the call before
					began(70001, 70001), ended(70002, 70002), began(70002, 70002), ended(70100, 70100))
				r.hearUntil(80000, period)
				r.stop()
				calls := r.calls()
				var want []summary
				for _, s := range [][2]int64{{1234, 45678}, {45678, 61000}, {70001, 70002}, {70002, 70100}} {
					want = append(want, summary{s[0], s[1], call.BeganVoice, call.EndedSilence})
				}
				if got := summaries(calls); !slices.Equal(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
				if m := calls[0].Marks; len(m) != 2 || m[0].Position != 0 || m[1].Position != 20100-1234 {
					t.Errorf("marks %+v", m)
				}
				if len(r.watch.began) != 4 || !slices.Equal(r.watch.began, r.watch.ended) {
					t.Errorf("observed %d begun, %d ended", len(r.watch.began), len(r.watch.ended))
				}
				if s := r.line.Status(); s.Recording || s.Calls != 4 || s.LostFrames != 0 || s.Alarm != "" || s.Fault {
					t.Errorf("status %+v", s)
				}
			})
		}
	}
}

// TestEndInThePast: what has been encoded cannot be taken back.
func TestEndInThePast(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 800), ended(4000, 20000), began(4500, 24000))
	r.hearUntil(28000, 800)
	r.stop()
	want := []summary{
		{0, 20000 - 800, call.BeganVoice, call.EndedSilence}, // the period that ends at 20000 made it known
		{20000 - 800, 28000, call.BeganVoice, call.EndedStopped},
	}
	if got := summaries(r.calls()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestLongest: a part ends and the next begins with no frame lost or doubled.
func TestLongest(t *testing.T) {
	cut := func(at int64) []told {
		return []told{
			{at, call.Event{Kind: call.EventEnded, Position: at, Reason: call.EndedLongest}},
			{at, call.Event{Kind: call.EventBegan, Position: at, Reason: call.BeganContinued}},
		}
	}
	for _, period := range []int{1, 333, 800, 50000} {
		r := newRig(t, mono, nil, slices.Concat([]told{began(100, 100)}, cut(10000), cut(20000), []told{ended(30000, 30000)})...)
		r.hearUntil(31000, period)
		r.stop()
		want := []summary{
			{100, 10000, call.BeganVoice, call.EndedLongest},
			{10000, 20000, call.BeganContinued, call.EndedLongest},
			{20000, 30000, call.BeganContinued, call.EndedSilence},
		}
		if got := summaries(r.calls()); !slices.Equal(got, want) {
			t.Errorf("periods of %d: got %v, want %v", period, got, want)
		}
	}
}

// TestHistoryIsBounded: a beginning that is told too late begins where the history does, and the rest is owned up to.
func TestHistoryIsBounded(t *testing.T) {
	r := newRig(t, mono, nil, began(1000, 80000), ended(90000, 90000))
	r.hearUntil(95000, 800)
	r.stop()
	from := int64(80000 - 800 - 5*rate)
	if got := summaries(r.calls()); !slices.Equal(got, []summary{{from, 90000, call.BeganVoice, call.EndedSilence}}) {
		t.Errorf("got %v", got)
	}
	if got := r.losses(); !slices.Equal(got, []call.Gap{{Position: 1000, Frames: from - 1000, Cause: call.CauseOverflow}}) {
		t.Errorf("losses %v", got)
	}
}

func TestLosses(t *testing.T) {
	const second = rate
	cardLost := func(seconds, frames int) func(*rig) {
		return func(r *rig) {
			for range seconds {
				r.hear(second, call.CauseCardLost, 0)
			}
			r.hear(17, call.CauseCardLost, frames)
		}
	}
	for name, c := range map[string]struct {
		told    []told
		feed    []func(*rig)
		want    []summary
		inCall  []call.Gap
		outside []call.Gap
	}{
		"overrun in a call": {
			[]told{began(100, 100), ended(3000, 3000)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, func(r *rig) { r.hear(300, call.CauseOverrun, 5000) }},
			[]summary{{100, 3000, call.BeganVoice, call.EndedSilence}},
			[]call.Gap{{Position: 900, Frames: 300, Cause: call.CauseOverrun}}, nil,
		},
		"overrun in the pre-roll": {
			[]told{began(500, 4000), ended(6000, 6000)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, func(r *rig) { r.hear(300, call.CauseOverrun, 1000) }, func(r *rig) { r.hear(0, "", 9000) }},
			[]summary{{500, 6000, call.BeganVoice, call.EndedSilence}},
			[]call.Gap{{Position: 500, Frames: 300, Cause: call.CauseOverrun}}, nil,
		},
		"card away for a short time": {
			[]told{began(100, 100)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, cardLost(20, 100)},
			[]summary{{100, 1000 + 20*second + 17 + 100, call.BeganVoice, call.EndedStopped}},
			[]call.Gap{{Position: 900, Frames: 20*second + 17, Cause: call.CauseCardLost}}, nil,
		},
		"card away for too long": {
			[]told{began(100, 100), ended(1000+40*second+17+100, 1000+40*second+17+100)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, cardLost(40, 800)},
			[]summary{
				{100, 1000, call.BeganVoice, call.EndedCardLost},
				{1000 + 40*second + 17, 1000 + 40*second + 117, call.BeganContinued, call.EndedSilence},
			},
			nil, []call.Gap{{Position: 1000, Frames: 40*second + 17, Cause: call.CauseCardLost}},
		},
		"the same, told at once": {
			[]told{began(100, 100)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, func(r *rig) { r.hear(40*second, call.CauseCardLost, 800) }},
			[]summary{
				{100, 1000, call.BeganVoice, call.EndedCardLost},
				{1000 + 40*second, 1800 + 40*second, call.BeganContinued, call.EndedStopped},
			},
			nil, []call.Gap{{Position: 1000, Frames: 40 * second, Cause: call.CauseCardLost}},
		},
		"call ends while the card is away": {
			[]told{began(100, 100), ended(1000+2*second, 1000+5*second)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, cardLost(10, 800)},
			[]summary{{100, 1000 + 2*second, call.BeganVoice, call.EndedSilence}},
			[]call.Gap{{Position: 900, Frames: 2 * second, Cause: call.CauseCardLost}},
			[]call.Gap{{Position: 1000 + 2*second, Frames: 8*second + 17, Cause: call.CauseCardLost}},
		},
		"call begins while the card is away": {
			[]told{began(1000+2*second, 1000+5*second)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, cardLost(10, 800)},
			[]summary{{1000 + 10*second + 17, 1800 + 10*second + 17, call.BeganVoice, call.EndedStopped}},
			nil, []call.Gap{{Position: 1000, Frames: 10*second + 17, Cause: call.CauseCardLost}},
		},
		"stopped while the card is away": {
			[]told{began(100, 100)},
			[]func(*rig){func(r *rig) { r.hear(0, "", 1000) }, func(r *rig) { r.hear(second, call.CauseCardLost, 0) }},
			[]summary{{100, 1000, call.BeganVoice, call.EndedStopped}},
			nil, []call.Gap{{Position: 1000, Frames: second, Cause: call.CauseCardLost}},
		},
		"card absent at first": {
			[]told{began(3*second, 4*second)},
			[]func(*rig){cardLost(3, 10*second)},
			[]summary{{3*second + 17, 13*second + 17, call.BeganVoice, call.EndedStopped}},
			nil, []call.Gap{{Position: 0, Frames: 3*second + 17, Cause: call.CauseCardLost}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mono, nil, c.told...)
			for _, feed := range c.feed {
				feed(r)
			}
			r.stop()
			calls := r.calls()
			if got := summaries(calls); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
			var inCall []call.Gap
			for _, c := range calls {
				inCall = append(inCall, c.End.Gaps...)
			}
			if !slices.Equal(inCall, c.inCall) || !slices.Equal(r.watch.gaps[true], c.inCall) {
				t.Errorf("gaps in calls %v, want %v", inCall, c.inCall)
			}
			if got := r.losses(); !slices.Equal(got, c.outside) || !slices.Equal(r.watch.gaps[false], c.outside) {
				t.Errorf("gaps outside %v, want %v", got, c.outside)
			}
		})
	}
}

// TestOutageIsOneEntry: not one a second, and not before it is over.
func TestOutageIsOneEntry(t *testing.T) {
	r := newRig(t, mono, nil)
	r.hear(0, "", 800)
	for range 3600 {
		r.hear(rate, call.CauseCardLost, 0)
	}
	if s := r.line.Status(); s.Alarm != recorder.AlarmNoAudio || s.LostFrames != 3600*rate || s.Levels[0] != recorder.Silence {
		t.Errorf("status %+v", s)
	}
	if len(r.ring.records) != 0 {
		t.Error("entered before it was over")
	}
	r.hearUntil(r.position+10*rate, 800)
	want := []call.Gap{{Position: 800, Frames: 3600 * rate, Cause: call.CauseCardLost}}
	if got := r.losses(); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
	if want := []string{recorder.AlarmNoAudio, ""}; !slices.Equal(r.watch.alarms, want) {
		t.Errorf("alarms %q", r.watch.alarms)
	}
}

// TestManyShortLosses: an overrun a second for ten minutes makes ten entries, with nothing left out.
func TestManyShortLosses(t *testing.T) {
	r := newRig(t, mono, nil)
	for range 600 {
		r.hear(10, call.CauseOverrun, rate-10)
	}
	r.stop()
	total := int64(0)
	losses := r.losses()
	for _, g := range losses {
		total += g.Frames
	}
	if total != 6000 || len(losses) < 10 || len(losses) > 12 {
		t.Errorf("%d entries of %d frames", len(losses), total)
	}
}

// TestTooManyGaps: the end of a call stays small enough for its entry.
func TestTooManyGaps(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 10))
	r.hear(0, "", 100)
	for range 1100 {
		r.hear(1, call.CauseOverrun, 50)
	}
	r.stop()
	calls := r.calls()
	if len(calls) != 3 || calls[0].End.Reason != call.EndedLongest || calls[1].Header.Began != call.BeganContinued ||
		calls[0].end != calls[1].start || calls[1].end != calls[2].start || len(calls[0].End.Gaps) != 512 {
		t.Errorf("got %v", summaries(calls))
	}
}

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

// failing is an encoder that fails after some frames.
type failing struct {
	passThrough
	after int
}

func (e *failing) Write(samples []int16, emit func(recorder.Chunk) error) error {
	if e.after -= len(samples); e.after < 0 {
		return errors.New("codec is broken")
	}
	return e.passThrough.Write(samples, emit)
}

func TestEncoderFails(t *testing.T) {
	r := newRig(t, mono, func(c *recorder.LineConfig) {
		c.NewEncoder = func(call.ID) (recorder.Encoder, error) {
			return &failing{passThrough{channels: 1, size: 1000}, 20000}, nil
		}
	}, began(0, 100), ended(50000, 50000), began(60000, 60000), ended(70000, 70000))
	r.hearUntil(80000, 800)
	r.stop()
	want := []summary{{0, 20000, call.BeganVoice, call.EndedStopped}, {60000, 70000, call.BeganVoice, call.EndedSilence}}
	if got := summaries(r.calls()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNoEncoder(t *testing.T) {
	trial := true
	r := newRig(t, mono, func(c *recorder.LineConfig) {
		c.NewEncoder = func(call.ID) (recorder.Encoder, error) {
			if !trial {
				return nil, errors.New("no memory")
			}
			trial = false
			return &passThrough{channels: 1, size: 10}, nil
		}
	}, began(0, 100), ended(50000, 50000))
	r.hearUntil(80000, 800)
	r.stop()
	if len(r.ring.records) != 0 {
		t.Errorf("%d records of a call that could not be", len(r.ring.records))
	}
}

// TestPositionGoesBack: a mistake of the card's side does not turn the timeline back.
func TestPositionGoesBack(t *testing.T) {
	r := newRig(t, mono, nil, began(0, 100))
	r.hearUntil(1000, 500)
	again := make([]int16, 400)
	for i := range again {
		again[i] = signal(700+int64(i), 0)
	}
	r.line.Heard(pcm.Period{Format: mono, Position: 700, Samples: again, At: mono.Duration(1100)})
	r.line.Heard(pcm.Period{Format: mono, Position: 100, Samples: again[:50], At: mono.Duration(1100)})
	r.position = 1100
	r.hearUntil(2000, 500)
	r.stop()
	if got := summaries(r.calls()); !slices.Equal(got, []summary{{0, 2000, call.BeganVoice, call.EndedStopped}}) {
		t.Errorf("got %v", got)
	}
}

func TestLevels(t *testing.T) {
	r := newRig(t, pcm.Format{Rate: rate, Channels: 2}, nil)
	samples := make([]int16, 2*rate)
	for i := range rate {
		samples[2*i] = int16(math.Round(32767 * math.Sin(2*math.Pi*float64(i)*1000/rate)))
	}
	r.line.Heard(pcm.Period{Format: r.format, Samples: samples})
	if l := r.line.Status().Levels; math.Abs(l[0]+3.01) > 0.01 || l[1] != recorder.Silence {
		t.Errorf("levels %v, want -3.01 and silence", l)
	}
	if s := r.recorder.Status(); len(s) != 1 || s[0].Line != "1" {
		t.Errorf("status %+v", s)
	}
}

func TestWrongSettings(t *testing.T) {
	good := recorder.LineConfig{
		Name: "1", Format: mono, Codec: call.FLAC, Detector: &script{},
		NewEncoder: func(call.ID) (recorder.Encoder, error) { return &passThrough{channels: 1, size: 1}, nil },
	}
	for name, change := range map[string]func(*recorder.LineConfig){
		"no name":        func(c *recorder.LineConfig) { c.Name = "" },
		"no rate":        func(c *recorder.LineConfig) { c.Format.Rate = 0 },
		"no channels":    func(c *recorder.LineConfig) { c.Format.Channels = 0 },
		"sides too many": func(c *recorder.LineConfig) { c.Sides = []string{"agent", "caller"} },
		"bad encoder": func(c *recorder.LineConfig) {
			c.NewEncoder = func(call.ID) (recorder.Encoder, error) { return nil, errors.New("codec") }
		},
	} {
		cfg := good
		change(&cfg)
		r := newRecorder(&ring{}, &clock{}, &watcher{}, ledger.State{Device: device, Epoch: epoch})
		if _, err := r.Line(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestTwoLinesShareTheLedger: their goroutines are apart, and the ring stays in order.
func TestTwoLinesShareTheLedger(t *testing.T) {
	r := newRig(t, mono, nil)
	lines := make([]*recorder.Line, 3)
	for i := range lines {
		var err error
		lines[i], err = r.recorder.Line(recorder.LineConfig{
			Name: fmt.Sprint(i), Format: mono, Codec: call.FLAC,
			Detector:   &script{told: []told{began(0, 800), ended(4000, 4000), began(5000, 5600), ended(9000, 9000)}},
			NewEncoder: func(call.ID) (recorder.Encoder, error) { return &passThrough{channels: 1, size: 1000}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for at := int64(0); at < 10000; at += 400 {
		p := pcm.Period{Format: mono, Position: at, Samples: make([]int16, 400)}
		for _, l := range lines {
			l.Heard(p)
		}
	}
	r.stop()
	if e := r.entries(); len(e) != 12 || len(r.watch.ended) != 6 {
		t.Errorf("%d entries, %d calls", len(e), len(r.watch.ended))
	}
}

func TestEntriesOfTheRing(t *testing.T) {
	r := newRig(t, mono, nil)
	if err := r.recorder.BeginEpoch(&call.Seq{Epoch: 1, Number: 2}); err != nil {
		t.Fatal(err)
	}
	if e := r.entries(); len(e) != 1 || e[0].Type != call.EntryEpoch || e[0].LastEnd.Number != 2 {
		t.Errorf("%+v", e)
	}
	id := call.ID{4}
	if err := r.recorder.Bury(id, "1", call.EndedPowerLost); err != nil {
		t.Fatal(err)
	}
	if e := r.entries(); len(e) != 2 || e[1].Type != call.EntryTombstone || *e[1].Call != id || e[1].Reason != call.EndedPowerLost {
		t.Errorf("%+v", e)
	}
	r.ring.fail = func(call.Record) error { return errFull }
	if err := errors.Join(r.recorder.BeginEpoch(nil), r.recorder.Bury(id, "1", call.EndedRingFull)); strings.Count(err.Error(), errFull.Error()) != 2 {
		t.Error(err)
	}
}

// quiet encodes to nothing until it is closed.
type quiet struct{ frames int64 }

func (e *quiet) Write(samples []int16, _ func(recorder.Chunk) error) error {
	e.frames += int64(len(samples))
	return nil
}

func (e *quiet) Close(emit func(recorder.Chunk) error) error {
	return emit(recorder.Chunk{Frames: e.frames})
}

// TestNoAllocationPerPeriod, in a call and outside.
func TestNoAllocationPerPeriod(t *testing.T) {
	for name, told := range map[string][]told{"idle": nil, "in a call": {began(0, 100)}} {
		r := newRig(t, mono, func(c *recorder.LineConfig) {
			c.NewEncoder = func(call.ID) (recorder.Encoder, error) { return &quiet{}, nil }
		}, told...)
		p := pcm.Period{Format: mono, Samples: make([]int16, 800), At: time.Second}
		heard := func() {
			r.line.Heard(p)
			p.Position += 800
		}
		heard()
		if n := testing.AllocsPerRun(200, heard); n != 0 {
			t.Errorf("%s: %g allocations a period", name, n)
		}
	}
}

// BenchmarkHeard is the pump alone: a period of 100 ms of one 8 kHz line in a call.
func BenchmarkHeard(b *testing.B) {
	r := newRig(b, mono, func(c *recorder.LineConfig) {
		c.NewEncoder = func(call.ID) (recorder.Encoder, error) { return &quiet{}, nil }
	}, began(0, 100))
	p := pcm.Period{Format: mono, Samples: make([]int16, 800), At: time.Second}
	b.ReportAllocs()
	for b.Loop() {
		r.line.Heard(p)
		p.Position += 800
	}
}
