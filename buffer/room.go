package buffer

import (
	"encoding/json"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// lowWater is the number of free segments below which room is made ahead of need: one more than audio may leave.
const lowWater = reserveForAudio + 2

// retryGrowth is after how many intervals a file system that was full is tried again.
const retryGrowth = 60

// survey decides which segments are free. r.mu is held.
func (r *Ring) survey() {
	r.free = 0
	for _, s := range r.closed {
		s.free = s.dead() && !s.broken && !s.carrying && !r.notesNeeded(s)
		if s.free {
			r.free++
		}
	}
	if r.noRoom {
		return
	}
	for _, s := range r.segments {
		if s.generation == 0 && !s.broken {
			r.free++
		}
	}
}

// notesNeeded says whether a segment must stay for its notes: a segment whose records they release would outlive them.
// Segments are taken in the order of writing, so one that is free itself and older goes first.
func (r *Ring) notesNeeded(s *segment) bool {
	for _, ref := range s.refs {
		t := r.lookup(ref)
		goesFirst := t != nil && t.free && t.generation < s.generation
		if t != nil && t != s && !goesFirst {
			return true
		}
	}
	return false
}

// lookup finds a segment while it is in the use that is meant.
func (r *Ring) lookup(ref segmentRef) *segment {
	if int64(ref.number) >= int64(len(r.segments)) || r.segments[ref.number].generation != ref.generation {
		return nil
	}
	return r.segments[ref.number]
}

// makeRoom does what is needed so that audio finds a free segment, and says whether it has queued something to write.
// r.writing is held.
func (r *Ring) makeRoom() bool {
	r.mu.Lock()
	r.survey()
	low := r.free < lowWater
	var carry *segment
	if low {
		for _, s := range r.closed {
			if s.carrying {
				r.mu.Unlock()
				return false // one at a time
			}
			if carry == nil && !s.free && !s.broken && !s.stuck && s.calls == 0 && s.leases == 0 {
				carry = s
			}
		}
	}
	short := r.free <= reserveForAudio
	r.mu.Unlock()
	switch {
	case carry != nil && r.carry(carry):
		return true
	case short && r.opts.WhenFull == OverwriteWhenFull:
		return r.giveUpOldest()
	}
	return false
}

// carry writes again what is still needed of a segment that holds no live call: entries, manifests and notes. It says
// whether it has queued them.
func (r *Ring) carry(s *segment) bool {
	d, err := r.describeSegment(s)
	if err != nil {
		return r.leave(s, err)
	}
	var items []*item
	for _, row := range d.small {
		if it, err := r.carried(s, row); err != nil {
			return r.leave(s, err)
		} else if it != nil {
			items = append(items, it)
		}
	}
	items = append(items, noteItem(note{Op: opCarried, Where: []segmentRef{s.ref()}}))
	r.mu.Lock()
	defer r.mu.Unlock()
	var cost int64
	for _, it := range items {
		cost += it.cost()
	}
	if cost+r.cost > r.room(0, r.opts.SegmentBytes/4) {
		return false
	}
	s.carrying = true
	for _, it := range items {
		r.enqueue(it)
	}
	return true
}

// leave gives up carrying forward out of a segment, which stays as it is until the ring is opened again.
func (r *Ring) leave(s *segment, err error) bool {
	r.log.Error("a damaged segment stays out of use: its entries and notes cannot be carried forward", "segment", s.number, "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.stuck = true
	return false
}

// carriedAll takes the word of a note that nothing in a segment is needed for its notes.
func (r *Ring) carriedAll(n note) {
	for _, ref := range n.Where {
		if s := r.lookup(ref); s != nil {
			s.refs, s.carrying = nil, false
		}
	}
}

// carried gives the record again if it is still needed, else nil.
func (r *Ring) carried(s *segment, row smallRow) (*item, error) {
	r.mu.Lock()
	needed := r.needed(s, row)
	r.mu.Unlock()
	if !needed {
		return nil, nil
	}
	at := place{seg: s, offset: row.offset, length: row.length}
	data, err := r.readData(at, row.kind)
	if err != nil {
		return nil, err
	}
	if row.kind == call.KindEntry {
		e, err := r.opts.Entry(data)
		return &item{Record: call.Record{Kind: row.kind, Number: uint32(row.number), Data: data}, entry: &e}, err
	}
	n, err := parseNote(data)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.table.calls[*n.Call]
	switch {
	case n.Op.releases():
		n.Where = slices.DeleteFunc(n.Where, func(ref segmentRef) bool { return ref == s.ref() || r.lookup(ref) == nil })
		if len(n.Where) == 0 {
			return nil, nil // its records are overwritten, or go with this segment
		}
	case c == nil:
		return nil, nil
	case c.parked != "": // as it stands now: later notes may be on their way
		n.Op, n.Why = opPark, c.parked
	default:
		n.Op, n.Why = opRequeue, ""
	}
	return noteItem(n), nil
}

// needed says whether an entry or note of the segment still matters.
func (r *Ring) needed(s *segment, row smallRow) bool {
	c := r.table.calls[row.call]
	switch {
	case row.kind == call.KindEntry:
		return row.number > r.table.accepted || c != nil && c.manifest.seg == s && c.manifest.offset == row.offset
	case row.op.releases():
		return c == nil // its records may still stand somewhere
	case row.op == opPark || row.op == opRequeue:
		return c != nil
	}
	return false // each newer segment repeats the ledger's state, and with it what was accepted
}

// giveUpOldest gives up the calls of the segment written longest ago in which all have ended, and says whether there was
// one.
func (r *Ring) giveUpOldest() bool {
	for _, c := range r.oldest() {
		s, err := r.describeCall(c)
		if err != nil {
			r.log.Warn("give up a call whose records cannot be read", "call", c.id, "error", err)
			s = call.Stored{Header: call.Header{Call: c.id}, Size: c.size, Ended: true}
		}
		if err := r.opts.GiveUp(s); err != nil {
			r.log.Error("a call cannot be given up", "call", c.id, "error", err)
			return false
		}
		r.mu.Lock()
		if !c.gone && !c.receipt && !c.givenUp {
			c.givenUp = true
			r.table.bytes -= c.size
			r.enqueue(noteItem(note{Op: opGivenUp, Call: &c.id, Where: c.where()}))
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) > 0
}

// oldest lists the calls to give up next: those of one segment.
func (r *Ring) oldest() []*stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	blocked := make(map[*segment]bool)
	of := make(map[*segment][]*stored)
	for _, c := range r.table.order {
		for _, p := range c.parts {
			switch {
			case c.gone:
			case !c.ended || r.open != nil && p.seg == r.open.seg:
				blocked[p.seg] = true
			case c.receipt || c.givenUp:
			default:
				of[p.seg] = append(of[p.seg], c)
			}
		}
	}
	for _, s := range r.closed {
		if !blocked[s] && len(of[s]) > 0 {
			return of[s]
		}
	}
	return nil
}

// tryGrowth lets the next segment be made on a file system that had no room for it.
func (r *Ring) tryGrowth() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.noRoom {
		r.noRoom = false
		r.survey()
	}
}

func noteItem(n note) *item {
	b, err := json.Marshal(n)
	if err != nil {
		panic("buffer: a note that cannot be encoded: " + err.Error()) // strings and numbers only
	}
	return &item{Record: call.Record{Kind: call.KindNote, Data: b}, note: &n}
}
