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

	calls  int  // live calls with records here
	small  int  // entries and manifests here that are still needed
	leases int  // readers at work here
	broken bool // not to be written any more
	stuck  bool // cannot be carried out of

	headless error // why its first page could not be read; nil: it could
	free     bool  // nothing in it is needed; decided by Ring.survey

	// refs are the segments whose records are released by notes that stand here: as long as such a segment has not been
	// used again the notes must stay, or a released call would come back.
	refs     []segmentRef
	carrying bool // what is still needed of it is on its way to the open segment
}

func (s *segment) ref() segmentRef { return segmentRef{number: s.number, generation: s.generation} }

// dead says that no record in it is needed, notes aside.
func (s *segment) dead() bool { return s.calls == 0 && s.small == 0 && s.leases == 0 }

// place is where an entry or a note stands.
type place struct {
	seg    *segment
	offset uint32
	length uint32 // of the data
}

// part is the run of a call's records in one segment.
type part struct {
	seg *segment
	callRow
}

// stored is a live call. It is kept small: there may be a hundred thousand.
type stored struct {
	id    call.ID
	parts []part
	size  int64  // of the call file
	next  uint32 // number of the record that comes next
	ended bool

	interrupted bool // by a cut: nothing but its end may follow
	receipt     bool // headquarters has it; its release is on the way to the card
	givenUp     bool // the same, for want of room
	gone        bool // released
	parked      string
	manifest    place        // of its end entry; seg is nil while there is none
	said        *description // decoded header and manifest, while they are kept
}

// description is what a call's own records say of it.
type description struct {
	header   call.Header
	manifest *call.Manifest
}

// waiting is an entry that headquarters has not receipted.
type waiting struct {
	number uint64
	place
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

	bytes     int64 // of live calls that headquarters does not have
	described int   // calls whose description is kept
}

// maxDescribed bounds the descriptions kept, so that memory stays flat with any number of calls.
const maxDescribed = 2000

func newTable() *table { return &table{calls: make(map[call.ID]*stored)} }

// addRun adds a call's run of records, which must join what is there.
func (t *table) addRun(s *segment, row callRow) {
	c := t.calls[row.call]
	if c == nil {
		c = &stored{id: row.call}
		t.calls[row.call] = c
		t.order = append(t.order, c)
	}
	if n := len(c.parts); n > 0 && c.parts[n-1].seg == s {
		p := &c.parts[n-1]
		p.count += row.count
		p.bytes += row.bytes
		p.firstOffset, p.lastOffset = min(p.firstOffset, row.firstOffset), max(p.lastOffset, row.lastOffset)
	} else {
		c.parts = append(c.parts, part{seg: s, callRow: row})
		s.calls++
	}
	c.next = row.first + row.count
	c.ended = row.ended
	c.size += int64(row.bytes)
	t.bytes += int64(row.bytes)
}

// addEntry notes where an entry stands: a new one, or one that was carried forward.
func (t *table) addEntry(number uint64, at place, manifestOf *call.ID) {
	if manifestOf != nil {
		if c := t.calls[*manifestOf]; c != nil {
			if c.manifest.seg != nil {
				c.manifest.seg.small--
			}
			c.manifest = at
			t.forget(c)
			at.seg.small++
		}
	}
	t.last = max(t.last, number)
	if number <= t.accepted {
		return
	}
	at.seg.small++
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].number >= number })
	if i < len(t.entries) && t.entries[i].number == number {
		t.entries[i].seg.small--
		t.entries[i].place = at
		return
	}
	t.entries = slices.Insert(t.entries, i, waiting{number: number, place: at})
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
		t.entries[n].seg.small--
		n++
	}
	t.entries = slices.Delete(t.entries, 0, n)
}

// release drops a call.
func (t *table) release(id call.ID) {
	c := t.calls[id]
	if c == nil {
		return
	}
	for _, p := range c.parts {
		p.seg.calls--
	}
	if c.manifest.seg != nil {
		c.manifest.seg.small--
	}
	if !c.receipt && !c.givenUp {
		t.bytes -= c.size
	}
	t.forget(c)
	c.gone = true
	delete(t.calls, id)
	if t.gone++; t.gone > 16 && t.gone > len(t.order)/2 {
		t.order = slices.DeleteFunc(t.order, func(c *stored) bool { return c.gone })
		t.gone = 0
	}
}

// applyNote does what a note says of calls and entries.
func (t *table) applyNote(n note, s *segment) {
	switch n.Op {
	case opReceipt, opGivenUp:
		for _, r := range n.Where {
			if r != s.ref() && !slices.Contains(s.refs, r) {
				s.refs = append(s.refs, r)
			}
		}
		t.release(*n.Call)
	case opAccept:
		t.accept(n.Last)
	case opPark, opRequeue:
		if c := t.calls[*n.Call]; c != nil {
			// The note must stay as long as the call does.
			if first := c.parts[0].seg.ref(); first != s.ref() && !slices.Contains(s.refs, first) {
				s.refs = append(s.refs, first)
			}
		}
	case opState, opCarried:
	}
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

// where lists the segments that a call's records stand in.
func (c *stored) where() []segmentRef {
	refs := make([]segmentRef, 0, len(c.parts))
	for _, p := range c.parts {
		refs = append(refs, p.seg.ref())
	}
	return refs
}
