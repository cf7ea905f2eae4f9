package buffer

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// loader puts the table together when the ring is opened, segment by segment in the order of writing.
type loader struct {
	r   *Ring
	rec Recovered

	orphans map[call.ID]Damage     // records whose call's beginning is not there: released, or lost
	begun   map[call.ID]call.Entry // begin entries in scanned segments
	states  []place                // notes of the ledger's state, the last one last
	last    place                  // of the last entry
	number  uint64                 // its number

	open    *openSegment // the segment that was being written
	dropped bool         // a scan left records out
}

// scannedRecord is a record that a scan met.
type scannedRecord struct {
	kind   call.Kind
	call   call.ID
	number uint32
	group  uint32
	offset uint32
	length uint32
	entry  *call.Entry
	note   *note
}

// segment adds what stands in one segment.
func (l *loader) segment(s *segment, newest bool) error {
	r := l.r
	if d, end := r.index.directory(s, r.disk.epoch); d != nil {
		s.end = end
		if l.joins(d) {
			return l.directory(s, d)
		}
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
		if l.joins(d) {
			r.index.put(s, d, r.disk.epoch)
			return l.directory(s, d)
		}
	}
	l.rec.Scanned++
	// What an earlier life of the program wrote and could not sync must be on the card, or not be believed.
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync before scanning: %w", err)
	}
	f.Forget()
	d, err := l.scan(s, f, size)
	if err != nil {
		return err
	}
	if newest && !s.broken && s.headless == nil {
		keep = true
		pos := uint32(align(int(s.end), pageSize))
		l.open = &openSegment{seg: s, file: f, pos: pos, dir: *d, state: !d.hasState()}
		l.open.dir.refs = s.refs
	}
	return nil
}

func (d *directory) hasState() bool {
	return slices.ContainsFunc(d.small, func(s smallRow) bool { return s.kind == call.KindNote && s.op == opState })
}

// joins says whether a directory's calls go on where the table ends. They overlap where a segment before, closed without
// its directory after a failed sync, holds records that were then written again here.
func (l *loader) joins(d *directory) bool {
	return !slices.ContainsFunc(d.calls, func(row callRow) bool {
		c := l.r.table.calls[row.call]
		return c != nil && row.first < c.next && !c.ended
	})
}

// readDirectory reads a closed segment's directory.
func readDirectory(f File, epoch call.Epoch, s *segment, size int64) (*directory, uint32, error) {
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
		b = make([]byte, n)
		if _, err := f.ReadAt(b, size-int64(n)); err != nil {
			return nil, 0, err
		}
	}
	d, err := t.parse(b[len(b)-n:])
	return d, t.end, err
}

// directory adds what a closed segment's directory says.
func (l *loader) directory(s *segment, d *directory) error {
	for _, row := range d.calls {
		l.addRun(s, row)
	}
	s.refs = d.refs
	for _, row := range d.small {
		at := place{seg: s, offset: row.offset, length: row.length}
		switch {
		case row.kind == call.KindEntry:
			l.addEntry(row.number, at, row.manifestOf())
		case row.op == opState:
			l.states = append(l.states[max(0, len(l.states)-1):], at)
		case row.op == opAccept:
			l.r.table.accept(row.number)
		case row.op.releases():
			l.release(row.call)
		case row.op == opCarried || l.r.table.calls[row.call] != nil:
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

// addRun adds a run of a call's records where it joins what is there.
func (l *loader) addRun(s *segment, row callRow) {
	c := l.r.table.calls[row.call]
	switch {
	case c == nil && row.first > 0:
		l.orphans[row.call] = Damage{Segment: s.number, Call: row.call, What: "the beginning of the call is lost"}
	case c == nil || row.first == c.next && !c.ended:
		l.r.table.addRun(s, row)
	case !c.ended:
		l.damage(s.number, row.call, fmt.Sprintf("records %d to %d are missing, the call is cut off there", c.next, row.first-1))
	}
}

func (l *loader) addEntry(number uint64, at place, manifestOf *call.ID) {
	l.r.table.addEntry(number, at, manifestOf)
	if number >= l.number {
		l.number, l.last = number, at
	}
}

func (l *loader) release(id call.ID) {
	l.r.table.release(id)
	delete(l.orphans, id)
	delete(l.begun, id)
}

// note adds a note that was read.
func (l *loader) note(s *segment, n note) {
	l.r.table.applyNote(n, s)
	switch {
	case n.Op.releases():
		l.release(*n.Call)
	case n.Op == opCarried:
		l.r.space.carriedAll(n)
	case n.Op == opPark || n.Op == opRequeue:
		if c := l.r.table.calls[*n.Call]; c != nil {
			c.parked = n.Why
		}
	}
}

// scan adds what stands in a segment without a directory, and gives the directory that it would have.
func (l *loader) scan(s *segment, f File, size int64) (*directory, error) {
	var records []scannedRecord
	var lastGroup uint32
	res, err := scan(f, l.r.disk.epoch, s.generation, pageSize, size, func(f frame) error {
		rec := scannedRecord{
			kind: f.kind, call: f.call, number: f.number, group: f.group, offset: f.offset, length: uint32(len(f.data)),
		}
		lastGroup = max(lastGroup, f.group)
		if ok := l.decode(s, &rec, f.data); ok {
			records = append(records, rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.end = res.end
	l.rec.Torn += res.bad
	if res.unreadable > 0 {
		l.damage(s.number, call.ID{}, fmt.Sprintf("%d pages cannot be read", res.unreadable))
	}
	d := &directory{}
	l.scannedCalls(s, d, records, lastGroup)
	l.scannedSmall(s, d, records, lastGroup)
	return d, nil
}

// decode reads entries and notes.
func (l *loader) decode(s *segment, rec *scannedRecord, data []byte) bool {
	var err error
	switch {
	case rec.kind == call.KindEntry:
		var e call.Entry
		if e, err = l.r.disk.entry(data); err == nil {
			rec.entry = &e
		}
	case rec.kind == call.KindNote:
		var n note
		if n, err = parseNote(data); err == nil {
			rec.note = &n
		}
	case !rec.kind.InFile():
		err = fmt.Errorf("kind %d", rec.kind)
	}
	if err != nil {
		l.damage(s.number, rec.call, fmt.Sprintf("a record at %d cannot be understood: %v", rec.offset, err))
	}
	return err == nil
}

// scannedCalls adds the records of calls: of each call those that follow each other without a hole, up to its end. A
// hole in the last group is no damage: power was lost before it was synced.
func (l *loader) scannedCalls(s *segment, d *directory, records []scannedRecord, lastGroup uint32) {
	of := make(map[call.ID][]scannedRecord)
	var order []call.ID
	for _, rec := range records {
		if rec.kind.InFile() {
			if of[rec.call] == nil {
				order = append(order, rec.call)
			}
			of[rec.call] = append(of[rec.call], rec)
		}
	}
	for _, id := range order {
		recs := of[id]
		slices.SortStableFunc(recs, func(a, b scannedRecord) int { return cmp.Compare(a.number, b.number) })
		var next uint32
		if c := l.r.table.calls[id]; c != nil {
			if next = c.next; c.ended {
				continue
			}
		}
		for _, rec := range recs {
			if rec.number < next {
				continue // written twice: the first sync failed
			}
			if rec.number > next {
				l.dropped = true
				switch {
				case rec.group == lastGroup:
					l.rec.Torn++
				case next == 0:
					l.orphans[id] = Damage{Segment: s.number, Call: id, What: "the beginning of the call is lost"}
				default:
					l.damage(s.number, id, fmt.Sprintf("record %d is missing, the call is cut off there", next))
				}
				break
			}
			d.addCall(id, rec.number, rec.offset, int(rec.length), rec.kind == call.KindEnd)
			if next++; rec.kind == call.KindEnd {
				break
			}
		}
	}
	for _, row := range d.calls {
		l.addRun(s, row)
	}
}

// scannedSmall adds entries and notes. Entries behind a hole are left out where the hole is in the last group: power was
// lost before it was synced, and the ledger goes on before the hole.
func (l *loader) scannedSmall(s *segment, d *directory, records []scannedRecord, lastGroup uint32) {
	known := l.number
	for _, rec := range records {
		if rec.note != nil && rec.note.Op == opState {
			known = max(known, rec.note.Last)
		}
	}
	var entries []scannedRecord
	for _, rec := range records {
		at := place{seg: s, offset: rec.offset, length: rec.length}
		switch {
		case rec.entry != nil:
			entries = append(entries, rec)
		case rec.note == nil:
		case rec.note.Op == opState:
			d.small = append(d.small, rec.note.row(rec.offset, int(rec.length)))
			l.states = append(l.states[max(0, len(l.states)-1):], at)
		}
	}
	slices.SortStableFunc(entries, func(a, b scannedRecord) int { return cmp.Compare(a.entry.Number, b.entry.Number) })
	for _, rec := range entries {
		e := rec.entry
		behindHole := e.Number > known+1
		if e.Type == call.EntryEnd && e.Call != nil && e.Number > known { // its end record is lost: it is told anew
			c := l.r.table.calls[*e.Call]
			behindHole = behindHole || c != nil && !c.ended
		}
		if behindHole && rec.group == lastGroup {
			l.dropped = true
			l.rec.Torn++
			continue
		}
		known = max(known, e.Number)
		row := entryRow(e, rec.offset, int(rec.length))
		d.small = append(d.small, row)
		l.addEntry(e.Number, place{seg: s, offset: rec.offset, length: rec.length}, row.manifestOf())
		switch {
		case e.Call == nil:
		case e.Type == call.EntryBegin:
			l.begun[*e.Call] = *e
		default:
			delete(l.begun, *e.Call)
		}
	}
	for _, rec := range records {
		if rec.note == nil || rec.note.Op == opState {
			continue
		}
		d.small = append(d.small, rec.note.row(rec.offset, int(rec.length)))
		l.note(s, *rec.note)
	}
}
