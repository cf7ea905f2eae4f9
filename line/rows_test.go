package line

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// everything is a line with all detectors that listen, in North America.
func everything(t testing.TB, f pcm.Format) Config {
	t.Helper()
	table, err := tone.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.HangOver = 20 * time.Second
	cfg.Detectors = Detectors{
		Tones:    tone.NewDetector(table["us"], f),
		Digits:   dtmf.NewDetector(f),
		CallerID: callerid.NewDetector(f),
	}
	return cfg
}

func cadence(rounds int, level, on, off float64, hz ...float64) (all []int16) {
	for range rounds {
		all = append(all, join(tones(on, level, hz...), silence(off))...)
	}
	return all
}

func dial(seconds float64) []int16 { return tones(seconds, -19, 350, 440) }
func busy(rounds int) []int16      { return cadence(rounds, -22, 0.5, 0.5, 480, 620) }
func reorder(rounds int) []int16   { return cadence(rounds, -22, 0.25, 0.25, 480, 620) }
func ringBack(rounds int) []int16  { return cadence(rounds, -22, 2, 4, 440, 480) }
func talk(seconds float64) []int16 { return speech(uint64(seconds*10), seconds, -25) }
func bells(rounds int) (all []int16) {
	for range rounds {
		all = append(all, join(bellRing(2, -12), silence(4))...)
	}
	return all
}

// digits keys a number: 80 ms each, and as much between.
func digits(number string) (all []int16) {
	lows, highs := [...]float64{697, 770, 852, 941}, [...]float64{1209, 1336, 1477}
	for _, d := range number {
		i := strings.IndexRune("123456789*0#", d)
		one := silence(0.08)
		for n := range one {
			s := float64(n) / rate
			one[n] = int16((math.Sin(2*math.Pi*lows[i/3]*s) + math.Sin(2*math.Pi*highs[i%3]*s)) * dBFS(-15))
		}
		all = append(all, join(one, silence(0.08))...)
	}
	return all
}

// callerID sends a number by Bell 202 (SDMF).
func callerID(number string) (out []int16) {
	body := append([]byte{0x04, byte(8 + len(number))}, "11231948"+number...)
	sum := byte(0)
	for _, b := range body {
		sum -= b
	}
	bits := []int{}
	for i := range 300 {
		bits = append(bits, i%2)
	}
	for range 180 {
		bits = append(bits, 1)
	}
	for _, b := range append(body, sum) {
		bits = append(bits, 0)
		for i := range 8 {
			bits = append(bits, int(b>>i&1))
		}
		bits = append(bits, 1)
	}
	phase := 0.0
	for n := 0; n*1200/rate < len(bits); n++ {
		phase += 2 * math.Pi * float64(2200-1000*bits[n*1200/rate]) / rate
		out = append(out, int16(math.Sin(phase)*dBFS(-18)))
	}
	return join(out, silence(0.1))
}

// waiting is caller ID in a call, after the tone that announces it.
func waiting(number string) []int16 {
	return join(tones(0.09, -20, 2130, 2750), silence(0.2), callerID(number))
}

func seconds(parts ...[]int16) float64 { return float64(len(join(parts...))) / rate }

// row is a row of the table of what begins and ends calls.
type row struct {
	name   string
	hook   []call.Mark
	sound  [][]int16 // one after the other
	want   []span
	short  []bool   // of the calls; nil: none is
	marks  []string // kinds and values that are wanted, in order; nil: any
	missed []call.Missed
}

func (r row) run(t *testing.T, period int) []call.Event {
	cfg := everything(t, mono)
	if r.hook != nil {
		hook := script(slices.Clone(r.hook))
		cfg.Detectors.Hook = &hook
	}
	return listen(t, cfg, mono, add(join(r.sound...), noise(5, seconds(r.sound...), -65)), period)
}

func lifted(at ...float64) (all []call.Mark) {
	for i, s := range at {
		all = append(all, hookAt(s, []string{OffHook, OnHook}[i%2]))
	}
	return all
}

var rows = []row{
	{name: "answered", sound: [][]int16{silence(10), bells(2), talk(15), silence(30)},
		want: []span{{8, 38, call.BeganRing, call.EndedSilence}}, marks: []string{"ring", "ring"}},
	{name: "not answered", sound: [][]int16{silence(10), bells(3), silence(20)},
		want: []span{{8, 25, call.BeganRing, call.EndedMissed}}, missed: []call.Missed{{Rings: 3, Waited: 14}}},
	{name: "not answered, with caller ID", sound: [][]int16{silence(10), bellRing(2, -12), silence(1), callerID("5551212"), silence(2), bells(2), silence(20)},
		want: []span{{8, 24.9, call.BeganRing, call.EndedMissed}}, missed: []call.Missed{{Rings: 3, Waited: 13.9}},
		marks: []string{"ring", "caller-id 5551212", "ring", "ring"}},
	{name: "the British ring twice, and it is one", sound: [][]int16{silence(10), bellRing(.4, -12), silence(.2), bellRing(.4, -12), silence(2), bellRing(.4, -12), silence(.2), bellRing(.4, -12), silence(20)},
		want: []span{{8, 15, call.BeganRing, call.EndedMissed}}, missed: []call.Missed{{Rings: 2, Waited: 4}}},
	{name: "caller ID before the ring", sound: [][]int16{silence(10), callerID("5551212"), silence(1), bells(1), talk(10), silence(30)},
		want: []span{{8, 28.9, call.BeganCallerID, call.EndedSilence}}, marks: []string{"caller-id 5551212", "ring"}},
	{name: "outgoing", sound: [][]int16{silence(10), dial(3), digits("5551234"), silence(2), ringBack(2), talk(10), silence(2), busy(10), silence(40)},
		want:  []span{{8, 41.1, call.BeganDialTone, call.EndedTone}},
		marks: []string{"tone dial", "digits 5", "digits 5", "digits 5", "digits 1", "digits 2", "digits 3", "digits 4", "dialled 5551234", "tone ring-back", "tone busy"}},
	{name: "outgoing, answered with a menu", sound: [][]int16{silence(10), dial(3), digits("5551234"), silence(2), ringBack(2), talk(10), digits("17"), talk(10), silence(40)},
		want:  []span{{8, 49.4, call.BeganDialTone, call.EndedSilence}},
		marks: []string{"tone dial", "digits 5", "digits 5", "digits 5", "digits 1", "digits 2", "digits 3", "digits 4", "dialled 5551234", "tone ring-back", "digits 1", "digits 7"}},
	{name: "outgoing, no dial tone heard", sound: [][]int16{silence(10), digits("5551234"), silence(2), talk(10), silence(40)},
		want:  []span{{8, 24, call.BeganDigits, call.EndedSilence}},
		marks: []string{"digits 5", "digits 5", "digits 5", "digits 1", "digits 2", "digits 3", "digits 4", "dialled 5551234"}},
	{name: "outgoing, engaged", sound: [][]int16{silence(10), dial(2.5), digits("5551234"), silence(1), busy(8), silence(40)},
		want: []span{{8, 15.6, call.BeganDialTone, call.EndedTone}}},
	{name: "lifted and put back", sound: [][]int16{silence(10), dial(2), silence(40)},
		want: []span{{8, 13, call.BeganDialTone, call.EndedSilence}}, short: []bool{true}},
	{name: "hello, and nothing else", sound: [][]int16{silence(10), talk(1), silence(40)},
		want: []span{{8, 12, call.BeganVoice, call.EndedSilence}}, short: []bool{true}},
	{name: "busy for long", sound: [][]int16{silence(10), talk(10), silence(1), busy(60), reorder(60), silence(40)},
		want: []span{{8, 22, call.BeganVoice, call.EndedTone}}},
	{name: "dial tone after a call, then busy", sound: [][]int16{silence(10), talk(10), silence(1), dial(20), busy(60), silence(40)},
		want: []span{{8, 21, call.BeganVoice, call.EndedTone}}},
	{name: "busy, then it rings", sound: [][]int16{silence(10), talk(10), silence(1), busy(10), silence(3), bells(1), talk(10), silence(30)},
		want: []span{{8, 22, call.BeganVoice, call.EndedTone}, {32, 51, call.BeganRing, call.EndedSilence}}},
	{name: "a voice after the tone is kept", sound: [][]int16{silence(10), talk(10), silence(1), busy(6), talk(10), silence(30)},
		want: []span{{8, 22, call.BeganVoice, call.EndedTone}, {25, 38, call.BeganVoice, call.EndedSilence}}},
	{name: "silence on hold", sound: [][]int16{silence(10), talk(10), silence(18), talk(10), silence(40)},
		want: []span{{8, 49, call.BeganVoice, call.EndedSilence}}},
	{name: "music on hold", sound: [][]int16{silence(10), talk(10), music(90), talk(10), silence(40)},
		want: []span{{8, 121, call.BeganVoice, call.EndedSilence}}},
	{name: "two calls, the second rings", sound: [][]int16{silence(10), talk(10), silence(5), bells(1), talk(10), silence(30)},
		want: []span{{8, 21, call.BeganVoice, call.EndedNext}, {23, 42, call.BeganRing, call.EndedSilence}}},
	{name: "two calls, the second brings caller ID", sound: [][]int16{silence(10), talk(10), silence(5), callerID("5551212"), silence(1), bells(1), talk(10), silence(30)},
		want: []span{{8, 21, call.BeganVoice, call.EndedNext}, {23, 43.9, call.BeganCallerID, call.EndedSilence}}},
	{name: "two calls, the second is dialled", sound: [][]int16{silence(10), talk(10), silence(5), dial(3), digits("5551234"), silence(2), talk(10), silence(30)},
		want: []span{{8, 21, call.BeganVoice, call.EndedTone}, {23, 42.1, call.BeganDigits, call.EndedSilence}}},
	{name: "a call waits", sound: [][]int16{silence(10), talk(10), silence(.3), waiting("5551212"), silence(.3), talk(10), silence(30)},
		want: []span{{8, 33, call.BeganVoice, call.EndedSilence}}, marks: []string{"caller-id 5551212"}},
	{name: "a call waits that was not announced", sound: [][]int16{silence(10), talk(10), silence(.3), tones(.3, -20, 440), silence(9.7), tones(.3, -20, 440), talk(10), silence(30)},
		want: []span{{8, 41.6, call.BeganVoice, call.EndedSilence}}},

	{name: "hook: silence on hold", hook: lifted(10, 400), sound: [][]int16{silence(10), talk(10), silence(370), talk(9), silence(20)},
		want: []span{{8, 400, call.BeganOffHook, call.EndedOnHook}}},
	{name: "hook: a flash", hook: lifted(10, 30, 30.5, 60), sound: [][]int16{silence(10), talk(20), silence(1), dial(3), digits("21"), talk(20), silence(20)},
		want:  []span{{8, 60, call.BeganOffHook, call.EndedOnHook}},
		marks: []string{"hook off-hook", "hook on-hook", "hook off-hook", "tone dial", "digits 2", "digits 1", "hook on-hook"}},
	{name: "hook: put back and lifted", hook: lifted(10, 30, 32, 60), sound: [][]int16{silence(10), talk(20), silence(2), talk(20), silence(20)},
		want: []span{{8, 30, call.BeganOffHook, call.EndedOnHook}, {30, 60, call.BeganOffHook, call.EndedOnHook}}},
	{name: "hook: outgoing, the handset is put back late", hook: lifted(10, 80, 90, 100), sound: [][]int16{silence(10.5), dial(3), digits("5551234"), silence(1), talk(10), silence(1), busy(30), silence(60)},
		want: []span{{8, 27.62, call.BeganOffHook, call.EndedTone}, {88, 100, call.BeganOffHook, call.EndedOnHook}}},
	{name: "hook: it rings and is answered", hook: lifted(21, 40), sound: [][]int16{silence(10), bells(1), bellRing(2, -12), silence(3), talk(18), silence(20)},
		want: []span{{8, 40, call.BeganRing, call.EndedOnHook}}},
	{name: "hook: it rings and is not answered", hook: lifted(200), sound: [][]int16{silence(10), bells(2), silence(5), talk(3), silence(20)},
		want: []span{{8, 19, call.BeganRing, call.EndedMissed}}, missed: []call.Missed{{Rings: 2, Waited: 8}}},
	{name: "hook: lifted for a moment", hook: lifted(10, 11.5), sound: [][]int16{silence(40)},
		want: []span{{8, 11.5, call.BeganOffHook, call.EndedOnHook}}, short: []bool{true}},
	{name: "hook: the other line's bell", hook: lifted(10, 40), sound: [][]int16{silence(10), talk(10), bells(3), talk(10), silence(20)},
		want: []span{{8, 40, call.BeganOffHook, call.EndedOnHook}}},
}

// music is chords of plucked strings: each fades, and none lasts.
func music(length float64) []int16 {
	out := silence(length)
	for i := range out {
		at := float64(i) / rate
		beat, n := math.Mod(at, 0.45), int(at/0.45)
		base := 220 * math.Pow(2, float64([...]int{0, 4, 7, 9, 5, 2, 11}[n*3%7])/12)
		v := 0.0
		for h := 1.0; h <= 4; h++ {
			v += math.Sin(2*math.Pi*base*h*at) / h
		}
		out[i] = int16(v * math.Exp(-beat*5) * dBFS(-18))
	}
	return out
}

func TestRows(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, r.run(t, 800))
		})
	}
}

func (r row) check(t *testing.T, events []call.Event) {
	found := calls(t, events, rate)
	ok := len(found) == len(r.want)
	for i := 0; ok && i < len(found); i++ {
		f, w := found[i], r.want[i]
		ok = f.began == w.began && f.ended == w.ended && math.Abs(f.begin-w.begin) < 0.4 && math.Abs(f.end-w.end) < 0.6
	}
	if !ok {
		t.Errorf("found %+v\nwant  %+v", found, r.want)
	}
	var marks []string
	var short []bool
	var missed []call.Missed
	for _, e := range events {
		switch e.Kind {
		case call.EventEnded:
			short = append(short, e.Short)
		case call.EventMissed:
			e.Missed.Waited = math.Round(e.Missed.Waited*10) / 10
			missed = append(missed, e.Missed)
		case call.EventMark:
			value := e.Mark.Value
			if e.Mark.Kind == call.MarkCallerID {
				_, value, _ = strings.Cut(value, `"number":"`)
				value, _, _ = strings.Cut(value, `"`)
			}
			marks = append(marks, strings.TrimSpace(fmt.Sprintf("%s %s", e.Mark.Kind, value)))
		}
	}
	if r.marks != nil && !slices.Equal(marks, r.marks) {
		t.Errorf("marks %q\nwant  %q", marks, r.marks)
	}
	want := r.short
	if want == nil {
		want = make([]bool, len(r.want))
	}
	if !slices.Equal(short, want) {
		t.Errorf("short %v, want %v", short, want)
	}
	if !slices.EqualFunc(missed, r.missed, func(a, b call.Missed) bool { return a.Rings == b.Rings && math.Abs(a.Waited-b.Waited) < 0.25 }) {
		t.Errorf("missed %v, want %v", missed, r.missed)
	}
}

// TestRowsOfAnyPeriods: the same line gives the same events whatever the periods.
func TestRowsOfAnyPeriods(t *testing.T) {
	periods := []int{1 << 24, 333, 1601, 61, 80000, 479, 7}
	for i, r := range rows {
		if i%2 == 1 {
			continue // half of them has everything
		}
		want, period := r.run(t, 160), periods[i/2%len(periods)]
		if got := r.run(t, period); !slices.Equal(got, want) {
			t.Errorf("%s: periods of %d: %+v\nwant %+v", r.name, period, got, want)
		}
	}
}

// TestHold: a silence in which the line sounds as it did in the call is one call; where it has become quieter, as it does
// when the handset is put back, the call has ended.
func TestHold(t *testing.T) {
	pause := func(level float64) []int16 {
		conversation := add(join(talk(5), silence(2), talk(5), silence(2), talk(5)), noise(1, 19, -50))
		samples := join(noise(2, 10, -62), conversation, noise(3, 40, level), conversation, noise(4, 40, -62))
		return add(samples, hum(50, float64(len(samples))/rate, -45))
	}
	for _, tt := range []struct {
		level float64
		want  []span
	}{
		{-50, []span{{8, 89, call.BeganVoice, call.EndedSilence}}},
		{-62, []span{{8, 30, call.BeganVoice, call.EndedSilence}, {67, 89, call.BeganVoice, call.EndedSilence}}},
	} {
		events := listen(t, DefaultConfig(), mono, pause(tt.level), 800)
		row{want: tt.want}.check(t, events)
	}
}

// TestKeyedCallerID: the exchange keys who calls; these are no digits of the call, and nobody has dialled them.
func TestKeyedCallerID(t *testing.T) {
	var keys script
	for i, key := range "A5551212C" {
		keys = append(keys, call.Mark{Kind: call.MarkDigits, Position: 10*rate + int64(i)*rate/10, Frames: rate / 20, Value: string(key)})
	}
	for _, hook := range [][]call.Mark{nil, lifted(100)} {
		cfg, digits := DefaultConfig(), slices.Clone(keys)
		cfg.Detectors.Digits = &digits
		if hook != nil {
			contact := script(hook)
			cfg.Detectors.Hook = &contact
		}
		events := listen(t, cfg, mono, join(silence(12), bells(2), silence(20)), 800)
		row{want: []span{{8, 21, call.BeganCallerID, call.EndedMissed}}, marks: []string{"caller-id 5551212", "ring", "ring"},
			missed: []call.Missed{{Rings: 2, Waited: 8}}}.check(t, events)
	}
	// A key that nobody can key, and nothing that makes sense after it, is a digit.
	digits := script{keys[0], keys[1]}
	cfg := fiveSeconds()
	cfg.Detectors.Digits = &digits
	events := listen(t, cfg, mono, join(silence(9), talk(5), silence(30)), 800)
	row{want: []span{{7, 15, call.BeganVoice, call.EndedSilence}}, marks: []string{"digits A", "digits 5"}}.check(t, events)
}

// TestAlarms: what takes time to tell, by positions alone.
func TestAlarms(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hook  []call.Mark
		sound []int16
		want  []string
		at    []float64
	}{
		{"nobody speaks", lifted(10, 300), join(silence(10), talk(20), silence(310)), []string{AlarmOffHook, ""}, []float64{90, 300}},
		{"somebody speaks again", lifted(10, 300), join(silence(10), talk(20), silence(90), talk(10), silence(30), talk(10), silence(10)), []string{AlarmOffHook, ""}, []float64{90, 120}},
		{"the handset lies beside", nil, join(silence(10), talk(20), busy(120), silence(60)), []string{AlarmTone, ""}, []float64{90, 180}},
		{"the handset lies beside, with a hook", lifted(10, 170), join(silence(10), talk(20), busy(120), silence(60)), []string{AlarmTone, ""}, []float64{90, 170}},
		{"all is well", lifted(10, 300), join(silence(10), talk(300), silence(60)), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := everything(t, mono)
			cfg.OffHook = time.Minute
			if tt.hook != nil {
				hook := script(tt.hook)
				cfg.Detectors.Hook = &hook
			}
			var told []string
			for _, e := range listen(t, cfg, mono, tt.sound, 1600) {
				if e.Kind != call.EventAlarm {
					continue
				}
				if n := len(told); n < len(tt.at) && math.Abs(float64(e.Position)/rate-tt.at[n]) > 2 {
					t.Errorf("%q told at %.1f s", e.Alarm, float64(e.Position)/rate)
				}
				told = append(told, e.Alarm)
			}
			if !slices.Equal(told, tt.want) {
				t.Errorf("told %q, want %q", told, tt.want)
			}
		})
	}
}
