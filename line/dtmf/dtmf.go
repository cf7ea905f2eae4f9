// Package dtmf hears the digits that are keyed on a telephone line (ITU-T Q.23: a low tone and a high one), with where
// each begins and how long it lasts.
//
//	r := dtmf.NewReceiver(8000)
//	for samples := range periods {
//		for _, digit := range r.Feed(samples) {
//			// digit.Key was held from frame digit.Begin on, for digit.Frames
//		}
//	}
//
// A Detector is the same for periods of a line, which may have two sides, and gives marks.
//
// How it works. A filter takes away hum and the dial tone, which may go on under the first digit. Each 5 ms the eight
// tones are correlated over the last 15 ms; where a low and a high one hold a good part of the power, a digit may be
// sounding. That is cheap, and true of much speech too. So once the same pair was heard for 80 ms, or has ended, it is
// examined (examine.go): its frequencies are measured to about 1 Hz, and what is left when both tones are taken away
// must be noise. Speech is refused since its harmonics come in rows.
//
// Limits, beyond ITU-T Q.24: frequencies up to 2.2 % off (3 % are refused), twist -10 to +9 dB, tones from 36 ms
// (24 ms are refused), pauses from 30 ms (20 ms are bridged), tones down to -50 dBFS, white noise 3 dB below the digit;
// the last at frequencies up to 1.5 % off, 50 ms, and -40 dBFS.
//
// It is pure: the same samples give the same digits whatever the sizes in which they are fed.
package dtmf

import "math"

// Digit is a key that was held.
type Digit struct {
	Key    byte  // 0-9 * # A-D
	Begin  int64 // frames since the receiver was made, lost ones included
	Frames int64 // how long
}

const (
	blocksASecond = 200 // one is 5 ms
	windowBlocks  = 3   // over which tones are correlated
	historyBlocks = 40  // of which the strengths are kept
	recentBlocks  = 48  // of which the samples are kept

	leastShare = 0.3    // of the power that both tones have at least, in a window
	leastPower = 1.6e-5 // of a window, -48 dBFS: two tones of -51 dBFS; full scale is 1
	mostUneven = 30.0   // 15 dB between the tones is possible in a window; examine knows better

	shortest    = 0.033 // seconds that a digit lasts at least
	bridged     = 0.020 // seconds of interruption that do not end it
	decideAfter = 16    // blocks after which a digit that goes on is examined
	tryAgain    = 8     // blocks after which it is examined again, until it is certain
)

// The tones of ITU-T Q.23, in Hz, and the keys at their crossings.
var (
	lows   = [4]float64{697, 770, 852, 941}
	highs  = [4]float64{1209, 1336, 1477, 1633}
	keypad = [4]string{"123A", "456B", "789C", "*0#D"}
)

// Receiver listens to one channel. Its zero value is not usable; see NewReceiver.
type Receiver struct {
	rate   float64
	block  int // frames
	filter filter
	tones  [8]correlator // four low, four high

	recent  []float64 // the last filtered samples, a ring of recentBlocks
	raw     []int16   // and as they came
	filled  int       // frames of the block that is being filled
	blocks  int64     // whole ones since the start or the last loss
	origin  int64     // position of the first of them
	powers  [windowBlocks]float64
	history [historyBlocks]strengths
	run     run
	examiner
	digits []Digit
}

// strengths are the powers of the eight tones over the window that ends with a block.
type strengths [8]float64

// run is a stretch in which the same pair of tones is heard.
type run struct {
	pair     pair
	first    int64   // block at which it was first heard
	last     int64   // and last, at half its amplitude at least
	peak     float64 // power of both tones, the most of any window
	begin    float64 // position of its begin, once it passed
	certain  bool    // it is a digit
	passes   int     // examinations by which it may be one
	fails    int     // and by which it is none
	examined int64   // block after which it was examined last; 0: not yet
}

// pair is a low and a high tone, as places in tones.
type pair struct{ low, high int }

var none = pair{-1, -1}

func (p pair) key() byte { return keypad[p.low][p.high-4] }

// NewReceiver makes a receiver for samples at rate frames a second: 8000 or more.
func NewReceiver(rate int) *Receiver {
	r := &Receiver{rate: float64(rate), block: rate / blocksASecond, run: run{pair: none}}
	r.filter = newFilter(r.rate)
	for i, hz := range append(lows[:], highs[:]...) {
		r.tones[i] = newCorrelator(hz/r.rate, r.block)
	}
	r.recent = make([]float64, recentBlocks*r.block)
	r.raw = make([]int16, len(r.recent))
	return r
}

// Feed takes the next samples and returns the digits that they ended, in order. They are valid until the next call.
func (r *Receiver) Feed(samples []int16) []Digit {
	r.digits = r.digits[:0]
	for len(samples) > 0 {
		n := min(len(samples), r.block-r.filled)
		at := int(r.blocks%recentBlocks)*r.block + r.filled
		r.filter.run(r.recent[at:at+n], samples[:n])
		copy(r.raw[at:], samples[:n])
		r.filled += n
		samples = samples[n:]
		if r.filled == r.block {
			r.filled = 0
			r.hear(r.recent[at+n-r.block : at+n])
			r.blocks++
			r.follow()
		}
	}
	return r.digits
}

// Lost says that frames are missing before the samples that Feed is given next: it ends a digit. The digits that it
// returns are valid until the next call.
func (r *Receiver) Lost(frames int64) []Digit {
	r.digits = r.digits[:0]
	r.end()
	r.origin += r.blocks*int64(r.block) + int64(r.filled) + frames
	r.blocks, r.filled = 0, 0
	r.filter.reset()
	r.powers = [windowBlocks]float64{}
	return r.digits
}

// Known is the position before which all digits have been told.
func (r *Receiver) Known() int64 {
	known := r.blocks - windowBlocks
	if r.run.pair != none {
		known = min(known, r.run.first-2*windowBlocks)
	}
	return r.origin + max(0, known)*int64(r.block)
}

// hear measures the strengths of the tones over the window that ends with this block.
func (r *Receiver) hear(block []float64) {
	power := 0.0
	for _, v := range block {
		power += v * v
	}
	slot := int(r.blocks % windowBlocks)
	r.powers[slot] = power / float64(r.block)
	now := &r.history[r.blocks%historyBlocks]
	quiet := r.power() < leastPower
	for i := range r.tones {
		now[i] = r.tones[i].feed(block, slot, quiet)
	}
}

// power is that of the window.
func (r *Receiver) power() float64 {
	sum := 0.0
	for _, p := range r.powers {
		sum += p
	}
	return sum / windowBlocks
}

// heard is the pair that the last window holds, none if it is not plain, and the power of both tones.
func (r *Receiver) heard() (pair, float64) {
	total := r.power()
	if total < leastPower {
		return none, 0
	}
	now := &r.history[(r.blocks-1)%historyBlocks]
	best := pair{0, 4}
	for i := range 4 {
		if now[i] > now[best.low] {
			best.low = i
		}
		if now[4+i] > now[best.high] {
			best.high = 4 + i
		}
	}
	low, high := now[best.low], now[best.high]
	if low+high < leastShare*total || low > mostUneven*high || high > mostUneven*low {
		return none, 0
	}
	return best, low + high
}

// follow goes on with the run, after a block.
func (r *Receiver) follow() {
	heard, power := r.heard()
	now := r.blocks - 1
	run := &r.run
	switch {
	case run.pair == none && heard == none:
		return
	case run.pair == none:
		r.start(heard, power)
		return
	case heard == run.pair && power >= run.peak/4: // half the amplitude
		run.last = now
		run.peak = max(run.peak, power)
	case float64((now-run.last)*int64(r.block)) > (bridged+0.005)*r.rate || heard != none && heard != run.pair && power >= run.peak/2 && now-run.last > 1:
		r.end()
		if heard != none {
			r.start(heard, power)
		}
		return
	}
	since := now - run.first
	if !run.certain && since >= decideAfter && (run.examined == 0 || now-run.examined >= tryAgain) {
		run.examined = now
		r.decide()
	}
}

func (r *Receiver) start(p pair, power float64) {
	r.run = run{pair: p, first: r.blocks - 1, last: r.blocks - 1, peak: power}
}

// end ends the run, and tells the digit that it was.
func (r *Receiver) end() {
	if r.run.pair == none {
		return
	}
	if !r.run.certain && (r.run.passes == 0 || r.run.last-r.run.examined >= tryAgain) {
		r.decide()
	}
	if r.run.certain || r.run.passes > r.run.fails {
		begin, end := r.run.begin, r.edge(r.run.last, r.blocks-1)
		if end-begin >= shortest*r.rate {
			r.digits = append(r.digits, Digit{
				Key:    r.run.pair.key(),
				Begin:  r.origin + int64(math.Round(begin)),
				Frames: int64(math.Round(end - begin)),
			})
		}
	}
	r.run = run{pair: none}
}
