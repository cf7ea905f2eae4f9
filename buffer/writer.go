package buffer

import (
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// openSegment is the segment being written.
type openSegment struct {
	seg  *segment
	file File
	pos  uint32 // the next page to write
	dir  directory

	group uint32 // the page at which what is written next was first tried
	head  bool   // its first page is still to be written
	state bool   // and the note of the ledger's state
	moved bool   // after a failed sync: this group already stands on fresh pages
}

// writer puts what is queued into the open segment. Ring.writing is held in all that it does.
type writer struct {
	r     *Ring
	open  *openSegment
	buf   []byte
	ended map[call.ID]struct{} // released since the index was last told
	holes []Holed              // of calls whose manifest does not know of them, not told yet

	more     bool      // a commit has queued something that should not wait for the next Sync
	emptying *emptying // nil: no segment is
}

// drain writes the queue.
func (w *writer) drain() error {
	w.r.mu.Lock()
	items := w.r.queue.take()
	w.r.mu.Unlock()
	for len(items) > 0 {
		n, err := w.writeGroup(items)
		items = items[n:]
		if err != nil {
			w.r.mu.Lock()
			w.r.queue.putBack(items)
			w.r.mu.Unlock()
			return err
		}
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.status.Err = ""
	return nil
}

// writeGroup writes as many of the items as go into the open segment, makes them durable and visible, and says how many
// they were. Where none fits it closes the segment.
func (w *writer) writeGroup(items []*item) (int, error) {
	if w.open == nil {
		if err := w.openNext(); err != nil {
			return 0, err
		}
	}
	o := w.open
	group := items
	if o.state {
		group = append([]*item{w.stateNote()}, items...)
	}
	w.refresh(items)
	offsets := w.lay(o, group)
	if len(offsets) == 0 {
		w.closeSegment()
		return 0, nil
	}
	if err := w.write(o); err != nil {
		return 0, fmt.Errorf("write %d records to segment %d of ring %s: %w", len(offsets), o.seg.number, w.r.disk.dir, err)
	}
	w.commit(o, group, offsets)
	n := len(offsets)
	if o.state {
		o.state = false
		n--
	}
	return n, nil
}

// refresh brings up to date what releases say of where the records stand: some may have been carried on since they were
// appended.
func (w *writer) refresh(items []*item) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	for _, it := range items {
		if it.note == nil || !it.note.Op.releases() {
			continue
		}
		if c := w.r.table.calls[*it.note.Call]; c != nil {
			it.note.Where = w.r.space.standing(c.where())
			it.encode()
		}
	}
}

// lay encodes the items that fit into w.buf, as they will stand from o.pos, and gives their offsets.
func (w *writer) lay(o *openSegment, items []*item) []uint32 {
	w.buf = w.buf[:0]
	if !o.moved {
		o.group = o.pos / pageSize
	}
	var offsets []uint32
	calls, small, refs := len(o.dir.calls), len(o.dir.small), len(o.seg.refs)
	type mark struct {
		id   call.ID
		next uint32
	}
	ends := make(map[mark]bool) // of the runs that this group begins or goes on
	for _, it := range items {
		if it.Kind.InFile() {
			here := mark{it.Call, it.Number}
			if !ends[here] && o.dir.row(it.Call, it.Number) == nil {
				calls++
			}
			delete(ends, here)
			ends[mark{it.Call, it.Number + 1}] = true
		} else {
			small++
			if it.note != nil {
				refs += len(it.note.Where)
			}
		}
		at := int(o.pos) + len(w.buf)
		if align(at+int(it.frameSize()), pageSize)+dirSize(calls, small, refs) > int(w.r.disk.size) {
			break
		}
		offsets = append(offsets, uint32(at))
		w.buf = appendFrame(w.buf, w.r.disk.epoch, frame{
			kind: it.Kind, call: it.Call, number: it.Number, generation: o.seg.generation, offset: uint32(at),
			group: o.group, at: uint32(it.at), data: it.Data,
		})
	}
	w.buf = append(w.buf, make([]byte, align(len(w.buf), pageSize)-len(w.buf))...)
	return offsets
}

// write puts w.buf on the card. After a failure nothing is known of the pages, though the system calls them clean: the
// same records go to fresh pages, once; while that fails too they are written there again and again, so that a dying
// card does not use up the ring. None of these pages holds anything that was reported as synced.
func (w *writer) write(o *openSegment) error {
	err := func() error {
		if o.head {
			head := segmentHead{epoch: w.r.disk.epoch, number: o.seg.number, generation: o.seg.generation, size: uint32(w.r.disk.size)}
			if _, err := o.file.WriteAt(head.page(), 0); err != nil {
				return err
			}
			// Before any record: else records of this use could be on the card without it, and be taken for live ones
			// when, after a cut, the same generation is given to the same segment again.
			if err := o.file.Sync(); err != nil {
				return err
			}
			o.head = false
		}
		if _, err := o.file.WriteAt(w.buf, int64(o.pos)); err != nil {
			return err
		}
		return o.file.Sync()
	}()
	if err == nil {
		o.moved = false
		return nil
	}
	if !o.moved {
		o.moved = true
		o.pos += uint32(len(w.buf))
		w.setSpare()
	}
	return err
}

// spare is the room left for items.
func (o *openSegment) spare(size int64) int64 {
	return max(0, size-int64(o.pos)-int64(o.dir.size())-2*pageSize)
}

func (w *writer) setSpare() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.space.spare = 0
	if w.open != nil {
		w.r.space.spare = w.open.spare(w.r.disk.size)
	}
}

// sealGroup writes a last group of nothing but the ledger's state, if anything was written: what stands before it surely
// was synced, which when the ring is opened tells damage from what a cut has torn.
func (w *writer) sealGroup() error {
	if w.open == nil || w.r.status.LastSync.IsZero() {
		return nil
	}
	w.open.state = true
	_, err := w.writeGroup(nil)
	return err
}

// stateNote repeats where the ledger stands, so that the release of its entries does not lose it.
func (w *writer) stateNote() *item {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return noteItem(note{Op: opState, Last: w.r.table.last, JWS: w.r.table.lastJWS, Upto: w.r.table.accepted})
}

// closeSegment writes the directory. If that fails, the segment stays without and is scanned when the ring is opened.
func (w *writer) closeSegment() {
	o := w.open
	if err := o.file.Close(); err != nil {
		w.r.log.Warn("close segment", "segment", o.seg.number, "error", err)
	}
	w.r.mu.Lock()
	w.open = nil
	w.r.space.spare = 0
	w.r.space.closed = append(w.r.space.closed, o.seg)
	w.r.mu.Unlock()
	w.writeDirectory(o.seg, &o.dir)
}

// writeDirectory writes a segment's directory at its end, if it can.
func (w *writer) writeDirectory(s *segment, d *directory) {
	pages := d.pages(w.r.disk.epoch, s.number, s.generation, s.end)
	at := w.r.disk.size - int64(len(pages))
	err := errors.New("no room for it")
	if at >= int64(s.end) && !s.broken && s.headless == nil {
		err = w.r.disk.writeAt(s.number, pages, at)
	}
	if err != nil {
		w.r.log.Warn("a segment is closed without its directory", "segment", s.number, "error", err)
		return
	}
	w.tellIndex(s, d)
}

// openNext begins the next segment: one never used, while there are any, else the free one that was written longest
// ago.
func (w *writer) openNext() error {
	var growth error
	for {
		w.r.mu.Lock()
		s := w.r.space.pick(growth == nil)
		w.r.space.generation++ // never given twice, whatever comes of it
		generation := w.r.space.generation
		w.r.mu.Unlock()
		switch {
		case s == nil && growth != nil:
			return growth
		case s == nil:
			return fmt.Errorf("open the next segment of ring %s: %w", w.r.disk.dir, ErrFull)
		}
		o, err := w.r.disk.prepare(s, generation)
		if err == nil {
			w.r.mu.Lock()
			defer w.r.mu.Unlock()
			w.open = o
			w.r.space.opened(s, generation)
			w.r.space.spare = o.spare(w.r.disk.size)
			return nil
		}
		if s.generation == 0 {
			growth = err
			w.r.mu.Lock()
			w.r.space.noRoom = true
			w.r.space.survey()
			w.r.mu.Unlock()
			continue
		}
		w.r.log.Error("a segment cannot be opened and is left out", "segment", s.number, "error", err)
		w.r.mu.Lock()
		s.broken = true
		w.r.space.survey()
		w.r.mu.Unlock()
	}
}
