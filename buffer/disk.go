package buffer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"

	"github.com/linekeeper/linekeeper/call"
)

// disk is the ring's files: what it takes to read any of them, without a lock. Whoever reads sees to it that the segment
// is not used again meanwhile.
type disk struct {
	fs          FS
	log         *slog.Logger
	dir         string
	size        int64 // of a segment
	epoch       call.Epoch
	parseHeader func([]byte) (call.Header, error)
	entry       func([]byte) (call.Entry, error)
	hole        func(first, records uint32, size int64) []byte
}

func (d *disk) path(number uint32) string {
	return filepath.Join(d.dir, segmentName(number))
}

// longest is how much room a record may take.
func (d *disk) longest() int64 { return min(MaxRecord, d.size/4) }

func (d *disk) readHead(n uint32) head {
	h := head{number: n}
	f, err := d.fs.Open(d.path(n))
	if err != nil {
		h.err = err
		return h
	}
	defer func() { _ = f.Close() }() // only read
	if h.size, h.err = f.Size(); h.err != nil {
		return h
	}
	b := make([]byte, segmentHeader)
	if _, h.err = f.ReadAt(b, 0); h.err == nil {
		h.segmentHead, h.err = parseSegmentHead(b)
	}
	return h
}

// generationByRecords tells the generation of a segment whose first page is damaged by the records in it.
func (d *disk) generationByRecords(h head) (generation uint32) {
	f, err := d.fs.Open(d.path(h.number))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // only read
	_, _ = scan(f, d.epoch, 0, pageSize, min(h.size, d.size), func(f frame) error {
		generation = max(generation, f.generation)
		return nil
	})
	return generation
}

// readData reads an entry or a note.
func (d *disk) readData(at place, kind call.Kind) ([]byte, error) {
	if at.seg == nil {
		return nil, &CorruptError{Reason: "the record is lost"}
	}
	f, err := d.fs.Open(d.path(at.seg.number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readFrame(f, d.epoch, at.seg.number, at.seg.generation, at.offset, at.length, func(f frame) bool { return f.kind == kind })
}

func (d *disk) readNote(at place) (note, error) {
	b, err := d.readData(at, call.KindNote)
	if err != nil {
		return note{}, err
	}
	return parseNote(b)
}

// readFrame reads one record and checks that it is the one meant.
func readFrame(f io.ReaderAt, epoch call.Epoch, segment, generation, offset, length uint32, is func(frame) bool) ([]byte, error) {
	b := make([]byte, frameHeader+int(length))
	corrupt := func(reason string) error {
		return &CorruptError{Segment: segment, Offset: int64(offset), Reason: reason}
	}
	if _, err := f.ReadAt(b, int64(offset)); err != nil {
		return nil, corrupt(err.Error())
	}
	got, _, err := parseFrame(b, epoch, offset, int64(offset)+int64(len(b)))
	switch {
	case err != nil:
		return nil, corrupt(err.Error())
	case got.generation != generation || len(got.data) != int(length) || !is(got):
		return nil, corrupt("another record stands here")
	}
	return got.data, nil
}

// prepare opens the segment's file, and makes it where it is used for the first time.
func (d *disk) prepare(s *segment, generation uint32) (*openSegment, error) {
	o := &openSegment{seg: s, pos: pageSize, head: s.generation != 0, state: true}
	name := d.path(s.number)
	if s.generation == 0 {
		head := segmentHead{epoch: d.epoch, number: s.number, generation: generation, size: uint32(d.size)}
		if err := publish(d.fs, name, func(f File) error { return fill(f, head) }); err != nil {
			hint := ""
			if errors.Is(err, syscall.ENOSPC) {
				hint = ": free room on that file system, or make the ring smaller"
			} else if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
				hint = ": the folder must be writable for the recorder's user"
			}
			return nil, fmt.Errorf("make segment file %s (%s): %w%s", name, mebibytes(d.size), err, hint)
		}
	}
	f, err := d.fs.Open(name)
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

// writeAt writes into a segment and syncs it.
func (d *disk) writeAt(number uint32, b []byte, at int64) error {
	f, err := d.fs.Open(d.path(number))
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, at); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// describeSegment reads what stands in a closed segment.
func (d *disk) describeSegment(s *segment) (*directory, error) {
	f, err := d.fs.Open(d.path(s.number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if dir, _, err := readDirectory(f, d.epoch, s, d.size); err == nil {
		return dir, nil
	}
	dir := &directory{}
	_, err = scan(f, d.epoch, s.generation, pageSize, d.size, func(f frame) error {
		switch f.kind {
		case call.KindEntry:
			if e, err := d.entry(f.data); err == nil {
				dir.small = append(dir.small, entryRow(&e, f.offset, len(f.data)))
			}
		case call.KindNote:
			if n, err := parseNote(f.data); err == nil {
				dir.small = append(dir.small, n.row(f.offset, len(f.data)))
			}
		}
		return nil
	})
	return dir, err
}

// describe reads a call's header and manifest; what can be read is given beside an error. Damage is told to found.
func (d *disk) describe(c *stored, found func(call.ID, part, waiting)) (*description, error) {
	says := &description{header: call.Header{Call: c.id}}
	data, err := d.header(c)
	if err == nil && data != nil {
		says.header, err = d.parseHeader(data)
		says.header.Call = c.id
	} else if p := c.header(); p != nil && damaged(err) {
		found(c.id, *p, waiting{})
	}
	if c.manifest.seg == nil {
		return says, err
	}
	jws, merr := d.readData(c.manifest.place, call.KindEntry)
	if merr == nil {
		var e call.Entry
		e, merr = d.entry(jws)
		says.manifest = e.Manifest
	}
	if merr != nil {
		found(c.id, part{}, c.manifest)
	}
	return says, errors.Join(err, merr)
}

// header reads a call's first record; nil: a hole stands there. As a rule it stands where its part begins; after a sync that failed another may
// stand before it.
func (d *disk) header(c *stored) ([]byte, error) {
	p := c.header()
	if p == nil {
		return nil, nil // it is damaged, and that is known
	}
	f, err := d.fs.Open(d.path(p.seg.number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	w := &window{r: f, limit: min(d.size, int64(p.firstOffset)+frameHeader+maxData), size: pageSize, generation: p.seg.generation}
	got, err := w.frame(d.epoch, int64(p.firstOffset))
	if err == nil && got.call == c.id && got.number == 0 && got.kind.InFile() {
		return got.data, nil
	}
	cr := d.reader(c.id, []part{*p})
	data, _, err := cr.record(0)
	return data, errors.Join(err, cr.leave())
}
