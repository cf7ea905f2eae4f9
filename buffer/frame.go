package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/linekeeper/linekeeper/call"
)

// pageSize is what a card is written in: each sync begins on a fresh one.
const pageSize = 4096

// Layout of a record's frame; docs/format-ring.md describes it.
const (
	frameMagic  = "LR"
	frameHeader = 40
	frameAlign  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a record as it stands in a segment.
type frame struct {
	kind       call.Kind
	call       call.ID
	number     uint32
	generation uint32
	group      uint32 // the page that its sync was first tried at
	offset     uint32 // of the frame in its segment
	at         uint32 // offset of the data in the call file
	length     uint32 // of the data
	data       []byte // only until the window that it was read through moves on
}

// frameSize is the room that n bytes of data take in a segment.
func frameSize(n int) int { return align(frameHeader+n, frameAlign) }

func align(n, to int) int { return (n + to - 1) / to * to }

// appendFrame adds the record's frame to b, as it must stand at the given offset of a segment.
func appendFrame(b []byte, epoch call.Epoch, f frame) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = append(b, frameMagic...)
	b = le.AppendUint16(b, uint16(f.group))
	b = le.AppendUint32(b, 0) // checksum
	b = le.AppendUint32(b, f.generation)
	b = le.AppendUint32(b, uint32(len(f.data))|uint32(f.kind)<<24)
	b = le.AppendUint32(b, f.number)
	b = le.AppendUint32(b, f.at)
	b = append(b, f.call[:]...)
	b = append(b, f.data...)
	le.PutUint32(b[start+4:], frameSum(b[start:], epoch, f.offset))
	for (len(b)-start)%frameAlign != 0 {
		b = append(b, 0)
	}
	return b
}

// frameSum covers, beside the frame's own bytes (its generation among them), the ring and the place, so that neither a
// record of another ring nor one that stands elsewhere is taken for this one.
func frameSum(b []byte, epoch call.Epoch, offset uint32) uint32 {
	var seed [16]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(epoch))
	binary.LittleEndian.PutUint32(seed[8:], offset)
	copy(seed[12:], b[:4])
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, b[8:])
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
	if len(b) < frameHeader || string(b[:2]) != frameMagic {
		return frame{}, 0, errNoFrame
	}
	f = frame{
		kind: call.Kind(b[15]), number: le.Uint32(b[16:]), generation: le.Uint32(b[8:]), offset: offset,
		group: uint32(le.Uint16(b[2:])), at: le.Uint32(b[20:]), length: le.Uint32(b[12:]) & 0xff_ffff,
	}
	copy(f.call[:], b[24:frameHeader])
	if f.length > maxData || int64(offset)+frameHeader+int64(f.length) > limit {
		return f, 0, errChecksum
	}
	end := frameHeader + int(f.length)
	if len(b) < end {
		return f, end, nil
	}
	if le.Uint32(b[4:]) != frameSum(b[:end], epoch, offset) {
		return f, 0, errChecksum
	}
	f.data = b[frameHeader:end:end]
	return f, 0, nil
}

// Layout of the page that a segment begins with.
const (
	segmentMagic   = "LKSEGMNT"
	segmentHeader  = 40
	segmentVersion = 1
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

// VersionError says that a ring was written in a format that this program does not read.
type VersionError struct {
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("segment format version %d, this program knows %d: use the program that wrote it", e.Version, segmentVersion)
}
