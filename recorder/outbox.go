package recorder

import (
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// item is what is to be stored of a call. Its record is made only when it is offered to the ring, and taken back when
// the ring refuses it, so that numbers, size and hash of the file are those of what is stored.
type item struct {
	of    *recording
	kind  call.Kind   // header (and what else the file begins with), chunk, mark, end; or entry: the end entry
	made  call.Record // header: made with the file, and never taken back
	chunk Chunk
	mark  call.Mark
	why   call.Reason // end
	short bool        // end
}

// outbox stores the items of a line in order. What cannot be stored now waits, and everything after it.
type outbox struct {
	cfg   *Config
	line  string
	items []item
	err   error // why the last attempt failed; nil where it did not
}

// put stores an item, or lets it wait. The data of a chunk is copied where it has to wait.
func (o *outbox) put(it item) {
	if o.empty() && o.attempt(&it) {
		return
	}
	it.chunk.Data = slices.Clone(it.chunk.Data)
	o.items = append(o.items, it)
}

// drain stores what waits, as far as it can.
func (o *outbox) drain() {
	n := 0
	for n < len(o.items) && o.attempt(&o.items[n]) {
		n++
	}
	o.items = slices.Delete(o.items, 0, n)
}

func (o *outbox) empty() bool { return len(o.items) == 0 }

// drop gives up the chunks, marks and ends that wait. A header whose begin entry is stored is not given up.
func (o *outbox) drop() {
	o.items = slices.DeleteFunc(o.items, func(it item) bool { return it.kind != call.KindHeader })
}

// open says whether there is something to drop that is more than an end.
func (o *outbox) open() bool {
	return slices.ContainsFunc(o.items, func(it item) bool { return it.kind == call.KindChunk || it.kind == call.KindMark })
}

func (o *outbox) attempt(it *item) bool {
	o.err = o.store(it)
	return o.err == nil
}

func (o *outbox) store(it *item) error {
	rec := it.of
	var record call.Record
	var err error
	switch it.kind {
	case call.KindHeader:
		return o.cfg.Ring.Append(it.made)
	case call.KindEntry:
		return o.cfg.addEnd(rec.header, o.cfg.manifest(rec.header, rec.end, rec.file))
	case call.KindChunk:
		record, err = rec.file.Chunk(rec.stored, uint32(it.chunk.Frames), it.chunk.Data)
	case call.KindMark:
		record, err = rec.file.Mark(it.mark)
	case call.KindEnd:
		rec.end = call.End{Reason: it.why, Frames: rec.stored, Gaps: within(rec.gaps, rec.stored), Short: it.short}
		record, err = rec.file.End(rec.end)
	}
	if err != nil { // no attempt will make it better
		o.cfg.Log.Error("a record of a call cannot be made", "line", o.line, "call", rec.header.Call, "error", err)
		return nil
	}
	if err := o.cfg.Ring.Append(record); err != nil {
		rec.file.Retract()
		return err
	}
	rec.stored += it.chunk.Frames
	return nil
}

// within leaves of the gaps what lies within the frames.
func within(gaps []call.Gap, frames int64) []call.Gap {
	kept := make([]call.Gap, 0, len(gaps))
	for _, g := range gaps {
		if g.Position < frames {
			g.Frames = min(g.Frames, frames-g.Position)
			kept = append(kept, g)
		}
	}
	return kept
}
