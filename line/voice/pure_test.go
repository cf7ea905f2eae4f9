package voice

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/lab/golden"
)

// talk is so many seconds of what is like speech: a pitch with harmonics, in syllables and pauses drawn from a seed.
func talk(seconds, level float64, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 5))
	out := make([]int16, int(seconds*rate))
	gain := 32767 * math.Pow(10, level/20)
	for at := 0; at < len(out); {
		length, pitch := int((0.08+0.25*r.Float64())*rate), 90+120*r.Float64()
		for i := range min(length, len(out)-at) {
			t, v := float64(i)/rate, 0.0
			for h := 1.0; h*pitch < 3000; h++ {
				v += math.Sin(2*math.Pi*h*pitch*t+h*h) / h
			}
			out[at+i] = int16(max(-32768, min(32767, gain*v*math.Sin(math.Pi*float64(i)/float64(length)))))
		}
		at += length + int(0.3*r.Float64()*rate)
	}
	return out
}

// inNoise adds a line's noise, in dBFS.
func inNoise(samples []int16, level float64) []int16 {
	r := rand.New(rand.NewPCG(7, 7))
	out := make([]int16, len(samples))
	for i, v := range samples {
		out[i] = int16(max(-32768, min(32767, float64(v)+32767*math.Pow(10, level/20)*r.NormFloat64())))
	}
	return out
}

// feed feeds samples in pieces of a size.
func feed(d *Detector, samples []int16, size int) (all []Span) {
	for len(samples) > 0 {
		n := min(size, len(samples))
		all = append(all, d.Feed(samples[:n])...)
		samples = samples[n:]
	}
	return all
}

// TestGolden: two people who take turns, a click, a hold of 8 s, and a tone that goes on.
func TestGolden(t *testing.T) {
	click := tone(0.02, 1000, -3)
	line := inNoise(slices.Concat(tone(6, 0, 0), talk(3, -20, 1), tone(1, 0, 0), talk(4, -32, 2), click, tone(8, 0, 0), talk(2, -20, 3),
		tone(2, 0, 0), tone(6, 425, -20), tone(2, 0, 0)), -60)
	var got strings.Builder
	for _, s := range feed(New(DefaultConfig(), rate), line, 800) {
		fmt.Fprintf(&got, "%d %d\n", s.Begin, s.End)
	}
	golden.Check(t, got.String())
}

// FuzzDetector: whatever is fed, in whatever pieces, the spans are the same, in order, and lie in what was fed.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{1, 90, 90, 3, 0, 250, 4}, uint16(3))
	f.Add([]byte{60, 60, 0, 200, 60, 10, 255}, uint16(799))
	f.Fuzz(func(t *testing.T, script []byte, piece uint16) {
		whole, parts := New(DefaultConfig(), rate), New(DefaultConfig(), rate)
		var want, got []Span
		position := int64(0)
		for i, b := range script[:min(len(script), 60)] {
			if b == 0 { // a loss
				position += 100
				want, got = append(want, whole.Lost(100)...), append(got, parts.Lost(100)...)
				continue
			}
			samples := inNoise(talk(float64(b)/100, -float64(b%60), uint64(i)), -60)
			position += int64(len(samples))
			want, got = append(want, whole.Feed(samples)...), append(got, feed(parts, samples, int(piece)+1)...)
			if known := whole.Known(); known != parts.Known() || known > position {
				t.Errorf("at %d it is known up to %d, and up to %d in pieces", position, known, parts.Known())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %v, at once: %v", int(piece)+1, got, want)
		}
		last := int64(0)
		for _, s := range want {
			if s.Begin < last || s.End <= s.Begin || s.End > position {
				t.Errorf("%v after %d, of %d frames", s, last, position)
			}
			last = s.End
		}
	})
}
