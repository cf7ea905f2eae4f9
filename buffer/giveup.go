package buffer

import (
	"cmp"
	"math"
	"slices"
)

// giveUpOldest gives up the oldest calls that have ended, a segment's worth of them, and says whether there was one.
func (m *reclaimer) giveUpOldest() (some bool) {
	for _, c := range m.oldest() {
		s, err := m.r.describeCall(c)
		if err != nil {
			m.r.log.Warn("give up a call whose records cannot be read", "call", c.id, "error", err)
		}
		if !m.claim(c, true) {
			continue
		}
		if err := m.r.opts.GiveUp(s); err != nil {
			m.claim(c, false)
			m.r.log.Error("a call cannot be given up", "call", c.id, "error", err)
			return some
		}
		some = true
		m.r.mu.Lock()
		m.r.queue.put(noteItem(note{Op: opGivenUp, Call: &c.id, Where: m.r.space.standing(c.where())}))
		m.r.mu.Unlock()
	}
	return some
}

// claim marks a call as given up, before its tombstone is signed, so that nobody holds or receipts it meanwhile; or takes
// that back. It says whether it could.
func (m *reclaimer) claim(c *stored, up bool) bool {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if c.gone || c.receipt || c.givenUp == up || c.onHold() {
		return false
	}
	m.r.table.change(c, func() { c.givenUp = up })
	return true
}

// oldest lists the calls to give up next, by the number of their end entries.
func (m *reclaimer) oldest() []*stored {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	var calls []*stored
	for _, c := range m.r.table.order {
		if c.ended && c.waits() && !c.onHold() {
			calls = append(calls, c)
		}
	}
	slices.SortStableFunc(calls, func(a, b *stored) int { return cmp.Compare(a.age(), b.age()) })
	var bytes int64
	for i, c := range calls {
		if bytes += c.size(); bytes >= m.r.disk.size {
			return calls[:i+1]
		}
	}
	return calls
}

// age orders calls by their end entries, from the oldest; those without come last.
func (c *stored) age() uint64 {
	if c.manifest.seg == nil {
		return math.MaxUint64
	}
	return c.manifest.number
}
