package buffer

import (
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// item is a record on its way to the card.
type item struct {
	call.Record
	entry *call.Entry
	note  *note
}

func (it *item) frameSize() int64 { return int64(frameSize(len(it.Data))) }

// cost is the room that the item may take in a segment and its directory.
func (it *item) cost() int64 {
	n := it.frameSize() + callRowSize
	if it.note != nil {
		n += int64(len(it.note.Where)) * refSize
	}
	return n
}

// queue is what waits for the card, or is on its way there. It is guarded by Ring.mu.
type queue struct {
	items   []*item
	bytes   int64 // of data, what is on its way included
	cost    int64 // the room that they will take
	largest int64 // of them, the longest frame

	limit int64         // of bytes
	wake  chan struct{} // the queue is half full: Run need not wait for the interval's end
}

func (q *queue) put(it *item) {
	q.items = append(q.items, it)
	q.bytes += int64(len(it.Data))
	q.cost += it.cost()
	q.largest = max(q.largest, it.frameSize())
	if q.bytes > q.limit/2 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take gives everything that waits; it stays on the account until done.
func (q *queue) take() []*item {
	items := q.items
	q.items = nil
	return items
}

// putBack queues again, in front, what could not be written.
func (q *queue) putBack(items []*item) { q.items = append(items, q.items...) }

// done takes an item off the account.
func (q *queue) done(it *item) {
	if it.note != nil && it.note.Op == opState {
		return // never queued
	}
	q.bytes -= int64(len(it.Data))
	q.cost -= it.cost()
	if q.cost == 0 {
		q.largest = 0
	}
}

// progress is what was appended, synced or not. It is guarded by Ring.mu.
type progress struct {
	next map[call.ID]uint32 // calls in progress: the number of the next record
	last uint64             // number of the last entry
	jws  []byte             // of it
}

// check refuses what would leave a hole; c is the call as far as it is synced, nil where it is not.
func (p *progress) check(it *item, epoch call.Epoch, c *stored) error {
	if e := it.entry; e != nil {
		if e.Number != p.last+1 || e.Epoch != epoch {
			return fmt.Errorf("append entry %d of epoch %v: want %d of %v", e.Number, e.Epoch, p.last+1, epoch)
		}
		return nil
	}
	if c != nil && c.interrupted && it.Kind != call.KindEnd {
		return fmt.Errorf("append record of kind %d to call %v, which was interrupted: only its end may follow", it.Kind, it.Call)
	}
	next, begun := p.next[it.Call]
	if it.Number != next || !begun && c != nil || begun == (it.Kind == call.KindHeader) {
		return fmt.Errorf("append record %d (kind %d) of call %v: out of order, want %d", it.Number, it.Kind, it.Call, next)
	}
	return nil
}

// advance notes what was taken.
func (p *progress) advance(it *item) {
	switch {
	case it.entry != nil:
		p.last, p.jws = it.entry.Number, it.Data
	case it.Kind == call.KindEnd:
		delete(p.next, it.Call)
	default:
		p.next[it.Call] = it.Number + 1
	}
}
