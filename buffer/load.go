package buffer

import (
	"fmt"
	"io"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// loader puts the table together when the ring is opened, segment by segment in the order of writing. The parts of a call
// may stand in any order, for they are copied forward; so what is missing is only seen at the end.
type loader struct {
	r   *Ring
	rec Recovered

	begun  map[call.ID]call.Entry // begin entries in scanned segments
	notes  map[call.ID]placed     // the last note of each call's state
	kept   map[string]placed      // the last note of each value that is kept
	states []placed               // notes of the ledger's state, the last one last
	lost   []place                // entries that say which ones are lost
	losing map[losing]bool        // entries that notes call damaged
	gone   map[call.ID]bool       // calls released in segments behind a scanned one
	last   place                  // of the last entry
	number uint64                 // its number

	scans   []*scannedSegment
	firm    map[call.ID]int64 // of calls with records of which it is not sure that they were synced: the last that surely was
	open    *openSegment      // the segment that was being written
	dropped bool              // a scan left records out
}

// placed is a note and where it stands.
type placed struct {
	place
	note *note // nil: not read yet
}

// losing is an entry at the place where it was found damaged.
type losing struct {
	number uint64
	at     segmentRef
}

func newLoader(r *Ring) *loader {
	return &loader{
		r: r, begun: make(map[call.ID]call.Entry), notes: make(map[call.ID]placed), kept: make(map[string]placed), losing: make(map[losing]bool),
		firm: make(map[call.ID]int64), gone: make(map[call.ID]bool),
	}
}

// segment adds what stands in one segment.
func (l *loader) segment(s *segment, newest bool) error {
	r := l.r
	if d, end := r.index.directory(s, r.disk.epoch); d != nil && int64(end) <= r.disk.size {
		s.end = end
		return l.directory(s, d)
	}
	f, err := r.disk.fs.Open(r.disk.path(s.number))
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			_ = f.Close() // only read
		}
	}()
	size, err := f.Size()
	if err != nil {
		return err
	}
	size = min(size, r.disk.size)
	if d, end, err := readDirectory(f, r.disk.epoch, s, size); err == nil {
		s.end = end
		r.index.put(s, d, r.disk.epoch)
		return l.directory(s, d)
	}
	l.rec.Scanned++
	// What an earlier life of the program wrote and could not sync must be on the card, or not be believed.
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync before scanning: %w", err)
	}
	f.Forget()
	sc, err := l.scan(s, f, size)
	if err != nil {
		return err
	}
	if newest && !s.broken && s.headless == nil {
		keep = true
		l.dropped = l.dropped || len(sc.claims) > 0
		l.open = &openSegment{seg: s, file: f, pos: uint32(align(int(s.end), pageSize))}
		sc.open = l.open
	}
	return nil
}

func (d *directory) hasState() bool {
	return slices.ContainsFunc(d.small, func(s smallRow) bool { return s.kind == call.KindNote && s.op == opState })
}

// readDirectory reads a closed segment's directory.
func readDirectory(f io.ReaderAt, epoch call.Epoch, s *segment, size int64) (*directory, uint32, error) {
	b := make([]byte, pageSize)
	if size < pageSize {
		return nil, 0, errNoDirectory
	}
	if _, err := f.ReadAt(b, size-pageSize); err != nil {
		return nil, 0, err
	}
	t, err := parseTail(b, epoch, s.number, s.generation, size)
	if err != nil {
		return nil, 0, err
	}
	n := t.rows() + tailSize
	if n > len(b) {
		before := make([]byte, n-len(b))
		if _, err := f.ReadAt(before, size-int64(n)); err != nil {
			return nil, 0, err
		}
		b = append(before, b...)
	}
	d, err := t.parse(b[len(b)-n:])
	return d, t.end, err
}

// directory adds what a closed segment's directory says.
func (l *loader) directory(s *segment, d *directory) error {
	for _, row := range d.calls {
		l.addRun(s, row)
		if at, ok := l.firm[row.call]; ok {
			l.firm[row.call] = max(at, int64(row.next())-1)
		}
	}
	s.refs = d.refs
	for _, row := range d.small {
		at := place{seg: s, offset: row.offset, length: row.length}
		if row.kind == call.KindEntry {
			l.addEntry(row, at)
			continue
		}
		switch row.op {
		case opState:
			l.states = append(l.states[max(0, len(l.states)-1):], placed{place: at})
		case opAccept:
			l.r.table.accept(row.number)
		case opReceipt, opGivenUp:
			l.release(row.call)
		case opCall:
			l.notes[row.call] = placed{place: at}
		case opKept:
			l.kept[row.name()] = placed{place: at}
		case opLost, opCarried:
			n, err := l.r.disk.readNote(at)
			if err != nil { // the segment was about to be used again; what mattered of it stands in a later one
				l.rec.Torn++
				continue
			}
			l.note(s, n)
		}
	}
	return nil
}

// addRun adds a run of a call's records.
func (l *loader) addRun(s *segment, row callRow) {
	if !l.r.table.addRun(s, row) {
		l.damage(s.number, row.call, fmt.Sprintf("records %d to %d do not fit the others of their call", row.first, row.next()-1))
	}
}

// addEntry notes where an entry stands. A call of which nothing but the end entry is found is dropped at the end.
func (l *loader) addEntry(row smallRow, at place) {
	if l.losing[losing{row.number, at.seg.ref()}] {
		return
	}
	of := row.manifestOf()
	if of != nil {
		l.r.table.call(*of)
	}
	l.r.table.addEntry(row.number, at, of)
	if row.op == opLost {
		l.lost = append(l.lost, at)
	}
	if row.number >= l.number {
		l.number, l.last = row.number, at
	}
}

// release drops a call: each note of a release stands behind all records and copies of its call.
func (l *loader) release(id call.ID) {
	l.r.table.release(id)
	delete(l.notes, id)
	delete(l.firm, id)
	if len(l.scans) > 0 {
		l.gone[id] = true
	}
}

// note adds a note that was read, of an operation that needs no place.
func (l *loader) note(s *segment, n note) {
	if n.Op.outlives() {
		s.refer(n.Where)
	}
	switch n.Op {
	case opReceipt, opGivenUp:
		l.release(*n.Call)
	case opAccept:
		l.r.table.accept(n.Last)
	case opLost:
		for _, ref := range n.Where {
			l.losing[losing{n.Last, ref}] = true
			if damagedIn := l.r.space.lookup(ref); damagedIn != nil {
				l.r.table.lose(n.Last, damagedIn)
			}
		}
	case opCarried:
		l.r.space.carriedAll(n)
	}
}
