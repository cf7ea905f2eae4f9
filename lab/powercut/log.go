package powercut

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The log's format is that of Linux' dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst), which QEMU's
// blklogwrites writes too: a superblock, then entries, each with what it wrote behind it, all in whole sectors.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1

	superSize     = 28 // magic, version, number of entries (8 each), sector size (4)
	entryHeadSize = 32 // sector, number of sectors, flags, length of a mark's text (8 each)

	minSector = 512
	maxSector = 64 << 10
	maxWrite  = 256 << 20 // bytes of one entry: more is damage
)

// Flags say what an entry is.
type Flags uint64

// The flags.
const (
	Flush   Flags = 1 << iota // all writes before this one are on the card
	FUA                       // this one is, when it has ended
	Discard                   // its sectors hold nothing any more
	Mark                      // a text, no write
)

// Entry is one write, flush, discard or mark.
type Entry struct {
	Offset int64 // on the card, bytes
	Length int64 // bytes
	Flags  Flags
	Data   []byte // what was written; nil of a discard; a mark's text
}

// LogError says what is wrong with a log.
type LogError struct {
	Entry  uint64 // its number, from 0
	Offset int64  // in the log, bytes
	Reason string
}

func (e *LogError) Error() string {
	return fmt.Sprintf("log of writes: entry %d at byte %d: %s", e.Entry, e.Offset, e.Reason)
}

// Reader gives the entries of a log, in the order in which the writes ended.
type Reader struct {
	r      *bufio.Reader
	sector int64
	count  uint64
	next   uint64
	offset int64
}

// NewReader reads the superblock.
func NewReader(r io.Reader) (*Reader, error) {
	l := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	b := make([]byte, superSize)
	if _, err := io.ReadFull(l.r, b); err != nil {
		return nil, l.failed("superblock", err)
	}
	s, err := parseSuper(b)
	if err != nil {
		return nil, err
	}
	l.count, l.sector, l.offset = s.count, s.sector, superSize
	return l, l.skip(s.sector - superSize)
}

// Count reads how many entries a log has, while it is being written. QEMU says so at each flush, and at each entry where
// log-super-update-interval is 1.
func Count(r io.ReaderAt) (uint64, error) {
	b := make([]byte, superSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return 0, fmt.Errorf("read the length of the log of writes: %w", err)
	}
	s, err := parseSuper(b)
	return s.count, err
}

type super struct {
	count  uint64
	sector int64
}

func parseSuper(b []byte) (super, error) {
	s := super{count: binary.LittleEndian.Uint64(b[16:]), sector: int64(binary.LittleEndian.Uint32(b[24:]))}
	magic, version := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	switch {
	case magic != logMagic:
		return s, &LogError{Reason: fmt.Sprintf("magic number %#x, want %#x", magic, logMagic)}
	case version != logVersion:
		return s, &LogError{Reason: fmt.Sprintf("version %d, this program reads %d", version, logVersion)}
	case s.sector < minSector || s.sector > maxSector || s.sector&(s.sector-1) != 0:
		return s, &LogError{Reason: fmt.Sprintf("sectors of %d bytes", s.sector)}
	}
	return s, nil
}

// Count is how many entries the log has.
func (l *Reader) Count() uint64 { return l.count }

// Next gives the next entry, whose Data is the caller's; after the last one the error is io.EOF, and where the log is
// damaged or ends too soon a *LogError.
func (l *Reader) Next() (Entry, error) {
	if l.next == l.count {
		return Entry{}, io.EOF
	}
	head := make([]byte, l.sector)
	if err := l.fill(head, "head"); err != nil {
		return Entry{}, err
	}
	first, sectors := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
	e := Entry{Flags: Flags(binary.LittleEndian.Uint64(head[16:]))}
	text := binary.LittleEndian.Uint64(head[24:])
	limit := uint64(math.MaxInt64 / l.sector)
	switch {
	case e.Flags&^(Flush|FUA|Discard|Mark) != 0:
		return Entry{}, l.wrong("flags %#x are not known", e.Flags)
	case e.Flags&Mark != 0 && text > uint64(l.sector-entryHeadSize):
		return Entry{}, l.wrong("a mark of %d bytes", text)
	case first > limit || sectors > limit-first:
		return Entry{}, l.wrong("%d sectors at sector %d", sectors, first)
	case e.Flags&(Mark|Discard) == 0 && sectors > uint64(maxWrite/l.sector):
		return Entry{}, l.wrong("a write of %d sectors", sectors)
	}
	e.Offset, e.Length = int64(first)*l.sector, int64(sectors)*l.sector
	switch {
	case e.Flags&Mark != 0: // its text stands in the head's sector
		e.Offset, e.Length, e.Data = 0, 0, head[entryHeadSize:entryHeadSize+int(text)]
	case e.Flags&Discard == 0 && sectors > 0:
		var err error
		if e.Data, err = l.read(e.Length); err != nil {
			return Entry{}, err
		}
	}
	l.next++
	return e, nil
}

// read gives so many bytes, and takes no more memory than there are.
func (l *Reader) read(n int64) ([]byte, error) {
	if n <= int64(l.r.Size()) {
		b := make([]byte, n)
		return b, l.fill(b, "data")
	}
	var b bytes.Buffer
	got, err := io.CopyN(&b, l.r, n)
	l.offset += got
	return b.Bytes(), l.failed("data", err)
}

func (l *Reader) fill(b []byte, what string) error {
	n, err := io.ReadFull(l.r, b)
	l.offset += int64(n)
	return l.failed(what, err)
}

func (l *Reader) skip(n int64) error {
	got, err := io.CopyN(io.Discard, l.r, n)
	l.offset += got
	return l.failed("superblock", err)
}

// failed makes a read that came to the end a LogError.
func (l *Reader) failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return l.wrong("the log ends in the %s", what)
	default:
		return fmt.Errorf("read the log of writes: %s of entry %d: %w", what, l.next, err)
	}
}

func (l *Reader) wrong(format string, args ...any) error {
	return &LogError{Entry: l.next, Offset: l.offset, Reason: fmt.Sprintf(format, args...)}
}
