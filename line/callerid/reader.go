package callerid

import (
	"math"
	"math/cmplx"
)

// A byte is read as a whole: of the 256 there are, with a start bit before and a stop bit after and some bits before
// that are known already, the one is taken whose waveform, of which only the first phase is unknown, fits best what was
// heard. Each bit is so supported by all the others, since the phase goes on from bit to bit. Bit by bit, noise would
// have to be 3 dB fainter for the same.

const (
	context = 3                   // known bits before the start bit
	frame   = context + 1 + 8 + 1 // bits of a fit
	pace    = 0.15                // of a byte's own carrier that is taken over
)

// fit is a byte at a place.
type fit struct {
	value  byte
	share  float64 // of the energy that the waveform holds: 1 without noise
	at     float64 // the start bit's beginning
	before int     // the known bits before it, the last of them the lowest
}

// fitter fits; it holds the room for it.
type fitter struct {
	stretch
	bit     float64       // frames of a bit
	advance [2]float64    // phase that a bit of space, of mark goes on by
	turn    [2]complex128 // the same, back
	values  [512]complex128
}

// start begins with a modem whose clock is fast by a part: 0.01 is 1 %.
func (f *fitter) start(m modem, fast float64) {
	f.stretch.start(m, fast)
	f.tune(fast)
}

// tune tunes to a clock that is fast by a part.
func (f *fitter) tune(fast float64) {
	f.bit = inner / baud / (1 + fast)
	for b := range f.advance {
		f.advance[b] = f.steps[b] * f.bit
	}
	f.turnBy(0, 0)
}

// turnBy changes what a bit of space and one of mark go on by.
func (f *fitter) turnBy(space, mark float64) {
	for b, by := range [2]float64{space, mark} {
		f.advance[b] += by
		f.turn[b] = cmplx.Rect(1, -f.advance[b])
	}
}

// fit finds the byte whose start bit begins at a moment; the three bits of before, the last of them the lowest, come
// first. Beside it stands what the best of all that begins with a mark bit in the place of the start bit would have had.
func (f *fitter) fit(at float64, before int) (byt fit, mark float64) {
	end := at + 10*f.bit
	all := f.power(at-context*f.bit, end) * frame * f.bit
	if all <= 0 {
		return fit{at: at}, 0
	}
	// What comes before is the same for all: a sum and a turn.
	sum, turn := complex128(0), complex128(1)
	for i := range context {
		bit := before >> (context - 1 - i) & 1
		from := at + float64(i-context)*f.bit
		sum += turn * f.part(bit, from, from+f.bit)
		turn *= f.turn[bit]
	}
	f.ends(at)
	starting, idling := sum+turn*f.part(0, at, at+f.bit), sum+turn*f.part(1, at, at+f.bit)
	byt = fit{at: at, before: before}
	for i, v := range f.values[:512] {
		s, m := starting+turn*f.turn[0]*v, idling+turn*f.turn[1]*v
		if share := real(s)*real(s) + imag(s)*imag(s); share > byt.share && i >= 256 { // with its stop bit
			byt.value, byt.share = byte(i), share
		}
		mark = max(mark, real(m)*real(m)+imag(m)*imag(m))
	}
	byt.share /= all
	return byt, mark / all
}

// ends is all that a byte's eight bits and its stop bit may be, the first in time the lowest of the index, as waveforms
// that begin with phase 0; the start bit begins at a moment.
func (f *fitter) ends(at float64) {
	f.values[0] = 0
	for bit := 8; bit >= 0; bit-- {
		from := at + float64(1+bit)*f.bit
		zero, one := f.part(0, from, from+f.bit), f.part(1, from, from+f.bit)
		for i := 1<<(8-bit) - 1; i >= 0; i-- { // the bit becomes the lowest of the index
			rest := f.values[i]
			f.values[2*i] = zero + f.turn[0]*rest
			f.values[2*i+1] = one + f.turn[1]*rest
		}
	}
}

// idle is the share of nothing but mark, over the same time.
func (f *fitter) idle(at float64) float64 {
	from, to := at-context*f.bit, at+10*f.bit
	all := f.power(from, to) * frame * f.bit
	if all <= 0 {
		return 0
	}
	v := f.part(1, from, to)
	return (real(v)*real(v) + imag(v)*imag(v)) / all
}

// best is the best fit between two moments, tried at steps, and the best that begins with a mark bit instead.
func (f *fitter) best(from, to, step float64, before int) (best fit, mark float64) {
	for at := from; at <= to+1e-9; at += step {
		one, other := f.fit(at, before)
		if one.share > best.share {
			best = one
		}
		mark = max(mark, other)
	}
	return best, mark
}

// first is the best fit of a message's first byte, which begins within nine bits, and tunes to it. Of the sender only its
// mark is known yet; its bits and its space may be off as much, or otherwise.
func (f *fitter) first(from, fast float64) fit {
	type tuning struct {
		bit     float64
		advance [2]float64
	}
	var best fit
	var chosen tuning
	for _, bits := range [...]float64{fast, 0} {
		for _, space := range [...]float64{fast, 0, 0.01, -0.01} {
			bit := inner / baud / (1 + bits)
			hz := [2]float64{f.modem.space + space*(f.modem.space+middle), f.modem.mark + fast*(f.modem.mark+middle)}
			one := tuning{bit: bit}
			for b := range hz {
				one.advance[b] = 2 * math.Pi * hz[b] / inner * bit
			}
			f.bit, f.advance = one.bit, one.advance
			f.turnBy(0, 0)
			// The tuning that is likeliest wins where several are as good.
			if found, _ := f.best(from, from+9*f.bit, coarse*f.bit, 7); found.share > 1.02*best.share {
				best, chosen = found, one
			}
		}
	}
	if best.share == 0 {
		return best
	}
	f.bit, f.advance = chosen.bit, chosen.advance
	f.turnBy(0, 0)
	best, _ = f.best(best.at-coarse*f.bit, best.at+coarse*f.bit, fine*f.bit, 7)
	return best
}

// follow tunes to a byte that was read. A sender's two frequencies may each be off by 1 %; where the waveform's second
// half is ahead of the first, they are higher than was thought, each the likelier the more bits it had.
func (f *fitter) follow(one fit) {
	bits := one.before << 1 << 8 // space is the start bit
	for i := range 8 {
		bits |= int(one.value>>i&1) << (7 - i)
	}
	bits = bits<<1 | 1 // the stop bit; the first in time is now the highest
	var halves [2]complex128
	var counts [2]float64
	turn := complex128(1)
	for i := range frame {
		bit := bits >> (frame - 1 - i) & 1
		from := one.at + float64(i-context)*f.bit
		half := min(1, i*2/frame)
		halves[half] += turn * f.part(bit, from, from+f.bit)
		turn *= f.turn[bit]
		counts[bit]++
	}
	ahead := cmplx.Phase(halves[1]*cmplx.Conj(halves[0])) / (frame / 2) // a bit
	norm := (counts[0]*counts[0] + counts[1]*counts[1]) / frame
	f.turnBy(pace*ahead*counts[0]/norm, pace*ahead*counts[1]/norm)
}
