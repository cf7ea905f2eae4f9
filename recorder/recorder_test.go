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
