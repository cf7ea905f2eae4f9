package line

import (
	"math"
	"slices"
)

// noiseFloor is how loud the noise of a side was lately, a second at a time. When the handset is put back the line mostly
// becomes quieter, since what the network and the far end add is gone: by that a caller on hold, of whom nothing is
// heard, is told from a call that is over.
type noiseFloor struct {
	sum    float64 // of the powers of the last pieces
	pieces int
	least  float64 // of the averages of this second
	inners int     // averages in it
	blocks []block // a ring
	next   int
}

type block struct {
	end int64
	dB  float64
}

const (
	noisePieces  = 5   // of an average: 100 ms
	noiseInners  = 10  // averages of a block: 1 s
	noiseBlocks  = 120 // kept
	noiseLeast   = 3   // blocks of each kind that it takes
	noiseQuieter = 3.0 // dB
	idleBefore   = 20  // seconds before a call
	noiseLow     = 0.1 // of a call's blocks are quieter than its noise: those in which nobody speaks
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

// between is how loud the noise was between two positions: the share of its blocks is quieter. Not ok is too short a time.
func (n *noiseFloor) between(from, to, second int64, share float64) (dB float64, ok bool) {
	var all []float64
	for _, b := range n.blocks {
		if b.end-second >= from && b.end <= to {
			all = append(all, b.dB)
		}
	}
	if len(all) < noiseLeast {
		return 0, false
	}
	slices.Sort(all)
	return all[int(share*float64(len(all)-1)+0.5)], true
}

// heldStill says whether the line sounds as it did in the call, from its beginning to the last voice, or, where that was too
// short, louder than before the call: then it may be on hold. Where nobody knows, it is not.
func (l *Line) heldStill() bool {
	c := &l.call
	for i := range l.sides {
		n := &l.sides[i].levels.noise
		then, ok1 := n.between(max(c.trigger, c.answeredAt), c.voice, l.second, noiseLow)
		now, ok2 := n.between(c.voice+l.second, l.position, l.second, 0.5)
		idle, ok3 := n.between(c.trigger-idleBefore*l.second, c.trigger-l.second, l.second, 0.5)
		switch {
		case !ok2, ok1 && now < then-noiseQuieter:
			return false
		case !ok1 && (!ok3 || now < idle+noiseQuieter/2): // hardly anything was said
			return false
		}
	}
	return true
}
