package callerid

import (
	"math"
	"math/cmplx"
)

// modem is a pair of frequencies that bits are sent with, continuous in phase, at 1200 bit/s.
type modem struct {
	name        string
	mark, space float64 // Hz from the middle of the band
}

const (
	middle = 1700.0 // Hz: of both modems
	baud   = 1200.0
	inner  = 8000.0 // frames a second at which bits are read, whatever the line's rate
)

var (
	bell202 = modem{"Bell 202", 1200 - middle, 2200 - middle}
	v23     = modem{"V.23", 1300 - middle, 2100 - middle}
)

// band brings the line's samples to the middle of the modems' band: complex, at the inner rate, without what is below
// 300 Hz or so and without the mirror image.
type band struct {
	taps    []float64
	turn    complex128 // of the middle frequency, a sample
	now     complex128
	history []complex128 // twice, so that the last len(taps) always stand in a row
	at      int
	step    int // samples of the line to one of the inner rate
	phase   int
}

func newBand(rate int) *band {
	const spread = 0.0026 // seconds to each side
	half := int(spread * float64(rate))
	b := &band{step: max(1, rate/int(inner)), now: 1}
	edge := 1400 / float64(rate)
	sum := 0.0
	for i := -half; i <= half; i++ {
		x := float64(i)
		v := 2 * edge
		if i != 0 {
			v = math.Sin(2*math.Pi*edge*x) / (math.Pi * x)
		}
		v *= 0.54 + 0.46*math.Cos(math.Pi*x/float64(half)) // Hamming's window
		b.taps = append(b.taps, v)
		sum += v
	}
	for i := range b.taps {
		b.taps[i] /= sum
	}
	b.turn = cmplx.Rect(1, -2*math.Pi*middle/float64(rate))
	b.history = make([]complex128, 2*len(b.taps))
	return b
}

// feed takes a sample and returns one of the inner rate, if one is due.
func (b *band) feed(sample int16) (complex128, bool) {
	v := b.now * complex(float64(sample)/32768, 0)
	b.now *= b.turn
	n := len(b.taps)
	b.history[b.at], b.history[b.at+n] = v, v
	b.at = (b.at + 1) % n
	if b.phase = (b.phase + 1) % b.step; b.phase != 0 {
		return 0, false
	}
	if m := real(b.now)*real(b.now) + imag(b.now)*imag(b.now); m < 0.999 || m > 1.001 {
		b.now /= complex(math.Sqrt(m), 0)
	}
	sum := complex128(0)
	for i, tap := range b.taps {
		h := b.history[b.at+i]
		sum += complex(tap*real(h), tap*imag(h))
	}
	return sum, true
}

func (b *band) reset() {
	clear(b.history)
	b.now, b.phase = 1, 0
}

// stretch is a part of the band, as sums from its beginning, so that what lies between any two moments is a
// difference: energy, and how much of mark and space there is.
type stretch struct {
	modem  modem
	steps  [2]float64 // phase a frame of space and of mark
	sums   [2][]complex128
	energy []float64
	first  int // frame that the first sums stand for
	turns  [2]complex128
}

func (s *stretch) start(m modem, fast float64) {
	s.modem = m
	for b, hz := range [2]float64{m.space, m.mark} {
		s.steps[b] = 2 * math.Pi * ((hz+middle)*(1+fast) - middle) / inner
	}
	s.turns = [2]complex128{1, 1}
	for b := range s.sums {
		s.sums[b] = append(s.sums[b][:0], 0)
	}
	s.energy = append(s.energy[:0], 0)
	s.first = 0
}

func (s *stretch) end() int { return s.first + len(s.energy) - 1 }

func (s *stretch) append(z complex128) {
	last := len(s.energy) - 1
	for b := range s.sums {
		s.sums[b] = append(s.sums[b], s.sums[b][last]+z*s.turns[b])
		s.turns[b] = cmplx.Rect(1, -s.steps[b]*float64(s.end()+1))
	}
	s.energy = append(s.energy, s.energy[last]+real(z)*real(z)+imag(z)*imag(z))
}

// forget lets go of what is before a frame, now and then.
func (s *stretch) forget(before int) {
	n := before - s.first
	if n < 1024 {
		return
	}
	for b := range s.sums {
		s.sums[b] = append(s.sums[b][:0], s.sums[b][n:]...)
	}
	s.energy = append(s.energy[:0], s.energy[n:]...)
	s.first += n
}

// part is how much of mark or space there is from one moment to another, with the phase at the first.
func (s *stretch) part(bit int, from, to float64) complex128 {
	sum := s.sum(bit, to) - s.sum(bit, from)
	return sum * cmplx.Rect(1, s.steps[bit]*from)
}

// sum is interpolated between frames. A frame's value stands for the time up to half a frame to each side of it.
func (s *stretch) sum(bit int, t float64) complex128 {
	t += 0.5
	n := int(t)
	part := t - float64(n)
	at := n - s.first
	a, b := s.sums[bit][at], s.sums[bit][at+1]
	return a + complex(part, 0)*(b-a)
}

func (s *stretch) power(from, to float64) float64 {
	a, b := int(from+0.5)-s.first, int(to+0.5)-s.first
	return s.energy[b] - s.energy[a]
}
