package line

import (
	"math"

	"github.com/linekeeper/linekeeper/call"
)

// How the next call shows itself in one that goes on, on a line without a hook.
const (
	dialToneLeast = 0.6 // seconds
	dialToneAbove = 5.0 // dB above what else is heard
	gapBlocks     = 2   // of noise of the idle line, at least: the handset was put back
	gapApart      = 3.0 // dB from the idle line to the call, at least
	gapWithin     = 1.0 // dB from the idle line
	liftedFor     = 2   // seconds without one, before a ring or caller ID: they are none of a next call
	gapBefore     = 15  // seconds from a gap to the first digit, or what else is the next call's
)

// nextCall ends the call where the first digit after a while is the next call's: it is keyed into a steady tone, which is a
// dial tone, whichever country's; or the line was idle for a moment shortly before.
func (l *Line) nextCall(m call.Mark) {
	c, before := &l.call, l.lastDigit
	l.lastDigit = m.Position
	happened := c.answered || c.number.done || len(c.number.digits) > 0 || c.said >= saidLeast*l.second
	if !l.inCall || l.hook.is || !happened || c.incoming && !c.answered || m.Position-before < betweenDigits*l.second {
		return
	}
	if begin, end, ok := l.gap(m.Position, gapBefore); ok {
		l.dialTone = end
		l.end(min(c.voice, begin)+l.tail, min(c.voice, begin), call.EndedNext)
		return
	}
	for i := range l.sides {
		v := &l.sides[i].levels
		from, above := v.steadyBefore(m.Position-int64(l.piece), max(c.trigger, c.answeredAt))
		if float64(m.Position-from) >= dialToneLeast*float64(l.second) && above > dialToneAbove && from-c.trigger >= firstTime*l.second {
			l.dialTone = from
			l.end(min(c.voice+l.tail, from), min(c.voice, from), call.EndedTone)
			return
		}
	}
}

// liftedBefore says whether the line just before a position sounded as in the call, and clearly not as it does when it is idle.
func (l *Line) liftedBefore(position int64) bool {
	n := &l.sides[0].levels.noise
	for i := 1; i <= len(n.blocks); i++ {
		switch b := n.last(i); {
		case b.end > position:
		case b.end < position-liftedFor*l.second:
			return l.apart(position)
		case l.idleAt(i):
			return false
		}
	}
	return false
}

// idleBefore says whether the line was idle shortly before a position.
func (l *Line) idleBefore(position, seconds int64) bool {
	_, _, ok := l.gap(position, seconds)
	return ok
}

// gap finds where in the last seconds the line sounded for a moment as it does when it is idle, and clearly not as in the call.
func (l *Line) gap(before, seconds int64) (begin, end int64, ok bool) {
	noise := &l.sides[0].levels.noise
	run := 0
	for i := 1; i <= len(noise.blocks) && i <= 2*int(seconds+nowFor); i++ {
		b := noise.last(i)
		switch {
		case b.end > before:
		case l.idleAt(i):
			if run++; run == 1 {
				end = b.end
			}
			begin = b.end - l.second/2
		case run >= gapBlocks:
			return begin, end, l.apart(begin)
		case b.end < before-seconds*l.second:
			return 0, 0, false
		default:
			run = 0
		}
	}
	return 0, 0, false
}

// idleAt says whether every side sounds idle in its last block but so many.
func (l *Line) idleAt(back int) bool {
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		if !n.idle.known || len(n.blocks) < back || math.Abs(n.last(back).dB-n.idle.dB) > gapWithin {
			return false
		}
	}
	return true
}

// apart says whether a side was louder in the call, up to a position, than on the idle line.
func (l *Line) apart(to int64) bool {
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		inUse := n.between(max(l.call.trigger, l.call.answeredAt), to, l.second)
		if n.idle.known && inUse.known && inUse.dB >= n.idle.dB+gapApart {
			return true
		}
	}
	return false
}
