package voice

import "math"

// The telephone band. Below it lie mains hum and its first harmonics.
const (
	bandLow  = 300.0
	bandHigh = 3400.0
)

// section is a filter of second order (biquad, transposed direct form II).
type section struct {
	b0, b1, b2, a1, a2 float64
	z1, z2             float64
}

func (s *section) reset() { s.z1, s.z2 = 0, 0 }

// butterworth4 are the Qs of the two sections that make a Butterworth filter of fourth order.
var butterworth4 = [...]float64{0.54119610, 1.30656296}

// telephoneBand makes the filters for a rate; those whose edge the rate itself sets are left out.
func telephoneBand(rate float64) []section {
	var band []section
	for _, q := range butterworth4 {
		band = append(band, highPass(bandLow/rate, q))
	}
	if rate > 2.5*bandHigh {
		for _, q := range butterworth4 {
			band = append(band, lowPass(bandHigh/rate, q))
		}
	}
	return band
}

// highPass and lowPass are of R. Bristow-Johnson's cookbook; the edge is in cycles a sample.
func highPass(edge, q float64) section {
	cos, alpha := math.Cos(2*math.Pi*edge), math.Sin(2*math.Pi*edge)/(2*q)
	return normal((1+cos)/2, -(1 + cos), (1+cos)/2, 1+alpha, -2*cos, 1-alpha)
}

func lowPass(edge, q float64) section {
	cos, alpha := math.Cos(2*math.Pi*edge), math.Sin(2*math.Pi*edge)/(2*q)
	return normal((1-cos)/2, 1-cos, (1-cos)/2, 1+alpha, -2*cos, 1-alpha)
}

func normal(b0, b1, b2, a0, a1, a2 float64) section {
	return section{b0: b0 / a0, b1: b1 / a0, b2: b2 / a0, a1: a1 / a0, a2: a2 / a0}
}

// energy runs samples through the band and sums the squares of what comes out; full scale is 1. It uses scratch, which
// is as long as samples or longer. Two sections at a time keep the state of both in registers.
func energy(band []section, samples []int16, scratch []float64) float64 {
	scratch = scratch[:len(samples)]
	for i, s := range samples {
		scratch[i] = float64(s) / 32768
	}
	for i := 0; i+1 < len(band); i += 2 {
		run(&band[i], &band[i+1], scratch)
	}
	sum := 0.0
	for _, v := range scratch {
		sum += v * v
	}
	return sum
}

// run filters samples in place, through f and then g.
func run(f, g *section, samples []float64) {
	f1, f2, g1, g2 := f.z1, f.z2, g.z1, g.z2
	for i, v := range samples {
		u := f.b0*v + f1
		f1 = f.b1*v - f.a1*u + f2
		f2 = f.b2*v - f.a2*u
		w := g.b0*u + g1
		g1 = g.b1*u - g.a1*w + g2
		g2 = g.b2*u - g.a2*w
		samples[i] = w
	}
	f.z1, f.z2, g.z1, g.z2 = f1, f2, g1, g2
	f.calm()
	g.calm()
}

// calm keeps the state off the denormal numbers, which digital silence leads to and which cost a hundred times more.
func (s *section) calm() {
	const nothing = 1e-30
	if math.Abs(s.z1) < nothing && math.Abs(s.z2) < nothing {
		s.reset()
	}
}
