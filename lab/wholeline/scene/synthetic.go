package scene

import (
	"math"
	"math/rand/v2"
)

// Synthetic are voices and music made here, for tests that must not depend on what is installed. They are like speech in
// pitch, formants, syllables, stops and pauses; nobody would take them for people.
type Synthetic struct{}

// Speaker chooses a pitch and a mouth.
func (Synthetic) Speaker(r *rand.Rand) func() []float32 {
	pitch, mouth := uniform(r, 85, 240), uniform(r, 0.85, 1.2)
	return func() (out []float32) {
		for range between(r, 4, 18) {
			out = append(out, syllable(r, pitch*uniform(r, 0.85, 1.2), mouth)...)
			if chance(r, 0.12) {
				out = append(out, make([]float32, frames(uniform(r, 0.08, 0.3)))...)
			}
		}
		return out
	}
}

// resonator is a formant: two poles.
type resonator struct{ a, b, gain, y1, y2 float64 }

func newResonator(hz, width float64) resonator {
	radius := math.Exp(-math.Pi * width / Rate)
	return resonator{a: 2 * radius * math.Cos(2*math.Pi*hz/Rate), b: -radius * radius, gain: 1 - radius}
}

func (f *resonator) next(v float64) float64 {
	y := f.gain*v + f.a*f.y1 + f.b*f.y2
	f.y2, f.y1 = f.y1, y
	return y
}

// syllable is a hiss or a stop, and a vowel whose pitch and formants glide.
func syllable(r *rand.Rand, pitch, mouth float64) []float32 {
	stop, hissing := make([]float32, frames(uniform(r, 0.01, 0.05))), 0
	if chance(r, 0.4) {
		hissing = frames(uniform(r, 0.04, 0.1))
	}
	out := append(stop, make([]float32, hissing+frames(uniform(r, 0.08, 0.26)))...)
	sharp := newResonator(uniform(r, 2200, 3300), 600)
	vowel := [3]resonator{
		newResonator(mouth*uniform(r, 280, 750), 80), newResonator(mouth*uniform(r, 900, 2100), 110), newResonator(mouth*uniform(r, 2300, 2900), 160),
	}
	glide, phase, loud := uniform(r, -0.25, 0.15), 0.0, uniform(r, 0.4, 1)
	for i := len(stop); i < len(out); i++ {
		if n := i - len(stop); n < hissing {
			out[i] = float32(0.6 * sharp.next(r.NormFloat64()) * math.Sin(math.Pi*float64(n)/float64(hissing)))
			continue
		}
		part := float64(i-len(stop)-hissing) / float64(len(out)-len(stop)-hissing)
		phase += pitch * (1 + glide*part) / Rate * (1 + 0.01*r.NormFloat64())
		pulse := 0.03 * r.NormFloat64()
		if phase >= 1 {
			phase--
			pulse += 1
		}
		sum := 0.0
		for k := range vowel {
			sum += vowel[k].next(pulse) * [3]float64{1, 0.6, 0.3}[k]
		}
		out[i] = float32(8 * loud * sum * min(1, part/0.1, (1-part)/0.25))
	}
	return out
}

// Music is a tune of plucked notes over chords.
func (Synthetic) Music(r *rand.Rand, length int) []float32 {
	out := make([]float32, length)
	beat, scale := frames(uniform(r, 0.25, 0.5)), [...]int{0, 2, 4, 7, 9, 12, 14, 16}
	root := uniform(r, 110, 196)
	pluck := func(at int, hz, loud float64) {
		for i := at; i < length && i < at+3*beat; i++ {
			t := float64(i-at) / Rate
			v := 0.0
			for h := 1.0; h <= 6 && h*hz < 3400; h++ {
				v += math.Sin(2*math.Pi*h*hz*t) / (h * h)
			}
			out[i] += float32(loud * v * min(1, t/0.005) * math.Exp(-t/0.4))
		}
	}
	for at, n := 0, 0; at < length; at, n = at+beat, n+1 {
		if n%4 == 0 {
			for _, note := range [...]int{0, 4, 7} {
				pluck(at, root*math.Pow(2, float64(note+[...]int{0, 5, 7, 0}[n/4%4])/12), 0.4)
			}
		}
		if chance(r, 0.8) {
			pluck(at, 2*root*math.Pow(2, float64(scale[r.IntN(len(scale))])/12), 0.8)
		}
	}
	return out
}
