package buffer

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// scannedSegment is what was found in a segment without a directory. What stands in its last group may not have been
// synced when power was lost.
type scannedSegment struct {
	seg       *segment
	records   []scannedRecord
	rows      []callRow
	lastGroup uint32
	claims    []frame
	gaps      []stretch    // between sound records
	open      *openSegment // nil: it is not to be written on
}

// scannedRecord is a record that a scan met.
type scannedRecord struct {
	kind   call.Kind
	call   call.ID
	number uint32
	group  uint32
	offset uint32
	at     uint32
	length uint32
	entry  *call.Entry
	note   *note
}

// scan adds the calls and notes that stand in a segment without a directory. Its entries wait for the end: some depend on
// what is known of their calls by then.
func (l *loader) scan(s *segment, f File, size int64) (*scannedSegment, error) {
	sc := &scannedSegment{seg: s}
	res, err := scan(f, l.r.disk.epoch, s.generation, pageSize, size, func(f frame) error {
		rec := scannedRecord{
			kind: f.kind, call: f.call, number: f.number, group: f.group, offset: f.offset, at: f.at, length: uint32(len(f.data)),
		}
		sc.lastGroup = max(sc.lastGroup, f.group)
		if l.decode(s, &rec, f.data) {
			sc.records = append(sc.records, rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.end = res.end
	sc.claims, sc.gaps = res.claims, res.gaps
	if n := len(sc.gaps); n > 0 && sc.gaps[n-1].to == size {
		sc.gaps = sc.gaps[:n-1] // an earlier use
	}
	l.rec.Torn += len(res.claims)
	l.scans = append(l.scans, sc)
	if res.unreadable > 0 {
		l.damage(s.number, call.ID{}, fmt.Sprintf("%d pages cannot be read", res.unreadable))
	}
	l.scannedCalls(sc)
	for _, rec := range sc.records {
		at := placed{place{seg: s, offset: rec.offset, length: rec.length}, rec.note}
		switch {
		case rec.note == nil:
		case rec.note.Op == opState:
			l.states = append(l.states[max(0, len(l.states)-1):], at)
		case rec.note.Op == opCall:
			l.notes[*rec.note.Call] = at
		case rec.note.Op == opKept:
			l.kept[rec.note.Name] = at
		default:
			l.note(s, *rec.note)
		}
	}
	return sc, nil
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

// scannedCalls adds the runs of calls' records, and notes up to where they surely were synced.
func (l *loader) scannedCalls(sc *scannedSegment) {
	of := make(map[call.ID][]scannedRecord)
	var order []call.ID
	for _, rec := range sc.records {
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
		firm, known := l.firm[id]
		if !known {
			firm = -1
			if c := l.r.table.calls[id]; c != nil {
				firm = int64(c.next()) - 1
			}
		}
		var rows []callRow
		for i, rec := range recs {
			if rec.group < sc.lastGroup {
				firm = max(firm, int64(rec.number))
			}
			if i+1 < len(recs) && recs[i+1].number == rec.number {
				continue // written twice: the first sync failed
			}
			row := rec.row()
			if n := len(rows); n > 0 && rows[n-1].next() == row.first && rows[n-1].end() == row.at && !rows[n-1].ended {
				rows[n-1].join(row.run)
			} else {
				rows = append(rows, row)
			}
		}
		l.firm[id] = firm
		for _, row := range rows {
			l.addRun(sc.seg, row)
		}
		sc.rows = append(sc.rows, rows...)
	}
}

func (rec *scannedRecord) row() callRow {
	return callRow{rec.call, run{
		first: rec.number, count: 1, at: int64(rec.at), bytes: int64(rec.length),
		firstOffset: rec.offset, lastOffset: rec.offset, ended: rec.kind == call.KindEnd,
	}}
}

// describe gives the directory that a scanned segment would have, of what counts in it.
func (l *loader) describe(sc *scannedSegment) directory {
	d := directory{refs: sc.seg.refs}
	for _, row := range sc.rows {
		if c := l.r.table.calls[row.call]; c != nil && row.next() <= c.next() {
			d.calls = append(d.calls, row)
		}
	}
	l.scannedEntries(sc, &d)
	for _, rec := range sc.records {
		if rec.note != nil {
			d.small = append(d.small, rec.note.row(rec.offset, int(rec.length)))
		}
	}
	return d
}

// scannedEntries adds entries. Those behind a hole are left out where the hole is in the last group: power was lost before
// it was synced, and the ledger goes on before the hole.
func (l *loader) scannedEntries(sc *scannedSegment, d *directory) {
	known := l.number
	var entries []scannedRecord
	for _, rec := range sc.records {
		switch {
		case rec.entry != nil:
			entries = append(entries, rec)
		case rec.note != nil && rec.note.Op == opState:
			known = max(known, rec.note.Last)
		}
	}
	slices.SortStableFunc(entries, func(a, b scannedRecord) int { return cmp.Compare(a.entry.Number, b.entry.Number) })
	for _, rec := range entries {
		e := rec.entry
		behindHole := e.Number > known+1
		if e.Type == call.EntryEnd && e.Call != nil && e.Number > known { // its end record is lost: it is told anew
			c := l.r.table.calls[*e.Call]
			behindHole = behindHole || c != nil && len(c.parts) > 0 && !c.ended
		}
		if behindHole && rec.group == sc.lastGroup {
			l.dropped = true
			l.rec.Torn++
			continue
		}
		known = max(known, e.Number)
		row := entryRow(e, rec.offset, int(rec.length))
		d.small = append(d.small, row)
		l.addEntry(row, place{seg: sc.seg, offset: rec.offset, length: rec.length})
		switch {
		case e.Call == nil || l.gone[*e.Call]:
		case e.Type == call.EntryBegin:
			l.begun[*e.Call] = *e
		default:
			delete(l.begun, *e.Call)
		}
	}
	for _, f := range sc.claims { // of an entry that was synced, and is damaged
		if f.kind == call.KindEntry && f.group < sc.lastGroup && uint64(f.number) == known+1 && known < 1<<32-1 {
			known++
			l.number, l.last = known, place{}
		}
	}
}
