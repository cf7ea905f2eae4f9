package line

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

var mono = pcm.Format{Rate: rate, Channels: 1}

// listen feeds samples in periods of so many frames and checks what holds for every event.
func listen(t testing.TB, cfg Config, f pcm.Format, samples []int16, period int) []call.Event {
	t.Helper()
	l := New(cfg, f)
	var all []call.Event
	for at := 0; at < len(samples); at += period * f.Channels {
		p := pcm.Period{Format: f, Position: int64(at / f.Channels)}
		p.Samples = samples[at:min(len(samples), at+period*f.Channels)]
		end := p.Position + int64(p.Frames())
		for _, e := range l.Feed(p) {
			if e.Position > end {
				t.Errorf("event at %d told at %d", e.Position, end)
			}
			if e.Kind == call.EventBegan && e.Position < end-f.Frames(cfg.LookBack())-int64(period) {
				t.Errorf("call began at %d told at %d: looked back too far", e.Position, end)
			}
			all = append(all, e)
		}
	}
	return all
}

type span struct {
	begin, end   float64 // seconds; end -1 where the call goes on
	began, ended call.Reason
}

// calls pairs begins with ends and checks that they alternate and do not overlap.
func calls(t testing.TB, events []call.Event, rate int) (found []span) {
	t.Helper()
	last, open := int64(0), false
	for _, e := range events {
		at := float64(e.Position) / float64(rate)
		switch e.Kind {
		case call.EventBegan:
			if open || e.Position < last {
				t.Fatalf("call begins at %.2f s: another open %v, last ended at frame %d", at, open, last)
			}
			open, last = true, e.Position
			found = append(found, span{begin: at, end: -1, began: e.Reason})
		case call.EventEnded:
			if !open || e.Position < last {
				t.Fatalf("call ends at %.2f s: open %v, began at frame %d", at, open, last)
			}
			open, last = false, e.Position
			found[len(found)-1].end, found[len(found)-1].ended = at, e.Reason
		}
	}
	return found
}

func fiveSeconds() Config {
	cfg := DefaultConfig()
	cfg.HangOver = 5 * time.Second
	return cfg
}

func TestCallsByVoice(t *testing.T) {
	type want struct{ begin, end float64 } // of the sound itself
	talk := func(seed uint64, seconds float64) []int16 { return speech(seed, seconds, -22) }
	for _, tt := range []struct {
		name    string
		samples []int16
		want    []want
	}{
		{"nothing", nil, nil},
		{"digital silence", silence(60), nil},
		{"one call", join(silence(10), talk(1, 8), silence(10)), []want{{10, 18}}},
		{"from the first frame", join(talk(2, 5), silence(10)), []want{{0, 5}}},
		{"a pause shorter than the hang-over", join(silence(4), talk(3, 3), silence(4.5), talk(4, 3), silence(10)), []want{{4, 14.5}}},
		{"a pause longer than the hang-over", join(silence(4), talk(5, 3), silence(6), talk(6, 3), silence(10)), []want{{4, 7}, {13, 16}}},
		{"hello, a pause of 2 s, then more", join(silence(5), talk(7, 0.45), silence(2), talk(8, 4), silence(10)), []want{{5, 11.45}}},
		{"a cough", join(silence(5), noise(1, 0.3, -15), silence(30)), nil},
		{"two coughs, 10 s apart", join(silence(5), noise(1, 0.3, -15), silence(10), noise(2, 0.3, -15), silence(20)), nil},
		{"clicks", add(silence(60), clicks(1, 60, -3, 4)), nil},
		{"rings 4 s apart", join(silence(4), bellRing(2, -10), silence(4), bellRing(2, -10), silence(10)), []want{{4, 12}}},
		{"ring-back", join(silence(4), tones(2, -18, 440, 480), silence(4), tones(2, -18, 440, 480), silence(10)), []want{{4, 12}}},
		{"dial tone for long, then digits", join(silence(4), tones(8, -16, 350, 440),
			tones(.1, -10, 700, 1210), silence(.1), tones(.1, -10, 770, 1340), silence(.1), tones(.1, -10, 850, 1480), silence(.1),
			tones(.1, -10, 700, 1210), silence(.1), tones(.1, -10, 770, 1340), silence(.1), tones(.1, -10, 850, 1480), silence(10)),
			[]want{{12, 13.1}}},
	} {
		for _, background := range []struct {
			name  string
			level float64
		}{{"clean", -200}, {"noise", -50}, {"loud noise", -35}} {
			t.Run(tt.name+"/"+background.name, func(t *testing.T) {
				samples := tt.samples
				if background.level > -200 {
					samples = add(samples, noise(9, float64(len(samples))/rate, background.level))
				}
				found := calls(t, listen(t, fiveSeconds(), mono, samples, 800), rate)
				if len(found) != len(tt.want) {
					t.Fatalf("found %+v, want %v", found, tt.want)
				}
				for i, w := range tt.want {
					f := found[i]
					begin := max(0, w.begin-2)
					if math.Abs(f.begin-begin) > 0.25 || f.begin > w.begin {
						t.Errorf("call %d begins at %.2f, want %.2f", i, f.begin, begin)
					}
					ended := call.EndedSilence
					if f.began == call.BeganRing {
						ended = call.EndedMissed
					}
					if math.Abs(f.end-w.end-1) > 0.4 || f.ended != ended {
						t.Errorf("call %d ends at %.2f by %s, want %.2f", i, f.end, f.ended, w.end+1)
					}
				}
			})
		}
	}
}

func TestNoFalseCalls(t *testing.T) {
	const seconds = 600
	for name, samples := range map[string][]int16{
		"hum 50":             hum(50, seconds, -15),
		"hum 60":             hum(60, seconds, -15),
		"hum 50 from 20 s":   join(silence(20), hum(50, seconds, -10)),
		"noise":              noise(1, seconds, -30),
		"noise on and off":   join(silence(20), noise(1, 30, -25), silence(20), noise(1, 30, -30), noise(2, 30, -20)),
		"hum and noise":      add(hum(60, seconds, -20), noise(2, seconds, -40)),
		"dial tone":          tones(seconds, -16, 350, 440),
		"dial tone 425":      join(silence(20), tones(60, -16, 425)),
		"dial tone UK":       join(silence(20), tones(60, -16, 350, 450)),
		"crackle":            clicks(3, seconds, -6, 5),
		"crackle over noise": add(noise(3, seconds, -45), clicks(4, seconds, -6, 5)),
		"dither":             noise(4, seconds, -91),
	} {
		t.Run(name, func(t *testing.T) {
			if events := listen(t, fiveSeconds(), mono, samples, 800); len(events) > 0 {
				t.Errorf("%+v", calls(t, events, rate))
			}
		})
	}
}

func TestSpeechInNoise(t *testing.T) {
	for _, snr := range []float64{30, 20, 10, 5} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%v dB/%d", snr, seed), func(t *testing.T) {
				samples := join(silence(10), speech(seed, 10, -25), silence(10))
				samples = add(samples, noise(seed, 30, -25-snr))
				found := calls(t, listen(t, fiveSeconds(), mono, samples, 800), rate)
				if len(found) != 1 || math.Abs(found[0].begin-8) > .5 || math.Abs(found[0].end-21) > 1 {
					t.Errorf("%+v", found)
				}
			})
		}
	}
}

// TestPeriods: the same audio gives the same events whatever the periods.
func TestPeriods(t *testing.T) {
	for _, f := range []pcm.Format{mono, {Rate: 16000, Channels: 2}, {Rate: 11025, Channels: 1}} {
		samples := join(silence(4), bellRing(2, -10), silence(6), speech(1, 12, -25), silence(20), noise(1, 5, -30), speech(2, 6, -25), silence(20))
		samples = add(samples, noise(7, float64(len(samples))/rate, -55))
		cfg := fiveSeconds()
		cfg.Longest = 10 * time.Second
		want := listen(t, cfg, f, samples, 160)
		if len(want) == 0 {
			t.Fatal("no events")
		}
		for _, period := range []int{1, 7, 100, 333, 1600, 80000, len(samples)} {
			if got := listen(t, cfg, f, samples, period); !slices.Equal(got, want) {
				t.Errorf("%v: periods of %d: %+v, want %+v", f, period, got, want)
			}
		}
	}
}

func TestTwoSides(t *testing.T) {
	f := pcm.Format{Rate: rate, Channels: 2}
	agent := join(silence(5), speech(1, 3, -25), silence(15))
	caller := join(silence(12), speech(2, 3, -25), silence(8))
	for _, order := range [][2][]int16{{agent, caller}, {caller, agent}} {
		var both []int16
		for i := range agent {
			both = append(both, order[0][i], order[1][i])
		}
		found := calls(t, listen(t, fiveSeconds(), f, both, 800), rate)
		if len(found) != 1 || math.Abs(found[0].begin-3) > .25 || math.Abs(found[0].end-16) > .5 {
			t.Errorf("%+v", found)
		}
	}
}

func TestLongest(t *testing.T) {
	cfg := fiveSeconds()
	cfg.Longest = 10 * time.Second
	found := calls(t, listen(t, cfg, mono, join(silence(5), speech(1, 24, -25), silence(10)), 800), rate)
	if len(found) != 3 {
		t.Fatalf("%+v", found)
	}
	for i, f := range found {
		began, ended := call.BeganContinued, call.EndedLongest
		if i == 0 {
			began = call.BeganVoice
		} else if f.begin != found[i-1].end {
			t.Errorf("part %d begins at %v, the one before ended at %v", i, f.begin, found[i-1].end)
		}
		if i == 2 {
			ended = call.EndedSilence
		} else if math.Abs(f.end-f.begin-10) > 1e-9 {
			t.Errorf("part %d is %v s long", i, f.end-f.begin)
		}
		if f.began != began || f.ended != ended {
			t.Errorf("part %d: %+v", i, f)
		}
	}
	// The longest length falls into a silence: no part is begun.
	found = calls(t, listen(t, cfg, mono, join(silence(5), speech(1, 6, -25), silence(20)), 800), rate)
	if len(found) != 1 || found[0].ended != call.EndedSilence || math.Abs(found[0].end-12) > .3 {
		t.Errorf("%+v", found)
	}
}

// player feeds a line piece by piece, with losses between.
type player struct {
	t        *testing.T
	line     *Line
	position int64
	events   []call.Event
}

func (p *player) play(samples []int16) {
	for len(samples) > 0 {
		n := min(len(samples), 800)
		p.feed(pcm.Period{Format: mono, Position: p.position, Samples: samples[:n]})
		samples = samples[n:]
	}
}

func (p *player) feed(period pcm.Period) {
	p.position = period.Position + int64(len(period.Samples))
	for _, e := range p.line.Feed(period) {
		if e.Position > p.position {
			p.t.Errorf("event at %d told at %d", e.Position, p.position)
		}
		p.events = append(p.events, e)
	}
}

// lose lets the card be away for seconds, told each second.
func (p *player) lose(seconds float64) {
	for ; seconds > 0; seconds-- {
		lost := int64(min(1, seconds) * rate)
		p.feed(pcm.Period{Format: mono, Position: p.position + lost, LostFrames: lost, Cause: call.CauseCardLost})
	}
}

func TestLosses(t *testing.T) {
	t.Run("neither voice nor silence", func(t *testing.T) {
		p := &player{t: t, line: New(fiveSeconds(), mono)}
		p.play(join(silence(5), speech(1, 4, -25), silence(3)))
		p.lose(10)
		p.play(join(silence(1), speech(2, 3, -25), silence(8)))
		found := calls(t, p.events, rate)
		if len(found) != 1 || math.Abs(found[0].begin-3) > .25 || math.Abs(found[0].end-27) > .3 {
			t.Errorf("%+v", found)
		}
	})
	t.Run("silence on both sides of a loss adds up", func(t *testing.T) {
		p := &player{t: t, line: New(fiveSeconds(), mono)}
		p.play(join(silence(5), speech(1, 4, -25), silence(3)))
		p.lose(2)
		p.play(silence(3))
		found := calls(t, p.events, rate)
		if len(found) != 1 || math.Abs(found[0].end-10) > .3 || found[0].ended != call.EndedSilence {
			t.Errorf("%+v", found)
		}
	})
	t.Run("a card that is away for long", func(t *testing.T) {
		p := &player{t: t, line: New(fiveSeconds(), mono)}
		p.play(join(silence(5), speech(1, 4, -25)))
		p.lose(100)
		p.play(join(speech(2, 4, -25), silence(10)))
		found := calls(t, p.events, rate)
		if len(found) != 2 || found[0].ended != call.EndedCardLost || math.Abs(found[0].end-9) > .3 {
			t.Fatalf("%+v", found)
		}
		if found[1].begin != 109 || math.Abs(found[1].end-114) > .3 {
			t.Errorf("the pre-roll reaches into the loss: %+v", found)
		}
	})
	t.Run("overruns in noise", func(t *testing.T) {
		p := &player{t: t, line: New(fiveSeconds(), mono)}
		r := rand.New(rand.NewPCG(1, 1))
		for i := range uint64(200) {
			p.play(add(noise(i, r.Float64(), -35), offset(1, 8000))) // a constant offset, which each loss makes jump
			p.lose(r.Float64() / 10)
		}
		if len(p.events) > 0 {
			t.Errorf("%+v", p.events)
		}
	})
	t.Run("a position that begins late", func(t *testing.T) {
		p := &player{t: t, line: New(fiveSeconds(), mono), position: 1000 * rate}
		p.play(join(speech(1, 4, -25), silence(10)))
		found := calls(t, p.events, rate)
		if len(found) != 1 || found[0].begin != 1000 || math.Abs(found[0].end-1005) > .3 {
			t.Errorf("%+v", found)
		}
	})
}
