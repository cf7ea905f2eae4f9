package dtmf

import "math"

// A window of constant length slides over the edge of a tone, so that the amplitude in it rises along a straight line:
// half of it is reached when half the window lies in the tone. So begin and end are found to a fraction of a block.

// amplitude is that of the run's pair in the window that ends with a block.
func (r *Receiver) amplitude(block int64) float64 {
	if block < 0 || block < r.blocks-historyBlocks {
		return 0
	}
	s := &r.history[block%historyBlocks]
	return math.Sqrt(s[r.run.pair.low] + s[r.run.pair.high])
}

// level is the run's own amplitude: the median of its windows, which noise and edges do not move.
func (r *Receiver) level() float64 {
	var all [historyBlocks]float64
	n := 0
	for b := max(r.run.first, r.blocks-historyBlocks); b <= r.run.last; b++ {
		a := r.amplitude(b)
		at := n
		for at > 0 && all[at-1] > a {
			all[at] = all[at-1]
			at--
		}
		all[at] = a
		n++
	}
	if n == 0 {
		return 0
	}
	// Windows on the edges are the lowest; in a run of few they are many.
	return all[n-1-n/3]
}

// edge is the position, counted from the receiver's origin, at which the amplitude passes half the run's level between
// two blocks, the first of them inside the run: forwards or backwards.
func (r *Receiver) edge(inside, outside int64) float64 {
	half := r.level() / 2
	step := int64(1)
	if outside < inside {
		step = -1
	}
	at := inside
	for at != outside && r.amplitude(at+step) >= half {
		at += step
	}
	in, out := r.amplitude(at), 0.0
	if at != outside {
		out = r.amplitude(at + step)
	}
	part := 0.5
	if in > out {
		part = max(0, min(1, (in-half)/(in-out)))
	}
	// The window that ends with block b is centred half a window before the end of the block.
	centre := (float64(at) + 1 - windowBlocks/2.0 + part*float64(step)) * float64(r.block)
	return max(0, centre)
}
