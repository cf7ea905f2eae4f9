package dtmf

import "math"

// filter passes what is above 650 Hz or so. It has zeros where dial tones are, which may be stronger than the digits.
type filter [3]section

// section is a filter of second order (transposed direct form II) with b0 = b2 = gain.
type section struct {
	gain, b1, a1, a2 float64
	z1, z2           float64
}

// newFilter is for a rate: zeros at the frequencies of dial tones, poles that keep the low tones.
func newFilter(rate float64) filter {
	return filter{
		highPass(441/rate, 640/rate, 3.2),
		highPass(400/rate, 560/rate, 1.2),
		highPass(340/rate, 420/rate, 0.6),
	}
}

// highPass has a pair of zeros on the unit circle at one frequency, in cycles a sample, a pair of poles at another with
// the quality q, and the gain 1 at half the rate.
func highPass(zero, pole, q float64) section {
	cos, alpha := math.Cos(2*math.Pi*pole), math.Sin(2*math.Pi*pole)/(2*q)
	a1, a2 := -2*cos/(1+alpha), (1-alpha)/(1+alpha)
	b1 := -2 * math.Cos(2*math.Pi*zero)
	gain := (1 - a1 + a2) / (2 - b1)
	return section{gain: gain, b1: gain * b1, a1: a1, a2: a2}
}

func (f *filter) reset() {
	for i := range f {
		f[i].z1, f[i].z2 = 0, 0
	}
}

// run filters samples into out, where full scale is 1.
func (f *filter) run(out []float64, samples []int16) {
	a, b, c := &f[0], &f[1], &f[2]
	for i, s := range samples {
		v := float64(s) * (1. / 32768)
		u := a.gain*v + a.z1
		a.z1 = a.b1*v - a.a1*u + a.z2
		a.z2 = a.gain*v - a.a2*u
		v = b.gain*u + b.z1
		b.z1 = b.b1*u - b.a1*v + b.z2
		b.z2 = b.gain*u - b.a2*v
		u = c.gain*v + c.z1
		c.z1 = c.b1*v - c.a1*u + c.z2
		c.z2 = c.gain*v - c.a2*u
		out[i] = u
	}
	for i := range f {
		f[i].calm()
	}
}

// calm keeps the state off the denormal numbers, which digital silence leads to and which cost a hundred times more.
func (s *section) calm() {
	const nothing = 1e-30
	if math.Abs(s.z1) < nothing && math.Abs(s.z2) < nothing {
		s.z1, s.z2 = 0, 0
	}
}

// correlator measures how strong one tone is in the last blocks.
type correlator struct {
	table []float64 // cosine and sine in turns, over a block
	turn  complex128
	sums  [windowBlocks]complex128 // of each block, as if it were the first
	live  bool                     // some are not 0
}

// newCorrelator is for a frequency in cycles a sample, and blocks of so many frames.
func newCorrelator(frequency float64, block int) correlator {
	c := correlator{table: make([]float64, 2*block)}
	for i := range block {
		c.table[2*i+1], c.table[2*i] = math.Sincos(2 * math.Pi * frequency * float64(i))
	}
	sin, cos := math.Sincos(2 * math.Pi * frequency * float64(block))
	c.turn = complex(cos, sin)
	return c
}

// feed takes the next block, the slot-th of those kept, and returns the tone's power over the last windowBlocks. Where
// the window is quiet it is not computed.
func (c *correlator) feed(block []float64, slot int, quiet bool) float64 {
	if quiet {
		if c.live {
			c.sums, c.live = [windowBlocks]complex128{}, false
		}
		return 0
	}
	re, im := 0.0, 0.0
	table := c.table[:2*len(block)]
	for i, v := range block {
		re += v * table[2*i]
		im += v * table[2*i+1]
	}
	c.sums[slot], c.live = complex(re, -im), true
	// Horner from the newest to the oldest: each block lags one turn behind the one before it.
	back := complex(real(c.turn), -imag(c.turn))
	sum := c.sums[slot]
	for i := 1; i < windowBlocks; i++ {
		sum = sum*back + c.sums[(slot+windowBlocks-i)%windowBlocks]
	}
	n := float64(windowBlocks * len(block))
	return 2 * (real(sum)*real(sum) + imag(sum)*imag(sum)) / (n * n)
}
