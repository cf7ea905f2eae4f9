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

// reclaimer makes room: it carries small things out of segments without live calls, and gives up calls where the ring is
// to be overwritten. Ring.writing is held in all that it does.
type reclaimer struct{ r *Ring }

// makeRoom does what is needed so that audio finds a free segment, and says whether it has queued something to write.
func (m reclaimer) makeRoom() bool {
	m.r.mu.Lock()
	m.r.space.survey()
	low := m.r.space.free < lowWater
	var carry *segment
	if low {
		for _, s := range m.r.space.closed {
			if s.carrying {
				m.r.mu.Unlock()
				return false // one at a time
			}
			if carry == nil && !s.free && !s.broken && !s.stuck && s.calls == 0 && s.leases == 0 {
				carry = s
			}
		}
	}
	short := m.r.space.free <= reserveForAudio
	m.r.mu.Unlock()
	switch {
	case carry != nil && m.carry(carry):
		return true
	case short && m.r.opts.WhenFull == OverwriteWhenFull:
		return m.giveUpOldest()
	}
	return false
}

// carry writes again what is still needed of a segment that holds no live call: entries, manifests and notes. It says
// whether it has queued them.
func (m reclaimer) carry(s *segment) bool {
	d, err := m.r.disk.describeSegment(s)
	if err != nil {
		return m.leave(s, err)
	}
	var items []*item
	for _, row := range d.small {
		if it, err := m.carried(s, row); err != nil {
			return m.leave(s, err)
		} else if it != nil {
			items = append(items, it)
		}
	}
	items = append(items, noteItem(note{Op: opCarried, Where: []segmentRef{s.ref()}}))
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	var cost int64
	for _, it := range items {
		cost += it.cost()
	}
	if cost+m.r.queue.cost > m.r.space.room(0, m.r.table.overhead(), m.r.disk.size/4) {
		return false
	}
	s.carrying = true
	for _, it := range items {
		m.r.queue.put(it)
	}
	return true
}

// leave gives up carrying forward out of a segment, which stays as it is until the ring is opened again.
func (m reclaimer) leave(s *segment, err error) bool {
	m.r.log.Error("a damaged segment stays out of use: its entries and notes cannot be carried forward", "segment", s.number, "error", err)
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	s.stuck = true
	return false
}

// carried gives the record again if it is still needed, else nil.
func (m reclaimer) carried(s *segment, row smallRow) (*item, error) {
	m.r.mu.Lock()
	needed := m.needed(s, row)
	m.r.mu.Unlock()
	if !needed {
		return nil, nil
	}
	at := place{seg: s, offset: row.offset, length: row.length}
	data, err := m.r.disk.readData(at, row.kind)
	if err != nil {
		return nil, err
	}
	if row.kind == call.KindEntry {
		e, err := m.r.opts.Entry(data)
		return &item{Record: call.Record{Kind: row.kind, Number: uint32(row.number), Data: data}, entry: &e}, err
	}
	n, err := parseNote(data)
	if err != nil {
		return nil, err
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	c := m.r.table.calls[*n.Call]
	switch {
	case n.Op.releases():
		n.Where = slices.DeleteFunc(n.Where, func(ref segmentRef) bool { return ref == s.ref() || m.r.space.lookup(ref) == nil })
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
func (m reclaimer) needed(s *segment, row smallRow) bool {
	c := m.r.table.calls[row.call]
	switch {
	case row.kind == call.KindEntry:
		return row.number > m.r.table.accepted || c != nil && c.manifest.seg == s && c.manifest.offset == row.offset
	case row.op.releases():
		return c == nil // its records may still stand somewhere
	case row.op == opPark || row.op == opRequeue:
		return c != nil
	}
	return false // each newer segment repeats the ledger's state, and with it what was accepted
}

// giveUpOldest gives up the calls of the segment written longest ago in which all have ended, and says whether there was
// one.
func (m reclaimer) giveUpOldest() (some bool) {
	for _, c := range m.oldest() {
		s, err := m.r.describeCall(c)
		if err != nil {
			m.r.log.Warn("give up a call whose records cannot be read", "call", c.id, "error", err)
			s = call.Stored{Header: call.Header{Call: c.id}, Size: c.size, Ended: true}
		}
		if err := m.r.opts.GiveUp(s); err != nil {
			m.r.log.Error("a call cannot be given up", "call", c.id, "error", err)
			return some
		}
		some = true
		m.r.mu.Lock()
		if !c.gone && !c.receipt && !c.givenUp {
			c.givenUp = true
			m.r.table.bytes -= c.size
			m.r.queue.put(noteItem(note{Op: opGivenUp, Call: &c.id, Where: c.where()}))
		}
		m.r.mu.Unlock()
	}
	return some
}

// oldest lists the calls to give up next: those of one segment.
func (m reclaimer) oldest() []*stored {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	blocked := make(map[*segment]bool)
	of := make(map[*segment][]*stored)
	for _, c := range m.r.table.order {
		for _, p := range c.parts {
			switch {
			case c.gone:
			case !c.ended || m.r.writer.open != nil && p.seg == m.r.writer.open.seg:
				blocked[p.seg] = true
			case c.receipt || c.givenUp:
			default:
				of[p.seg] = append(of[p.seg], c)
			}
		}
	}
	for _, s := range m.r.space.closed {
		if !blocked[s] && len(of[s]) > 0 {
			return of[s]
		}
	}
	return nil
}

func noteItem(n note) *item {
	b, err := json.Marshal(n)
	if err != nil {
		panic("buffer: a note that cannot be encoded: " + err.Error()) // strings and numbers only
	}
	return &item{Record: call.Record{Kind: call.KindNote, Data: b}, note: &n}
}
