package line

import (
	"math"
	"math/rand/v2"
)

// The signals of these tests: made here, so that no mistake of lab's generator hides in them.

const rate = 8000

func dBFS(level float64) float64 { return math.Pow(10, level/20) * 32768 }

func silence(seconds float64) []int16 { return make([]int16, int(seconds*rate)) }

func join(parts ...[]int16) (all []int16) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// add mixes b into a copy of a, as long as a is.
func add(a, b []int16) []int16 {
	out := make([]int16, len(a))
	for i := range a {
		sum := float64(a[i])
		if i < len(b) {
			sum += float64(b[i])
		}
		out[i] = int16(max(-32768, min(32767, sum)))
	}
	return out
}

// noise is white, at an RMS level.
func noise(seed uint64, seconds, level float64) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := silence(seconds)
	for i := range out {
		out[i] = int16(max(-32768, min(32767, math.Round(r.NormFloat64()*dBFS(level)))))
	}
	return out
}

// repeat makes a signal of which a tenth of a second is a whole number of cycles.
func repeat(seconds float64, value func(t float64) float64) []int16 {
	out := silence(seconds)
	for i := range out {
		if i < rate/10 {
			out[i] = int16(max(-32768, min(32767, value(float64(i)/rate))))
		} else {
			out[i] = out[i-rate/10]
		}
	}
	return out
}

// hum is a mains hum with all its harmonics up to 2 kHz, each 6 dB per octave weaker than the first.
func hum(frequency, seconds, level float64) []int16 {
	return repeat(seconds, func(t float64) (v float64) {
		for h := 1.0; h*frequency < 2000; h++ {
			v += math.Sin(2*math.Pi*h*frequency*t+h*h) / h
		}
		return v * dBFS(level) * 0.7
	})
}

// tones sounds frequencies, multiples of 10 Hz, together.
func tones(seconds, level float64, frequencies ...float64) []int16 {
	return repeat(seconds, func(t float64) (v float64) {
		for _, f := range frequencies {
			v += math.Sin(2 * math.Pi * f * t)
		}
		return v * dBFS(level)
	})
}

// speech is like speech in what counts here: syllables of 100 to 250 ms of a glottal pulse's harmonics below 3 kHz, of
// differing strength, with stops between them. The level is the RMS of the syllables.
func speech(seed uint64, seconds, level float64) []int16 {
	r := rand.New(rand.NewPCG(seed, 2))
	out := silence(seconds)
	for at := 0; at < len(out); {
		length := rate/10 + r.IntN(rate*15/100)
		pitch := 100 + 100*r.Float64()
		peak := 8000 * (0.4 + 0.6*r.Float64())
		for i := 0; i < length && at+i < len(out); i++ {
			v := 0.0
			for h := 1.0; h*pitch < 3000; h++ {
				v += math.Sin(2*math.Pi*h*pitch*float64(i)/rate+h*h) / math.Sqrt(h)
			}
			envelope := math.Sin(math.Pi * float64(i) / float64(length))
			out[at+i] = int16(max(-32768, min(32767, v*envelope*peak*0.6)))
		}
		at += length + rate/50 + r.IntN(rate/8)
	}
	sum, n := 0.0, 1.0
	for _, s := range out {
		if s != 0 {
			sum, n = sum+float64(s)*float64(s), n+1
		}
	}
	gain := dBFS(level) / math.Sqrt(sum/n)
	for i, s := range out {
		out[i] = int16(max(-32768, min(32767, float64(s)*gain)))
	}
	return out
}

// bellRing is a ring burst as a tap hears it: 20 Hz, clipped by a small transformer.
func bellRing(seconds, level float64) []int16 {
	return repeat(seconds, func(t float64) float64 {
		return max(-1, min(1, 20*math.Sin(2*math.Pi*20*t))) * dBFS(level)
	})
}

// clicks are 3 ms each, so many a second.
func clicks(seed uint64, seconds, level, perSecond float64) []int16 {
	r := rand.New(rand.NewPCG(seed, 3))
	out := silence(seconds)
	for range int(seconds * perSecond) {
		at := r.IntN(len(out))
		for i := range min(rate*3/1000, len(out)-at) {
			out[at+i] = int16(r.NormFloat64() * dBFS(level) / 3)
		}
	}
	return out
}

func offset(seconds float64, value int16) []int16 {
	out := silence(seconds)
	for i := range out {
		out[i] = value
	}
	return out
}
