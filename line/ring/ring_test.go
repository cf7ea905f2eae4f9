package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/lab/golden"
)

const rate = 8000

// play is so many seconds of a waveform of RMS 1 at a level in dBFS.
func play(rate int, seconds, level float64, wave func(t float64) float64) []int16 {
	out := make([]int16, int(seconds*float64(rate)))
	gain := math.Pow(10, level/20) * 32768
	for i := range out {
		out[i] = int16(max(-32768, min(32767, gain*wave(float64(i)/float64(rate)))))
	}
	return out
}

func quiet(seconds float64) []int16 { return make([]int16, int(seconds*rate)) }

func join(parts ...[]int16) (all []int16) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func mix(a, b []int16) []int16 {
	out := slices.Clone(a)
	for i := range out {
		out[i] = int16(max(-32768, min(32767, int(a[i])+int(b[i%len(b)]))))
	}
	return out
}

func noise(seconds, level float64) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	return play(rate, seconds, level, func(float64) float64 { return r.NormFloat64() })
}

func sine(hz ...float64) func(float64) float64 {
	return func(t float64) (v float64) {
		for _, f := range hz {
			v += math.Sin(2*math.Pi*f*t) * math.Sqrt(2/float64(len(hz)))
		}
		return v
	}
}

func clipped(hz float64) func(float64) float64 {
	return func(t float64) float64 { return max(-1, min(1, 10*math.Sin(2*math.Pi*hz*t))) }
}

// spikes are what a small transformer makes of it: one at each change of direction.
func spikes(hz float64) func(float64) float64 {
	return func(t float64) float64 {
		phase, sign := math.Mod(t*hz, 1), 1.0
		if phase >= 0.5 {
			phase, sign = phase-0.5, -1
		}
		return sign * 4 * math.Exp(-phase/hz/0.003)
	}
}

func listen(samples []int16, rate, size int) (all []Burst, d *Detector) {
	d = New(rate)
	for len(samples) > 0 {
		n := min(size, len(samples))
		all = append(all, d.Feed(samples[:n])...)
		samples = samples[n:]
	}
	return all, d
}

func TestRings(t *testing.T) {
	for _, hz := range []float64{16.7, 20, 25, 30, 33.3, 50} {
		for shape, wave := range map[string]func(float64) func(float64) float64{
			"sine": func(hz float64) func(float64) float64 { return sine(hz) }, "clipped": clipped, "spikes": spikes,
		} {
			for _, level := range []float64{-8, -25, -36} {
				for _, seconds := range []float64{0.4, 2} {
					t.Run(fmt.Sprintf("%v Hz %s %v dBFS %v s", hz, shape, level, seconds), func(t *testing.T) {
						samples := join(quiet(3), play(rate, seconds, level, wave(hz)), quiet(3))
						samples = mix(samples, noise(5, -60))
						samples = mix(samples, play(rate, 5, -55, sine(50)))
						found, _ := listen(samples, rate, 160)
						if len(found) != 1 {
							t.Fatalf("found %v", found)
						}
						begin, end := float64(found[0].Begin)/rate, float64(found[0].End)/rate
						if math.Abs(begin-3) > 0.08 || math.Abs(end-3-seconds) > 0.1 {
							t.Errorf("rang from %.2f to %.2f", begin, end)
						}
					})
				}
			}
		}
	}
}

// TestSoon: a ring is known in time for a call to begin with it.
func TestSoon(t *testing.T) {
	_, d := listen(join(quiet(3), play(rate, 0.36, -15, sine(25))), rate, 160)
	if begin, ringing := d.Ringing(); !ringing || math.Abs(float64(begin)/rate-3) > 0.08 {
		t.Errorf("after 0.36 s: ringing %v, since %d", ringing, begin)
	}
}

// harmonics are a voice's: of a pitch, below 3 kHz.
func harmonics(hz float64) func(float64) float64 {
	return func(t float64) (v float64) {
		for h := 1.0; h*hz < 3000; h++ {
			v += math.Sin(2*math.Pi*h*hz*t+h*h) / h
		}
		return v
	}
}

func TestNoFalseRings(t *testing.T) {
	waves := map[string]func(float64) float64{
		"hum 50": harmonics(50), "hum 60": harmonics(60), "425": sine(425), "350+440": sine(350, 440), "400+450": sine(400, 450),
		"400": sine(400), "12": sine(10), "1 Hz": sine(1), "pulses": clipped(10), "440+480": sine(440, 480), "480+620": sine(480, 620),
	}
	for pitch := 45.0; pitch < 400; pitch *= 1.07 {
		waves[fmt.Sprintf("voice of %.0f Hz", pitch)] = harmonics(pitch)
	}
	for name, wave := range waves {
		for _, level := range []float64{-3, -20} {
			sound := join(quiet(2), play(rate, 5, level, wave), quiet(0.2), play(rate, 0.5, level, wave), quiet(2))
			if found, d := listen(mix(sound, noise(3, -55)), rate, 160); len(found) > 0 || d.ringing {
				t.Errorf("%s at %v dBFS: %v", name, level, found)
			}
		}
	}
	if found, _ := listen(noise(120, -15), rate, 160); len(found) > 0 {
		t.Errorf("noise: %v", found)
	}
	r := rand.New(rand.NewPCG(3, 4))
	brown, v := 0.0, 0.0 // a rumble
	rumble := play(rate, 120, -10, func(float64) float64 { v = 0.999*v + r.NormFloat64()*0.04; brown = v; return brown })
	if found, _ := listen(rumble, rate, 160); len(found) > 1 {
		t.Errorf("rumble: %v", found)
	}
}

// TestSizes: the same samples give the same bursts whatever the sizes.
func TestSizes(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000} {
		samples := slices.Concat(make([]int16, rate), play(rate, 1.1, -15, clipped(25)), make([]int16, rate), play(rate, 0.5, -25, sine(20)), make([]int16, rate))
		want, _ := listen(samples, rate, 160)
		if len(want) != 2 {
			t.Fatalf("at %d: %v", rate, want)
		}
		for _, size := range []int{1, 7, 333, 8000, len(samples)} {
			if got, _ := listen(samples, rate, size); !slices.Equal(got, want) {
				t.Errorf("at %d in sizes of %d: %v, want %v", rate, size, got, want)
			}
		}
	}
}

func TestLost(t *testing.T) {
	_, d := listen(join(quiet(1), play(rate, 1, -15, sine(25))), rate, 160)
	bursts := slices.Clone(d.Lost(rate))
	if len(bursts) != 1 || bursts[0].End != 2*rate {
		t.Fatalf("at a loss: %v", bursts)
	}
	bursts = d.Feed(join(quiet(1), play(rate, 1, -15, sine(25)), quiet(1)))
	if len(bursts) != 1 || math.Abs(float64(bursts[0].Begin)/rate-4) > 0.1 {
		t.Errorf("after it: %v", bursts)
	}
}

func FuzzDetector(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0, 250, 4}, uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, size uint8) {
		d := New(rate)
		last, position := int64(0), int64(0)
		check := func(bursts []Burst) {
			for _, b := range bursts {
				if b.Begin < last || b.End <= b.Begin || b.End > position {
					t.Fatalf("%v at %d after %d", b, position, last)
				}
				last = b.End
			}
		}
		for _, b := range script[:min(len(script), 60)] {
			if b == 0 {
				position += 100
				check(d.Lost(100))
				continue
			}
			samples := play(rate, float64(1+int(size))/100, -float64(b%60), clipped(float64(b)/4))
			position += int64(len(samples))
			check(d.Feed(samples))
		}
	})
}

// TestGolden: a bell of 25 Hz that rings as in Britain, one of 20 Hz that rings as in America, and a voice between them.
func TestGolden(t *testing.T) {
	british := slices.Concat(play(rate, 0.4, -15, clipped(25)), quiet(0.2), play(rate, 0.4, -15, clipped(25)), quiet(2))
	american := join(play(rate, 2, -28, sine(20)), quiet(4))
	line := mix(slices.Concat(quiet(2), british, british, play(rate, 3, -20, harmonics(120)), quiet(1), american, american), noise(5, -60))
	var got strings.Builder
	found, _ := listen(line, rate, 800)
	for _, b := range found {
		fmt.Fprintf(&got, "%d %d\n", b.Begin, b.End)
	}
	golden.Check(t, got.String())
}

func ExampleDetector() {
	// In place of a line: a bell that rings for a second, made by the test.
	line := mix(join(quiet(2), play(rate, 1, -15, clipped(25)), quiet(2)), noise(5, -60))

	d := New(rate)
	for len(line) > 0 {
		n := min(len(line), rate/10) // a period of 100 ms
		for _, burst := range d.Feed(line[:n]) {
			fmt.Printf("rang from %.1f s to %.1f s\n", float64(burst.Begin)/rate, float64(burst.End)/rate)
		}
		line = line[n:]
	}
	// Output:
	// rang from 2.0 s to 3.0 s
}
