package scene

import (
	"math"
	"math/rand/v2"
)

// The sides of a line.
const (
	near = 0 // at the desk
	far  = 1 // the other end, and the exchange
)

// canvas is what is heard on the two sides of a line, 1 being full scale.
type canvas struct{ sides [2][]float32 }

func (c *canvas) length() int { return len(c.sides[0]) }

// reach makes it so long at least.
func (c *canvas) reach(frames int) {
	for i := range c.sides {
		if more := frames - len(c.sides[i]); more > 0 {
			c.sides[i] = append(c.sides[i], make([]float32, more)...)
		}
	}
}

// add adds a sound.
func (c *canvas) add(side, at int, sound []float32, gain float64) {
	c.reach(at + len(sound))
	for i, v := range sound {
		c.sides[side][at+i] += float32(gain) * v
	}
}

func amplitude(dB float64) float64 { return math.Pow(10, dB/20) }

func uniform(r *rand.Rand, from, to float64) float64 { return from + (to-from)*r.Float64() }

func chance(r *rand.Rand, of float64) bool { return r.Float64() < of }

func between(r *rand.Rand, least, most int) int { return least + r.IntN(most-least+1) }

func frames(seconds float64) int { return int(math.Round(seconds * Rate)) }

// gainTo is what brings a sound to an RMS level in dBFS, measured where it is heard: within 30 dB of its loudest 20 ms.
func gainTo(sound []float32, level float64) float64 {
	const block = Rate / 50
	var powers []float64
	loudest := 0.0
	for at := 0; at+block <= len(sound); at += block {
		sum := 0.0
		for _, v := range sound[at : at+block] {
			sum += float64(v) * float64(v)
		}
		powers = append(powers, sum/block)
		loudest = max(loudest, sum/block)
	}
	sum, n := 0.0, 0.0
	for _, p := range powers {
		if p > loudest/1000 {
			sum, n = sum+p, n+1
		}
	}
	if sum == 0 {
		return 0
	}
	return amplitude(level) / math.Sqrt(sum/n)
}

// hiss is noise of RMS 1: white, of which a part leans to the low frequencies, as that of lines and cards does.
type hiss struct {
	r                 *rand.Rand
	lean, slow, scale float64
}

func newHiss(r *rand.Rand, lean float64) *hiss {
	const keep = 0.9
	direct := math.Sqrt(1 - lean*lean)
	together := 1 + 2*lean*direct*math.Sqrt(1-keep*keep) // of the two parts' common source
	return &hiss{r: r, lean: lean, scale: 1 / math.Sqrt(together)}
}

func (h *hiss) next() float64 {
	const keep = 0.9
	white := h.r.NormFloat64()
	h.slow = keep*h.slow + math.Sqrt(1-keep*keep)*white
	return h.scale * (math.Sqrt(1-h.lean*h.lean)*white + h.lean*h.slow)
}

// mains is hum of RMS 1 with its odd harmonics, and a few even ones.
type mains struct {
	cycle       []float64
	phase, step float64
}

func newMains(r *rand.Rand, hz float64) *mains {
	m := &mains{cycle: make([]float64, 1024), step: (hz + uniform(r, -0.1, 0.1)) / Rate * 1024}
	fall, sum := uniform(r, 0.8, 2), 0.0
	for h := 1; h <= 19; h++ {
		strength := math.Pow(float64(h), -fall)
		if h%2 == 0 {
			strength *= 0.2
		}
		start := r.Float64()
		sum += strength * strength / 2
		for i := range m.cycle {
			m.cycle[i] += strength * math.Sin(2*math.Pi*(float64(h*i)/1024+start))
		}
	}
	for i := range m.cycle {
		m.cycle[i] /= math.Sqrt(sum)
	}
	return m
}

func (m *mains) next() float64 {
	v := m.cycle[int(m.phase)]
	if m.phase += m.step; m.phase >= 1024 {
		m.phase -= 1024
	}
	return v
}

// overLine is what a telephone's microphone and an exchange let through of a voice or of music: less by 30 dB at 50 Hz, as
// ITU-T G.712 has it, and hardly less at 300 Hz. Three poles.
func overLine(sound []float32) []float32 {
	const edge = 170.0
	k := math.Tan(math.Pi * edge / Rate)
	first, second := 1/(1+k), 1/(1+k+k*k)
	out := make([]float32, len(sound))
	var x1, y1, u1, u2, v1, v2 float64
	for i, s := range sound {
		x := float64(s)
		y := first*(x-x1) + first*(1-k)*y1
		x1, y1 = x, y
		v := second*(y-2*u1+u2) - second*(2*(k*k-1)*v1+(1-k+k*k)*v2)
		u2, u1, v2, v1 = u1, y, v1, v
		out[i] = float32(v)
	}
	return out
}
