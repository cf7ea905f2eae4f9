package dtmf

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/golden"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/pcm"
)

const ms = time.Millisecond

var g = signal.Generator{Rate: 8000}

// keys are all sixteen, in an order in which many are beside each neighbour.
func keys(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteByte(signal.Keys[(i*5+i/16)%16])
	}
	return s.String()
}

// hear feeds a sound with a quiet end, and returns what was found.
func hear(rate int, sound []float64) []Digit {
	quiet := make([]float64, rate/5)
	return NewReceiver(rate).Feed(signal.Samples(signal.Join(sound, quiet)))
}

// score is how many of the keys were heard at their place, and how many digits were heard that were not there.
func score(found []Digit, keys string, on, off time.Duration) (hits, wrong int) {
	step, next := g.Frames(on+off), 0
	for _, d := range found {
		i := (int(d.Begin) - g.Frames(off) + step/2) / step
		early, long := int(d.Begin)-g.Frames(off)-i*step, int(d.Frames)-g.Frames(on)
		if i < next || i >= len(keys) || d.Key != keys[i] || max(early, -early) > g.Frames(8*ms) || max(long, -long) > g.Frames(12*ms) {
			wrong++
			continue
		}
		hits++
		next = i + 1
	}
	return hits, wrong
}

func TestDigits(t *testing.T) {
	shape := func(twist, low, high float64) signal.Shape {
		return signal.Shape{Twist: twist, Low: low, High: high, Phases: [2]float64{.13, .71}}
	}
	for _, tt := range []struct {
		name    string
		on, off time.Duration
		snr     float64
		shape   signal.Shape
		least   int // of 96
		most    int
	}{
		{"clean", 50 * ms, 50 * ms, 60, shape(0, 0, 0), 96, 96},
		{"3 dB above noise", 50 * ms, 50 * ms, 3, shape(0, 0, 0), 96, 96},
		{"8 dB above noise", 50 * ms, 50 * ms, 8, shape(0, 0, 0), 96, 96},
		{"in noise 20 dB above it", 50 * ms, 50 * ms, -20, shape(0, 0, 0), 0, 0},
		{"high tones faint", 50 * ms, 50 * ms, 25, shape(-10, 0, 0), 96, 96},
		{"high tones loud", 50 * ms, 50 * ms, 25, shape(8, 0, 0), 96, 96},
		{"high tones too faint", 50 * ms, 50 * ms, 25, shape(-13, 0, 0), 0, 0},
		{"high tones missing", 50 * ms, 50 * ms, 25, shape(-30, 0, 0), 0, 0},
		{"1.8 % high", 50 * ms, 50 * ms, 25, shape(0, .018, .018), 96, 96},
		{"1.8 % apart", 50 * ms, 50 * ms, 25, shape(0, -.018, .018), 96, 96},
		{"low tones 3 % low", 50 * ms, 50 * ms, 25, shape(0, -.03, 0), 0, 0},
		{"high tones 3 % high", 50 * ms, 50 * ms, 25, shape(0, 0, .03), 0, 0},
		{"40 ms", 40 * ms, 40 * ms, 25, shape(0, 0, 0), 96, 96},
		{"24 ms", 24 * ms, 50 * ms, 25, shape(0, 0, 0), 0, 0},
		{"pauses of 30 ms", 50 * ms, 30 * ms, 25, shape(0, 0, 0), 96, 96},
		{"faint", 50 * ms, 50 * ms, 25, signal.Shape{Level: -45}, 96, 96},
		{"too faint", 50 * ms, 50 * ms, 25, signal.Shape{Level: -55}, 0, 0},
		{"loud", 50 * ms, 50 * ms, 25, signal.Shape{Level: -5}, 96, 96},
		{"too loud for the card by 5 dB", 50 * ms, 50 * ms, 60, signal.Shape{Level: -1}, 96, 96},
	} {
		t.Run(tt.name, func(t *testing.T) {
			level := tt.shape.Level
			if level == 0 {
				level = signal.DefaultLevel
			}
			sound := g.Digits(keys(96), tt.on, tt.off, tt.shape)
			found := hear(g.Rate, signal.AddNoise(sound, signal.NoiseFor(level, tt.snr), 7))
			hits, wrong := score(found, keys(96), tt.on, tt.off)
			if hits < tt.least || hits > tt.most || wrong > 0 {
				t.Errorf("heard %d of 96, want %d to %d; and %d that were not there", hits, tt.least, tt.most, wrong)
			}
		})
	}
}

// TestClipped: a tap or a card that takes less than the digits have.
func TestClipped(t *testing.T) {
	for _, over := range []float64{2, 5, 8} { // dB
		sound := g.Digits(keys(96), 50*ms, 50*ms, signal.Shape{Level: -20})
		sound = signal.Clip(sound, slices.Max(sound)*math.Pow(10, -over/20))
		hits, wrong := score(hear(g.Rate, signal.AddNoise(sound, -50, 7)), keys(96), 50*ms, 50*ms)
		if hits != 96 || wrong > 0 {
			t.Errorf("%.0f dB over: heard %d of 96; and %d that were not there", over, hits, wrong)
		}
	}
}

// TestOver: what goes on while a digit is keyed.
func TestOver(t *testing.T) {
	digits := g.Digits(keys(32), 70*ms, 50*ms, signal.Shape{})
	long := time.Duration(len(digits)) * time.Second / time.Duration(g.Rate)
	for _, tt := range []struct {
		name  string
		level float64
		hz    []float64
	}{
		{"North American dial tone, 10 dB louder", signal.DefaultLevel + 10, []float64{350, 440}},
		{"European dial tone, 10 dB louder", signal.DefaultLevel + 10, []float64{425}},
		{"hum, as loud", signal.DefaultLevel, []float64{50, 150, 250}},
		{"another tone, 17 dB fainter than each", signal.DefaultLevel - 20, []float64{1050}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sound := signal.Mix(digits, 0, g.Cadence(1, tt.level, tt.hz, long))
			if hits, wrong := score(hear(g.Rate, sound), keys(32), 70*ms, 50*ms); hits != 32 || wrong != 0 {
				t.Errorf("heard %d of 32, and %d that were not there", hits, wrong)
			}
		})
	}
}

// TestVowels: voices of which two harmonics are a digit's tones, those beside them faint, and with others between.
func TestVowels(t *testing.T) {
	vowels := 0
	for _, low := range lows {
		for _, high := range highs {
			for n := 3.0; n < 9; n++ {
				pitch := low / n
				if m := math.Round(high / pitch); math.Abs(m*pitch/high-1) > 0.018 {
					continue
				}
				vowels++
				var harmonics []signal.Component
				for hz := pitch; hz < 3400; hz += pitch {
					level := -32.0
					if math.Abs(hz-low) < 10 || math.Abs(hz/high-1) < 0.02 {
						level = -20
					}
					harmonics = append(harmonics, signal.Component{Hz: hz, Level: level})
				}
				sound := signal.Join(g.Quiet(50*ms), g.Sines(90*ms, harmonics), g.Quiet(60*ms))
				if found := hear(g.Rate, signal.AddNoise(sound, -60, 1)); len(found) > 0 {
					t.Errorf("a voice at %.0f Hz is taken for %c", pitch, found[0].Key)
				}
			}
		}
	}
	if vowels < 20 {
		t.Errorf("only %d vowels", vowels)
	}
}

// TestInterrupted: a break of 10 ms is bridged, one of 30 ms is not.
func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		pause time.Duration
		want  string
	}{{10 * ms, "5"}, {30 * ms, "55"}} {
		sound := signal.Join(g.Quiet(50*ms), g.Digit('5', 60*ms, signal.Shape{}), g.Quiet(tt.pause), g.Digit('5', 60*ms, signal.Shape{}))
		got := ""
		for _, d := range hear(g.Rate, sound) {
			got += string(rune(d.Key))
		}
		if got != tt.want {
			t.Errorf("60 ms, a break of %v, 60 ms: heard %q, want %q", tt.pause, got, tt.want)
		}
	}
}

func TestHeldLongAndOtherRate(t *testing.T) {
	wide := signal.Generator{Rate: 16000}
	sound := signal.Join(wide.Quiet(time.Second), wide.Digit('7', 3*time.Second, signal.Shape{}), wide.Quiet(time.Second))
	found := hear(16000, signal.AddNoise(sound, -30, 3))
	if len(found) != 1 || found[0].Key != '7' || max(found[0].Begin-16000, 16000-found[0].Begin) > 80 ||
		max(found[0].Frames-48000, 48000-found[0].Frames) > 160 {
		t.Errorf("heard %v", found)
	}
}

func TestLost(t *testing.T) {
	r := NewReceiver(8000)
	half := signal.Samples(g.Digit('9', 60*ms, signal.Shape{}))
	r.Feed(make([]int16, 803))
	r.Feed(half)
	if known := r.Known(); known < 560 || known > 803 {
		t.Errorf("in a digit that began at 803, known up to %d", known)
	}
	if found := r.Lost(1000); len(found) != 1 || found[0].Key != '9' || max(found[0].Begin-803, 803-found[0].Begin) > 40 {
		t.Errorf("at the loss: %v", found)
	}
	r.Feed(make([]int16, 797))
	r.Feed(half)
	found := r.Feed(make([]int16, 800))
	if want := int64(803 + 480 + 1000 + 797); len(found) != 1 || max(found[0].Begin-want, want-found[0].Begin) > 40 {
		t.Errorf("after the loss: %v, want its begin at %d", found, want)
	}
}

// TestDetector: two sides, of which one hears the other's digits, and a loss.
func TestDetector(t *testing.T) {
	one := signal.Samples(g.Digits("12", 60*ms, 60*ms, signal.Shape{}))
	other := signal.Samples(signal.Join(signal.Gain(g.Digits("12", 60*ms, 60*ms, signal.Shape{}), -20), g.Digits("3", 60*ms, 60*ms, signal.Shape{})))
	both := make([]int16, 2*len(other))
	for i := range other {
		if i < len(one) {
			both[2*i] = one[i]
		}
		both[2*i+1] = other[i]
	}
	d := NewDetector(pcm.Format{Rate: 8000, Channels: 2})
	var got []string
	position := int64(5000)
	for range 2 {
		for rest := both; len(rest) > 0; {
			n := min(len(rest), 2*333)
			for _, m := range d.Feed(pcm.Period{Format: d.format, Position: position, Samples: rest[:n]}) {
				if m.Kind != call.MarkDigits || max(m.Frames-480, 480-m.Frames) > 40 {
					t.Errorf("mark %+v", m)
				}
				got = append(got, fmt.Sprintf("%s@%d", m.Value, (m.Position+20)/120))
			}
			rest = rest[n:]
			position += int64(n / 2)
		}
		position += 4000 // lost
	}
	if want := "[1@45 2@53 3@65 1@111 2@119 3@131]"; fmt.Sprint(got) != want {
		t.Errorf("marks %v, want %v", got, want)
	}
}

func TestGolden(t *testing.T) {
	sound := g.Digits("0123456789*#ABCD", 80*ms, 70*ms, signal.Shape{Twist: 2, Low: .004, High: -.006})
	var got strings.Builder
	for _, d := range hear(g.Rate, signal.AddNoise(sound, -34, 42)) {
		fmt.Fprintf(&got, "%c %d %d\n", d.Key, d.Begin, d.Frames)
	}
	golden.Check(t, got.String())
}

// FuzzReceiver: whatever is fed, in whatever pieces, the digits are the same and lie in what was fed.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(7), true)
	f.Add(pcm.AppendBytes(nil, signal.Samples(g.Digits("19#", 50*ms, 40*ms, signal.Shape{}))), uint16(100), false)
	f.Fuzz(func(t *testing.T, data []byte, piece uint16, lose bool) {
		samples := make([]int16, len(data)/2)
		for i := range samples {
			samples[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		whole, parts := NewReceiver(8000), NewReceiver(8000)
		want := slices.Clone(whole.Feed(samples))
		var got []Digit
		for rest := samples; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			got = append(got, parts.Feed(rest[:n])...)
			rest = rest[n:]
		}
		if lose {
			want = append(want, whole.Lost(5)...)
			got = append(got, parts.Lost(5)...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %v, at once: %v", int(piece)+1, got, want)
		}
		end := int64(0)
		for _, d := range got {
			if d.Begin < 0 || d.Frames <= 0 || d.Begin+d.Frames > int64(len(samples)) || d.Begin+d.Frames < end {
				t.Errorf("%v of %d frames", got, len(samples))
			}
			end = d.Begin
		}
	})
}

func TestIdleAllocatesNothing(t *testing.T) {
	d := NewDetector(pcm.Format{Rate: 8000, Channels: 1})
	p := pcm.Period{Format: d.format, Samples: signal.Samples(signal.AddNoise(g.Quiet(time.Second), -50, 1))}
	if n := testing.AllocsPerRun(5, func() {
		d.Feed(p)
		p.Position += int64(p.Frames())
	}); n > 0 {
		t.Errorf("%v allocations a second of an idle line", n)
	}
}

func BenchmarkIdle(b *testing.B)   { benchmark(b, g.Quiet(time.Second)) }
func BenchmarkDigits(b *testing.B) { benchmark(b, g.Digits("12345", 100*ms, 100*ms, signal.Shape{})) }

// benchmark reports what a second of a line costs.
func benchmark(b *testing.B, sound []float64) {
	samples := signal.Samples(signal.AddNoise(sound, -60, 1))
	r := NewReceiver(8000)
	b.ReportAllocs()
	for b.Loop() {
		r.Feed(samples)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(len(samples))/8000), "ns/line-s")
}

func ExampleReceiver() {
	// In place of a line: two keys, made by the lab.
	line := signal.Samples(g.Digits("42", 80*ms, 80*ms, signal.Shape{}))

	r := NewReceiver(8000)
	for len(line) > 0 {
		n := min(len(line), 160) // a period of 20 ms
		for _, digit := range r.Feed(line[:n]) {
			fmt.Printf("%c held for %d ms\n", digit.Key, (digit.Frames+4)/8)
		}
		line = line[n:]
	}
	// Output:
	// 4 held for 80 ms
	// 2 held for 80 ms
}
