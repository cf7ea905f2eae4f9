package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/linekeeper/linekeeper/call"
)

// CorruptError says that something that was stored cannot be read back as it was.
type CorruptError struct {
	Segment uint32
	Offset  int64 // in the segment
	Call    call.ID
	Reason  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("segment %d at %d: %s", e.Segment, e.Offset, e.Reason)
}

// Reader gives the bytes of a call file. It is to be closed: until then the ring keeps the segments it reads.
type Reader interface {
	io.ReaderAt
	io.Closer
	// Size is that of the call file as far as it was synced when the reader was opened.
	Size() int64
}

// damaged says whether an error speaks of damage, and not of a card that cannot be reached.
func damaged(err error) bool {
	var corrupt *CorruptError
	return errors.As(err, &corrupt)
}

// OpenCall gives a call's file: the data of its records, joined in the order of their numbers, as far as synced now. For
// a call in progress that is a prefix, and opening it again later gives a longer one. Reading verifies each record. A
// *CorruptError says where one is damaged; when the next sync has noted that, the call, opened again, has a hole there
// (Options.Damaged).
func (r *Ring) OpenCall(id call.ID) (Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.table.calls[id]
	if c == nil {
		return nil, fmt.Errorf("open call %v: %w", id, ErrUnknownCall)
	}
	cr := r.disk.reader(id, c.parts)
	release := r.lease(cr.parts)
	cr.release = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		release()
	}
	cr.found = damage{r}.found
	return cr, nil
}

// reader reads the parts of a call as they are now. The caller keeps their segments from being used again.
func (d *disk) reader(id call.ID, parts []part) *callReader {
	cr := &callReader{disk: d, id: id, parts: slices.Clone(parts), current: -1}
	for _, p := range parts {
		generation := uint32(0)
		if p.seg != nil {
			generation = p.seg.generation
		}
		cr.generations = append(cr.generations, generation)
	}
	if n := len(parts); n > 0 {
		cr.size = parts[n-1].end()
	}
	return cr
}

// callReader reads one part after the other, and keeps where the records of the present one stand.
type callReader struct {
	disk        *disk
	release     func()                       // of the segments; nil: whoever made the reader keeps them
	found       func(call.ID, part, waiting) // is told of damage; nil: nobody is
	id          call.ID
	parts       []part
	generations []uint32
	size        int64

	current int // index into parts; -1: none
	file    File
	records []located
	last    []byte // data of the record read last
	lastAt  int64  // its offset in the call file
}

// located is a record's place.
type located struct {
	number uint32
	at     int64 // offset in the call file
	offset uint32
	length uint32
}

func (c *callReader) Size() int64 { return c.size }

func (c *callReader) Close() error {
	if c.release != nil {
		c.release()
	}
	c.parts, c.size, c.release = nil, 0, nil
	return c.leave()
}

// leave closes the file of the present part.
func (c *callReader) leave() error {
	f := c.file
	c.file, c.current = nil, -1
	if f == nil {
		return nil
	}
	return f.Close()
}

// ReadAt implements io.ReaderAt, but for one goroutine at a time.
func (c *callReader) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("read call: negative offset")
	}
	for n < len(b) {
		if off+int64(n) >= c.size {
			return n, io.EOF
		}
		data, at, err := c.record(off + int64(n))
		if err != nil {
			return n, fmt.Errorf("read call %v: %w", c.id, err)
		}
		n += copy(b[n:], data[off+int64(n)-at:])
	}
	return n, nil
}

// record gives the record that holds the byte at the offset.
func (c *callReader) record(off int64) (data []byte, at int64, err error) {
	if c.last != nil && off >= c.lastAt && off < c.lastAt+int64(len(c.last)) {
		return c.last, c.lastAt, nil
	}
	i := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].end() > off })
	p := c.parts[i]
	if p.seg == nil {
		b := c.disk.hole(p.first, p.count, p.bytes)
		c.last, c.lastAt = append(b[:min(int64(len(b)), p.bytes)], make([]byte, max(0, p.bytes-int64(len(b))))...), p.at
		return c.last, c.lastAt, nil
	}
	err = c.enter(i)
	if err == nil {
		n := sort.Search(len(c.records), func(n int) bool { return c.records[n].at+int64(c.records[n].length) > off })
		rec := c.records[n]
		data, err = readFrame(c.file, c.disk.epoch, p.seg.number, c.generations[i], rec.offset, rec.length, func(f frame) bool {
			return f.call == c.id && f.number == rec.number
		})
		at = rec.at
	}
	if err != nil {
		if damaged(err) && c.found != nil {
			c.found(c.id, p, waiting{})
		}
		return nil, 0, err
	}
	c.last, c.lastAt = data, at
	return data, at, nil
}

// enter finds the records of a part by scanning it.
func (c *callReader) enter(i int) (err error) {
	if c.current == i {
		return nil
	}
	p := c.parts[i]
	if err := c.leave(); err != nil {
		return err
	}
	if c.file, err = c.disk.fs.Open(c.disk.path(p.seg.number)); err != nil {
		return err
	}
	records, _, err := c.disk.locate(c.file, c.generations[i], callRow{c.id, p.run})
	if err != nil {
		return err
	}
	if holes := p.missing(records); len(holes) > 0 || uint32(len(records)) != p.count {
		return &CorruptError{Segment: p.seg.number, Offset: int64(p.firstOffset), Call: c.id,
			Reason: fmt.Sprintf("%d of %d records of call %v can be read", len(records), p.count, c.id)}
	}
	c.records, c.current = records, i
	return nil
}

// locate finds the sound records of a run, in the order of their numbers, and the bytes between sound records there.
func (d *disk) locate(f io.ReaderAt, generation uint32, run callRow) ([]located, []stretch, error) {
	var records []located
	to := min(d.size, int64(run.lastOffset)+2*(frameHeader+maxData))
	res, err := scan(f, d.epoch, generation, int64(run.firstOffset), to, func(f frame) error {
		if f.call == run.call && f.kind.InFile() && f.number >= run.first && f.number < run.next() {
			records = append(records, located{f.number, int64(f.at), f.offset, uint32(len(f.data))})
		}
		if f.offset >= run.lastOffset {
			return io.EOF
		}
		return nil
	})
	slices.SortStableFunc(records, func(a, b located) int { return cmp.Compare(a.number, b.number) })
	records = slices.CompactFunc(records, func(a, b located) bool { return a.number == b.number }) // written twice: a sync failed
	return records, res.gaps, err
}

// pieces divides a hole into some of which none is longer than a record can be, so that nobody needs memory for more at a
// time. There are none where so few records cannot have been so long.
func pieces(h call.Hole) (all []call.Hole) {
	n := max(1, (h.Size+MaxRecord-1)/MaxRecord)
	if n > int64(h.Records) {
		return nil
	}
	for ; n > 0; n-- {
		p := call.Hole{Record: h.Record, Records: h.Records / uint32(n), Offset: h.Offset, Size: h.Size / n}
		all = append(all, p)
		h.Record, h.Records, h.Offset, h.Size = h.Record+p.Records, h.Records-p.Records, h.Offset+p.Size, h.Size-p.Size
	}
	return all
}

// missing lists the records of the run that are not among those found, and where their data belong.
func (c run) missing(found []located) (holes []call.Hole) {
	next, at := c.first, c.at
	hole := func(number uint32, to int64) {
		if number > next && to >= at {
			holes = append(holes, pieces(call.Hole{Record: next, Records: number - next, Offset: at, Size: to - at})...)
		}
	}
	for _, rec := range found {
		if rec.number < next || rec.at < at || rec.number == next && rec.at != at || rec.at+int64(rec.length) > c.end() {
			continue // not what the directory speaks of
		}
		hole(rec.number, rec.at)
		next, at = rec.number+1, rec.at+int64(rec.length)
	}
	hole(c.next(), c.end())
	return holes
}

// ReadCall opens a call file as OpenCall does, to be read once from its beginning. The caller closes it.
func (r *Ring) ReadCall(id call.ID) (io.ReadCloser, error) {
	c, err := r.OpenCall(id)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(c, 0, c.Size()), c}, nil
}
