// Package seal writes and reads call files (.lkc): what the recorder stores of a call, uploads, and headquarters keeps.
//
// A call file is its records one after the other, byte for byte as they stand in the ring: a header, the call's key
// wrapped to headquarters' recipients, then chunks of media and marks as they happened, sealed under that key, then an
// end. A call in progress, or one cut short, is a prefix of that. docs/format-call.md describes it byte by byte; with
// that page and the key any language can open one (testdata/open.py does).
//
// Writing gives records to store; the file never exists as a whole on the recorder:
//
//	to, err := seal.ParseRecipients(text)          // age1..., one a line
//	w, records, err := seal.NewWriter(header, to)  // store them
//	record, err := w.Chunk(position, frames, media)
//	record, err = w.End(call.End{Reason: call.EndedSilence, Frames: frames})
//	w.Size(), w.SHA256(), w.Chain()                // of the file, for its manifest
//
// The key of a call is drawn when the call begins, lives in the Writer only, and is nowhere stored but wrapped: who
// recorded a call cannot open it. After a crash nothing is sealed under it again; ResumeWriter ends the call, for which
// no key is needed.
//
// Reading takes Keys, which may be several: after headquarters changed its key the old one still opens the old calls.
// There are five depths. OpenMedia joins the media for a decoder. Verify says whether a file is whole, what is in it,
// and, given the key, that it is what was sealed. Salvage gives what is left of a file that is not whole. Reader gives
// the records one by one, and Reader.Unlock the Opener of their bodies; ParseRecord reads a single one.
//
// All of them take hostile bytes: they need memory for a record or two of at most MaxBody, and report damage as
// *CorruptError, a missing rest as *TruncatedError, and a call that no key opens as *NoKeyError.
package seal

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// Version of the format that this package writes and reads.
const Version = 1

// Sizes of a record, in bytes.
const (
	HeadSize = 24      // before the body
	MaxBody  = 1 << 20 // more is refused on both ways: a chunk is about a second of audio
	Overhead = 16      // that sealing adds to a body (the tag of RFC 8439)
)

// Bounds of what a file may claim: more is damage, or an attack on those who allocate by it.
const (
	maxChannels   = 8
	maxRate       = 192000
	maxHeader     = 64 << 10 // bytes of a header's body
	maxText       = 4 << 10  // bytes of a mark or gap in clear
	maxRecipients = 32
	maxKey        = 4 << 10 // bytes of a key record's body: age needs 98 a recipient and 134 beside
	maxHoles      = 1 << 16
)

// ErrVersion says that the file is of another version of the format: a newer program wrote it.
var ErrVersion = errors.New("call file of another version")

// ErrAltered says that a sealed body is not what was sealed: it, its head or the call's header was altered or damaged,
// or it is of another call.
var ErrAltered = errors.New("not what was sealed: altered, damaged, or of another call")

// CorruptError says that the bytes at Offset are not those of a call file.
type CorruptError struct {
	Offset int64 // of the record
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("call file damaged in the record at byte %d: %s", e.Offset, e.Reason)
}

// corrupt makes err the reason of a CorruptError; nil, ErrVersion and a NoKeyError stay what they are.
func corrupt(offset int64, err error) error {
	var noKey *NoKeyError
	if err == nil || errors.Is(err, ErrVersion) || errors.As(err, &noKey) {
		return err
	}
	return &CorruptError{Offset: offset, Reason: err.Error()}
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

// NoKeyError says that a call is sealed and none of the keys given opens it.
type NoKeyError struct {
	Call       call.ID
	Recipients int      // to how many it is sealed
	Tried      []string // recipients of the keys that were given (age1...); empty: none was given
}

func (e *NoKeyError) Error() string {
	if len(e.Tried) == 0 {
		return fmt.Sprintf("call %s is sealed (recipients: %d) and no key was given: give the secret key (AGE-SECRET-KEY-1...) of one of them",
			e.Call, e.Recipients)
	}
	return fmt.Sprintf("call %s is sealed to others (recipients: %d) and opens with none of the keys given, those of %s: give the key that was headquarters' when it was recorded",
		e.Call, e.Recipients, strings.Join(e.Tried, ", "))
}
