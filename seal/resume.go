package seal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// ResumeWriter reads the stored bytes of a call and gives a Writer that stands after them and can only end the call:
// its key is gone, and nothing is ever sealed under it again.
//
// For a call that was interrupted, end holds the frames that its chunks cover and the gaps that its records tell of; the
// reason and the rest are the caller's to fill in. For a call that has its end record, whole is true, end is what that
// says, and Size, SHA256 and Chain are those of the whole file.
//
// A record missing in the middle is passed over, as a hole is: what is there is worth closing, and Verify will tell.
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
	if r.Number < w.now.next {
		return fmt.Errorf("record %d follows record %d", r.Number, w.now.next-1)
	}
	w.now.chain.add(r.Number == 0, sha256.Sum256(in.raw))
	w.now.next, w.now.size = r.next(), in.offset
	switch r.Kind {
	case call.KindHeader:
		h, err := r.header()
		w.call = h.Call
		return err
	case call.KindChunk:
		end.Frames = max(end.Frames, r.Position+int64(r.Frames))
	case call.KindGap:
		g, err := r.gap()
		end.Gaps = append(end.Gaps, g)
		return err
	case call.KindEnd:
		e, err := r.end()
		*end, w.now.ended = e, true
		return err
	}
	return nil
}

// clipGaps leaves of the gaps what lies within the frames, in order: a gap's record stands before the chunks that hold
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
