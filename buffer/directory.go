package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/linekeeper/linekeeper/call"
)

// directory says what stands in a segment: enough to open the ring without reading its records. A row a call, a row an
// entry or note, never one a chunk.
type directory struct {
	calls []callRow
	small []smallRow
	refs  []segmentRef
}

// callRow is a run of a call's records in one segment: their numbers have no hole. A call that goes on here, and whose
// earlier records were copied here, has two.
type callRow struct {
	call call.ID
	run
}

// run is a run of records of one call in one segment.
type run struct {
	first       uint32 // number of its first record
	count       uint32
	at          int64 // where its data begin in the call file
	bytes       int64 // of the records' data
	firstOffset uint32
	lastOffset  uint32
	ended       bool // the last of them is the end record
}

// next is the number behind the run, end the offset in the call file.
func (c run) next() uint32 { return c.first + c.count }
func (c run) end() int64   { return c.at + c.bytes }

// before says whether another run of the call can stand behind this one.
func (c run) before(b run) bool {
	return c.end() == b.at && c.next() == b.first || c.end() <= b.at && c.next() < b.first
}

// smallRow is an entry of the ledger or a note.
type smallRow struct {
	kind   call.Kind
	op     op // of a note; of an entry that says what is lost, opLost
	offset uint32
	length uint32  // of the data
	number uint64  // of the entry; of an accept note, the last entry accepted
	call   call.ID // whose manifest the entry is, or whom the note is about
}

const (
	callRowSize  = 48
	smallRowSize = 36
	refSize      = 8

	tailMagic = "LKDIRECT"
	tailSize  = 48
)

// size is the room that the directory takes at the end of its segment, in whole pages.
func (d *directory) size() int { return dirSize(len(d.calls), len(d.small), len(d.refs)) }

func dirSize(calls, small, refs int) int {
	return align(calls*callRowSize+small*smallRowSize+refs*refSize+tailSize, pageSize)
}

// pages encodes the directory as it stands at the end of a segment: zeros, rows, and the tail in the last bytes.
func (d *directory) pages(epoch call.Epoch, number, generation, end uint32) []byte {
	le := binary.LittleEndian
	rows := len(d.calls)*callRowSize + len(d.small)*smallRowSize + len(d.refs)*refSize
	b := make([]byte, d.size()-tailSize-rows, d.size())
	for _, c := range d.calls {
		b = append(b, c.call[:]...)
		b = le.AppendUint32(b, c.first)
		b = le.AppendUint32(b, c.count)
		b = le.AppendUint32(b, uint32(c.at))
		b = le.AppendUint32(b, uint32(c.bytes))
		b = le.AppendUint32(b, c.firstOffset)
		b = le.AppendUint32(b, c.lastOffset)
		var flags uint64
		if c.ended {
			flags = 1
		}
		b = le.AppendUint64(b, flags)
	}
	for _, s := range d.small {
		b = append(b, byte(s.kind), byte(s.op), 0, 0)
		b = le.AppendUint32(b, s.offset)
		b = le.AppendUint32(b, s.length)
		b = le.AppendUint64(b, s.number)
		b = append(b, s.call[:]...)
	}
	for _, r := range d.refs {
		b = le.AppendUint32(b, r.number)
		b = le.AppendUint32(b, r.generation)
	}
	tail := len(b)
	b = append(b, tailMagic...)
	b = le.AppendUint64(b, uint64(epoch))
	b = le.AppendUint32(b, number)
	b = le.AppendUint32(b, generation)
	b = le.AppendUint32(b, end)
	b = le.AppendUint32(b, uint32(len(d.calls)))
	b = le.AppendUint32(b, uint32(len(d.small)))
	b = le.AppendUint32(b, uint32(len(d.refs)))
	b = le.AppendUint32(b, segmentVersion)
	return le.AppendUint32(b, crc32.Checksum(b[tail-rows:], castagnoli))
}

// errNoDirectory is what the last bytes of a segment are while it is open.
var errNoDirectory = errors.New("no directory")

// dirTail is the end of a directory.
type dirTail struct {
	end                uint32 // after the last record
	calls, small, refs int
}

func (t dirTail) rows() int { return t.calls*callRowSize + t.small*smallRowSize + t.refs*refSize }

// parseTail reads the last bytes of a segment of the given size.
func parseTail(b []byte, epoch call.Epoch, number, generation uint32, size int64) (dirTail, error) {
	le := binary.LittleEndian
	if len(b) < tailSize {
		return dirTail{}, errNoDirectory
	}
	b = b[len(b)-tailSize:]
	if string(b[:8]) != tailMagic || call.Epoch(le.Uint64(b[8:])) != epoch || le.Uint32(b[16:]) != number ||
		le.Uint32(b[20:]) != generation || le.Uint32(b[40:]) != segmentVersion {
		return dirTail{}, errNoDirectory
	}
	t := dirTail{end: le.Uint32(b[24:])}
	for i, n := range []*int{&t.calls, &t.small, &t.refs} {
		v := le.Uint32(b[28+4*i:])
		if int64(v) > size/refSize {
			return dirTail{}, errNoDirectory
		}
		*n = int(v)
	}
	if int64(t.end)+int64(t.rows())+tailSize > size {
		return dirTail{}, errNoDirectory
	}
	return t, nil
}

// parse reads rows and tail: the last bytes of a segment, of which parseTail has read the end.
func (t dirTail) parse(b []byte) (*directory, error) {
	if len(b) != t.rows()+tailSize {
		return nil, fmt.Errorf("%d bytes of directory, want %d", len(b), t.rows()+tailSize)
	}
	le := binary.LittleEndian
	if le.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return nil, errNoDirectory
	}
	d := &directory{calls: make([]callRow, t.calls), small: make([]smallRow, t.small), refs: make([]segmentRef, t.refs)}
	for i := range d.calls {
		c := &d.calls[i]
		copy(c.call[:], b)
		c.first, c.count = le.Uint32(b[16:]), le.Uint32(b[20:])
		c.at, c.bytes = int64(le.Uint32(b[24:])), int64(le.Uint32(b[28:]))
		c.firstOffset, c.lastOffset, c.ended = le.Uint32(b[32:]), le.Uint32(b[36:]), b[40]&1 != 0
		if c.count == 0 || c.next() < c.first || c.firstOffset > c.lastOffset || c.lastOffset > t.end {
			return nil, errNoDirectory
		}
		b = b[callRowSize:]
	}
	for i := range d.small {
		s := &d.small[i]
		s.kind, s.op = call.Kind(b[0]), op(b[1])
		s.offset, s.length, s.number = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint64(b[12:])
		copy(s.call[:], b[20:36])
		if s.length > maxData {
			return nil, errNoDirectory
		}
		b = b[smallRowSize:]
	}
	for i := range d.refs {
		d.refs[i] = segmentRef{number: le.Uint32(b), generation: le.Uint32(b[4:])}
		b = b[refSize:]
	}
	return d, nil
}

// addCall notes a record of a call at the given offset. The records of a run come in the order of their numbers.
func (d *directory) addCall(rec callRow) {
	if c := d.row(rec.call, rec.first); c != nil {
		c.join(rec.run)
		return
	}
	d.calls = append(d.calls, rec)
}

// row finds the run that the record of a call with the given number goes on.
func (d *directory) row(id call.ID, number uint32) *callRow {
	for i := len(d.calls) - 1; i >= 0; i-- {
		if c := &d.calls[i]; c.call == id && c.next() == number {
			return c
		}
	}
	return nil
}

// join adds a run that goes on behind this one.
func (c *run) join(behind run) {
	c.count += behind.count
	c.bytes += behind.bytes
	c.firstOffset, c.lastOffset = min(c.firstOffset, behind.firstOffset), max(c.lastOffset, behind.lastOffset)
	c.ended = behind.ended
}
