package capture

import (
	"sync/atomic"
	"time"
)

// slot holds one period as the card gave it.
type slot struct {
	samples []int16       // interleaved; as many as there are, within a capacity that never changes
	at      time.Duration // CLOCK_BOOTTIME at which the last frame was delivered
	loss    bool          // frames were lost before the first
}

// queue carries audio from the sound library's thread to the capture's goroutine. Nothing in it allocates or waits:
// its slots are made beforehand and used in turn, and what finds all of them full is dropped, and marked as a loss.
// There is one writer (write, breakHere) and one reader (next, release).
type queue struct {
	slots      []slot
	written    atomic.Uint64 // slots handed to the reader, ever
	read       atomic.Uint64 // slots given back, ever
	wake       chan struct{} // has a token when there is something to read
	now        func() time.Duration
	lossBefore bool // writer's: the next frame comes after a loss
	filling    bool // writer's: the slot at written has samples
}

// newQueue makes a queue of so many slots of so many samples each.
func newQueue(slots, samples int, now func() time.Duration) *queue {
	q := &queue{slots: make([]slot, slots), wake: make(chan struct{}, 1), now: now}
	all := make([]int16, slots*samples)
	for i := range q.slots {
		q.slots[i].samples = all[i*samples : i*samples : (i+1)*samples]
	}
	return q
}

// write copies samples in, and hands over each slot that is full.
func (q *queue) write(samples []int16) {
	for len(samples) > 0 {
		if q.written.Load()-q.read.Load() == uint64(len(q.slots)) {
			q.lossBefore = true
			return
		}
		s := &q.slots[q.written.Load()%uint64(len(q.slots))]
		if !q.filling {
			q.filling, s.samples, s.loss, q.lossBefore = true, s.samples[:0], q.lossBefore, false
		}
		n := min(len(samples), cap(s.samples)-len(s.samples))
		s.samples, s.at = append(s.samples, samples[:n]...), q.now()
		samples = samples[n:]
		if len(s.samples) == cap(s.samples) {
			q.handOver()
		}
	}
}

// breakHere says that frames were lost between what was written before and what will be.
func (q *queue) breakHere() {
	q.flush()
	q.lossBefore = true
}

// flush hands over a slot that is not full.
func (q *queue) flush() {
	if q.filling {
		q.handOver()
	}
}

func (q *queue) handOver() {
	q.filling = false
	q.written.Add(1)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next is the oldest slot that was handed over, or nil. It is the reader's until release.
func (q *queue) next() *slot {
	if q.read.Load() == q.written.Load() {
		return nil
	}
	return &q.slots[q.read.Load()%uint64(len(q.slots))]
}

func (q *queue) release() { q.read.Add(1) }
