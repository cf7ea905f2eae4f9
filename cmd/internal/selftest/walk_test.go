package selftest

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

const rate = 8000

var (
	gen    = signal.Generator{Rate: rate}
	format = pcm.Format{Rate: rate, Channels: 1}
)

// base is what is always on a line, from a frame on.
type base func(at, frames int) []float64

func hiss(level float64) base {
	return func(at, frames int) []float64 {
		return signal.AddNoise(make([]float64, frames), level, uint64(at))
	}
}

func nothing(_, frames int) []float64 { return make([]float64, frames) }

// with adds a tone of a frequency and level in dBFS.
func with(b base, hz, level float64) base {
	peak := math.Sqrt2 * math.Pow(10, level/20)
	return func(at, frames int) []float64 {
		out := b(at, frames)
		for i := range out {
			out[i] += peak * math.Sin(2*math.Pi*hz*float64(at+i)/rate)
		}
		return out
	}
}

// talk is like speech of a level, for so long: a voice whose pitch wanders and whose strength goes as syllables do.
func talk(level float64, d time.Duration) []float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, int(d.Seconds()*rate))
	sum := 0.0
	for i := range out {
		at := float64(i) / rate
		phase := 2*math.Pi*140*at + 5*math.Sin(2*math.Pi*0.9*at)
		for k := 1.0; k <= 9; k++ {
			out[i] += math.Max(0, math.Sin(2*math.Pi*2.3*at)) * math.Sin(k*phase) / k * (1 + 0.02*rng.NormFloat64())
		}
		sum += out[i] * out[i]
	}
	return signal.Gain(out, level-10*math.Log10(sum/float64(len(out))))
}

// contact is a hook that does what an installer does.
type contact struct {
	next  string // to be told with the next period
	marks []call.Mark
}

func (c *contact) Feed(p pcm.Period) []call.Mark {
	c.marks = c.marks[:0]
	if c.next != "" {
		c.marks = append(c.marks, call.Mark{Kind: call.MarkHook, Position: p.Position, Value: c.next})
		c.next = ""
	}
	return c.marks
}

// act is what an installer does when told to.
type act struct {
	sound []float64
	hook  string
}

// office is a line, and an installer who acts when what is told has a word in it.
type office struct {
	base   base
	acts   map[string]act
	period int           // frames; 0: 1600
	lost   map[int]int64 // frames lost before a period
	gone   int64         // position from which the card gives nothing more; 0: never
	hook   *contact
	said   []string
}

// play feeds the walk until it is done.
func (o *office) play(t *testing.T, w *Walk) map[Check]Result {
	t.Helper()
	if o.period == 0 {
		o.period = 1600
	}
	var queue []float64
	position := int64(0)
	for n := 0; !w.Done(); n++ {
		if position > 10*60*rate {
			t.Fatalf("the walk has not ended after 10 minutes; it said:\n%s", strings.Join(o.said, "\n"))
		}
		p := pcm.Period{Format: w.line.Format, LostFrames: o.lost[n], Position: position + o.lost[n]}
		if o.base != nil && (o.gone == 0 || position < o.gone) {
			sound := o.base(int(position), o.period)
			for i, v := range queue[:min(len(queue), o.period)] {
				sound[i] += v
			}
			queue = queue[min(len(queue), o.period):]
			for _, v := range signal.Samples(sound) {
				for range w.line.Format.Channels {
					p.Samples = append(p.Samples, v)
				}
			}
		} else {
			p.LostFrames, p.Position = rate, position+rate
		}
		position = p.Position + int64(p.Frames())
		for _, words := range w.Feed(p) {
			o.said = append(o.said, words)
			for word, a := range o.acts {
				if strings.Contains(words, word) {
					queue = append([]float64(nil), a.sound...)
					if o.hook != nil {
						o.hook.next = a.hook
					}
				}
			}
		}
	}
	found := map[Check]Result{}
	for _, r := range w.Results() {
		found[r.Check] = r
		if (r.Do != "") != (r.Verdict == Fail) || r.Says == "" {
			t.Errorf("%+v: what to do stands where it failed, and only there", r)
		}
	}
	return found
}

// builtIn is the tones of all countries.
func builtIn(t *testing.T) tone.Table {
	t.Helper()
	tones, err := tone.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return tones
}

// Words by which the acts are told.
const (
	toLift  = "lift the handset, and wait"
	toPress = "press each key"
	toSpeak = "say some sentences"
	toHang  = "put the handset back (at"
	toCall  = "call this line"
)

func dial(hz ...float64) []float64 { return gen.Cadence(1, -18, hz, 5*time.Second) }

func keys(which string) []float64 {
	return gen.Digits(which, 100*time.Millisecond, 150*time.Millisecond, signal.Shape{})
}

const number = "0215550142"

// ringing is two bursts of ringing, and what the exchange sends between them.
func ringing(id []byte) []float64 {
	ring := signal.Clip(gen.Cadence(1, -3, []float64{25}, time.Second), 0.8)
	for i, v := range gen.Cadence(1, -30, []float64{1100}, time.Second) {
		ring[i] += v // what a bell leaves in the telephone band
	}
	sound := signal.Join(gen.Quiet(time.Second), ring, gen.Quiet(700*time.Millisecond))
	if id != nil {
		sound = append(sound, gen.FSK(signal.Transmission{Modem: signal.V23(), Seizure: 300, Marks: 180}, id)...)
	}
	return signal.Join(sound, gen.Quiet(2*time.Second), ring, gen.Quiet(time.Second))
}

func caller() []byte {
	return signal.MDMF(signal.Field{Type: 1, Text: "11231200"}, signal.Field{Type: 2, Text: number})
}

// good is an installer on a line of Great Britain on which all is well.
func good() *office {
	return &office{base: hiss(-65), hook: &contact{}, acts: map[string]act{
		toLift:  {dial(350, 440), line.OffHook},
		toPress: {keys("1234567890*#"), ""},
		toSpeak: {talk(-25, 12*time.Second), ""},
		toHang:  {nil, line.OnHook},
		toCall:  {ringing(caller()), ""},
	}}
}

func TestAttended(t *testing.T) {
	type verdicts map[Check]string // the beginning of "PASS what it says"
	damaged := caller()
	damaged[5] ^= 1
	for _, c := range []struct {
		name   string
		change func(o *office, l *Line)
		want   verdicts
	}{
		{"all is well", func(*office, *Line) {}, verdicts{CheckLevel: "PASS voice -2", CheckHum: "PASS none", CheckHook: "PASS lifted and put back", CheckDigits: "PASS all 12 keys",
			CheckCallerID: "PASS V.23 MDMF, a number of 10 characters", CheckTone: "PASS the dial tone is that of gb: 350+440 Hz"}},
		{"small periods", func(o *office, _ *Line) { o.period = 333 }, verdicts{CheckLevel: "PASS", CheckHook: "PASS", CheckDigits: "PASS", CheckCallerID: "PASS", CheckTone: "PASS"}},
		{"another country's dial tone", func(o *office, _ *Line) { o.acts[toLift] = act{dial(425), line.OffHook} },
			verdicts{CheckTone: "FAIL the dial tone is not that of gb (350+440 Hz); it fits that of ", CheckHook: "PASS", CheckDigits: "PASS"}},
		{"a cadenced dial tone", func(o *office, l *Line) {
			l.Country = "it"
			o.acts[toLift] = act{gen.Cadence(6, -18, []float64{425}, 200*time.Millisecond, 200*time.Millisecond, 600*time.Millisecond, time.Second), line.OffHook}
		}, verdicts{CheckTone: "PASS the dial tone is that of it"}},
		{"no country in the settings", func(_ *office, l *Line) { l.Country = "" }, verdicts{CheckTone: "SKIP the settings name no country; the dial tone fits that of "}},
		{"a country without a dial tone", func(_ *office, l *Line) { l.Country = "zz" }, verdicts{CheckTone: "SKIP no dial tone of zz is known here; the one heard fits that of "}},
		{"no dial tone", func(o *office, _ *Line) { o.acts[toLift] = act{nil, line.OffHook} }, verdicts{CheckTone: "FAIL no dial tone", CheckHook: "PASS"}},
		{"no hook in the settings", func(_ *office, l *Line) { l.Hook = nil }, verdicts{CheckHook: "SKIP the settings name none", CheckDigits: "PASS", CheckTone: "PASS"}},
		{"a hook that cannot be had", func(_ *office, l *Line) { l.Hook, l.HookErr = nil, errNoPin }, verdicts{CheckHook: "FAIL it cannot be read: no pin"}},
		{"a card without a hook", func(_ *office, l *Line) { l.Hook, l.NoHook = nil, "none there" }, verdicts{CheckHook: "SKIP none there"}},
		{"a handset that is away", func(_ *office, l *Line) { l.Reads = func() bool { return false } }, verdicts{CheckHook: "FAIL the handset is not there"}},
		{"a hook that does not follow", func(o *office, _ *Line) { o.acts[toLift] = act{dial(350, 440), ""} }, verdicts{CheckHook: "FAIL it did not follow", CheckTone: "PASS"}},
		{"a hook that stays lifted", func(o *office, _ *Line) { o.acts[toHang] = act{} }, verdicts{CheckHook: "FAIL stuck off-hook"}},
		{"a hook the wrong way round", func(o *office, _ *Line) {
			o.acts["be quiet"], o.acts[toLift] = act{nil, line.OffHook}, act{dial(350, 440), line.OnHook}
		}, verdicts{CheckHook: "FAIL the contact goes the wrong way"}},
		{"a hook that is stuck", func(o *office, _ *Line) {
			o.acts["be quiet"], o.acts[toLift] = act{nil, line.OffHook}, act{dial(350, 440), ""}
		}, verdicts{CheckHook: "FAIL stuck off-hook: it was so before"}},
		{"worn keys", func(o *office, _ *Line) { o.acts[toPress] = act{keys("124567890*"), ""} }, verdicts{CheckDigits: "FAIL heard: 1 2 4 5 6 7 8 9 0 *; not heard: 3 #"}},
		{"no keys", func(o *office, _ *Line) { delete(o.acts, toPress) }, verdicts{CheckDigits: "FAIL none of the keys"}},
		{"no voice", func(o *office, _ *Line) { delete(o.acts, toSpeak) }, verdicts{CheckLevel: "FAIL 0s of a voice was heard"}},
		{"a faint voice", func(o *office, _ *Line) { o.acts[toSpeak] = act{talk(-50, 20*time.Second), ""} }, verdicts{CheckLevel: "FAIL the voice is too quiet: -4"}},
		{"a voice that is cut off", func(o *office, _ *Line) { o.acts[toSpeak] = act{talk(-2, 12*time.Second), ""} }, verdicts{CheckLevel: "FAIL clipping: "}},
		{"busy in place of a voice", func(o *office, _ *Line) {
			o.acts[toSpeak] = act{gen.Cadence(60, -20, []float64{400}, 375*time.Millisecond, 375*time.Millisecond), ""}
		}, verdicts{CheckLevel: "FAIL"}},
		{"a damaged caller ID", func(o *office, _ *Line) { o.acts[toCall] = act{ringing(damaged), ""} }, verdicts{CheckCallerID: "FAIL a caller ID came, but its checksum is wrong"}},
		{"ringing alone", func(o *office, _ *Line) { o.acts[toCall] = act{ringing(nil), ""} }, verdicts{CheckCallerID: "FAIL it rang, and no caller ID"}},
		{"nobody calls", func(o *office, _ *Line) { delete(o.acts, toCall) }, verdicts{CheckCallerID: "FAIL no ringing"}},
		{"a number that is withheld", func(o *office, _ *Line) {
			o.acts[toCall] = act{ringing(signal.MDMF(signal.Field{Type: 4, Text: "P"})), ""}
		}, verdicts{CheckCallerID: "PASS V.23 MDMF, the number is withheld"}},
		{"a caller ID in keys", func(o *office, _ *Line) {
			o.acts[toCall] = act{signal.Join(gen.Quiet(time.Second), gen.Digits("A"+number+"C", 70*time.Millisecond, 70*time.Millisecond, signal.Shape{})), ""}
		}, verdicts{CheckCallerID: "PASS DTMF, a number of 10 characters"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := good()
			l := Line{Name: "desk", Format: format, Country: "gb", Hook: o.hook}
			c.change(o, &l)
			w := NewWalk(l, Plan{Attended: true, Call: true}, builtIn(t))
			found := o.play(t, w)
			for check, want := range c.want {
				if got := string(found[check].Verdict) + " " + found[check].Says; !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s\nwant %s", check, got, want)
				}
			}
			for _, text := range append(o.said, reportText(t, found)) {
				if strings.Contains(text, number) {
					t.Errorf("a number is told: %s", text)
				}
			}
		})
	}
}

type pinError struct{}

func (pinError) Error() string { return "no pin" }

var errNoPin pinError

func reportText(t *testing.T, found map[Check]Result) string {
	t.Helper()
	var all []Result
	for _, r := range found {
		all = append(all, r)
	}
	var b strings.Builder
	if err := NewReport(all).Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnattended(t *testing.T) {
	spoken := talk(-20, 20*time.Second)
	clipped := func(at, frames int) []float64 { return signal.Clip(with(hiss(-60), 300, 6)(at, frames), 1) }
	for _, c := range []struct {
		name       string
		base       base // nil: the card gives nothing
		level, hum string
		within     time.Duration
	}{
		{"a quiet line", hiss(-65), "PASS -66 dBFS without a voice", "PASS none", 12 * time.Second},
		{"hum of 50 Hz", with(hiss(-70), 50, -32), "SKIP", "FAIL hum 50 Hz, -3", 12 * time.Second},
		{"hum of 60 Hz", with(hiss(-70), 60, -32), "SKIP", "FAIL hum 60 Hz, -3", 12 * time.Second},
		{"digital silence", nothing, "FAIL digital silence: every sample is the same", "SKIP nothing is heard", 42 * time.Second},
		{"no frames", nil, "FAIL no frames: unplugged", "SKIP nothing is heard", 8 * time.Second},
		{"clipping", clipped, "FAIL clipping", "PASS none", 12 * time.Second},
		{"a handset off its hook", with(hiss(-65), 425, -20), "FAIL a steady sound of -20 dBFS", "PASS none", 12 * time.Second},
		{"somebody speaks", func(at, frames int) []float64 {
			return signal.Mix(hiss(-65)(at, frames), -at, spoken)
		}, "PASS", "PASS none", 12 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWalk(Line{Name: "desk", Format: format, Hook: &contact{}}, Plan{}, builtIn(t))
			if c.base == nil {
				w.Away("unplugged")
			}
			o := &office{base: c.base}
			found := o.play(t, w)
			for check, want := range map[Check]string{CheckLevel: c.level, CheckHum: c.hum, CheckHook: "SKIP", CheckDigits: "SKIP", CheckCallerID: "SKIP", CheckTone: "SKIP"} {
				if got := string(found[check].Verdict) + " " + found[check].Says; !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s\nwant %s", check, got, want)
				}
			}
			if took := w.found.heard + w.found.lost; took > c.within {
				t.Errorf("it took %v, want at most %v", took, c.within)
			}
			if len(o.said) > 0 {
				t.Errorf("nobody is there, and was told %q", o.said)
			}
		})
	}
}

// TestACardThatGoesAway: what is lost after the first samples is told, and a card that stays away ends the walk.
func TestACardThatGoesAway(t *testing.T) {
	for _, c := range []struct {
		lost int64
		want string
	}{{rate / 2, "PASS"}, {3 * rate, "FAIL the card gave nothing for 3s of "}, {30 * rate, "FAIL no frames"}} {
		o := good()
		o.lost = map[int]int64{100: c.lost} // in the lift step: the period at 20 s
		w := NewWalk(Line{Name: "desk", Format: format, Country: "gb"}, Plan{Attended: true}, builtIn(t))
		got := o.play(t, w)[CheckLevel]
		if text := string(got.Verdict) + " " + got.Says; !strings.HasPrefix(text, c.want) {
			t.Errorf("%d frames lost: %s, want %s", c.lost, text, c.want)
		}
	}
}

// TestACardThatStaysAway: the time of a step goes on without a card, and nobody is asked for more.
func TestACardThatStaysAway(t *testing.T) {
	o := good()
	o.gone = 20 * rate
	delete(o.acts, toLift)
	w := NewWalk(Line{Name: "desk", Format: format, Country: "gb"}, Plan{Attended: true, Call: true}, builtIn(t))
	if got := o.play(t, w)[CheckLevel]; got.Verdict != Fail || !strings.HasPrefix(got.Says, "no frames") {
		t.Errorf("%+v", got)
	}
	if said := strings.Join(o.said, "\n"); strings.Contains(said, toPress) {
		t.Errorf("it went on: %s", said)
	}
}

// TestOneSideIsDead: of a line whose sides are apart each is listened to.
func TestOneSideIsDead(t *testing.T) {
	stereo := pcm.Format{Rate: rate, Channels: 2}
	w := NewWalk(Line{Name: "desk", Format: stereo, Sides: []string{"agent", "caller"}}, Plan{}, builtIn(t))
	for at := 0; !w.Done(); at += 1600 {
		p := pcm.Period{Format: stereo, Position: int64(at)}
		for _, v := range signal.Samples(hiss(-60)(at, 1600)) {
			p.Samples = append(p.Samples, v, 0)
		}
		w.Feed(p)
	}
	if got := w.Results()[0]; got.Verdict != Fail || got.Says != "digital silence on the side of the caller: every sample is the same" {
		t.Errorf("%+v", got)
	}
}
