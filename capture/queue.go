package capture

// #include "feed.h"
import "C"

import (
	"errors"
	"sync/atomic"
	"time"
	"unsafe"
)

// slot holds one period as the card gave it. It is the reader's until release.
type slot struct {
	samples []int16       // interleaved
	at      time.Duration // CLOCK_BOOTTIME at which the last frame was delivered
	loss    bool          // frames were lost before the first
	behind  bool          // that is because the reader did not keep up, not because of the card
}

// queue is the Go side of a feed (feed.h says what that is). It has one writer (write, breakHere, flush: usually the
// sound library's thread, in C) and one reader (next, release).
type queue struct {
	feed *C.struct_feed
	now  func() time.Duration
}

// newQueue makes a queue without slots; size makes them.
func newQueue(now func() time.Duration) (*queue, error) {
	feed := C.feed_new()
	if feed == nil {
		return nil, errors.New("no memory for a card's audio")
	}
	return &queue{feed: feed, now: now}, nil
}

// size makes so many slots of so many samples each, of so many channels.
func (q *queue) size(slots, samples, channels int) error {
	if C.feed_size(q.feed, C.uint32_t(slots), C.uint32_t(samples), C.uint32_t(channels)) == 0 {
		return errors.New("no memory for a card's audio")
	}
	return nil
}

// free ends the queue; neither side may use it after that.
func (q *queue) free() { C.feed_free(q.feed) }

// write copies samples in, and hands over each slot that is full.
func (q *queue) write(samples []int16) {
	if len(samples) > 0 {
		C.feed_write(q.feed, (*C.int16_t)(unsafe.Pointer(&samples[0])), C.uint32_t(len(samples)), C.int64_t(q.now()))
	}
}

// breakHere says that frames were lost between what was written before and what will be.
func (q *queue) breakHere() { C.feed_break(q.feed) }

// flush hands over a slot that is not full.
func (q *queue) flush() { C.feed_flush(q.feed) }

func (q *queue) counters() (written, read *uint64) {
	return (*uint64)(&q.feed.written), (*uint64)(&q.feed.read)
}

// waiting is how many slots can be read now.
func (q *queue) waiting() int {
	written, read := q.counters()
	return int(atomic.LoadUint64(written) - atomic.LoadUint64(read))
}

// next is the oldest slot that was handed over, if there is one.
func (q *queue) next() (slot, bool) {
	if q.waiting() == 0 {
		return slot{}, false
	}
	i := C.feed_next(q.feed)
	s := unsafe.Slice(q.feed.slot, q.feed.slots)[i]
	all := unsafe.Slice((*int16)(q.feed.samples), int(q.feed.slots)*int(q.feed.capacity))
	first := int(i) * int(q.feed.capacity)
	return slot{
		samples: all[first : first+int(s.used)],
		at:      time.Duration(s.at),
		loss:    s.loss != C.FEED_NO_LOSS,
		behind:  s.loss == C.FEED_FULL,
	}, true
}

// release gives the slot of next back.
func (q *queue) release() { C.feed_release(q.feed) }
