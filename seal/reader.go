package seal

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// Reader gives the records of a call file one by one, their bodies as they stand. It checks their framing, that the
// header is first and that nothing follows the end; Verify checks the rest.
type Reader struct {
	r      *bufio.Reader
	start  int64  // offset of the last record given
	offset int64  // after it
	raw    []byte // the last record
	last   Record // the same
	again  bool   // Next gives it once more
	ended  bool
	err    error
}

// NewReader reads from r, with a buffer of its own.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 32<<10)} }

// Next gives the next record. Its Body is valid until the next call. After the end record of a whole file the error is
// io.EOF; of one that stops before, *TruncatedError; where the bytes are wrong, *CorruptError or ErrVersion; other
// errors are those of reading. Errors stay.
func (r *Reader) Next() (Record, error) {
	if r.again {
		r.again = false
		return r.last, nil
	}
	if r.err == nil {
		r.last, r.err = r.next()
	}
	if r.err != nil {
		return Record{}, r.err
	}
	return r.last, nil
}

// Offset is where the last record given ends in the file, and the next one begins.
func (r *Reader) Offset() int64 {
	if r.again {
		return r.start
	}
	return r.offset
}

// Unlock reads the header, with which the file begins, and the key record, and gives what opens the records that Next
// goes on with. Of a call in clear that is an Opener which gives bodies as they are; of a sealed call without a key
// record, because it was cut short before that or there is a hole in its place, one that opens none. The error is that
// of Next, a *CorruptError, or a *NoKeyError, with which the header is given too.
func (r *Reader) Unlock(keys Keys) (call.Header, *Opener, error) {
	rec, err := r.Next()
	if err != nil {
		return call.Header{}, nil, err
	}
	h, err := rec.header()
	if err != nil {
		return call.Header{}, nil, corrupt(r.start, err)
	}
	if h.Seal == call.SealNone {
		return h, &Opener{}, nil
	}
	sum := sha256.Sum256(r.raw)
	rec, err = r.Next()
	var cut *TruncatedError
	switch {
	case errors.As(err, &cut):
		return h, &Opener{sealed: true}, nil // Next will say so again
	case err != nil:
		return h, nil, err
	case rec.Kind != call.KindKey:
		r.again = true
		return h, &Opener{sealed: true}, nil
	}
	opener, err := keys.unlock(h, sum, rec)
	return h, opener, corrupt(r.start, err)
}

func (r *Reader) next() (Record, error) {
	if cap(r.raw) < HeadSize {
		r.raw = make([]byte, HeadSize, 4<<10)
	}
	r.raw = r.raw[:HeadSize]
	n, err := io.ReadFull(r.r, r.raw)
	switch {
	case r.ended && errors.Is(err, io.EOF):
		return Record{}, io.EOF
	case r.ended && n > 0:
		return Record{}, &CorruptError{Offset: r.offset, Reason: "bytes after the end record"}
	case err != nil:
		return Record{}, r.short(int64(n), err)
	}
	rec, size, err := parseHead(r.raw)
	if err != nil {
		return Record{}, corrupt(r.offset, err)
	}
	switch {
	case r.offset > 0 || rec.Kind == call.KindHeader:
	case rec.Kind == call.KindHole:
		return Record{}, &CorruptError{Offset: r.offset, Reason: "a hole in the place of the header, without which nothing opens"}
	default:
		return Record{}, &CorruptError{Offset: r.offset, Reason: "the first record is not a header"}
	}
	if whole := HeadSize + size; cap(r.raw) < whole {
		r.raw = append(make([]byte, 0, whole), r.raw...)
	}
	r.raw = r.raw[:HeadSize+size]
	rec.Body = r.raw[HeadSize:]
	if n, err = io.ReadFull(r.r, rec.Body); err != nil {
		return Record{}, r.short(HeadSize+int64(n), err)
	}
	r.ended = rec.Kind == call.KindEnd
	r.start, r.offset = r.offset, r.offset+HeadSize+int64(size)
	return rec, nil
}

// short is the error of a read that ended after some bytes of a record.
func (r *Reader) short(torn int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &TruncatedError{Offset: r.offset, Torn: torn}
	}
	return fmt.Errorf("read call file at byte %d: %w", r.offset+torn, err)
}

// OpenMedia reads the header of a call file and gives a reader of its media: the bodies of its chunks, opened and
// joined. Marks are passed over, and so are holes. The reader ends with io.EOF where the file is whole; else it gives
// all that stands before the damage and then the error, as Reader.Next does or a *CorruptError for a chunk that is not
// what was sealed. Salvage goes on behind damage. Where no key fits, the error is a *NoKeyError beside the header.
func OpenMedia(r io.Reader, keys Keys) (call.Header, io.Reader, error) {
	in := NewReader(r)
	h, opener, err := in.Unlock(keys)
	if err != nil {
		return h, nil, fmt.Errorf("open call file: %w", err)
	}
	return h, &media{in: in, opener: opener}, nil
}

type media struct {
	in     *Reader
	opener *Opener
	plain  []byte // of the present chunk
	rest   []byte // what is still to be given of it
	err    error
}

func (m *media) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(m.rest) == 0 && m.err == nil {
		m.err = m.next()
	}
	if m.err != nil {
		return 0, m.err
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *media) next() error {
	rec, err := m.in.Next()
	if err != nil || rec.Kind != call.KindChunk {
		return err
	}
	if m.plain, err = m.opener.Open(m.plain[:0], rec); err != nil {
		return corrupt(m.in.start, err)
	}
	m.rest = m.plain
	return nil
}
