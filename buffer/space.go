package buffer

import "slices"

// space is the segments and what can be done with them. It is guarded by Ring.mu.
type space struct {
	size       int64      // of a segment
	segments   []*segment // by number
	closed     []*segment // by generation
	generation uint32     // the last one given
	free       int        // segments that can be opened
	spare      int64      // bytes left in the open segment
	noRoom     bool       // the file system had no room for a new segment
}

// survey decides which segments are free. p.mu is held.
func (p *space) survey() {
	p.free = 0
	for _, s := range p.closed {
		s.free = s.dead() && !s.broken && !s.carrying && !p.notesNeeded(s)
		if s.free {
			p.free++
		}
	}
	if p.noRoom {
		return
	}
	for _, s := range p.segments {
		if s.generation == 0 && !s.broken {
			p.free++
		}
	}
}

// notesNeeded says whether a segment must stay for its notes: a segment whose records they release would outlive them.
// Segments are taken in the order of writing, so one that is free itself and older goes first.
func (p *space) notesNeeded(s *segment) bool {
	for _, ref := range s.refs {
		t := p.lookup(ref)
		goesFirst := t != nil && t.free && t.generation < s.generation
		if t != nil && t != s && !goesFirst {
			return true
		}
	}
	return false
}

// lookup finds a segment while it is in the use that is meant.
func (p *space) lookup(ref segmentRef) *segment {
	if int64(ref.number) >= int64(len(p.segments)) || p.segments[ref.number].generation != ref.generation {
		return nil
	}
	return p.segments[ref.number]
}

// standing leaves out the segments that have been used again.
func (p *space) standing(refs []segmentRef) []segmentRef {
	if len(refs) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(refs), func(r segmentRef) bool { return p.lookup(r) == nil })
}

// carriedAll takes the word of a note that nothing in a segment is needed for its notes.
func (p *space) carriedAll(n note) {
	for _, ref := range n.Where {
		if s := p.lookup(ref); s != nil {
			s.refs, s.carrying = nil, false
		}
	}
}

// pick chooses the segment to write next; nil: there is none.
func (p *space) pick(grow bool) *segment {
	if grow {
		for _, s := range p.segments {
			if s.generation == 0 && !s.broken {
				return s
			}
		}
	}
	for _, s := range p.closed {
		if s.free {
			return s
		}
	}
	return nil
}

// tryGrowth lets the next segment be made on a file system that had no room for it.
func (p *space) tryGrowth() {
	if p.noRoom {
		p.noRoom = false
		p.survey()
	}
}

// room is how much can be written, in items' cost, when so many segments have to stay free. The open segment counts
// among them: when a receipt has opened one of those kept back, audio does not get what is left of it. Each segment
// loses what stands in it besides records, and at its end the longest record that does not fit any more.
func (p *space) room(reserve int, overhead, largest int64) int64 {
	return p.spare + int64(p.free-reserve)*max(0, p.size-overhead-largest)
}

// opened takes a segment into its next use.
func (p *space) opened(s *segment, generation uint32) {
	if s.generation == 0 {
		p.noRoom = false
	}
	p.closed = slices.DeleteFunc(p.closed, func(c *segment) bool { return c == s })
	s.generation, s.end, s.refs, s.free, s.headless = generation, pageSize, nil, false, nil
	p.survey()
}
