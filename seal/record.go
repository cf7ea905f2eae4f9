package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/linekeeper/linekeeper/call"
)

// Numbers of records end here, so that a count of them has room in 32 bits.
const maxNumber = math.MaxUint32 - 1

// Record is one record of a call file.
type Record struct {
	Kind     call.Kind
	Number   uint32 // within the call, from 0 (the header)
	Position int64  // line frames from the beginning of the call
	Frames   uint32 // of a chunk: that it covers; of a hole: how many records stood there; 0 of the others
	Body     []byte // as it stands in the file: chunks and marks may be sealed (Opener opens them)
}

// Sealed says whether records of this kind are sealed in a file that is.
func (r Record) Sealed() bool { return r.Kind == call.KindChunk || r.Kind == call.KindMark }

// Clone gives the record with a Body of its own.
func (r Record) Clone() Record {
	r.Body = bytes.Clone(r.Body)
	return r
}

// next is the number that the record after this one has.
func (r Record) next() uint32 {
	if r.Kind == call.KindHole {
		return r.Number + r.Frames
	}
	return r.Number + 1
}

// appendHead appends the 24 bytes before a body of a length.
func (r Record) appendHead(dst []byte, length int) []byte {
	dst = append(dst, byte(r.Kind), Version, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, r.Number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Position))
	dst = binary.LittleEndian.AppendUint32(dst, r.Frames)
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

// hash is the SHA-256 of the record as it stands in the file.
func (r Record) hash() [sha256.Size]byte {
	return sha256.Sum256(append(r.appendHead(make([]byte, 0, HeadSize+len(r.Body)), len(r.Body)), r.Body...))
}

// chain is the chain over the records of a file: the hash of the first, and then of the one before and the next.
type chain [sha256.Size]byte

// add takes the hash of the record of a number into the chain.
func (c *chain) add(first bool, leaf [sha256.Size]byte) {
	if first {
		*c = leaf
		return
	}
	var both [2 * sha256.Size]byte
	copy(both[:], c[:])
	copy(both[sha256.Size:], leaf[:])
	*c = sha256.Sum256(both[:])
}

// parseHead reads the 24 bytes before a body. Only ErrVersion stands for itself, the other errors are the reasons of a
// CorruptError.
func parseHead(b []byte) (r Record, body int, err error) {
	r = Record{
		Kind:     call.Kind(b[0]),
		Number:   binary.LittleEndian.Uint32(b[4:]),
		Position: int64(binary.LittleEndian.Uint64(b[8:])),
		Frames:   binary.LittleEndian.Uint32(b[16:]),
	}
	n := binary.LittleEndian.Uint32(b[20:])
	switch {
	case b[1] != Version:
		return r, 0, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, b[1], Version)
	case !r.Kind.InFile():
		return r, 0, fmt.Errorf("no record of a call has kind %d", r.Kind)
	case b[2] != 0 || b[3] != 0:
		return r, 0, errors.New("reserved bytes are not 0")
	case r.Number > maxNumber:
		return r, 0, errors.New("number out of range")
	case r.Position < 0 || r.Position > math.MaxInt64-math.MaxUint32:
		return r, 0, errors.New("position out of range")
	case n > MaxBody:
		return r, 0, fmt.Errorf("body of %d bytes, at most %d", n, MaxBody)
	}
	return r, int(n), r.checkHead(int(n))
}

// checkHead checks what a kind does not leave open.
func (r Record) checkHead(body int) error {
	limit := MaxBody
	switch r.Kind {
	case call.KindHeader:
		limit = maxHeader
	case call.KindKey:
		limit = maxKey
	case call.KindMark, call.KindGap:
		limit = maxText + Overhead
	}
	switch {
	case body > limit:
		return fmt.Errorf("record of kind %d with a body of %d bytes, at most %d", r.Kind, body, limit)
	case r.Frames != 0 && r.Kind != call.KindChunk && r.Kind != call.KindHole:
		return errors.New("frames in a record that is not a chunk")
	case r.Position != 0 && (r.Kind == call.KindHeader || r.Kind == call.KindKey || r.Kind == call.KindHole):
		return fmt.Errorf("position in a record of kind %d", r.Kind)
	case (r.Kind == call.KindHeader) != (r.Number == 0) && r.Kind != call.KindHole:
		return fmt.Errorf("record %d is of kind %d", r.Number, r.Kind)
	case r.Kind == call.KindKey && r.Number != 1:
		return fmt.Errorf("key in record %d", r.Number)
	case r.Kind == call.KindHole && (r.Frames == 0 || r.Frames > maxNumber-r.Number):
		return fmt.Errorf("hole of %d records at record %d", r.Frames, r.Number)
	}
	return nil
}

// ParseRecord reads one record that stands alone, as the ring has it, or as it was read at its place in a file. Its
// Body is a part of data.
func ParseRecord(data []byte) (Record, error) {
	if len(data) < HeadSize {
		return Record{}, &CorruptError{Reason: fmt.Sprintf("%d bytes", len(data))}
	}
	r, n, err := parseHead(data)
	if err != nil {
		return Record{}, corrupt(0, err)
	}
	if n != len(data)-HeadSize {
		return Record{}, &CorruptError{Reason: fmt.Sprintf("body of %d bytes, its head says %d", len(data)-HeadSize, n)}
	}
	r.Body = data[HeadSize:]
	return r, nil
}

func parseKind(data []byte, kind call.Kind) (Record, error) {
	r, err := ParseRecord(data)
	if err == nil && r.Kind != kind {
		err = &CorruptError{Reason: fmt.Sprintf("kind %d, want %d", r.Kind, kind)}
	}
	return r, err
}

// ParseHeader reads a header record as it stands in the ring.
func ParseHeader(data []byte) (call.Header, error) {
	r, err := parseKind(data, call.KindHeader)
	if err != nil {
		return call.Header{}, err
	}
	h, err := r.header()
	return h, corrupt(0, err)
}

// ParseEnd reads an end record as it stands in the ring.
func ParseEnd(data []byte) (call.End, error) {
	r, err := parseKind(data, call.KindEnd)
	if err != nil {
		return call.End{}, err
	}
	e, err := r.end()
	return e, corrupt(0, err)
}

func (r Record) header() (call.Header, error) {
	var h call.Header
	if err := json.Unmarshal(r.Body, &h); err != nil {
		return call.Header{}, fmt.Errorf("header: %w", err)
	}
	return h, checkHeader(h)
}

func checkHeader(h call.Header) error {
	switch {
	case h.Version != Version:
		return fmt.Errorf("%w: %d, this program reads %d", ErrVersion, h.Version, Version)
	case h.Seal != call.SealNone && h.Seal != call.SealChaCha:
		return fmt.Errorf("header claims a seal %q", h.Seal)
	case h.Call.IsZero():
		return errors.New("header names no call")
	case h.Rate < 1 || h.Rate > maxRate:
		return fmt.Errorf("header claims a rate of %d", h.Rate)
	case h.Channels < 1 || h.Channels > maxChannels:
		return fmt.Errorf("header claims %d channels", h.Channels)
	case len(h.Sides) != 0 && len(h.Sides) != h.Channels:
		return fmt.Errorf("header names %d sides of %d channels", len(h.Sides), h.Channels)
	}
	return nil
}

// mark reads a mark, the body of which is in clear.
func (r Record) mark() (call.Mark, error) {
	var m call.Mark
	if err := json.Unmarshal(r.Body, &m); err != nil {
		return call.Mark{}, errors.New("mark: not JSON of a mark") // the decoder's words could hold what it says
	}
	if m.Position != r.Position {
		return call.Mark{}, fmt.Errorf("mark at frame %d, its head says %d", m.Position, r.Position)
	}
	if m.Kind == call.MarkGap {
		return call.Mark{}, errors.New("a gap in a mark's record")
	}
	return m, checkMark(m)
}

func checkMark(m call.Mark) error {
	if m.Kind == "" || m.Position < 0 || m.Frames < 0 {
		return fmt.Errorf("mark of kind %q at frame %d, %d frames long", m.Kind, m.Position, m.Frames)
	}
	return nil
}

// marks keeps the marks of a file, as far as memory shall be given to them: more than a day of dialling makes.
type marks struct {
	kept []call.Mark
	size int // bytes of text
}

func (m *marks) add(one call.Mark) {
	const most, mostSize = 1 << 16, 4 << 20
	if m.size += len(one.Kind) + len(one.Value); len(m.kept) < most && m.size <= mostSize {
		m.kept = append(m.kept, one)
	}
}

// gapMark is what stands for a gap among the marks.
func gapMark(g call.Gap) call.Mark {
	return call.Mark{Kind: call.MarkGap, Position: g.Position, Frames: g.Frames, Value: g.Cause}
}

func (r Record) gap() (call.Gap, error) {
	var g call.Gap
	if err := json.Unmarshal(r.Body, &g); err != nil {
		return call.Gap{}, fmt.Errorf("gap: %w", err)
	}
	if g.Position != r.Position {
		return call.Gap{}, fmt.Errorf("gap at frame %d, its head says %d", g.Position, r.Position)
	}
	return g, checkGap(g)
}

func checkGap(g call.Gap) error {
	if g.Position < 0 || g.Frames < 1 || g.Frames > math.MaxInt64-g.Position {
		return fmt.Errorf("gap of %d frames at frame %d", g.Frames, g.Position)
	}
	return nil
}

func (r Record) end() (call.End, error) {
	var e call.End
	if err := json.Unmarshal(r.Body, &e); err != nil {
		return call.End{}, fmt.Errorf("end: %w", err)
	}
	switch {
	case e.Frames != r.Position:
		return call.End{}, fmt.Errorf("end after %d frames, its head says %d", e.Frames, r.Position)
	case e.Records != r.Number+1:
		return call.End{}, fmt.Errorf("end counts %d records and is number %d", e.Records, r.Number)
	}
	return e, checkEnd(e)
}

func checkEnd(e call.End) error {
	if e.Frames < 0 {
		return fmt.Errorf("call of %d frames", e.Frames)
	}
	at := int64(0)
	for _, g := range e.Gaps {
		if g.Position < at || g.Frames < 1 || g.Position > e.Frames || g.Frames > e.Frames-g.Position {
			return fmt.Errorf("gap of %d frames at frame %d of %d", g.Frames, g.Position, e.Frames)
		}
		at = g.Position + g.Frames
	}
	return nil
}

// hole checks a hole's body: nothing of what stood there is left in it.
func (r Record) hole() error {
	for _, b := range r.Body {
		if b != 0 {
			return errors.New("a hole that is not empty")
		}
	}
	return nil
}

// Hole is what takes the place of damaged records in a call file, which keeps its offsets and its size: first is the
// number of the first of them, records how many they were, size the bytes that they took. A body has room for MaxBody,
// so that it may be several records, together of exactly that size; where the records are fewer than that, because
// nobody knows how many they were, it has more numbers than they had. It is nil where no records can have had that size.
func Hole(first, records uint32, size int64) []byte {
	const largest = HeadSize + MaxBody
	pieces := (size + largest - 1) / largest
	if records == 0 || size < HeadSize*int64(records) || max(pieces, int64(records)) > maxNumber-int64(first) {
		return nil
	}
	data := make([]byte, 0, size)
	for left := int64(records); size > 0; pieces-- {
		n, part := int64(1), min(size, largest)
		switch {
		case pieces == 1:
			n = max(left, 1)
		case size-part < HeadSize:
			part = size - HeadSize // what follows needs a head too
		}
		data = Record{Kind: call.KindHole, Number: first, Frames: uint32(n)}.appendHead(data, int(part-HeadSize))
		data = data[:len(data)+int(part)-HeadSize] // zeros, as they were made
		first, left, size = first+uint32(n), left-n, size-part
	}
	return data
}
