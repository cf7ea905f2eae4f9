package capture

import (
	"fmt"
	"math"
)

// What the low-pass keeps and what it stops, for rates of which the lower is r: it is flat (0.1 dB) up to 0.85 r/2
// (3.4 kHz at 8 kHz) and 80 dB down from r/2, so that nothing folds back.
const (
	passEdge   = 0.85
	stopBandDB = 80
	maxPhases  = 1000 // of the rate's ratio: 11 025 Hz to 16 kHz takes 640
)

// resampler brings one channel from the card's rate to the line's: a polyphase filter, one set of taps for each
// position that an output sample can have between two input samples. Output sample k stands for the time of input
// sample k*in/out exactly, from the first on: the filter's delay is taken out.
type resampler struct {
	up, down int         // out/in in lowest terms
	phases   [][]float32 // up sets of taps
	taps     int         // in each
	in       []float32   // input that is still needed, from the first tap of the next output on
	start    int         // where in `in` the next output's first tap lies
	phase    int
	owed     int64 // twice: input samples times up, less output samples times down, to end at the right length
}

// newResampler is for rates whose ratio is reasonable: that of any two rates that sound cards have.
func newResampler(in, out int) (*resampler, error) {
	g := gcd(in, out)
	r := &resampler{up: out / g, down: in / g}
	if r.up > maxPhases {
		return nil, fmt.Errorf("cannot bring %d Hz to %d Hz: the ratio %d/%d is too odd; capture at 8000, 16000, 44100 or 48000 Hz", in, out, r.up, r.down)
	}
	if r.up != r.down {
		r.design(in, out)
	}
	r.reset()
	return r, nil
}

func (r *resampler) reset() {
	r.start, r.phase, r.owed = 0, 0, 0
	// Half a filter of silence before the first sample takes the delay out.
	r.in = append(r.in[:0], make([]float32, max(0, r.taps/2-1))...)
}

// design computes the taps: a windowed sinc (Kaiser's window), cut at the middle of the transition band.
func (r *resampler) design(in, out int) {
	low := float64(min(in, out))
	transition := low / 2 * (1 - passEdge) / float64(in) // as a fraction of the input rate
	cut := low / 2 * (1 + passEdge) / 2 / float64(in)
	half := int(math.Ceil((stopBandDB - 7.95) / (2.285 * 2 * math.Pi * transition) / 2))
	half = (half + 3) &^ 3 // so that the taps are a multiple of 8, which dot likes
	r.taps = 2 * half
	beta := 0.1102 * (stopBandDB - 8.7)
	r.phases = make([][]float32, r.up)
	all := make([]float32, r.up*r.taps)
	h := make([]float64, r.taps)
	for p := range r.phases {
		sum := 0.0
		for k := range h {
			x := float64(k-(half-1)) - float64(p)/float64(r.up) // time of this tap's input sample less the output's
			h[k] = sinc(2*cut*x) * kaiser(x/float64(half), beta)
			sum += h[k]
		}
		taps := all[p*r.taps : (p+1)*r.taps]
		for k := range taps {
			taps[k] = float32(h[k] / sum)
		}
		r.phases[p] = taps
	}
}

// write takes every stride-th sample of samples, from the first, and appends what they yield to dst. However the input
// is cut into writes, the output is the same.
func (r *resampler) write(dst, samples []int16, stride int) []int16 {
	if r.taps == 0 {
		for i := 0; i < len(samples); i += stride {
			dst = append(dst, samples[i])
		}
		return dst
	}
	for i := 0; i < len(samples); i += stride {
		r.in = append(r.in, float32(samples[i]))
		r.owed += int64(r.up)
	}
	return r.run(dst)
}

// flush appends the samples that the filter still holds back, as if silence followed. reset comes next.
func (r *resampler) flush(dst []int16) []int16 {
	if r.taps == 0 {
		return dst
	}
	want := len(dst) + int((r.owed+int64(r.down)-1)/int64(r.down))
	r.in = append(r.in, make([]float32, r.taps)...)
	dst = r.run(dst)
	return dst[:min(want, len(dst))]
}

func (r *resampler) run(dst []int16) []int16 {
	for r.start+r.taps <= len(r.in) {
		dst = append(dst, round(dot(r.phases[r.phase], r.in[r.start:])))
		r.owed -= int64(r.down)
		r.phase += r.down
		r.start += r.phase / r.up
		r.phase %= r.up
	}
	if done := min(r.start, len(r.in)); done > 0 {
		r.in = r.in[:copy(r.in, r.in[done:])]
		r.start -= done
	}
	return dst
}

// dot is the sum of the products of all of a with the beginning of b; len(a) is a multiple of 8.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 8 && len(b) >= 8 {
		s0 += a[0]*b[0] + a[4]*b[4]
		s1 += a[1]*b[1] + a[5]*b[5]
		s2 += a[2]*b[2] + a[6]*b[6]
		s3 += a[3]*b[3] + a[7]*b[7]
		a, b = a[8:], b[8:]
	}
	return s0 + s1 + s2 + s3
}

func round(v float32) int16 {
	switch {
	case v >= math.MaxInt16:
		return math.MaxInt16
	case v <= math.MinInt16:
		return math.MinInt16
	case v < 0:
		return int16(v - 0.5)
	}
	return int16(v + 0.5)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is Kaiser's window at x, from -1 to 1.
func kaiser(x, beta float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel0(beta*math.Sqrt(1-x*x)) / bessel0(beta)
}

// bessel0 is the modified Bessel function of the first kind and order 0, by its power series.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-16; k++ {
		term *= x / 2 / k * x / 2 / k
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
