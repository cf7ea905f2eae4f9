package buffer

import (
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// item is a record on its way to the card.
type item struct {
	call.Record
	at      int64 // offset of its data in the call file
	entry   *call.Entry
	note    *note
	carried bool  // it stands on the card already, in a segment that is being emptied
	taken   int64 // what it was put on the queue's account with: cost
	size    int64 // and bytes
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
	bytes   int64 // of data, what is on its way included, without what is carried
	cost    int64 // the room that they will take
	largest int64 // of them, the longest frame

	limit int64         // of bytes
	wake  chan struct{} // the queue is half full: Run need not wait for the interval's end
}

func (q *queue) put(it *item) {
	q.items = append(q.items, it)
	it.taken = it.cost()
	if !it.carried {
		it.size = int64(len(it.Data))
	}
	q.bytes += it.size
	q.cost += it.taken
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
	q.bytes -= it.size
	q.cost -= it.taken
	if q.cost == 0 {
		q.largest = 0
	}
}

// progress is what was appended, synced or not. It is guarded by Ring.mu.
type progress struct {
	calls map[call.ID]cursor // in progress
	last  uint64             // number of the last entry
	jws   []byte             // of it
}

// cursor is how far a call has come.
type cursor struct {
	next uint32 // number of the next record
	size int64  // of the call file
}

// maxFile bounds a call file, whose offsets stand on the card in 32 bits.
const maxFile = 1<<32 - 1

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
	so, begun := p.calls[it.Call]
	if it.Number != so.next || !begun && c != nil || begun == (it.Kind == call.KindHeader) {
		return fmt.Errorf("append record %d (kind %d) of call %v: out of order, want %d", it.Number, it.Kind, it.Call, so.next)
	}
	if so.size+int64(len(it.Data)) > maxFile {
		return fmt.Errorf("append record %d of call %v: a call file is at most %d bytes long", it.Number, it.Call, int64(maxFile))
	}
	it.at = so.size
	return nil
}

// advance notes what was taken.
func (p *progress) advance(it *item) {
	switch {
	case it.entry != nil:
		p.last, p.jws = it.entry.Number, it.Data
	case it.Kind == call.KindEnd:
		delete(p.calls, it.Call)
	default:
		p.calls[it.Call] = cursor{it.Number + 1, it.at + int64(len(it.Data))}
	}
}
