package buffer

import (
	"bytes"
	"errors"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// scanned is what a scan met besides sound records.
type scanned struct {
	end        uint32    // after the last sound record
	claims     []frame   // heads of this generation whose checksums do not match
	gaps       []stretch // between sound records
	unreadable int       // pages that could not be read
}

// stretch is bytes of a segment that are no sound record: padding, or damage.
type stretch struct{ from, to int64 }

// maxClaims bounds what is kept of bytes that look like records and are none.
const maxClaims = 4096

// scan visits the sound records of a segment's bytes from..to in order. It goes on behind damage: frames are aligned,
// so the next sound one is found by looking. Generation 0 visits those of any. An error of visit ends the scan; io.EOF
// does so without being one.
func scan(r io.ReaderAt, epoch call.Epoch, generation uint32, from, to int64, visit func(frame) error) (scanned, error) {
	w := &window{r: r, limit: to, size: windowSize, generation: generation}
	res := scanned{end: uint32(from)}
	last := from
	for at := w.seek(from); at+frameHeader <= to; at = w.seek(at) {
		f, err := w.frame(epoch, at)
		if err == nil {
			if at > last {
				res.gaps = append(res.gaps, stretch{last, at})
			}
			if err := visit(f); errors.Is(err, io.EOF) {
				res.unreadable = w.unreadable
				return res, nil
			} else if err != nil {
				return res, err
			}
			at += int64(frameSize(len(f.data)))
			last = at
			res.end = uint32(min(at, to))
			continue
		}
		if errors.Is(err, errChecksum) && generation != 0 && len(res.claims) < maxClaims {
			res.claims = append(res.claims, f)
		}
		at += frameAlign
	}
	if last < to {
		res.gaps = append(res.gaps, stretch{last, to})
	}
	res.unreadable = w.unreadable
	return res, nil
}

// window reads a file through a buffer of moderate size. Pages that cannot be read are taken as zeros, and counted.
type window struct {
	r          io.ReaderAt
	limit      int64
	size       int    // of what is read at a time
	generation uint32 // of the frames looked for; 0: any
	buf        []byte
	base       int64
	unreadable int
}

const windowSize = 256 << 10

// frame parses what stands at the offset.
func (w *window) frame(epoch call.Epoch, at int64) (frame, error) {
	f, need, err := parseFrame(w.bytes(at, frameHeader), epoch, uint32(at), w.limit)
	if w.generation != 0 && f.generation != w.generation {
		return f, errNoFrame // of an earlier use
	}
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
		i := bytes.Index(b, []byte(frameMagic))
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

// pages fills the buffer page by page of the card, after reading it as a whole failed.
func (w *window) pages() {
	for i := 0; i < len(w.buf); {
		end := min(i+pageSize-int((w.base+int64(i))%pageSize), len(w.buf))
		p := w.buf[i:end]
		n, err := w.r.ReadAt(p, w.base+int64(i))
		clear(p[n:])
		if n < len(p) && !errors.Is(err, io.EOF) {
			w.unreadable++
		}
		i = end
	}
}
