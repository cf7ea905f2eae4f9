package scene

import (
	"math"
	"math/rand/v2"
)

// variation makes another person of one: higher or lower, faster or slower, each for itself.
type variation struct{ pitch, speed float64 }

// newVariation is up to 4 half tones of pitch and a fifth of speed, up and down.
func newVariation(r *rand.Rand) variation {
	return variation{pitch: math.Pow(2, uniform(r, -4, 4)/12), speed: math.Pow(1.2, uniform(r, -1, 1))}
}

// apply plays the samples at another pitch, and then stretches them to the time that is wanted.
func (v variation) apply(samples []int16) []float32 {
	return stretch(replay(samples, v.pitch), v.speed/v.pitch)
}

// replay plays samples so many times as fast, and as high: a cubic through the four samples around each place.
func replay(samples []int16, step float64) []float32 {
	out := make([]float32, 0, int(float64(len(samples))/step)+1)
	for at := 1.0; at < float64(len(samples)-2); at += step {
		n := int(at)
		x := at - float64(n)
		a, b, c, d := float64(samples[n-1]), float64(samples[n]), float64(samples[n+1]), float64(samples[n+2])
		v := b + x/2*(c-a+x*(2*a-5*b+4*c-d+x*(3*(b-c)+d-a)))
		out = append(out, float32(v/32768))
	}
	return out
}

// stretch makes a sound so many times as fast without changing its pitch: windows of 32 ms are laid over each other, each
// from where it goes on best from the one before (WSOLA, Verhelst and Roelands 1993).
func stretch(sound []float32, speed float64) []float32 {
	const window, hop, search = 256, 128, 64
	if math.Abs(speed-1) < 0.02 || len(sound) < 4*window {
		return sound
	}
	out := make([]float32, int(float64(len(sound))/speed))
	from := 0 // of the window before
	for at := 0; at+window <= len(out); at += hop {
		best := int(float64(at) * speed)
		if at > 0 {
			best = nearest(sound, best, from+hop, search, hop)
		}
		if best < 0 || best+window > len(sound) {
			break
		}
		for i := range window {
			weight := float32(0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/window))
			if at == 0 && i < hop {
				weight = 1
			}
			out[at+i] += weight * sound[best+i]
		}
		from = best
	}
	return out
}

// nearest is the place around one where the sound is most like it is at another.
func nearest(sound []float32, around, like, search, length int) int {
	if like+length > len(sound) {
		return around
	}
	best, most := around, math.Inf(-1)
	for at := max(0, around-search); at <= around+search && at+length <= len(sound); at += 2 {
		product, power := 0.0, 1e-6
		for i := 0; i < length; i += 2 {
			a, b := float64(sound[at+i]), float64(sound[like+i])
			product += a * b
			power += a * a
		}
		if score := product / math.Sqrt(power); score > most {
			best, most = at, score
		}
	}
	return best
}
