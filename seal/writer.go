package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/linekeeper/linekeeper/call"
)

// Writer makes the records of one call file. Whoever uses it stores each record that it gives, in order, or takes it back
// with Retract: numbers, size and hash are those of what is stored. The Data of a record is newly made and belongs to the
// receiver. A Writer is not for concurrent use. A method that returns an error has changed nothing.
type Writer struct {
	call   call.ID
	only   bool // resumed: only an end may follow
	now    state
	before state // the last record; its hash is nil where that cannot be taken back
}

// state is where a file stands after a record.
type state struct {
	next  uint32 // number
	size  int64
	hash  hash.Cloner
	ended bool
}

// newHash is a hash that can be cloned, which Go's SHA-256 can.
func newHash() hash.Cloner { return sha256.New().(hash.Cloner) }

// NewWriter begins a call file and gives its header record.
func NewWriter(h call.Header) (*Writer, call.Record, error) {
	h.Version = Version
	if err := checkHeader(h); err != nil {
		return nil, call.Record{}, fmt.Errorf("write call header: %w", err)
	}
	w := &Writer{call: h.Call, now: state{hash: newHash()}}
	rec, err := w.text(call.KindHeader, 0, h)
	w.before.hash = nil
	return w, rec, err
}

// Chunk makes the record of a chunk: media that covers frames of the line from position on. Media is copied.
func (w *Writer) Chunk(position int64, frames uint32, media []byte) (call.Record, error) {
	if w.only {
		return call.Record{}, errors.New("write chunk: a resumed call can only be ended")
	}
	return w.add(Record{Kind: call.KindChunk, Position: position, Frames: frames, Body: media})
}

// Mark makes the record of a mark.
func (w *Writer) Mark(m call.Mark) (call.Record, error) {
	if w.only {
		return call.Record{}, errors.New("write mark: a resumed call can only be ended")
	}
	if err := checkMark(m); err != nil {
		return call.Record{}, fmt.Errorf("write mark: %w", err)
	}
	return w.text(call.KindMark, m.Position, m)
}

// End makes the end record; nothing can follow. It fills in the count of records.
func (w *Writer) End(e call.End) (call.Record, error) {
	if e.Gaps == nil {
		e.Gaps = []call.Gap{}
	}
	e.Records = w.now.next + 1
	if err := checkEnd(e); err != nil {
		return call.Record{}, fmt.Errorf("write end: %w", err)
	}
	rec, err := w.text(call.KindEnd, e.Frames, e)
	w.now.ended = w.now.ended || err == nil
	return rec, err
}

// Retract takes back the record that was made last, which was not stored: whatever is made next stands in its place. It
// does nothing before the first record after the header, nor a second time for one record.
func (w *Writer) Retract() {
	if w.before.hash != nil {
		w.now, w.before = w.before, state{}
	}
}

// Size is that of the call file so far, in bytes.
func (w *Writer) Size() int64 { return w.now.size }

// SHA256 is the hash of the call file so far, in hex.
func (w *Writer) SHA256() string { return hex.EncodeToString(w.now.hash.Sum(nil)) }

func (w *Writer) text(kind call.Kind, position int64, v any) (call.Record, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return call.Record{}, fmt.Errorf("write record %d of call %s: %w", w.now.next, w.call, err)
	}
	return w.add(Record{Kind: kind, Position: position, Body: body})
}

func (w *Writer) add(r Record) (call.Record, error) {
	switch {
	case w.now.ended:
		return call.Record{}, fmt.Errorf("write record %d of call %s: it has ended", w.now.next, w.call)
	case len(r.Body) > MaxBody:
		return call.Record{}, fmt.Errorf("write record %d of call %s: %d bytes, at most %d", w.now.next, w.call, len(r.Body), MaxBody)
	case r.Position < 0 || r.Position > math.MaxInt64-math.MaxUint32:
		return call.Record{}, fmt.Errorf("write record %d of call %s: position %d", w.now.next, w.call, r.Position)
	}
	clone, err := w.now.hash.Clone()
	if err != nil {
		return call.Record{}, fmt.Errorf("write record %d of call %s: %w", w.now.next, w.call, err)
	}
	r.Number = w.now.next
	data := r.appendTo(make([]byte, 0, HeadSize+len(r.Body)))
	w.before = w.now
	w.now.hash = clone
	w.now.hash.Write(data)
	w.now.next++
	w.now.size += int64(len(data))
	return call.Record{Call: w.call, Kind: r.Kind, Number: r.Number, Data: data}, nil
}

// ResumeWriter reads the stored bytes of a call and gives a Writer that stands after them and can only end the call
// (after a crash nothing else may be added: in later versions the key is gone).
//
// For a call that was interrupted, end holds the frames that its chunks cover and the gaps that its marks tell of; the
// reason and the rest are the caller's to fill in. For a call that has its end record, whole is true, end is what that
// says, and Size and SHA256 are those of the whole file.
//
// A record missing in the middle is passed over: what is there is worth closing, and Verify will tell.
func ResumeWriter(r io.Reader) (w *Writer, end call.End, whole bool, err error) {
	w = &Writer{now: state{hash: newHash()}, only: true}
	in := NewReader(io.TeeReader(r, w.now.hash))
	for {
		rec, err := in.Next()
		var cut *TruncatedError
		switch {
		case errors.Is(err, io.EOF):
			return w, end, true, nil
		case errors.As(err, &cut) && cut.Torn == 0 && w.now.next > 0:
			end.Gaps = clipGaps(end.Gaps, end.Frames)
			return w, end, false, nil
		case err != nil:
			return nil, call.End{}, false, fmt.Errorf("resume call file: %w", err)
		}
		if err := w.take(rec, in, &end); err != nil {
			return nil, call.End{}, false, fmt.Errorf("resume call file: %w", corrupt(in.start, err))
		}
	}
}

// take moves the Writer behind a record that was read, and adds to end what it tells.
func (w *Writer) take(r Record, in *Reader, end *call.End) error {
	w.now.next, w.now.size = r.Number+1, in.offset
	switch r.Kind {
	case call.KindHeader:
		h, err := r.header()
		w.call = h.Call
		return err
	case call.KindChunk:
		end.Frames = r.Position + int64(r.Frames)
	case call.KindMark:
		m, err := r.mark()
		if err == nil && m.Kind == call.MarkGap {
			end.Gaps = append(end.Gaps, call.Gap{Position: m.Position, Frames: m.Frames, Cause: m.Value})
		}
		return err
	case call.KindEnd:
		e, err := r.end()
		*end, w.now.ended = e, true
		return err
	}
	return nil
}

// clipGaps leaves of the gaps what lies within the frames, in order: a gap's mark stands before the chunks that hold
// its silence, which may not have been stored.
func clipGaps(gaps []call.Gap, frames int64) []call.Gap {
	kept, at := []call.Gap{}, int64(0)
	for _, g := range gaps {
		if g.Position < at || g.Position >= frames {
			continue
		}
		if g.Frames = min(g.Frames, frames-g.Position); g.Frames > 0 {
			kept = append(kept, g)
			at = g.Position + g.Frames
		}
	}
	return kept
}
