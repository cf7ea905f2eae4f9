package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// pageSize is what a card is written in: each sync begins on a fresh one.
const pageSize = 4096

// Layout of a record's frame; docs/format-ring.md describes it.
const (
	frameMagic  = 0x3052_4b4c // "LKR0"
	frameHeader = 40
	frameAlign  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a record as it stands in a segment.
type frame struct {
	kind       call.Kind
	call       call.ID
	number     uint32
	generation uint32
	group      uint32 // the page that its sync began with
	offset     uint32 // of the frame in its segment
	data       []byte // only until the window that it was read through moves on
}

// frameSize is the room that n bytes of data take in a segment.
func frameSize(n int) int { return align(frameHeader+n, frameAlign) }

func align(n, to int) int { return (n + to - 1) / to * to }

// appendFrame adds the record's frame to b, as it must stand at the given offset of a segment.
func appendFrame(b []byte, epoch call.Epoch, f frame) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, frameMagic)
	b = le.AppendUint32(b, 0) // checksum
	b = le.AppendUint32(b, f.generation)
	b = le.AppendUint32(b, uint32(len(f.data)))
	b = le.AppendUint32(b, uint32(f.kind)|f.group<<8)
	b = le.AppendUint32(b, f.number)
	b = append(b, f.call[:]...)
	b = append(b, f.data...)
	le.PutUint32(b[start+4:], frameSum(b[start+8:], epoch, f.offset))
	for (len(b)-start)%frameAlign != 0 {
		b = append(b, 0)
	}
	return b
}

// frameSum covers, beside the frame's own bytes (its generation among them), the ring and the place, so that neither a
// record of another ring nor one that stands elsewhere is taken for this one.
func frameSum(body []byte, epoch call.Epoch, offset uint32) uint32 {
	var seed [12]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(epoch))
	binary.LittleEndian.PutUint32(seed[8:], offset)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, body)
}

// Why bytes are not a frame.
var (
	errNoFrame  = errors.New("no record here")
	errChecksum = errors.New("checksum does not match")
)

// parseFrame reads the frame at the given offset, of which b holds the first bytes. Where b ends too early it says how
// many bytes are needed. With errChecksum the frame is what the bytes claim, without data.
func parseFrame(b []byte, epoch call.Epoch, offset uint32, limit int64) (f frame, need int, err error) {
	le := binary.LittleEndian
	if len(b) < frameHeader || le.Uint32(b) != frameMagic {
		return frame{}, 0, errNoFrame
	}
	f = frame{
		kind: call.Kind(b[16]), number: le.Uint32(b[20:]), generation: le.Uint32(b[8:]), offset: offset,
		group: le.Uint32(b[16:]) >> 8,
	}
	copy(f.call[:], b[24:frameHeader])
	length := int64(le.Uint32(b[12:]))
	if length > maxData || int64(offset)+frameHeader+length > limit {
		return f, 0, errChecksum
	}
	end := frameHeader + int(length)
	if len(b) < end {
		return f, end, nil
	}
	if le.Uint32(b[4:]) != frameSum(b[8:end], epoch, offset) {
		return f, 0, errChecksum
	}
	f.data = b[frameHeader:end:end]
	return f, 0, nil
}

// scanned is what a scan met besides sound records.
type scanned struct {
	end        uint32 // after the last sound record
	bad        int    // records of this generation whose checksums do not match
	unreadable int    // pages that could not be read
}

// scan visits the sound records of a segment's bytes from..to in order. It goes on behind damage: frames are aligned,
// so the next sound one is found by looking. Generation 0 visits those of any. An error of visit ends the scan.
func scan(r io.ReaderAt, epoch call.Epoch, generation uint32, from, to int64, visit func(frame) error) (scanned, error) {
	w := &window{r: r, limit: to, size: windowSize}
	res := scanned{end: uint32(from)}
	for at := w.seek(from); at+frameHeader <= to; at = w.seek(at) {
		f, err := w.frame(epoch, at)
		if err == nil && (generation == 0 || f.generation == generation) {
			if err := visit(f); err != nil {
				return res, err
			}
			at += int64(frameSize(len(f.data)))
			res.end = uint32(min(at, to))
			continue
		}
		if errors.Is(err, errChecksum) && f.generation == generation {
			res.bad++
		}
		at += frameAlign
	}
	res.unreadable = w.unreadable
	return res, nil
}

// window reads a file through a buffer of moderate size. Pages that cannot be read are taken as zeros, and counted.
type window struct {
	r          io.ReaderAt
	limit      int64
	size       int // of what is read at a time
	buf        []byte
	base       int64
	unreadable int
}

const windowSize = 256 << 10

// frame parses what stands at the offset.
func (w *window) frame(epoch call.Epoch, at int64) (frame, error) {
	f, need, err := parseFrame(w.bytes(at, frameHeader), epoch, uint32(at), w.limit)
	if need > 0 {
		if f, need, err = parseFrame(w.bytes(at, need), epoch, uint32(at), w.limit); need > 0 {
			err = errNoFrame // the file is shorter than it should be
		}
	}
	return f, err
}

// seek finds the next place, from the offset on, where a frame may begin.
func (w *window) seek(at int64) int64 {
	for at+frameHeader <= w.limit {
		b := w.bytes(at, frameHeader)
		i := bytes.Index(b, []byte("LKR0"))
		switch {
		case i < 0:
			at += int64(max(frameAlign, (len(b)-frameAlign)/frameAlign*frameAlign))
		case i%frameAlign == 0:
			return at + int64(i)
		default:
			at += int64(align(i, frameAlign))
		}
	}
	return w.limit
}

// bytes gives at least n bytes at the offset, fewer at the limit.
func (w *window) bytes(at int64, n int) []byte {
	n = int(min(int64(n), w.limit-at))
	if at >= w.base && at+int64(n) <= w.base+int64(len(w.buf)) {
		return w.buf[at-w.base:]
	}
	size := int(min(max(int64(n), int64(w.size)), w.limit-at))
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.base, w.buf = at, w.buf[:size]
	if got, err := w.r.ReadAt(w.buf, at); err != nil && got < size {
		w.pages()
	}
	return w.buf
}

// pages fills the buffer page by page, after reading it as a whole failed.
func (w *window) pages() {
	for i := 0; i < len(w.buf); i += pageSize {
		p := w.buf[i:min(i+pageSize, len(w.buf))]
		n, err := w.r.ReadAt(p, w.base+int64(i))
		clear(p[n:])
		if n < len(p) && !errors.Is(err, io.EOF) {
			w.unreadable++
		}
	}
}

// Layout of the page that a segment begins with.
const (
	segmentMagic   = "LKSEGMNT"
	segmentHeader  = 40
	segmentVersion = 0
)

// segmentHead is what the first page of a segment says.
type segmentHead struct {
	epoch      call.Epoch
	number     uint32
	generation uint32
	size       uint32
}

func (h segmentHead) page() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, pageSize)
	b = append(b, segmentMagic...)
	b = le.AppendUint32(b, segmentVersion)
	b = le.AppendUint32(b, h.size)
	b = le.AppendUint64(b, uint64(h.epoch))
	b = le.AppendUint32(b, h.number)
	b = le.AppendUint32(b, h.generation)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:pageSize]
}

// parseSegmentHead reads a segment's first bytes.
func parseSegmentHead(b []byte) (segmentHead, error) {
	le := binary.LittleEndian
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic {
		return segmentHead{}, errors.New("not the first page of a segment")
	}
	if le.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli) {
		return segmentHead{}, errChecksum
	}
	if v := le.Uint32(b[8:]); v != segmentVersion {
		return segmentHead{}, &VersionError{Version: v}
	}
	return segmentHead{
		size: le.Uint32(b[12:]), epoch: call.Epoch(le.Uint64(b[16:])),
		number: le.Uint32(b[24:]), generation: le.Uint32(b[28:]),
	}, nil
}

// VersionError says that a ring was written by a program that knows a later format.
type VersionError struct {
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("segment format version %d, this program knows %d: use the program that wrote it", e.Version, segmentVersion)
}
