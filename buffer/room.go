package buffer

import (
	"cmp"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// lowWater is the number of free segments below which room is made ahead of need: one more than audio may leave.
const lowWater = reserveForAudio + 2

// retryGrowth is after how many intervals a file system that was full is tried again.
const retryGrowth = 60

// What one Sync carries forward is bounded, so that audio does not wait long behind it: an eighth of a segment, which at
// one Sync a second is several times what eight lines record; and a whole one while audio would else be refused.
const (
	copyShare = 8
	minCopy   = 16 << 10
)

// worth says whether emptying a segment wins at least a quarter of it.
func worth(live, size int64) bool { return live <= size*3/4 }

// reclaimer makes room during one Sync: it carries what is live out of segments that hold little of it, and gives up
// calls where the ring is to be overwritten. Ring.writing is held in all that it does.
type reclaimer struct {
	r      *Ring
	budget int64 // bytes that may still be carried
	urgent bool  // the budget was raised
}

// emptying is the segment that is being emptied, and which records of calls are still to be looked at.
type emptying struct {
	seg  *segment
	plan []frame // without data
}

// makeRoom does what is needed so that audio finds a free segment, and says whether it has queued something to write.
func (m *reclaimer) makeRoom() bool {
	m.r.mu.Lock()
	m.r.space.survey()
	var s *segment
	if m.r.space.free < lowWater {
		s = m.candidate()
	}
	short := m.r.space.free <= reserveForAudio
	m.r.mu.Unlock()
	if short && !m.urgent {
		m.urgent = true
		m.budget += m.r.disk.size
	}
	switch {
	case s != nil:
		return m.carry(s)
	case short && m.r.opts.WhenFull == OverwriteWhenFull:
		return m.giveUpOldest()
	}
	return false
}

// candidate chooses the segment to empty: the one that is being emptied, or that with the least live records.
func (m *reclaimer) candidate() *segment {
	if e := m.r.writer.emptying; e != nil {
		return e.seg
	}
	var best *segment
	for _, s := range m.r.space.closed {
		if !s.free && !s.broken && !s.stuck && s.leases == 0 && worth(s.live, m.r.disk.size) && (best == nil || s.live < best.live) {
			best = s
		}
	}
	if best == nil {
		return nil
	}
	// What is carried must not use up what is kept for receipts before its old place is free.
	reserve := reserveForEntries
	if best.calls == 0 {
		reserve = 0
	}
	if best.live+best.live/16+m.r.queue.cost > m.r.space.room(reserve, m.r.table.overhead(), m.r.disk.size/8) {
		return nil
	}
	return best
}

// carry writes again a part of what is still needed of a segment, and says whether it has queued something. When all
// records of calls are carried, the rest follows with a note that says so.
func (m *reclaimer) carry(s *segment) bool {
	if m.budget <= 0 {
		return false
	}
	w := m.r.writer
	if w.emptying == nil || len(w.emptying.plan) == 0 {
		plan, err := m.plan(s)
		if err != nil {
			return m.leave(s, err)
		}
		w.emptying = &emptying{seg: s, plan: plan}
		m.r.mu.Lock()
		s.carrying = true
		m.r.mu.Unlock()
	}
	some, err := m.carryCalls(w.emptying)
	switch {
	case err != nil:
		return m.leave(s, err)
	case len(w.emptying.plan) > 0:
		return some
	case some:
		return true // what is left of calls is seen when this is synced
	}
	m.r.mu.Lock()
	calls, queued := s.calls, m.r.queue.cost
	m.r.mu.Unlock()
	if calls > 0 { // their releases, or notes of their damage, are on the way; else they cannot be carried
		if queued == 0 {
			m.r.mu.Lock()
			s.stuck, s.carrying = true, false
			m.r.mu.Unlock()
			w.emptying = nil
		}
		return queued > 0
	}
	return m.carryRest(s)
}

// plan finds the records of live calls that count where they stand in the segment.
func (m *reclaimer) plan(s *segment) ([]frame, error) {
	var plan []frame
	if s.calls == 0 {
		return nil, nil
	}
	f, err := m.r.disk.fs.Open(m.r.disk.path(s.number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	_, err = scan(f, m.r.disk.epoch, s.generation, pageSize, int64(s.end), func(f frame) error {
		if f.kind.InFile() {
			f.data = nil
			plan = append(plan, f)
		}
		return nil
	})
	slices.SortStableFunc(plan, func(a, b frame) int {
		return cmp.Or(slices.Compare(a.call[:], b.call[:]), cmp.Compare(a.number, b.number), cmp.Compare(b.offset, a.offset))
	})
	plan = slices.CompactFunc(plan, func(a, b frame) bool { return a.call == b.call && a.number == b.number })
	if err != nil {
		return nil, err
	}
	m.r.mu.Lock()
	plan = slices.DeleteFunc(plan, func(f frame) bool { return m.counted(s, f) == nil })
	lacking := m.lacking(s, plan)
	m.r.mu.Unlock()
	for _, row := range lacking {
		damage{m.r}.found(row.call, part{s, row.run}, waiting{})
	}
	return plan, nil
}

// lacking lists the parts of calls in a segment of which not all records were found.
func (m *reclaimer) lacking(s *segment, found []frame) (lacking []callRow) {
	have := make(map[call.ID]uint32)
	for _, f := range found {
		have[f.call]++
	}
	for _, c := range m.r.table.calls {
		c.setLeft(m.r.space.standing(c.left()))
		from := len(lacking)
		for _, p := range c.parts {
			if p.seg == s && !c.leaves() {
				lacking = append(lacking, callRow{c.id, p.run})
				have[c.id] -= p.count
			}
		}
		if have[c.id] == 0 {
			lacking = lacking[:from]
		}
	}
	return lacking
}

// counted gives the part of a live call in which a record of the segment counts; nil: it does not.
func (m *reclaimer) counted(s *segment, f frame) *part {
	c := m.r.table.calls[f.call]
	if c == nil || c.leaves() {
		return nil
	}
	for i := range c.parts {
		if p := &c.parts[i]; p.seg == s && p.first <= f.number && f.number < p.next() {
			return p
		}
	}
	return nil
}

// carryCalls queues the next records of the plan again, as far as the budget goes.
func (m *reclaimer) carryCalls(e *emptying) (some bool, err error) {
	f, err := m.r.disk.fs.Open(m.r.disk.path(e.seg.number))
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	for len(e.plan) > 0 && m.budget > 0 {
		rec := e.plan[0]
		data, err := readFrame(f, m.r.disk.epoch, e.seg.number, e.seg.generation, rec.offset, rec.length, func(f frame) bool {
			return f.call == rec.call && f.number == rec.number
		})
		it := &item{Record: call.Record{Call: rec.call, Kind: rec.kind, Number: rec.number, Data: data}, at: int64(rec.at), carried: true}
		m.r.mu.Lock()
		p := m.counted(e.seg, rec)
		switch {
		case p == nil: // released meanwhile
		case err != nil:
			at := *p
			m.r.mu.Unlock()
			damage{m.r}.found(rec.call, at, waiting{})
			m.r.mu.Lock()
			some = some || m.r.queue.cost > 0
		case it.cost()+m.r.queue.cost > m.r.space.room(0, m.r.table.overhead(), max(it.frameSize(), m.r.queue.largest)):
			m.r.mu.Unlock()
			return some, nil
		default:
			m.r.queue.put(it)
			m.budget -= it.frameSize()
			some = true
		}
		m.r.mu.Unlock()
		e.plan = e.plan[1:]
	}
	return some, nil
}

// carryRest writes again the entries, manifests and notes of a segment that are still needed, and notes that nothing in
// it is any more.
func (m *reclaimer) carryRest(s *segment) bool {
	d, err := m.r.disk.describeSegment(s)
	if err != nil {
		return m.leave(s, err)
	}
	var items []*item
	for _, row := range d.small {
		it, err := m.carried(s, row)
		if err != nil {
			return m.leave(s, err)
		}
		if it != nil {
			it.carried = true
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
	if cost+m.r.queue.cost > m.r.space.room(0, m.r.table.overhead(), m.r.disk.size/8) {
		return false
	}
	for _, it := range items {
		m.r.table.renew(it)
		m.r.queue.put(it)
	}
	m.budget -= cost
	m.r.writer.emptying = nil
	return true
}

// leave gives up emptying a segment, which stays as it is until the ring is opened again.
func (m *reclaimer) leave(s *segment, err error) bool {
	m.r.log.Error("a segment that cannot be read stays out of use", "segment", s.number, "error", err)
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	s.stuck, s.carrying = true, false
	m.r.writer.emptying = nil
	return false
}

// carried gives an entry or note again if it is still needed, else nil.
func (m *reclaimer) carried(s *segment, row smallRow) (*item, error) {
	at := place{seg: s, offset: row.offset, length: row.length}
	if row.kind == call.KindEntry {
		return m.carriedEntry(row, at)
	}
	if row.op.outlives() {
		return m.carriedRelease(s, row, at)
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if k := m.r.table.kept[row.name()]; row.op == opKept && k != nil && k.at == at {
		return noteItem(note{Op: opKept, Name: row.name(), Value: k.value}), nil
	}
	c := m.r.table.calls[row.call]
	if row.op != opCall || c == nil || c.noted != at {
		return nil, nil // each newer segment repeats the ledger's state, and with it what was accepted
	}
	return noteItem(note{Op: opCall, Call: &c.id, callState: c.state()}), nil
}

func (m *reclaimer) carriedEntry(row smallRow, at place) (*item, error) {
	m.r.mu.Lock()
	needed := m.r.table.needed(row, at)
	m.r.mu.Unlock()
	if !needed {
		return nil, nil
	}
	data, err := m.r.disk.readData(at, row.kind)
	var e call.Entry
	if err == nil {
		e, err = m.r.opts.Entry(data)
	}
	if err != nil && m.r.disk.unreachable(at.seg) == nil {
		damage{m.r}.entry(waiting{row.number, at}, &CorruptError{})
		return nil, nil
	}
	return &item{Record: call.Record{Kind: row.kind, Number: uint32(row.number), Data: data}, entry: &e}, err
}

// carriedRelease gives again a note that must outlive other segments. One that cannot be read is made anew of what the
// directory says, without its receipt.
func (m *reclaimer) carriedRelease(s *segment, row smallRow, at place) (*item, error) {
	n, err := m.r.disk.readNote(at)
	if err != nil {
		if err := m.r.disk.unreachable(s); err != nil {
			return nil, err
		}
		n = note{Op: row.op, Where: slices.Clone(s.refs), Last: row.number}
		if n.Op.releases() {
			n.Call = &row.call
		}
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	n.Where = slices.DeleteFunc(m.r.space.standing(n.Where), func(ref segmentRef) bool { return ref == s.ref() })
	if len(n.Where) == 0 || n.Op.releases() && m.r.table.calls[*n.Call] != nil {
		return nil, nil // its records are overwritten, or go with this segment
	}
	return noteItem(n), nil
}
