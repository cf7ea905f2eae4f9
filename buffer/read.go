package buffer

import (
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

// OpenCall gives a call's file: the data of its records, joined in the order of their numbers, as far as synced now. For
// a call in progress that is a prefix, and opening it again later gives a longer one. Reading verifies each record; a
// *CorruptError says where one is damaged.
func (r *Ring) OpenCall(id call.ID) (Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.table.calls[id]
	if c == nil {
		return nil, fmt.Errorf("open call %v: %w", id, ErrUnknownCall)
	}
	cr := r.disk.reader(id, c.parts)
	for _, p := range cr.parts {
		p.seg.leases++
	}
	cr.release = func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range cr.parts {
			p.seg.leases--
		}
	}
	return cr, nil
}

// reader reads the parts of a call as they are now. The caller keeps their segments from being used again.
func (d *disk) reader(id call.ID, parts []part) *callReader {
	cr := &callReader{disk: d, id: id, parts: slices.Clone(parts), current: -1}
	for _, p := range parts {
		cr.generations = append(cr.generations, p.seg.generation)
		cr.size += int64(p.bytes)
	}
	return cr
}

// callReader reads one part after the other, and keeps where the records of the present one stand.
type callReader struct {
	disk        *disk
	release     func() // of the segments; nil: whoever made the reader keeps them
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
	if c.file == nil {
		return nil
	}
	f := c.file
	c.file, c.current = nil, -1
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
	var start int64
	i := 0
	for ; i < len(c.parts)-1 && off >= start+int64(c.parts[i].bytes); i++ {
		start += int64(c.parts[i].bytes)
	}
	if err := c.enter(i, start); err != nil {
		return nil, 0, err
	}
	n := sort.Search(len(c.records), func(n int) bool { return c.records[n].at+int64(c.records[n].length) > off })
	rec := c.records[n]
	data, err = readFrame(c.file, c.disk.epoch, c.parts[i].seg.number, c.generations[i], rec.offset, rec.length, func(f frame) bool {
		return f.call == c.id
	})
	if err != nil {
		return nil, 0, err
	}
	c.last, c.lastAt = data, rec.at
	return data, rec.at, nil
}

// enter finds the records of a part by scanning it.
func (c *callReader) enter(i int, start int64) (err error) {
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
	records := make([]located, p.count)
	found := uint32(0)
	to := min(c.disk.size, int64(p.lastOffset)+frameHeader+maxData)
	_, err = scan(c.file, c.disk.epoch, c.generations[i], int64(p.firstOffset), to, func(f frame) error {
		if f.offset > p.lastOffset {
			return io.EOF
		}
		if f.call != c.id || !f.kind.InFile() || f.number < p.first || f.number >= p.first+p.count {
			return nil
		}
		rec := &records[f.number-p.first]
		if rec.offset == 0 {
			found++
		}
		*rec = located{offset: f.offset, length: uint32(len(f.data))}
		if f.offset == p.lastOffset {
			return io.EOF
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	bytes := uint64(0)
	for n := range records {
		records[n].at = start
		start += int64(records[n].length)
		bytes += uint64(records[n].length)
	}
	if found != p.count || bytes != p.bytes {
		return &CorruptError{Segment: p.seg.number, Offset: int64(p.firstOffset), Call: c.id,
			Reason: fmt.Sprintf("%d of %d records of call %v can be read", found, p.count, c.id)}
	}
	c.records, c.current = records, i
	return nil
}

// first gives the call's first record. As a rule it stands where its part begins; after a sync that failed another may
// stand before it.
func (c *callReader) first() ([]byte, error) {
	p := c.parts[0]
	f, err := c.disk.fs.Open(c.disk.path(p.seg.number))
	if err != nil {
		return nil, err
	}
	c.file = f
	w := &window{r: f, limit: min(c.disk.size, int64(p.firstOffset)+frameHeader+maxData), size: pageSize}
	got, err := w.frame(c.disk.epoch, int64(p.firstOffset))
	if err == nil && got.call == c.id && got.generation == c.generations[0] && got.number == 0 {
		return got.data, nil
	}
	data, _, err := c.record(0)
	return data, err
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
