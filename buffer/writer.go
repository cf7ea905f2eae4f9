package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/linekeeper/linekeeper/call"
)

// openSegment is the segment being written.
type openSegment struct {
	seg  *segment
	file File
	pos  uint32 // the next page to write
	dir  directory

	head  bool // its first page is still to be written
	state bool // and the note of the ledger's state
	moved bool // after a failed sync: this group already stands on fresh pages
}

// Sync writes everything appended so far and makes it durable; only then is it visible to readers. After an error the
// records are kept and tried again at the next Sync.
func (r *Ring) Sync() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for range maxRounds {
		if err := r.drain(); err != nil {
			r.mu.Lock()
			r.status.Err = err.Error()
			r.mu.Unlock()
			return err
		}
		if !r.makeRoom() {
			break
		}
	}
	return nil
}

// maxRounds bounds how often one Sync writes what making room has added.
const maxRounds = 8

// drain writes the queue.
func (r *Ring) drain() error {
	r.mu.Lock()
	items := r.queue
	r.queue = nil
	r.mu.Unlock()
	for len(items) > 0 {
		n, err := r.writeGroup(items)
		items = items[n:]
		if err != nil {
			r.mu.Lock()
			r.queue = append(items, r.queue...)
			r.mu.Unlock()
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Err = ""
	return nil
}

// writeGroup writes as many of the items as go into the open segment, makes them durable and visible, and says how many
// they were. Where none fits it closes the segment.
func (r *Ring) writeGroup(items []*item) (int, error) {
	if r.open == nil {
		if err := r.openNext(); err != nil {
			return 0, err
		}
	}
	o := r.open
	group := items
	if o.state {
		group = append([]*item{r.stateNote()}, items...)
	}
	offsets := r.lay(o, group)
	if len(offsets) == 0 {
		r.closeSegment()
		return 0, nil
	}
	if err := r.write(o); err != nil {
		return 0, fmt.Errorf("write %d records to segment %d of ring %s: %w", len(offsets), o.seg.number, r.opts.Dir, err)
	}
	r.commit(o, group, offsets)
	n := len(offsets)
	if o.state {
		o.state = false
		n--
	}
	return n, nil
}

// lay encodes the items that fit into r.buf, as they will stand from o.pos, and gives their offsets.
func (r *Ring) lay(o *openSegment, items []*item) []uint32 {
	r.buf = r.buf[:0]
	var offsets []uint32
	calls, small, refs := len(o.dir.calls), len(o.dir.small), len(o.dir.refs)
	seen := make(map[call.ID]bool)
	for _, it := range items {
		if it.Kind.InFile() {
			if !seen[it.Call] && !o.dir.has(it.Call) {
				calls++
			}
			seen[it.Call] = true
		} else {
			small++
			if it.note != nil {
				refs += max(1, len(it.note.Where))
			}
		}
		at := int(o.pos) + len(r.buf)
		if align(at+int(it.frameSize()), pageSize)+dirSize(calls, small, refs) > int(r.opts.SegmentBytes) {
			break
		}
		offsets = append(offsets, uint32(at))
		r.buf = appendFrame(r.buf, r.epoch, frame{
			kind: it.Kind, call: it.Call, number: it.Number, generation: o.seg.generation, offset: uint32(at),
			group: o.pos / pageSize, data: it.Data,
		})
	}
	r.buf = append(r.buf, make([]byte, align(len(r.buf), pageSize)-len(r.buf))...)
	return offsets
}

// write puts r.buf on the card. After a failure nothing is known of the pages, though the system calls them clean: the
// same records go to fresh pages, once; while that fails too they are written there again and again, so that a dying
// card does not use up the ring. None of these pages holds anything that was reported as synced.
func (r *Ring) write(o *openSegment) error {
	err := func() error {
		if o.head {
			head := segmentHead{epoch: r.epoch, number: o.seg.number, generation: o.seg.generation, size: uint32(r.opts.SegmentBytes)}
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
		if _, err := o.file.WriteAt(r.buf, int64(o.pos)); err != nil {
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
		o.pos += uint32(len(r.buf))
		r.setSpare()
	}
	return err
}

// commit makes synced items visible.
func (r *Ring) commit(o *openSegment, items []*item, offsets []uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, at := range offsets {
		it := items[i]
		here := place{seg: o.seg, offset: at, length: uint32(len(it.Data))}
		switch {
		case it.note != nil:
			o.dir.small = append(o.dir.small, it.note.row(at, len(it.Data)))
			r.table.applyNote(*it.note, o.seg)
			switch {
			case it.note.Op.releases():
				r.ended[*it.note.Call] = struct{}{}
			case it.note.Op == opCarried:
				r.carriedAll(*it.note)
			}
		case it.entry != nil:
			row := entryRow(it.entry, at, len(it.Data))
			o.dir.small = append(o.dir.small, row)
			r.table.addEntry(it.entry.Number, here, row.manifestOf())
			if it.entry.Number == r.table.last {
				r.table.lastJWS = it.Data
			}
		default:
			ended := it.Kind == call.KindEnd
			o.dir.addCall(it.Call, it.Number, at, len(it.Data), ended)
			r.table.addRun(o.seg, callRow{
				call: it.Call, first: it.Number, count: 1, bytes: uint64(len(it.Data)), firstOffset: at, lastOffset: at, ended: ended,
			})
		}
		r.done(it)
	}
	o.dir.refs = o.seg.refs
	o.pos += uint32(len(r.buf))
	o.seg.end = o.pos
	r.spare = o.spare(r.opts.SegmentBytes)
	r.status.LastSync = r.opts.Now()
}

// done takes an item off the queue's account.
func (r *Ring) done(it *item) {
	if it.note != nil && it.note.Op == opState {
		return // never queued
	}
	r.queued -= int64(len(it.Data))
	r.cost -= it.cost()
	if r.cost == 0 {
		r.largest = 0
	}
}

func entryRow(e *call.Entry, offset uint32, length int) smallRow {
	row := smallRow{kind: call.KindEntry, offset: offset, length: uint32(length), number: e.Number}
	if e.Type == call.EntryEnd && e.Call != nil {
		row.call = *e.Call
	}
	return row
}

func (s smallRow) manifestOf() *call.ID {
	if s.kind != call.KindEntry || s.call.IsZero() {
		return nil
	}
	return &s.call
}

// spare is the room left for items.
func (o *openSegment) spare(size int64) int64 {
	return max(0, size-int64(o.pos)-int64(o.dir.size())-2*pageSize)
}

func (r *Ring) setSpare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = 0
	if r.open != nil {
		r.spare = r.open.spare(r.opts.SegmentBytes)
	}
}

// stateNote repeats where the ledger stands, so that the release of its entries does not lose it.
func (r *Ring) stateNote() *item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return noteItem(note{Op: opState, Last: r.table.last, JWS: r.table.lastJWS, Upto: r.table.accepted})
}

// closeSegment writes the directory. If that fails, the segment stays without and is scanned when the ring is opened.
func (r *Ring) closeSegment() {
	o := r.open
	pages := o.dir.pages(r.epoch, o.seg.number, o.seg.generation, o.seg.end)
	_, err := o.file.WriteAt(pages, r.opts.SegmentBytes-int64(len(pages)))
	if err == nil {
		err = o.file.Sync()
	}
	if err != nil {
		r.log.Warn("a segment is closed without its directory", "segment", o.seg.number, "error", err)
	}
	if cerr := o.file.Close(); cerr != nil && err == nil {
		r.log.Warn("close segment", "segment", o.seg.number, "error", cerr)
	}
	r.mu.Lock()
	r.open = nil
	r.spare = 0
	r.closed = append(r.closed, o.seg)
	r.mu.Unlock()
	if err == nil {
		r.tellIndex(o.seg, &o.dir)
	}
}

// openNext begins the next segment: one never used, while there are any, else the free one that was written longest
// ago.
func (r *Ring) openNext() error {
	var growth error
	for {
		r.mu.Lock()
		s := r.pick(growth == nil)
		r.generation++ // never given twice, whatever comes of it
		generation := r.generation
		r.mu.Unlock()
		switch {
		case s == nil && growth != nil:
			return growth
		case s == nil:
			return fmt.Errorf("open the next segment of ring %s: %w", r.opts.Dir, ErrFull)
		}
		o, err := r.prepare(s, generation)
		if err == nil {
			r.begin(o, generation)
			return nil
		}
		if s.generation == 0 {
			growth = err
			r.mu.Lock()
			r.noRoom = true
			r.survey()
			r.mu.Unlock()
			continue
		}
		r.log.Error("a segment cannot be opened and is left out", "segment", s.number, "error", err)
		r.mu.Lock()
		s.broken = true
		r.survey()
		r.mu.Unlock()
	}
}

// pick chooses the segment to write next; nil: there is none.
func (r *Ring) pick(grow bool) *segment {
	if grow {
		for _, s := range r.segments {
			if s.generation == 0 && !s.broken {
				return s
			}
		}
	}
	for _, s := range r.closed {
		if s.free {
			return s
		}
	}
	return nil
}

// prepare opens the segment's file, and makes it where it is used for the first time.
func (r *Ring) prepare(s *segment, generation uint32) (*openSegment, error) {
	o := &openSegment{seg: s, pos: pageSize, head: s.generation != 0, state: true}
	name := r.path(s.number)
	if s.generation == 0 {
		head := segmentHead{epoch: r.epoch, number: s.number, generation: generation, size: uint32(r.opts.SegmentBytes)}
		if err := publish(r.fs, name, func(f File) error { return fill(f, head) }); err != nil {
			hint := ""
			if errors.Is(err, syscall.ENOSPC) {
				hint = ": free room on that file system, or make the ring smaller"
			} else if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
				hint = ": the folder must be writable for the recorder's user"
			}
			return nil, fmt.Errorf("make segment file %s (%s): %w%s", name, mebibytes(r.opts.SegmentBytes), err, hint)
		}
	}
	f, err := r.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	o.file = f
	return o, nil
}

// fill writes all blocks of a new segment, so that no later write changes anything but data.
func fill(f File, head segmentHead) error {
	if err := f.Allocate(int64(head.size)); err != nil {
		return err
	}
	zeros := make([]byte, min(int64(head.size), windowSize))
	for at := int64(0); at < int64(head.size); at += int64(len(zeros)) {
		n := min(int64(len(zeros)), int64(head.size)-at)
		if _, err := f.WriteAt(zeros[:n], at); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(head.page(), 0)
	return err
}

// begin makes the prepared segment the open one.
func (r *Ring) begin(o *openSegment, generation uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := o.seg
	if s.generation == 0 {
		r.noRoom = false
	}
	r.closed = slices.DeleteFunc(r.closed, func(c *segment) bool { return c == s })
	s.generation, s.end, s.refs, s.free = generation, pageSize, nil, false
	r.open = o
	r.spare = o.spare(r.opts.SegmentBytes)
	r.survey()
}
