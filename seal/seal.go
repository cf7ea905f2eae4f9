// Package seal writes and reads call files (.lkc): what the recorder stores of a call, uploads, and headquarters keeps.
//
// A call file is its records one after the other, byte for byte as they stand in the ring: a header, then chunks of
// media and marks as they happened, then an end. A call in progress, or one cut short, is a prefix of that. This is
// version 0, in clear; docs/format-call.md describes it byte by byte.
//
// Writing gives records to store; the file never exists as a whole on the recorder:
//
//	w, record, err := seal.NewWriter(header)  // store record
//	record, err = w.Chunk(position, frames, media)
//	record, err = w.End(call.End{Reason: call.EndedSilence, Frames: frames})
//	w.Size(), w.SHA256()                      // of the file, for its manifest
//
// Reading comes in three depths: OpenMedia joins the media for a decoder, Verify says whether a file is whole and what
// is in it, and Reader gives the records one by one. All of them take hostile bytes: they need memory for one record of
// at most MaxBody, and report damage as *CorruptError and a missing rest as *TruncatedError.
package seal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/linekeeper/linekeeper/call"
)

// Version of the format that this package writes and reads.
const Version = 0

// Sizes of a record, in bytes.
const (
	HeadSize = 24      // before the body
	MaxBody  = 1 << 20 // more is refused on both ways: a chunk is about a second of audio
)

// Bounds of what a header may claim: more is damage, or an attack on those who allocate by it.
const (
	maxChannels = 8
	maxRate     = 192000
)

// ErrVersion says that the file is of another version of the format: a newer program wrote it.
var ErrVersion = errors.New("call file of another version")

// CorruptError says that the bytes at Offset are not those of a call file.
type CorruptError struct {
	Offset int64 // of the record
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("call file damaged in the record at byte %d: %s", e.Offset, e.Reason)
}

// TruncatedError says that a call file stops before its end record: the call is in progress, was cut short, or has not
// arrived as a whole. All that stands before it was read. It is an io.ErrUnexpectedEOF.
type TruncatedError struct {
	Offset int64 // where the last whole record ends
	Torn   int64 // bytes of an incomplete record after that
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("call file stops at byte %d, before its end record", e.Offset+e.Torn)
}

// Unwrap gives io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// Record is one record of a call file.
type Record struct {
	Kind     call.Kind
	Number   uint32 // within the call, from 0 (the header)
	Position int64  // line frames from the beginning of the call
	Frames   uint32 // that it covers: of a chunk; 0 of the others
	Body     []byte // header, mark, end: JSON; chunk: media
}

// appendTo appends the record as it stands in the file.
func (r Record) appendTo(dst []byte) []byte {
	dst = append(dst, byte(r.Kind), Version, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, r.Number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Position))
	dst = binary.LittleEndian.AppendUint32(dst, r.Frames)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r.Body)))
	return append(dst, r.Body...)
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
	case !r.Kind.InFile() || r.Kind == call.KindKey:
		return r, 0, fmt.Errorf("no record of version %d has kind %d", Version, r.Kind)
	case b[2] != 0 || b[3] != 0:
		return r, 0, errors.New("reserved bytes are not 0")
	case r.Position < 0 || r.Position > math.MaxInt64-math.MaxUint32:
		return r, 0, errors.New("position out of range")
	case r.Frames != 0 && r.Kind != call.KindChunk:
		return r, 0, errors.New("frames in a record that is not a chunk")
	case n > MaxBody:
		return r, 0, fmt.Errorf("body of %d bytes, at most %d", n, MaxBody)
	}
	return r, int(n), nil
}

// parseRecord reads one record that stands alone, as the ring has it.
func parseRecord(data []byte, kind call.Kind) (Record, error) {
	if len(data) < HeadSize {
		return Record{}, &CorruptError{Reason: fmt.Sprintf("%d bytes", len(data))}
	}
	r, n, err := parseHead(data)
	switch {
	case errors.Is(err, ErrVersion):
		return Record{}, err
	case err != nil:
		return Record{}, &CorruptError{Reason: err.Error()}
	case r.Kind != kind:
		return Record{}, &CorruptError{Reason: fmt.Sprintf("kind %d, want %d", r.Kind, kind)}
	case n != len(data)-HeadSize:
		return Record{}, &CorruptError{Reason: fmt.Sprintf("body of %d bytes, its head says %d", len(data)-HeadSize, n)}
	}
	r.Body = data[HeadSize:]
	return r, nil
}

// ParseHeader reads a header record as it stands in the ring.
func ParseHeader(data []byte) (call.Header, error) {
	r, err := parseRecord(data, call.KindHeader)
	if err != nil {
		return call.Header{}, err
	}
	h, err := r.header()
	return h, corrupt(0, err)
}

// ParseEnd reads an end record as it stands in the ring.
func ParseEnd(data []byte) (call.End, error) {
	r, err := parseRecord(data, call.KindEnd)
	if err != nil {
		return call.End{}, err
	}
	e, err := r.end()
	return e, corrupt(0, err)
}

// corrupt makes err the reason of a CorruptError; nil and ErrVersion stay what they are.
func corrupt(offset int64, err error) error {
	if err == nil || errors.Is(err, ErrVersion) {
		return err
	}
	return &CorruptError{Offset: offset, Reason: err.Error()}
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

func (r Record) mark() (call.Mark, error) {
	var m call.Mark
	if err := json.Unmarshal(r.Body, &m); err != nil {
		return call.Mark{}, fmt.Errorf("mark: %w", err)
	}
	if m.Position != r.Position {
		return call.Mark{}, fmt.Errorf("mark at frame %d, its head says %d", m.Position, r.Position)
	}
	return m, checkMark(m)
}

func checkMark(m call.Mark) error {
	if m.Kind == "" || m.Position < 0 || m.Frames < 0 {
		return fmt.Errorf("mark of kind %q at frame %d, %d frames long", m.Kind, m.Position, m.Frames)
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
