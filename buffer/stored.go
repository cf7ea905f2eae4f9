package buffer

import (
	"slices"
	"sort"

	"github.com/linekeeper/linekeeper/call"
)

// part is a run of a call's records in one segment; or, where seg is nil, a hole that damaged ones have left.
type part struct {
	seg *segment
	run
}

// count1 adds the part to what keeps its segment, or with -1 takes it off.
func (p part) count1(n int) {
	if p.seg != nil {
		p.seg.calls += n
		p.seg.live += int64(n) * (p.bytes + int64(p.count)*frameHeader)
	}
}

// stored is a live call. It is kept small: there may be a hundred thousand.
type stored struct {
	id    call.ID
	parts []part // by number
	ended bool

	interrupted bool // by a cut: nothing but its end may follow
	reread      bool // its manifest will be made of what stands here, holes and all
	receipt     bool // headquarters has it; unless it is on hold, its release is on the way to the card
	givenUp     bool // the same, for want of room
	gone        bool // released

	stale      *[]segmentRef // where records stand whose copies count; nil: nowhere
	*callState               // as it was appended; nil: nothing
	noted      place         // of the note that holds it
	manifest   waiting       // its end entry; seg is nil while there is none
	said       *description  // decoded header and manifest, while they are kept
}

// size is that of the call file so far.
func (c *stored) size() int64 {
	if len(c.parts) == 0 {
		return 0
	}
	return c.parts[len(c.parts)-1].end()
}

// next is the number of the record that comes next.
func (c *stored) next() uint32 {
	if len(c.parts) == 0 {
		return 0
	}
	return c.parts[len(c.parts)-1].next()
}

// state is what is to be remembered of the call.
func (c *stored) state() callState {
	if c.callState == nil {
		return callState{}
	}
	return *c.callState
}

// waits says that headquarters does not have the call.
func (c *stored) waits() bool { return !c.gone && !c.receipt && !c.givenUp }

// onHold says that the call must not be given up.
func (c *stored) onHold() bool { return c.callState != nil && c.Hold != "" }

// leaves says that the call's release is on the way to the card.
func (c *stored) leaves() bool { return c.givenUp || c.receipt && !c.onHold() }

// unamended says that the call has holes of which its manifest does not know.
func (c *stored) unamended() bool {
	return c.callState != nil && len(c.Holes) > 0 && c.SHA256 == "" && c.manifest.seg != nil
}

// refused is why the call is not to be sent.
func (c *stored) refused() string {
	switch {
	case c.callState == nil:
		return ""
	case c.Parked == "" && c.unamended():
		return "it is damaged on the card, and its amendment is not signed yet"
	}
	return c.Parked
}

// insert adds a run of records. Where some of them stand elsewhere, this place counts from now on. It says whether the
// run fits what is there, to the byte.
func (c *stored) insert(p part) bool {
	if p.first == 0 && p.at != 0 || !c.cut(p.run) {
		return false
	}
	i := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].first >= p.first })
	if i > 0 {
		if b := &c.parts[i-1]; b.seg == p.seg && p.seg != nil && b.next() == p.first && b.end() == p.at {
			b.count1(-1)
			b.join(p.run)
			b.count1(1)
			c.ended = c.ended || p.ended
			return true
		}
	}
	p.count1(1)
	c.parts = slices.Insert(c.parts, i, p)
	c.ended = c.ended || p.ended
	return true
}

// cut takes the records of a run out of the parts. Where the bytes around them do not meet it changes nothing.
func (c *stored) cut(run run) bool {
	from := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].next() > run.first })
	to := from
	var left, right *part
	for ; to < len(c.parts) && c.parts[to].first < run.next(); to++ {
		p := c.parts[to]
		if p.first < run.first {
			l := p
			l.count, l.bytes, l.ended = run.first-p.first, run.at-p.at, false
			left = &l
		} else if p.first == run.first && p.at != run.at {
			return false
		}
		if p.next() > run.next() {
			r := p
			r.first, r.at = run.next(), run.end()
			r.count, r.bytes = p.next()-r.first, p.end()-r.at
			right = &r
		} else if p.next() == run.next() && p.end() != run.end() {
			return false
		}
	}
	if left != nil && left.bytes < 0 || right != nil && right.bytes < 0 || run.bytes < 0 {
		return false
	}
	if from > 0 && !c.parts[from-1].before(run) || to < len(c.parts) && !run.before(c.parts[to].run) {
		return false
	}
	if from == to {
		return true
	}
	removed := slices.Clone(c.parts[from:to])
	var rest []part
	for _, p := range []*part{left, right} {
		if p != nil {
			rest = append(rest, *p)
			p.count1(1)
		}
	}
	c.parts = slices.Replace(c.parts, from, to, rest...)
	for _, p := range removed {
		p.count1(-1)
		c.leave(p.seg)
	}
	return true
}

// leave remembers that a segment holds records of the call that do not count any more.
func (c *stored) leave(s *segment) {
	if s == nil || slices.Contains(c.left(), s.ref()) {
		return
	}
	c.setLeft(append(c.left(), s.ref()))
}

// left lists where records of the call stand that do not count any more.
func (c *stored) left() []segmentRef {
	if c.stale == nil {
		return nil
	}
	return *c.stale
}

func (c *stored) setLeft(refs []segmentRef) {
	if c.stale = nil; len(refs) > 0 {
		c.stale = &refs
	}
}

// punch puts a hole in place of damaged records, and says whether it was not there yet.
func (c *stored) punch(h call.Hole) bool {
	p := part{run: run{first: h.Record, count: h.Records, at: h.Offset, bytes: h.Size}}
	for _, q := range c.parts {
		if q.seg == nil && q.first <= p.first && q.next() >= p.next() {
			return false
		}
	}
	return c.insert(p)
}

// where lists the segments that a call's records stand in.
func (c *stored) where() []segmentRef {
	refs := slices.Clone(c.left())
	for _, p := range c.parts {
		if p.seg != nil && !slices.Contains(refs, p.seg.ref()) {
			refs = append(refs, p.seg.ref())
		}
	}
	return refs
}

// header is the part that holds the call's first record; nil: it is damaged.
func (c *stored) header() *part {
	if len(c.parts) == 0 || c.parts[0].seg == nil || c.parts[0].first != 0 {
		return nil
	}
	return &c.parts[0]
}
