package recorder_test

import (
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/recorder"
)

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
