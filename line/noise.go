package line

import (
	"math"
	"slices"
)

// noiseFloor is how loud the noise of a side was lately, half a second at a time. While the handset is lifted it mostly is
// another than while it lies on its cradle, since the room, the network and the far end are heard then: by that a caller on
// hold, of whom nothing is heard, is told from a call that is over.
type noiseFloor struct {
	sum    float64 // of the powers of the last pieces
	pieces int
	least  float64 // of the averages of this block
	inners int     // averages in it
	blocks []block // a ring
	next   int

	idle, inUse loudness // before the last call, and in it
	usual       float64  // dB from idle to in use, of the last call of which it is known
}

// loudness is how loud a noise is, where that is known.
type loudness struct {
	dB    float64
	known bool
}

type block struct {
	end int64
	dB  float64
}

const (
	noisePieces = 5   // of an average: 100 ms
	noiseInners = 5   // averages of a block: half a second
	noiseBlocks = 240 // kept
	noiseLeast  = 6   // blocks of which a loudness is made, at least
	noiseLow    = 0.1 // of them are quieter than it: those in which nothing else is heard

	noiseApart   = 1.5 // dB between idle and in use that tell something
	noiseQuieter = 3.0 // dB, where only one of the two is known
	noiseIdle    = 1. / 3
	noiseInUse   = 1. / 2 // of the way from idle to in use

	idleBefore = 20 // seconds before a call that are looked at
	idleAfter  = 30 // seconds after a call, when the handset has been put back for certain
	nowFor     = 10 // seconds that are now
)

func (n *noiseFloor) hear(power float64, position int64) {
	n.sum += power
	if n.pieces++; n.pieces < noisePieces {
		return
	}
	average := n.sum / noisePieces
	n.sum, n.pieces = 0, 0
	if n.inners == 0 || average < n.least {
		n.least = average
	}
	if n.inners++; n.inners < noiseInners {
		return
	}
	n.inners = 0
	one := block{end: position, dB: 10 * math.Log10(max(n.least, 1e-2))}
	if len(n.blocks) < noiseBlocks {
		n.blocks = append(n.blocks, one)
	} else {
		n.blocks[n.next%noiseBlocks] = one
	}
	n.next++
}

// last is the last block but so many: 1 is the last.
func (n *noiseFloor) last(back int) block { return n.blocks[(n.next-back)%noiseBlocks] }

// lost drops the block that is being filled.
func (n *noiseFloor) lost() { n.sum, n.pieces, n.inners = 0, 0, 0 }

// between is how loud the noise was between two positions, if they are far enough apart.
func (n *noiseFloor) between(from, to, second int64) loudness {
	var all []float64
	for _, b := range n.blocks {
		if b.end-second/2 >= from && b.end <= to {
			all = append(all, b.dB)
		}
	}
	if len(all) < noiseLeast {
		return loudness{}
	}
	slices.Sort(all)
	return loudness{all[int(noiseLow*float64(len(all)-1)+0.5)], true}
}

// handsetState is what the noise tells of the handset of a line that has no hook.
type handsetState int

const (
	handsetUnknown handsetState = iota
	onCradle
	handsetLifted
)

// tells is what a noise says.
func (n *noiseFloor) tells(now loudness) handsetState {
	apart := n.inUse.dB - n.idle.dB
	way := (now.dB - n.idle.dB) / apart
	switch {
	case !now.known:
		return handsetUnknown
	case !n.inUse.known && !n.idle.known:
		return onCradle // hardly anything was said
	case !n.inUse.known && now.dB < n.idle.dB+noiseQuieter/2:
		return onCradle
	case !n.inUse.known:
		return handsetUnknown
	case !n.idle.known || math.Abs(apart) < noiseApart:
		if now.dB < n.inUse.dB-noiseQuieter {
			return onCradle
		}
		return handsetUnknown
	case way < noiseIdle:
		return onCradle
	case way > noiseInUse:
		return handsetLifted
	default:
		return handsetUnknown
	}
}

// learnIdle learns the noise of the idle line from the time before a call.
func (l *Line) learnIdle(trigger int64) {
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		idle := n.between(max(trigger-idleBefore*l.second, l.earliest+l.second), trigger-l.second, l.second)
		if idle.known && (!n.idle.known || idle.dB < n.idle.dB || trigger-l.earliest > idleAfter*l.second) {
			n.idle = idle
		}
		n.inUse = loudness{}
	}
}

// learnInUse learns the noise of the call up to the last voice. After a long silence nothing is kept of the time before, and
// it stays as it was.
func (l *Line) learnInUse() {
	c := &l.call
	if !l.inCall {
		return
	}
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		inUse := n.between(max(c.trigger, c.answeredAt), c.voice, l.second)
		if !inUse.known {
			continue
		}
		if n.inUse = inUse; n.idle.known {
			n.usual = inUse.dB - n.idle.dB
		}
	}
}

// handsetNow is what the noise tells since the last voice, or the last seconds.
func (l *Line) handsetNow() (is handsetState) {
	c := &l.call
	l.learnInUse()
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		is = max(is, n.tells(n.between(max(c.voice+l.second, l.position-nowFor*l.second), l.position, l.second)))
	}
	return is
}
