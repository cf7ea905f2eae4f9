// Package signal makes what the detectors of a line are measured on: DTMF digits, caller ID by FSK, tones in a cadence,
// and noise at a given distance below them. It shares no code with the detectors, so that one mistake cannot hide in
// both: its oscillators step through phases, theirs correlate.
//
//	g := signal.Generator{Rate: 8000}
//	sound := g.Digit('5', 50*time.Millisecond, signal.Shape{})
//	sound = signal.Join(g.Quiet(time.Second), sound, g.Quiet(time.Second))
//	samples := signal.Samples(signal.AddNoise(sound, signal.NoiseFor(signal.DefaultLevel, 8), seed))
//
// A sound is a slice of values of which 1 is full scale. Levels are RMS in dB below full scale; a level given with a
// signal of two tones is that of both together.
package signal

import (
	"math"
	"math/rand/v2"
	"time"
)

// DefaultLevel is the level of a signal whose own is 0, in dBFS.
const DefaultLevel = -16.0

// Generator makes sounds at a rate.
type Generator struct{ Rate int }

// Frames is how many frames last d.
func (g Generator) Frames(d time.Duration) int {
	return int(math.Round(d.Seconds() * float64(g.Rate)))
}

// Quiet is nothing for so long.
func (g Generator) Quiet(d time.Duration) []float64 { return make([]float64, g.Frames(d)) }

// oscillator steps through the phases of a sine, in cycles.
type oscillator struct{ phase float64 }

// next is its value, and then it goes on by so many cycles a sample.
func (o *oscillator) next(step float64) float64 {
	v := math.Sin(2 * math.Pi * o.phase)
	o.phase += step
	o.phase -= math.Floor(o.phase)
	return v
}

// Component is one sine of a tone.
type Component struct {
	Hz    float64
	Level float64 // dBFS, RMS
}

// Sines is a sum of sines for so long, which begin with the phases (in cycles) of which as many are used as are given.
func (g Generator) Sines(d time.Duration, sines []Component, phases ...float64) []float64 {
	out := g.Quiet(d)
	for i, c := range sines {
		o := oscillator{}
		if i < len(phases) {
			o.phase = phases[i]
		}
		peak := math.Sqrt2 * decibels(c.Level)
		for n := range out {
			out[n] += peak * o.next(c.Hz/float64(g.Rate))
		}
	}
	return out
}

// Cadence is a tone of equal sines, at a level together, that is on and off in turns, beginning with on, for so many
// rounds of the times.
func (g Generator) Cadence(rounds int, level float64, hz []float64, times ...time.Duration) (out []float64) {
	var sines []Component
	for _, f := range hz {
		sines = append(sines, Component{f, level - 10*math.Log10(float64(len(hz)))})
	}
	for range rounds {
		for i, d := range times {
			if i%2 == 0 {
				out = append(out, g.Sines(d, sines)...)
			} else {
				out = append(out, g.Quiet(d)...)
			}
		}
	}
	return out
}

// Join puts sounds one after the other.
func Join(sounds ...[]float64) (all []float64) {
	for _, s := range sounds {
		all = append(all, s...)
	}
	return all
}

// Mix adds b to a copy of a, from frame at on; the sum is as long as a.
func Mix(a []float64, at int, b []float64) []float64 {
	out := append([]float64(nil), a...)
	for i, v := range b {
		if at+i >= 0 && at+i < len(out) {
			out[at+i] += v
		}
	}
	return out
}

// Gain is a sound so many dB louder.
func Gain(sound []float64, by float64) []float64 {
	out := make([]float64, len(sound))
	for i, v := range sound {
		out[i] = v * decibels(by)
	}
	return out
}

// Clip cuts what is beyond a peak.
func Clip(sound []float64, peak float64) []float64 {
	out := make([]float64, len(sound))
	for i, v := range sound {
		out[i] = max(-peak, min(peak, v))
	}
	return out
}

// NoiseFor is the level of the noise that lies ratio dB below a signal's level.
func NoiseFor(level, ratio float64) float64 { return level - ratio }

// AddNoise adds white noise, from 0 to half the rate, of a level in dBFS to a copy of a sound. The seed decides it.
func AddNoise(sound []float64, level float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 0x516e))
	out := make([]float64, len(sound))
	for i, v := range sound {
		out[i] = v + decibels(level)*r.NormFloat64()
	}
	return out
}

// Samples makes 16-bit samples; what is beyond full scale is cut.
func Samples(sound []float64) []int16 {
	out := make([]int16, len(sound))
	for i, v := range sound {
		out[i] = int16(math.Round(32767 * max(-1, min(1, v))))
	}
	return out
}

func decibels(level float64) float64 { return math.Pow(10, level/20) }
