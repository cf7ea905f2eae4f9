package tone

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// band is a part of the telephone band, brought to its middle and to 800 complex values a second, of which each 20 ms give
// a spectrum over the last 80 ms.
type band struct {
	middle  float64   // Hz
	re, im  []float64 // a low-pass filter's taps, brought to the middle
	recent  []float64 // samples, twice, so that the last len(re) always stand in a row
	at      int
	turned  complex128 // what brings the next value to the middle
	turn    complex128 // by which that goes on from value to value
	step    int        // frames to one value
	phase   int
	live    int                // recent is not all 0
	values  [window]complex128 // a ring
	count   int
	taper   [window]float64
	twiddle [window / 2]complex128
	power   [window]float64 // the spectrum, from the lowest frequency; a sine of power 1 is spread over three or four
}

const (
	inner     = 800.0
	window    = 64 // values: 80 ms
	hop       = 16 // values: 20 ms
	binHz     = inner / window
	bandReach = 250.0 // Hz to each side
)

func newBand(middle float64, rate int) *band {
	cycle := -2 * math.Pi * middle / float64(rate)
	b := &band{middle: middle, step: rate / int(inner), turned: 1}
	b.turn = cmplx.Rect(1, cycle*float64(b.step))
	const edge = 320.0 // the half of the amplitude; what is beyond inner/2 and a little would be folded back
	half := int(0.004 * float64(rate))
	var taps []float64
	sum := 0.0
	for i := -half; i <= half; i++ {
		v := 1.0
		if i != 0 {
			x := math.Pi * 2 * edge / float64(rate) * float64(i)
			v = math.Sin(x) / x
		}
		v *= 0.5 + 0.5*math.Cos(math.Pi*float64(i)/float64(half+1))
		taps = append(taps, v)
		sum += v
	}
	for i, v := range taps {
		sin, cos := math.Sincos(cycle * float64(i))
		b.re, b.im = append(b.re, v/sum*cos), append(b.im, v/sum*sin)
	}
	b.recent = make([]float64, 2*len(taps))
	sum = 0
	for i := range b.taper {
		b.taper[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/window)
		sum += b.taper[i] * b.taper[i]
	}
	for i := range b.taper {
		b.taper[i] /= math.Sqrt(sum * window) // so that the spectrum's sum is the power
	}
	for i := range b.twiddle {
		b.twiddle[i] = cmplx.Rect(1, -2*math.Pi*float64(i)/window)
	}
	return b
}

func (b *band) reset() {
	clear(b.recent)
	b.values = [window]complex128{}
	b.turned, b.at, b.phase, b.count = 1, 0, 0, 0
}

// feed takes a hop; full scale is 1. One that is too faint for anything costs nothing.
func (b *band) feed(hop []float64, faint bool) {
	if faint {
		if b.live > 0 {
			clear(b.recent)
			b.live--
		}
		for range len(hop) / b.step {
			b.values[b.count%window] = 0
			b.count++
		}
		return
	}
	b.live = 1
	n := len(b.re)
	for _, v := range hop {
		b.recent[b.at], b.recent[b.at+n] = v, v
		if b.at++; b.at == n {
			b.at = 0
		}
		if b.phase++; b.phase < b.step {
			continue
		}
		b.phase = 0
		b.values[b.count%window] = b.filter(b.recent[b.at:b.at+n]) * b.turned
		b.count++
		b.turned *= b.turn
	}
	b.turned /= complex(cmplx.Abs(b.turned), 0)
}

// filter is the filter's sum over the last samples: four sums that do not wait for each other.
func (b *band) filter(x []float64) complex128 {
	re, im := b.re[:len(x)], b.im[:len(x)]
	re0, im0, re1, im1 := 0.0, 0.0, 0.0, 0.0
	i := 0
	for ; i+1 < len(x); i += 2 {
		re0 += re[i] * x[i]
		im0 += im[i] * x[i]
		re1 += re[i+1] * x[i+1]
		im1 += im[i+1] * x[i+1]
	}
	for ; i < len(x); i++ {
		re0 += re[i] * x[i]
		im0 += im[i] * x[i]
	}
	return complex(re0+re1, im0+im1)
}

// spectrum computes power.
func (b *band) spectrum() {
	var x [window]complex128
	const shift = 64 - 6
	for i := range window {
		v := b.values[(b.count+i)%window]
		t := b.taper[i]
		x[bits.Reverse64(uint64(i))>>shift] = complex(t*real(v), t*imag(v))
	}
	for size := 2; size <= window; size *= 2 {
		for start := 0; start < window; start += size {
			for k := range size / 2 {
				p, q := x[start+k], x[start+k+size/2]*b.twiddle[k*(window/size)]
				x[start+k], x[start+k+size/2] = p+q, p-q
			}
		}
	}
	for i, v := range x {
		// A real sine has half its amplitude at its positive frequency: its power is twice the square.
		b.power[(i+window/2)%window] = 2 * (real(v)*real(v) + imag(v)*imag(v))
	}
}

// sight is what a spectrum shows.
type sight struct {
	low, high float64 // Hz: the lowest and the highest strong line
	lines     float64 // power in those and between lines that are one tone
	total     float64 // power in the band
}

const (
	strong = 0.1 // of the strongest line: 10 dB below it
	spread = 2   // bins to each side that a line takes
)

// look finds the lines of the spectrum.
func (b *band) look() (s sight) {
	first, last := window/2-int(bandReach/binHz), window/2+int(bandReach/binHz)
	most := 0.0
	for i := first; i <= last; i++ {
		s.total += b.power[i]
		most = max(most, b.power[i])
	}
	end := -1 // of the last line's bins
	for i := first + 1; i < last; i++ {
		p := b.power[i]
		if p < strong*most || p < b.power[i-1] || p <= b.power[i+1] {
			continue
		}
		hz := b.middle + (float64(i-window/2)+b.between(i))*binHz
		if s.low == 0 {
			s.low = hz
		}
		s.high = hz
		for k := max(first, i-spread, end+1); k <= min(last, i+spread); k++ {
			s.lines += b.power[k]
			end = k
		}
	}
	return s
}

// between is where between two bins a line stands: a parabola through logarithms, which fits Hann's window well.
func (b *band) between(i int) float64 {
	const nothing = 1e-30
	low, middle, high := math.Log(b.power[i-1]+nothing), math.Log(b.power[i]+nothing), math.Log(b.power[i+1]+nothing)
	bend := low - 2*middle + high
	if bend >= 0 {
		return 0
	}
	return max(-0.5, min(0.5, 0.5*(low-high)/bend))
}
