package capture

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

// sound is a signal: a sample at a time in seconds, full scale 1.
type sound func(t float64) float64

func wave(f, level float64) sound {
	return func(t float64) float64 { return level * math.Sin(2*math.Pi*f*t) }
}

func sum(all ...sound) sound {
	return func(t float64) (v float64) {
		for _, s := range all {
			v += s(t)
		}
		return v
	}
}

func hiss(level float64) sound {
	rng := rand.New(rand.NewPCG(3, 4))
	return func(float64) float64 { return level * rng.NormFloat64() }
}

// buzz is a hum with harmonics that fall off slowly.
func buzz(f, level float64) sound {
	var all []sound
	for k := 1.0; k <= 7; k++ {
		all = append(all, wave(k*f, level/k))
	}
	return sum(all...)
}

// voice is a crude low man's: a pitch that wanders about 100 Hz, resonances, 60 % of the time.
func voice(level float64) sound {
	return func(t float64) float64 {
		phase := 2*math.Pi*100*t + 6*math.Sin(2*math.Pi*0.7*t)
		if math.Sin(2*math.Pi*0.4*t) < -0.3 {
			return 0
		}
		v := 0.0
		for k := 1.0; k < 30; k++ {
			low, high := (k-5)/2, (k-15)/3
			v += math.Sin(k*phase) * (math.Exp(-low*low) + 0.4*math.Exp(-high*high) + 0.05)
		}
		return level * v
	}
}

func onAndOff(s sound, pattern ...float64) sound {
	cycle := 0.0
	for _, d := range pattern {
		cycle += d
	}
	return func(t float64) float64 {
		at := math.Mod(t, cycle)
		for i, d := range pattern {
			if at < d {
				if i%2 == 0 {
					return s(t)
				}
				return 0
			}
			at -= d
		}
		return 0
	}
}

// listener plays sounds to a Health, one after the other.
type listener struct {
	*Health
	format  pcm.Format
	at      int64
	changes int
}

func listenTo(f pcm.Format) *listener { return &listener{Health: NewHealth(f), format: f} }

func (l *listener) play(d time.Duration, channels ...sound) {
	const period = 1600
	for end := l.at + l.format.Frames(d); l.at < end; {
		p := pcm.Period{Format: l.format, Position: l.at}
		for range min(period, end-l.at) {
			for _, s := range channels {
				v := math.Round(32768 * s(float64(l.at)/float64(l.format.Rate)))
				p.Samples = append(p.Samples, int16(min(max(v, -32768), 32767)))
			}
			l.at++
		}
		if l.Hear(p) {
			l.changes++
		}
	}
}

func (l *listener) lose(d time.Duration) {
	frames := l.format.Frames(d)
	l.at += frames
	if l.Hear(pcm.Period{Format: l.format, Position: l.at, LostFrames: frames, Cause: causeCardLost}) {
		l.changes++
	}
}

func (l *listener) want(t *testing.T, what string, faults ...Alarm) {
	t.Helper()
	if got := l.Alarms(); !slices.Equal(got, faults) {
		t.Errorf("%s: %v, want %v", what, got, faults)
	}
}

func TestHealthTellsFaultsApart(t *testing.T) {
	quiet := hiss(0.0003)
	for _, tt := range []struct {
		name  string
		sound sound
		want  Fault
	}{
		{"an idle line", quiet, ""},
		{"one bit of noise", hiss(0.4 / 32768), ""},
		{"zeros", wave(1, 0), FaultSilence},
		{"one value that is not zero", func(float64) float64 { return 0.01 }, FaultSilence},
		{"hum of 50 Hz", sum(wave(50, 0.02), quiet), FaultHum50},
		{"hum of 60 Hz", sum(wave(60, 0.02), quiet), FaultHum60},
		{"buzz of 50 Hz", sum(buzz(50, 0.02), quiet), FaultHum50},
		{"buzz of 60 Hz", sum(buzz(60, 0.02), quiet), FaultHum60},
		{"buzz of a weak grid", sum(buzz(48.3, 0.05), quiet), FaultHum50},
		{"hum of a generator", sum(buzz(61.8, 0.05), quiet), FaultHum60},
		{"hum of a rectifier", sum(buzz(100, 0.02), quiet), FaultHum50},
		{"hum with an offset", sum(wave(50, 0.02), func(float64) float64 { return 0.1 }), FaultHum50},
		{"hum cut off", wave(50, 4), FaultHum50},
		{"hum too weak to matter", sum(wave(50, 0.002), hiss(0.00001)), ""},
		{"talk", sum(voice(0.05), quiet), ""},
		{"talk over a hum", sum(voice(0.05), buzz(50, 0.02), quiet), ""},
		{"talk that is too loud", sum(voice(1.2), quiet), FaultClipping},
		{"one click in ten seconds", sum(onAndOff(hiss(3), 0.05, 9.95), quiet), ""},
		{"dial tone, Europe", sum(wave(425, 0.1), quiet), ""},
		{"dial tone, America", sum(wave(350, 0.1), wave(440, 0.1), quiet), ""},
		{"dial tone, Britain", sum(wave(350, 0.1), wave(450, 0.1), quiet), ""},
		{"ring-back, Britain", sum(onAndOff(sum(wave(400, 0.1), wave(450, 0.1)), 0.4, 0.2, 0.4, 2), quiet), ""},
		{"dial tone, Japan", sum(wave(400, 0.1), quiet), ""},
		{"dial tone that is a multiple of 50 Hz, over a hum", sum(wave(50, 0.03), wave(400, 0.1), quiet), ""},
		{"ringing cut off, 25 Hz, Britain", sum(onAndOff(wave(25, 5), 0.4, 0.2, 0.4, 2), quiet), ""},
		{"ringing cut off, 20 Hz, America", sum(onAndOff(wave(20, 5), 2, 4), quiet), ""},
		{"ringing cut off, 50 Hz", sum(onAndOff(wave(50, 5), 1, 4), quiet), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listenTo(pcmFormat(8000, 1))
			length := 10 * time.Second
			if tt.want == FaultSilence {
				length = 30 * time.Second
			}
			l.play(length-200*time.Millisecond, tt.sound)
			l.want(t, "before it is certain")
			l.play(200*time.Millisecond, tt.sound)
			var want []Alarm
			if tt.want != "" {
				want = []Alarm{{tt.want, 0}}
			}
			l.want(t, "when it is certain", want...)
		})
	}
}

func TestHealthOfAWideLine(t *testing.T) {
	l := listenTo(pcmFormat(16000, 1))
	l.play(10*time.Second, sum(buzz(50, 0.02), hiss(0.0003)))
	l.want(t, "hum", Alarm{FaultHum50, 0})
	l.play(10*time.Second, voice(0.05))
	l.want(t, "talk")
}

func TestHealthEndsAnAlarmWhenTheFaultIsGone(t *testing.T) {
	quiet := hiss(0.0003)
	l := listenTo(pcmFormat(8000, 1))
	l.play(20*time.Second, wave(1, 0))
	l.want(t, "20 s of zeros")
	l.play(20*time.Second, wave(1, 0))
	l.want(t, "40 s of zeros", Alarm{FaultSilence, 0})
	l.play(time.Second, quiet)
	l.want(t, "a second of noise")
	l.play(30*time.Second, sum(wave(50, 0.1), quiet))
	l.want(t, "hum", Alarm{FaultHum50, 0})
	l.play(20*time.Second, quiet)
	l.want(t, "no hum")
	l.play(20*time.Second, voice(1.2))
	l.want(t, "too loud", Alarm{FaultClipping, 0})
	l.play(time.Minute, quiet)
	l.want(t, "too loud, then nothing said", Alarm{FaultClipping, 0})
	l.play(30*time.Second, voice(0.05))
	l.want(t, "the gain was turned down")
}

func TestHealthCountsWhatIsMissing(t *testing.T) {
	l := listenTo(pcmFormat(8000, 1))
	l.play(time.Second, hiss(0.001))
	l.lose(time.Second)
	l.want(t, "1 s missing")
	l.lose(time.Second)
	l.want(t, "2 s missing", Alarm{FaultNoFrames, 0})
	l.lose(time.Hour)
	l.want(t, "an hour missing", Alarm{FaultNoFrames, 0})
	l.play(200*time.Millisecond, hiss(0.001))
	l.want(t, "it is back")
	if l.changes != 2 {
		t.Errorf("the alarms changed %d times", l.changes)
	}
}

func TestHealthJudgesEachSide(t *testing.T) {
	l := listenTo(pcmFormat(8000, 2))
	l.play(40*time.Second, wave(60, 0.1), wave(1, 0))
	l.want(t, "hum and silence", Alarm{FaultHum60, 0}, Alarm{FaultSilence, 1})
	l.lose(5 * time.Second)
	l.want(t, "nothing", Alarm{FaultNoFrames, 0}, Alarm{FaultNoFrames, 1})
}

func BenchmarkHealth(b *testing.B) {
	f := pcmFormat(8000, 1)
	for name, s := range map[string]sound{"idle": hiss(0.0005), "talk": voice(0.05), "hum": buzz(50, 0.02)} {
		b.Run(name, func(b *testing.B) {
			h, p := NewHealth(f), pcm.Period{Format: f}
			for i := range 1600 {
				p.Samples = append(p.Samples, int16(32768*s(float64(i)/8000)))
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Hear(p)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*5*3600, "s/hour")
		})
	}
}
