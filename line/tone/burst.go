package tone

import "math"

// burst is a stretch in which a tone sounds.
type burst struct {
	low, high  float64 // Hz, of its strong lines
	begin, end float64 // in hops of 20 ms, since the start or the last loss
	level      float64 // amplitude
	open       bool    // it goes on
	cut        bool    // it did not end: something else began over it
}

func (b burst) hops() float64 { return b.end - b.begin }

// burster makes bursts of what the spectra show.
type burster struct {
	purity     float64 // of the line's power that a tone holds at least
	now        int     // hops so far
	amplitudes [8]float64
	is         bool // a burst goes on
	burst      burst
	level      float64 // its amplitude
	pure       int     // hops in a row that were it, at the beginning
	odd        int     // hops in a row that were not
	lows       float64 // sums, of
	highs      float64
	sights     float64 // so many
}

const (
	linesShare = 0.8 // of the band's power that a tone's lines hold
	sameTone   = 20.0
	louder     = 4.0 // 12 dB: another tone, beside which this one came over from the next line
	pureHops   = 3
	oddHops    = 3
	leastLevel = 1e-6 // power: -60 dBFS
)

// hop takes what is seen, and the power of the whole line in the same time. It returns the burst that ended, if one did.
func (b *burster) hop(s sight, power float64) (ended burst, ok bool) {
	amplitude := math.Sqrt(s.lines)
	b.amplitudes[b.now%len(b.amplitudes)] = amplitude
	b.now++
	tonal := s.lines > leastLevel && s.lines > linesShare*s.total && s.lines > b.purity*power
	if !b.is {
		b.start(s, tonal, amplitude)
		return burst{}, false
	}
	b.burst.end = float64(b.now)
	if amplitude < b.level/2 {
		b.burst.end = b.fall()
		return b.stop(false)
	}
	if amplitude > louder*b.level {
		b.burst.end = b.crossing()
		return b.stop(true)
	}
	if tonal && math.Abs(s.low-b.burst.low) < sameTone && math.Abs(s.high-b.burst.high) < sameTone {
		b.odd = 0
		b.lows, b.highs, b.sights = b.lows+s.low, b.highs+s.high, b.sights+1
		b.burst.low, b.burst.high = b.lows/b.sights, b.highs/b.sights
		b.level += (amplitude - b.level) / min(b.sights, 10)
		b.burst.level = b.level
		return burst{}, false
	}
	if b.odd++; b.odd >= oddHops {
		b.burst.end = float64(b.now - oddHops)
		return b.stop(true)
	}
	return burst{}, false
}

// start sees whether a burst has begun. While it rises, its lines are as pure as later, but its frequencies are not.
func (b *burster) start(s sight, tonal bool, amplitude float64) {
	if !tonal {
		b.pure = 0
		return
	}
	if b.pure > 0 && (math.Abs(s.low-b.burst.low) > sameTone || math.Abs(s.high-b.burst.high) > sameTone) {
		b.pure = 0
	}
	b.burst.low, b.burst.high = s.low, s.high
	if b.pure++; b.pure < pureHops {
		return
	}
	b.is, b.odd, b.pure = true, 0, 0
	b.level = amplitude
	b.lows, b.highs, b.sights = s.low, s.high, 1
	b.burst = burst{low: s.low, high: s.high, level: amplitude, open: true, begin: b.crossing(), end: float64(b.now)}
}

// stop ends the burst: it faded, or something else began.
func (b *burster) stop(cut bool) (burst, bool) {
	b.is, b.pure = false, 0
	b.burst.open, b.burst.cut = false, cut
	return b.burst, true
}

// ago is the amplitude so many hops ago.
func (b *burster) ago(n int) float64 {
	if n >= b.now {
		return 0
	}
	return b.amplitudes[(b.now-1-n)%len(b.amplitudes)]
}

// A spectrum's window is symmetric, so that half the amplitude is reached when its middle passes the edge of a tone.
const late = window / (2.0 * hop)

// crossing is where the amplitude rose through half the level.
func (b *burster) crossing() float64 {
	for n := range len(b.amplitudes) - 1 {
		in, out := b.ago(n), b.ago(n+1)
		if out < b.level/2 {
			return max(0, float64(b.now-n)-late-part(in, out, b.level/2))
		}
	}
	return max(0, float64(b.now-len(b.amplitudes))-late)
}

// fall is where it fell through it, just now.
func (b *burster) fall() float64 {
	return float64(b.now-1) - late + part(b.ago(1), b.ago(0), b.level/2)
}

// part is how far between two amplitudes a third lies.
func part(from, to, at float64) float64 {
	if from == to {
		return 0.5
	}
	return max(0, min(1, (from-at)/(from-to)))
}
