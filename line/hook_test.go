package line

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// script is a detector that knows its marks beforehand and tells each in the period that reaches it.
type script []call.Mark

func (s *script) Feed(p pcm.Period) (told []call.Mark) {
	end := p.Position + int64(p.Frames())
	for len(*s) > 0 && (*s)[0].Position < end {
		told, *s = append(told, (*s)[0]), (*s)[1:]
	}
	return told
}

func hookAt(seconds float64, value string) call.Mark {
	return call.Mark{Kind: call.MarkHook, Position: int64(seconds * rate), Value: value}
}

// TestHook: with a hook, calls last from off-hook to on-hook whatever is heard.
func TestHook(t *testing.T) {
	cfg := fiveSeconds()
	cfg.Detectors.Hook = &script{hookAt(10, OffHook), hookAt(40, OnHook), hookAt(41, OffHook), hookAt(41.5, OnHook)}
	cfg.Detectors.Digits = &script{
		{Kind: call.MarkDigits, Position: 9.5 * rate, Value: "1"},
		{Kind: call.MarkDigits, Position: 12 * rate, Value: "2"},
	}
	samples := join(speech(1, 9, -25), silence(25), speech(2, 26, -25))
	events := listen(t, cfg, mono, samples, 800)
	found := calls(t, events, rate)
	want := []span{{8, 40, call.BeganOffHook, call.EndedOnHook}, {40, 41.5, call.BeganOffHook, call.EndedOnHook}}
	if !slices.Equal(found, want) {
		t.Errorf("found %+v, want %+v", found, want)
	}
	var marks []string
	for _, e := range events {
		if e.Kind == call.EventMark {
			if e.Position != e.Mark.Position {
				t.Errorf("event at %d of a mark at %d", e.Position, e.Mark.Position)
			}
			marks = append(marks, string(e.Mark.Kind)+" "+e.Mark.Value)
		}
	}
	want2 := []string{"digits 1", "hook off-hook", "digits 2", "dialled 2", "hook on-hook", "hook off-hook", "hook on-hook"}
	if !slices.Equal(marks, want2) {
		t.Errorf("marks %q, want %q", marks, want2)
	}
}

// TestHookBeginsAtOnce: the 20 ms that bring off-hook bring the call.
func TestHookBeginsAtOnce(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Detectors.Hook = &script{hookAt(0, OffHook)}
	events := New(cfg, mono).Feed(pcm.Period{Format: mono, Samples: make([]int16, 160)})
	if len(events) != 2 || events[0].Kind != call.EventBegan || events[1].Kind != call.EventMark {
		t.Errorf("%+v", events)
	}
}

// TestHookAndLoss: a card that comes back while the handset is still lifted begins a new call.
func TestHookAndLoss(t *testing.T) {
	cfg := fiveSeconds()
	cfg.Detectors.Hook = &script{hookAt(5, OffHook), hookAt(80, OnHook)}
	p := &player{t: t, line: New(cfg, mono)}
	p.play(silence(10))
	p.lose(60)
	p.play(silence(15))
	want := []span{{3, 10, call.BeganOffHook, call.EndedCardLost}, {70, 80, call.BeganOffHook, call.EndedOnHook}}
	if found := calls(t, p.events, rate); !slices.Equal(found, want) {
		t.Errorf("found %+v, want %+v", found, want)
	}
}

// TestMarksOfAVoiceCall: what was found before the call was known is told when it lies within it, and dropped when not.
func TestMarksOfAVoiceCall(t *testing.T) {
	cfg := fiveSeconds()
	at := func(seconds float64, value string) call.Mark {
		return call.Mark{Kind: call.MarkTone, Position: int64(seconds * rate), Value: value}
	}
	cfg.Detectors.Tones = &script{at(1, "long before"), at(9, "in the pre-roll"), at(12, "in the call"), at(40, "after")}
	events := listen(t, cfg, mono, join(silence(10), speech(1, 5, -25), silence(30)), 800)
	var told []string
	for _, e := range events {
		if e.Kind == call.EventMark {
			told = append(told, e.Mark.Value)
		}
	}
	if want := []string{"in the pre-roll", "in the call"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// FuzzLine feeds any samples in any periods with any losses: events alternate, lie in order, and never in the future.
func FuzzLine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 200, 100, 50, 25, 255, 255}, uint16(100), uint8(2), false)
	f.Add([]byte{255, 0, 255, 0, 7, 7, 7}, uint16(3), uint8(1), true)
	f.Fuzz(func(t *testing.T, script []byte, period uint16, channels uint8, hooked bool) {
		format := pcm.Format{Rate: rate, Channels: 1 + int(channels%2)}
		cfg := DefaultConfig()
		cfg.PreRoll, cfg.HangOver, cfg.Tail = 200*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond
		cfg.MinLength, cfg.Within, cfg.Longest, cfg.MaxLoss = 80*time.Millisecond, 500*time.Millisecond, time.Second, time.Second
		cfg.Flash, cfg.RingGap, cfg.OffHook, cfg.PutBack = 100*time.Millisecond, time.Second, time.Second, 200*time.Millisecond
		var tones, keys, ids scriptOnce
		cfg.Detectors = Detectors{Tones: &tones, Digits: &keys, CallerID: &ids}
		var hook scriptOnce
		if hooked {
			cfg.Detectors.Hook = &hook
		}
		l := New(cfg, format)
		var all []call.Event
		position := int64(period)
		for i, b := range script[:min(len(script), 100)] {
			p := pcm.Period{Format: format, Position: position}
			if b&3 == 0 {
				p.LostFrames = int64(b) * 50
				p.Position += p.LostFrames
			}
			hook = scriptOnce{{Kind: call.MarkHook, Position: p.Position - int64(b), Value: []string{OffHook, OnHook, "?"}[i%3]}}
			at := max(0, p.Position-int64(b)*20)
			tones, keys, ids = nil, nil, nil
			switch i % 5 {
			case 1:
				tones = scriptOnce{{Kind: call.MarkTone, Position: at, Frames: int64(b), Value: []string{"dial", "ring-back", "busy", "notice"}[b%4]}}
			case 2:
				keys = scriptOnce{{Kind: call.MarkDigits, Position: at, Frames: int64(b), Value: string("0123456789*#ABCD"[b%16])}}
			case 3:
				ids = scriptOnce{{Kind: call.MarkCallerID, Position: at, Frames: int64(b), Value: []string{`{"intact":true}`, `{"intact":true,"waiting":true}`, `{}`, "?"}[b%4]}}
			}
			for j := range (int(period)%4000 + int(b)*8) * format.Channels {
				v := int16(j * j * int(b) * 31)
				if b > 200 { // it rings
					v = int16(j/160%2*20000 - 10000)
				}
				p.Samples = append(p.Samples, v)
			}
			position = p.Position + int64(p.Frames())
			for _, e := range l.Feed(p) {
				if e.Position > position || e.Position < 0 {
					t.Fatalf("event at %d told at %d", e.Position, position)
				}
				all = append(all, e)
			}
		}
		calls(t, all, rate)
	})
}

// scriptOnce tells its marks at the next period.
type scriptOnce []call.Mark

func (s *scriptOnce) Feed(pcm.Period) []call.Mark {
	told := *s
	*s = nil
	return told
}

// BenchmarkIdleLine reports what listening to an idle line costs for an hour of audio, with the voice and the bell alone and
// with everything that can be listened for, beside encoding it (which encoder's own benchmark has for all codecs).
func BenchmarkIdleLine(b *testing.B) {
	for _, format := range []pcm.Format{mono, {Rate: 16000, Channels: 2}} {
		for _, sound := range []struct {
			name    string
			samples []int16
		}{{"silence", silence(60)}, {"noise", noise(1, 60, -60)}, {"loud noise", noise(1, 60, -40)}} {
			for _, all := range []bool{false, true} {
				name := fmt.Sprintf("%dHz-%d/%s/all=%v", format.Rate, format.Channels, sound.name, all)
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						cfg := DefaultConfig()
						if all {
							cfg = everything(b, format)
						}
						listen(b, cfg, format, sound.samples, format.Rate/10*format.Channels)
					}
					audio := float64(len(sound.samples)) / float64(format.Rate*format.Channels)
					b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/audio*3600, "s/hour")
				})
			}
		}
	}
}
