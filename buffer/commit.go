package buffer

import (
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// commit makes synced items visible.
func (w *writer) commit(o *openSegment, items []*item, offsets []uint32) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	for i, at := range offsets {
		it := items[i]
		here := place{seg: o.seg, offset: at, length: uint32(len(it.Data))}
		switch {
		case it.note != nil:
			o.dir.small = append(o.dir.small, it.note.row(at, len(it.Data)))
			w.commitNote(*it.note, here)
		case it.entry != nil:
			row := entryRow(it.entry, at, len(it.Data))
			o.dir.small = append(o.dir.small, row)
			w.commitEntry(it, row, here)
		default:
			row := callRow{it.Call, run{
				first: it.Number, count: 1, at: it.at, bytes: int64(len(it.Data)), firstOffset: at, lastOffset: at,
				ended: it.Kind == call.KindEnd,
			}}
			o.dir.addCall(row)
			w.r.table.addRun(o.seg, row)
		}
		w.r.queue.done(it)
	}
	o.dir.refs = o.seg.refs
	o.pos += uint32(len(w.buf))
	o.seg.end = o.pos
	w.r.space.spare = o.spare(w.r.disk.size)
	w.r.status.LastSync = w.r.opts.Now()
}

func (w *writer) commitNote(n note, here place) {
	t := w.r.table
	if n.Op.outlives() {
		here.seg.refer(n.Where)
	}
	switch {
	case n.Op.releases():
		t.release(*n.Call)
		w.ended[*n.Call] = struct{}{}
	case n.Op == opAccept:
		t.accept(n.Last)
	case n.Op == opCall:
		if c := t.calls[*n.Call]; c != nil && len(t.remember(c, n, here)) > 0 && c.unamended() {
			w.tell(c)
		}
	case n.Op == opLost:
		for _, ref := range n.Where {
			if s := w.r.space.lookup(ref); s != nil {
				t.lose(n.Last, s)
			}
		}
	case n.Op == opKept:
		t.keep(n.Name).moveTo(here)
	case n.Op == opCarried:
		w.r.space.carriedAll(n)
	}
}

func (w *writer) commitEntry(it *item, row smallRow, here place) {
	e, t := it.entry, w.r.table
	t.addEntry(e.Number, here, row.manifestOf())
	if e.Number == t.last {
		t.lastJWS = it.Data
	}
	if e.Call == nil || it.carried {
		return
	}
	c := t.calls[*e.Call]
	if c == nil || len(c.state().Holes) == 0 {
		return
	}
	state := c.state()
	switch {
	case e.Type == call.EntryAmendment && e.Amendment != nil && slices.Equal(e.Amendment.Holes, state.Holes):
		state.SHA256, state.Chain, state.Was = e.Amendment.SHA256, e.Amendment.Chain, e.Amendment.Was
	case e.Type == call.EntryEnd && e.Manifest != nil && c.reread:
		state.SHA256, state.Chain = e.Manifest.SHA256, e.Manifest.Chain
	case e.Type == call.EntryEnd: // made of what was appended
		w.tell(c)
		return
	default:
		return
	}
	t.setState(c, state)
	w.r.queue.put(noteItem(note{Op: opCall, Call: &c.id, callState: state}))
	w.more = true
}

// tell has the caller told that a call is damaged.
func (w *writer) tell(c *stored) {
	w.holes = append(w.holes, Holed{Call: c.id, Holes: slices.Clone(c.state().Holes)})
}

// tellHoles tells the caller of damaged calls, and says whether there is more to write at once.
func (w *writer) tellHoles() bool {
	holes, more := w.holes, w.more
	w.holes, w.more = nil, false
	for _, h := range holes {
		w.r.opts.Damaged(h.Call, h.Holes)
	}
	return more || len(holes) > 0
}

func entryRow(e *call.Entry, offset uint32, length int) smallRow {
	row := smallRow{kind: call.KindEntry, offset: offset, length: uint32(length), number: e.Number}
	if e.Type == call.EntryEnd && e.Call != nil {
		row.call = *e.Call
	}
	if e.Type == call.EntryLost {
		row.op = opLost
	}
	return row
}

func (s smallRow) manifestOf() *call.ID {
	if s.kind != call.KindEntry || s.call.IsZero() {
		return nil
	}
	return &s.call
}
