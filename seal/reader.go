package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// Reader gives the records of a call file one by one. It checks their framing, that the header is first and that
// nothing follows the end; Verify checks the rest.
type Reader struct {
	r      *bufio.Reader
	start  int64 // offset of the last record given
	offset int64 // after it
	body   []byte
	first  bool // the header has been read
	ended  bool
	err    error
}

// NewReader reads from r, with a buffer of its own.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 32<<10)} }

// Next gives the next record. Its Body is valid until the next call. After the end record of a whole file the error is
// io.EOF; of one that stops before, *TruncatedError; where the bytes are wrong, *CorruptError or ErrVersion; other
// errors are those of reading. Errors stay.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.next()
	r.err = err
	return rec, err
}

// Offset is where the last record given ends in the file.
func (r *Reader) Offset() int64 { return r.offset }

func (r *Reader) next() (Record, error) {
	var head [HeadSize]byte
	n, err := io.ReadFull(r.r, head[:])
	switch {
	case r.ended && errors.Is(err, io.EOF):
		return Record{}, io.EOF
	case r.ended && n > 0:
		return Record{}, &CorruptError{Offset: r.offset, Reason: "bytes after the end record"}
	case err != nil:
		return Record{}, r.short(int64(n), err)
	}
	rec, size, err := parseHead(head[:])
	if err != nil {
		return Record{}, corrupt(r.offset, err)
	}
	if !r.first && (rec.Kind != call.KindHeader || rec.Number != 0) {
		return Record{}, &CorruptError{Offset: r.offset, Reason: "the first record is not a header"}
	}
	if cap(r.body) < size {
		r.body = make([]byte, size)
	}
	rec.Body = r.body[:size]
	if n, err = io.ReadFull(r.r, rec.Body); err != nil {
		return Record{}, r.short(HeadSize+int64(n), err)
	}
	r.first, r.ended = true, rec.Kind == call.KindEnd
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

// OpenMedia reads the header of a call file and gives a reader of its media: the bodies of its chunks, joined. Marks
// are passed over. The reader ends with io.EOF where the file is whole; else it gives all that is there and then the
// error, as Reader.Next does.
func OpenMedia(r io.Reader) (call.Header, io.Reader, error) {
	in := NewReader(r)
	rec, err := in.Next()
	if err != nil {
		return call.Header{}, nil, fmt.Errorf("open call file: %w", err)
	}
	h, err := rec.header()
	if err != nil {
		return call.Header{}, nil, fmt.Errorf("open call file: %w", corrupt(0, err))
	}
	return h, &media{in: in}, nil
}

type media struct {
	in   *Reader
	rest []byte // of the present chunk
}

func (m *media) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(m.rest) == 0 {
		rec, err := m.in.Next()
		if err != nil {
			return 0, err
		}
		if rec.Kind == call.KindChunk {
			m.rest = rec.Body
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}
