package buffer

import (
	"slices"
	"sort"

	"github.com/linekeeper/linekeeper/call"
)

// segment is one file of the ring in its present use.
type segment struct {
	number     uint32
	generation uint32 // of its present use; 0: not used yet, and perhaps not made
	end        uint32 // after its last record

	calls  int   // runs of live calls' records here
	small  int   // entries, manifests and notes of live calls here that are still needed
	live   int64 // bytes of all these, about
	leases int   // readers at work here
	broken bool  // not to be written any more
	stuck  bool  // cannot be carried out of

	headless error // why its first page could not be read; nil: it could
	free     bool  // nothing in it is needed; decided by space.survey

	// refs are the segments whose records are released by notes that stand here: as long as such a segment has not been
	// used again the notes must stay, or a released call would come back.
	refs     []segmentRef
	carrying bool // what is still needed of it is on its way to the open segment
}

func (s *segment) ref() segmentRef { return segmentRef{number: s.number, generation: s.generation} }

// dead says that no record in it is needed, notes of releases aside.
func (s *segment) dead() bool { return s.calls == 0 && s.small == 0 && s.leases == 0 }

// refer notes that notes here release records in other segments.
func (s *segment) refer(to []segmentRef) {
	for _, r := range to {
		if r != s.ref() && !slices.Contains(s.refs, r) {
			s.refs = append(s.refs, r)
		}
	}
}

// place is where an entry or a note stands.
type place struct {
	seg    *segment // nil: nowhere
	offset uint32
	length uint32 // of the data
}

// count adds the place to what keeps its segment, or with -1 takes it off.
func (p place) count(n int) {
	if p.seg != nil {
		p.seg.small += n
		p.seg.live += int64(n) * int64(frameSize(int(p.length)))
	}
}

// waiting is an entry and where it stands.
type waiting struct {
	number uint64
	place
}

// description is what a call's own records say of it.
type description struct {
	header   call.Header
	manifest *call.Manifest
}

// table is everything live in the ring. It says nothing that does not follow from the records.
type table struct {
	calls    map[call.ID]*stored
	order    []*stored // oldest first, with some that are gone
	gone     int       // of order
	entries  []waiting // by number
	last     uint64    // number of the last entry
	lastJWS  []byte
	accepted uint64 // all entries up to here are receipted
	taken    uint64 // the same, with receipts whose notes are not synced yet

	kept map[string]*kept // by name

	losing map[uint64]bool // entries found damaged, whose notes are not synced yet

	bytes     int64 // of live calls that headquarters does not have
	waiting   int   // such calls
	parked    int   // of these, those that are not to be sent
	held      int64 // of calls on hold
	heldCalls int
	described int // calls whose description is kept
}

// maxDescribed bounds the descriptions kept, so that memory stays flat with any number of calls.
const maxDescribed = 2000

func newTable() *table {
	return &table{calls: make(map[call.ID]*stored), kept: make(map[string]*kept), losing: make(map[uint64]bool)}
}

// call gives a live call, made where there is none.
func (t *table) call(id call.ID) *stored {
	c := t.calls[id]
	if c == nil {
		c = &stored{id: id, gone: true}
		t.change(c, func() { c.gone = false })
		t.calls[id] = c
		t.order = append(t.order, c)
	}
	return c
}

// addRun adds a call's run of records: new ones, or copies of some that stand elsewhere, whose place they take. It says
// whether the run fits.
func (t *table) addRun(s *segment, row callRow) bool {
	c := t.call(row.call)
	fits := false
	t.change(c, func() { fits = c.insert(part{seg: s, run: row.run}) })
	return fits
}

// change keeps the sums right while something changes a call.
func (t *table) change(c *stored, f func()) {
	sum := func(sign int) {
		if c.waits() {
			t.bytes += int64(sign) * c.size()
			t.waiting += sign
			if c.refused() != "" {
				t.parked += sign
			}
		}
		if c.onHold() && !c.gone {
			t.held += int64(sign) * c.size()
			t.heldCalls += sign
		}
	}
	sum(-1)
	f()
	sum(1)
}

// addEntry notes where an entry stands: a new one, or one that was carried forward.
func (t *table) addEntry(number uint64, at place, manifestOf *call.ID) {
	if manifestOf != nil {
		if c := t.calls[*manifestOf]; c != nil {
			c.manifest.count(-1)
			t.change(c, func() { c.manifest = waiting{number, at} })
			t.forget(c)
			at.count(1)
		}
	}
	t.last = max(t.last, number)
	if number <= t.accepted {
		return
	}
	at.count(1)
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].number >= number })
	if i < len(t.entries) && t.entries[i].number == number {
		t.entries[i].count(-1)
		t.entries[i].place = at
		return
	}
	t.entries = slices.Insert(t.entries, i, waiting{number: number, place: at})
}

// lose forgets where an entry stands that was found damaged.
func (t *table) lose(number uint64, s *segment) {
	delete(t.losing, number)
	t.entries = slices.DeleteFunc(t.entries, func(w waiting) bool {
		if w.number != number || w.seg != s {
			return false
		}
		w.count(-1)
		return true
	})
	for _, c := range t.calls {
		if c.manifest.number == number && c.manifest.seg == s {
			c.manifest.count(-1)
			t.change(c, func() { c.manifest = waiting{} })
			t.forget(c)
		}
	}
}

// needed says whether an entry still matters where it stands.
func (t *table) needed(row smallRow, at place) bool {
	if c := t.calls[row.call]; c != nil && c.manifest.place == at {
		return true
	}
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].number >= row.number })
	return i < len(t.entries) && t.entries[i].place == at
}

// unreceipted are the entries that headquarters does not have.
func (t *table) unreceipted() []waiting {
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].number > t.taken })
	return t.entries[i:]
}

// accept drops entries that are receipted.
func (t *table) accept(last uint64) {
	t.accepted = max(t.accepted, last)
	t.taken = max(t.taken, last)
	n := 0
	for n < len(t.entries) && t.entries[n].number <= t.accepted {
		t.entries[n].count(-1)
		n++
	}
	t.entries = slices.Delete(t.entries, 0, n)
	if spare := cap(t.entries); spare > 1<<10 && len(t.entries) < spare/4 { // of a long time without a link
		t.entries = slices.Clone(t.entries)
	}
}

// release drops a call.
func (t *table) release(id call.ID) {
	c := t.calls[id]
	if c == nil {
		return
	}
	t.change(c, func() { c.gone = true })
	c.manifest.count(-1)
	c.noted.count(-1)
	for _, p := range c.parts {
		p.count1(-1)
	}
	t.forget(c)
	delete(t.calls, id)
	if t.gone++; t.gone > 16 && t.gone > len(t.order)/8 {
		t.order = slices.DeleteFunc(t.order, func(c *stored) bool { return c.gone })
		t.gone = 0
	}
}

// remember takes over what a note of the call's state says, which stands there, and gives the holes that are new.
func (t *table) remember(c *stored, n note, at place) (holes []call.Hole) {
	c.noted.count(-1)
	c.noted = at
	at.count(1)
	for _, h := range n.Holes {
		if c.punch(h) {
			holes = append(holes, h)
		}
	}
	if len(holes) > 0 {
		t.forget(c)
	}
	return holes
}

// setState replaces what is to be remembered of a call.
func (t *table) setState(c *stored, s callState) {
	t.change(c, func() {
		if c.callState = nil; !s.isZero() {
			c.callState = &s
		}
	})
}

// overhead is what a segment holds besides records: its head, the rounding of the directory and of the last group, and
// the note of the ledger's state.
func (t *table) overhead() int64 { return 4*pageSize + int64(len(t.lastJWS))*4/3 + 512 }

// describe keeps what a call says of itself, where there is room for it.
func (t *table) describe(c *stored, d *description) {
	if c.said == nil && t.described >= maxDescribed || c.gone {
		return
	}
	if c.said == nil {
		t.described++
	}
	c.said = d
}

func (t *table) forget(c *stored) {
	if c.said != nil {
		c.said = nil
		t.described--
	}
}
