package dtmf

import (
	"math"
	"slices"
)

const (
	leastTwist = -12.0 // dB, high to low
	mostTwist  = 10.0
	leastTonal = 0.45 // of the power that both tones hold: white noise 3 dB below them leaves two thirds

	// A tone's frequency is off by so much at most. 1.5 % must be accepted, and 3.5 % refused (NTT: 1.8 and 3.0 %).
	mostOff      = 0.0205
	mostOffNoisy = 0.0185

	// What is left without both tones must be faint, or noise: spread over the band, without a peak.
	faintPeak  = 0.025 // of the power of the fainter tone: 16 dB below it
	noisyPeak  = 0.25  // the same, of noise
	mostPeak   = 14.0  // times the mean of noise: of 100 places, one in 10,000 digits has such a one
	leastNoisy = 1e-4  // power of a digit in noise, -40 dBFS: the hiss below a faint voice is noise too
	leastFlat  = 0.30  // geometric mean to mean: white noise has 0.56, voices below 0.25

	// What clips: both tones hold a good part of the power even if nothing but their sign is left (0.66).
	nearly        = 0.85 // of the largest sample
	mostNear      = 0.25 // of the samples are so near to it, of two sines
	leastTonalCut = 0.6

	bandLow  = 460.0
	bandHigh = 3400.0 // Hz
	nothing  = 1e-20  // keeps logarithms finite

	longest = 0.050 // seconds that are examined
	margin  = 0.004 // seconds kept from the edges
)

// examiner is the room that examining needs, made once.
type examiner struct {
	samples []float64
	taper   []float64
	made    []float64 // products
}

// decide examines what was heard of the run lately. A digit without noise is certain; one in noise, which a voice may
// look like for a moment, must pass more often than it fails for as long as it lasts.
func (r *Receiver) decide() {
	run := &r.run
	begin := r.edge(run.first+windowBlocks, max(0, run.first-windowBlocks-2, r.blocks-historyBlocks))
	if run.passes > 0 {
		begin = run.begin
	}
	end := r.edge(run.last, r.blocks-1)
	if end-begin < shortest*r.rate {
		return
	}
	oldest := float64((r.blocks - recentBlocks + 1) * int64(r.block))
	to := end - margin*r.rate
	from := max(begin+margin*r.rate, to-longest*r.rate, oldest)
	certain, may := r.examine(int64(from), int64(to))
	if !certain && !may {
		run.fails++
		return
	}
	run.begin, run.certain = begin, certain
	run.passes++
}

// examine says whether the samples between two positions are the run's pair of tones and nothing else, which is certain,
// or noise besides.
func (r *Receiver) examine(from, to int64) (certain, may bool) {
	x := r.cut(from, to)
	if len(x) < r.block*windowBlocks {
		return false, false
	}
	low, high := lows[r.run.pair.low]/r.rate, highs[r.run.pair.high-4]/r.rate
	lowAt, highAt := r.peak(x, low), r.peak(x, high)
	off := max(math.Abs(lowAt/low-1), math.Abs(highAt/high-1))
	if off > mostOff {
		return false, false
	}
	total := power(x)
	lowPower, highPower := takeAway(x, lowAt, highAt)
	twist := 10 * math.Log10(highPower/lowPower)
	if !(twist >= leastTwist && twist <= mostTwist) || lowPower+highPower < leastTonal*total {
		return false, false
	}
	var without []float64
	if lowPower+highPower > leastTonalCut*total && r.clips(from, to) {
		without = r.products(lowAt, highAt)
	}
	faint, noise := r.noise(x, min(lowPower, highPower), without)
	return faint, noise && off <= mostOffNoisy && lowPower+highPower >= leastNoisy
}

// cut copies samples out of the ring.
func (r *Receiver) cut(from, to int64) []float64 {
	r.samples = r.samples[:0]
	for n := from; n < to; n++ {
		r.samples = append(r.samples, r.recent[n%int64(len(r.recent))])
	}
	if len(r.taper) != len(r.samples) {
		r.taper = r.taper[:0]
		n := float64(len(r.samples))
		for i := range r.samples {
			r.taper = append(r.taper, 1-math.Cos(2*math.Pi*(float64(i)+0.5)/n)) // Hann's window, of mean 1
		}
	}
	return r.samples
}

// at is the power at a frequency, as of a sine, in cycles a sample; through Hann's window, so that the other tone does
// not reach into it.
func (r *Receiver) at(x []float64, frequency float64) float64 {
	// Goertzel's recurrence.
	c := 2 * math.Cos(2*math.Pi*frequency)
	a, b := 0.0, 0.0
	for i, v := range x {
		a, b = v*r.taper[i]+c*a-b, a
	}
	n := float64(len(x))
	return 2 * (a*a + b*b - c*a*b) / (n * n)
}

// peak is the frequency of most power near one: a parabola through three logarithms, twice.
func (r *Receiver) peak(x []float64, frequency float64) float64 {
	for _, width := range [...]float64{0.9, 0.6} {
		step := width / float64(len(x))
		low, middle, high := math.Log(r.at(x, frequency-step)), math.Log(r.at(x, frequency)), math.Log(r.at(x, frequency+step))
		if bend := low - 2*middle + high; bend < 0 {
			frequency += step * max(-1.5, min(1.5, 0.5*(low-high)/bend))
		}
	}
	return frequency
}

// takeAway fits two sines to x by least squares, takes them away and returns their powers.
func takeAway(x []float64, low, high float64) (lowPower, highPower float64) {
	// In turns each is fitted to what the other leaves; with 250 Hz or so between them three rounds are enough.
	var l, h complex128
	for range 3 {
		l += takeOne(x, low)
		h += takeOne(x, high)
	}
	return (real(l)*real(l) + imag(l)*imag(l)) / 2, (real(h)*real(h) + imag(h)*imag(h)) / 2
}

// takeOne takes away the sine of one frequency and returns its amplitude and phase.
func takeOne(x []float64, frequency float64) complex128 {
	sin, cos := math.Sincos(2 * math.Pi * frequency)
	re, im := 0.0, 0.0
	c, s := 1.0, 0.0
	for _, v := range x {
		re += v * c
		im -= v * s
		c, s = c*cos-s*sin, s*cos+c*sin
	}
	re *= 2 / float64(len(x))
	im *= 2 / float64(len(x))
	c, s = 1, 0
	for i := range x {
		x[i] -= re*c - im*s
		c, s = c*cos-s*sin, s*cos+c*sin
	}
	return complex(re, im)
}

func power(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return sum / float64(len(x))
}

// clips says whether a tap or a card clips between two positions: many of the samples, as they came, are nearly as large as
// the largest.
func (r *Receiver) clips(from, to int64) bool {
	largest, near := 0, 0
	for n := from; n < to; n++ {
		s := int(r.raw[n%int64(len(r.raw))])
		largest = max(largest, s, -s)
	}
	for n := from; n < to; n++ {
		s := int(r.raw[n%int64(len(r.raw))])
		if float64(max(s, -s)) > nearly*float64(largest) {
			near++
		}
	}
	return float64(near) > mostNear*float64(to-from)
}

// products are the frequencies that two tones make of each other where they are clipped, which is symmetric: the third and
// fifth orders.
func (r *Receiver) products(low, high float64) []float64 {
	p := r.made[:0]
	for order := 3; order <= 5; order += 2 {
		for n := range order + 1 {
			a, b := float64(n)*low, float64(order-n)*high
			p = append(p, a+b, math.Abs(a-b))
		}
	}
	for i, f := range p {
		p[i] = math.Abs(f - math.Round(f)) // sampled
	}
	r.made = p
	return p
}

// noise says whether what is left of a digit, of whose tones the fainter has a power, is faint or noise, some frequencies
// left out.
func (r *Receiver) noise(x []float64, tone float64, without []float64) (faint, noise bool) {
	mean, most, logarithms, places := 0.0, 0.0, 0.0, 0.0
	width := 1.25 / float64(len(x)) // about as wide apart as Hann's window is
	for f := bandLow / r.rate; f < bandHigh/r.rate; f += width {
		if slices.ContainsFunc(without, func(p float64) bool { return math.Abs(f-p) < 1.5*width }) {
			continue
		}
		p := r.at(x, f) + nothing
		mean += p
		logarithms += math.Log(p)
		most = max(most, p)
		places++
	}
	mean /= places
	flat := math.Exp(logarithms/places) / mean
	return most < faintPeak*tone, most < noisyPeak*tone && most < mostPeak*mean && flat > leastFlat
}
