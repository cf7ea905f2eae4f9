package tone

import (
	"math"
	"slices"
)

// tracker compares bursts with the forms of tones.
type tracker struct {
	forms  []form
	bursts []burst // the last, which belong together; the newest may go on
	told   bool    // of these bursts
	is     form    // what was told
}

// form is a form in hops.
type form struct {
	kind      Kind
	low, high float64
	times     []float64
	least     float64 // how long a tone without times lasts until it is certain
}

const (
	hopsASecond = inner / hop
	offHz       = 20.0 // by which a frequency is wrong at most: exchanges keep 15, and lines and cards add nothing
	nearLines   = 30.0
	steadyHz    = 8.0  // by which it differs from burst to burst: an exchange's oscillator stays what it is
	steadyLevel = 1.6  // 4 dB, the same of the amplitude
	offTimes    = 0.18 // by which a time is, of it
	offHops     = 2.0  // and besides: 40 ms
	certain     = 1.5 * hopsASecond
	quick       = 2 * hopsASecond // a cadence that lasts less must be heard four times, for a melody may have one
	mostBursts  = 20
)

func newTracker(forms []Form) *tracker {
	t := &tracker{}
	for _, f := range forms {
		one := form{kind: f.Kind, low: f.Hz[0], high: f.Hz[len(f.Hz)-1], least: certain}
		for _, d := range f.Times {
			one.times = append(one.times, d.Seconds()*hopsASecond)
		}
		t.forms = append(t.forms, one)
	}
	// A tone that goes on is told from a long burst of another only by being longer.
	for i := range t.forms {
		for _, other := range t.forms {
			if other.is(t.forms[i].low, t.forms[i].high) {
				for k := 0; k < len(other.times); k += 2 {
					t.forms[i].least = max(t.forms[i].least, other.times[k]*(1+offTimes)+5*offHops)
				}
			}
		}
	}
	return t
}

// is says whether lines are the form's. Two that are less than 30 Hz apart beat, and are seen as one at times.
func (f form) is(low, high float64) bool {
	if f.high-f.low < nearLines && math.Abs(f.low+f.high-low-high) <= 2*offHz && high-low < 2*nearLines {
		return true
	}
	return math.Abs(f.low-low) <= offHz && math.Abs(f.high-high) <= offHz
}

// period is how long the form lasts once.
func (f form) period() (sum float64) {
	for _, t := range f.times {
		sum += t
	}
	return sum
}

// add takes a burst: one that goes on takes the place of itself.
func (t *tracker) add(b burst) (found Kind, begin, end float64) {
	if n := len(t.bursts); n > 0 && t.bursts[n-1].open {
		t.bursts = t.bursts[:n-1]
	}
	if n := len(t.bursts); n > 0 && !t.near(t.bursts[n-1], b) {
		t.forget()
	}
	if len(t.bursts) == mostBursts {
		t.bursts = slices.Delete(t.bursts, 0, 1)
	}
	t.bursts = append(t.bursts, b)
	if t.told {
		if n := len(t.bursts); t.is.fits(t.bursts[max(0, n-2):]) {
			return "", 0, 0
		}
		// Another tone of the same frequency: busy after ring-back.
		t.bursts, t.told = append(t.bursts[:0], b), false
	}
	var best form
	first, least := 0, math.Inf(1)
	for _, f := range t.forms {
		if n, miss := f.match(t.bursts); n > 0 && miss < least {
			first, least, best = len(t.bursts)-n, miss, f
		}
	}
	if math.IsInf(least, 1) || t.mayBecomeAnother(best) {
		return "", 0, 0
	}
	for first > 0 && best.fits(t.bursts[first-1:]) {
		first--
	}
	t.told, t.is = true, best
	return best.kind, t.bursts[first].begin, b.end
}

// mayBecomeAnother says whether what is a form by now may be the beginning of a longer one: three short bursts are busy in
// Spain, and reorder when a longer pause follows.
func (t *tracker) mayBecomeAnother(than form) bool {
	for _, f := range t.forms {
		if f.kind == than.kind || len(f.times) <= len(than.times) || len(t.bursts) >= f.wanted() {
			continue
		}
		if f.fits(t.bursts) {
			return true
		}
	}
	return false
}

// fits says whether bursts can be of the form, be they ever so few.
func (f form) fits(bursts []burst) bool {
	if len(f.times) == 0 {
		return len(bursts) == 1 && f.is(bursts[0].low, bursts[0].high)
	}
	for phase := range len(f.times) / 2 {
		if !math.IsInf(f.misses(bursts, phase), 1) {
			return true
		}
	}
	return false
}

func (t *tracker) forget() { t.bursts, t.told = t.bursts[:0], false }

// near says whether a burst may go on with what came before: the same frequencies and level, after no longer pause than
// any form of them has.
func (t *tracker) near(a, b burst) bool {
	if math.Abs(a.low-b.low) > sameTone || math.Abs(a.high-b.high) > sameTone {
		return false
	}
	if math.Abs(a.low+a.high-b.low-b.high) > 2*steadyHz { // two lines that are near each other may be seen as one
		return false
	}
	if a.level > steadyLevel*b.level || b.level > steadyLevel*a.level {
		return false
	}
	longestOff := 0.0
	for _, f := range t.forms {
		if f.is(b.low, b.high) {
			for k := 1; k < len(f.times); k += 2 {
				longestOff = max(longestOff, f.times[k])
			}
		}
	}
	return b.begin-a.end <= longestOff*(1+offTimes)+offHops
}

// match says how many of the last bursts are the form, 0 if it is not heard yet, and how far they miss it.
func (f form) match(bursts []burst) (n int, miss float64) {
	last := bursts[len(bursts)-1]
	if !f.is(last.low, last.high) {
		return 0, 0
	}
	if len(f.times) == 0 {
		if last.hops() >= f.least {
			return 1, 0
		}
		return 0, 0
	}
	wanted, onsOfRound := f.wanted(), len(f.times)/2
	if len(bursts) < wanted {
		return 0, 0
	}
	bursts = bursts[len(bursts)-wanted:]
	best := math.Inf(1)
	for phase := range onsOfRound {
		best = min(best, f.misses(bursts, phase))
	}
	if math.IsInf(best, 1) {
		return 0, 0
	}
	return wanted, best
}

// wanted is how many bursts make it certain: a round and the beginning of the next, four bursts of a quick one.
func (f form) wanted() int {
	wanted := len(f.times)/2 + 1
	if f.period() < quick {
		wanted = max(wanted, 4)
	}
	return wanted
}

// misses is how far the bursts are from the form, of which the phase-th burst comes first: infinitely if any is too far.
func (f form) misses(bursts []burst, phase int) (sum float64) {
	for i, b := range bursts {
		if !f.is(b.low, b.high) {
			return math.Inf(1)
		}
		k := 2 * ((phase + i) % (len(f.times) / 2))
		last := i == len(bursts)-1
		on, want := b.hops(), f.times[k]
		if b.open && on < want {
			on = want // it may still become as long
		}
		if b.cut {
			return math.Inf(1)
		}
		sum += miss(on, want)
		if !last {
			sum += miss(bursts[i+1].begin-b.end, f.times[k+1])
		}
	}
	return sum / float64(2*len(bursts)-1)
}

// miss is 0 where two times are the same, 1 where they are as far apart as may be, and infinite beyond.
func miss(is, want float64) float64 {
	m := math.Abs(is-want) / (want*offTimes + offHops)
	if m > 1 {
		return math.Inf(1)
	}
	return m
}
