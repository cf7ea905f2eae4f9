package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// Loss is a stretch of a call file that could not be read.
type Loss struct {
	Offset  int64  // in the file, bytes
	Size    int64  // bytes
	Record  uint32 // number of the first record that is missing
	Records uint32 // how many are; 0 where nothing behind tells it
	Frames  int64  // of the line that the missing chunks covered, as far as a chunk behind tells it
	Reason  string
}

// Found is what Salvage found in a file beside its media.
type Found struct {
	Marks  []call.Mark // the first 65,536
	End    *call.End   // nil: there is none
	Frames int64       // up to where the chunks reach, what is missing between them counted too
	Lost   []Loss      // in order; none: all was there up to the end, or to where the file stops
}

// Salvaged gives the media that is left of a call file.
type Salvaged struct {
	search
	opener *Opener
	plain  []byte // of the present record
	rest   []byte // media that is still to be given
	found  Found
	marks  marks
	next   uint32 // the lowest number that may come
	open   bool   // the last Loss does not know its frames yet
	err    error
}

// Salvage opens a call file that is damaged, or has arrived in part. It gives the media of every chunk that can still be
// opened: a damaged record is passed over, and where the framing is lost it is found again at the next place where a
// record holds: of a sealed call one that opens, of a call in clear one that another one, or the end of the file,
// follows. Records are given once, in the order of their numbers. The header must be whole, and of a sealed call the
// key record: without them nothing of it opens, and the errors are those of OpenMedia.
//
// What comes out is not proven to be complete: Verify says that of a file, and Found what is missing here.
func Salvage(r io.Reader, keys Keys) (call.Header, *Salvaged, error) {
	window := bufio.NewReaderSize(r, HeadSize+MaxBody+HeadSize)
	s := &Salvaged{search: search{r: window, budget: minBudget}}
	h, err := s.begin(keys)
	if err != nil {
		return h, nil, fmt.Errorf("salvage call file: %w", err)
	}
	return h, s, nil
}

// begin reads the header, and the key record where there must be one.
func (s *Salvaged) begin(keys Keys) (call.Header, error) {
	in := &Reader{r: s.r}
	h, opener, err := in.Unlock(keys)
	if err == nil && opener.sealed && opener.aead == nil {
		err = &CorruptError{Offset: in.start, Reason: "the key record is missing"}
		if errors.Is(in.err, io.ErrUnexpectedEOF) {
			err = in.err
		}
	}
	if err != nil {
		return h, err
	}
	s.opener, s.next, s.offset = opener, in.last.next(), in.offset
	return h, nil
}

// Read gives media until nothing is left of the file; its error is then io.EOF, and else one of reading.
func (s *Salvaged) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.rest) == 0 && s.err == nil {
		s.err = s.step()
	}
	if len(s.rest) == 0 {
		return 0, s.err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Found tells of what was read so far: of the whole file once Read has given io.EOF.
func (s *Salvaged) Found() Found {
	f := s.found
	f.Marks = s.marks.kept
	return f
}

// step takes the next record that holds, and reports what is lost before it.
func (s *Salvaged) step() error {
	if len(s.peek(1)) == 0 {
		return s.failed() // nothing is left
	}
	start := s.offset
	rec, size, err := s.try(false)
	reason := err
	for err != nil {
		if !s.advance() {
			s.lose(Loss{Offset: start, Size: s.offset - start, Record: s.next, Reason: reason.Error()})
			return s.failed()
		}
		rec, size, err = s.try(true)
	}
	if missing := rec.Number - s.next; missing > 0 || s.offset > start {
		if reason == nil {
			reason = errors.New("records are missing")
		}
		s.lose(Loss{Offset: start, Size: s.offset - start, Record: s.next, Records: missing, Reason: reason.Error()})
	}
	s.take(rec)
	s.skip(size)
	return nil
}

// errNoHead is a value of its own since most places of a search give it.
var errNoHead = errors.New("no head of a record")

// try reads the record at the present place, and stays there; size is that of the record. lost says that nothing told
// that a record begins here.
func (s *Salvaged) try(lost bool) (r Record, size int, err error) {
	head := s.peek(HeadSize)
	if len(head) < HeadSize || lost && !plausible(head) {
		return Record{}, 0, errNoHead
	}
	r, size, err = parseHead(head)
	if err != nil {
		return Record{}, 0, err
	}
	if size += HeadSize; !s.spend(size) {
		return Record{}, 0, errors.New("too many places look like a record")
	}
	whole := s.peek(size)
	if len(whole) < size {
		return Record{}, 0, fmt.Errorf("the file stops in record %d", r.Number)
	}
	r.Body = whole[HeadSize:] // until the next peek
	if err := s.holds(r); err != nil {
		return Record{}, 0, err
	}
	if sealed := s.opener.sealed && r.Sealed(); !sealed && !s.follows(r, size, lost) {
		return Record{}, 0, fmt.Errorf("what is behind record %d does not follow it", r.Number)
	}
	s.budget += int64(size)
	return r, size, nil
}

// follows says whether a record, which no seal proves, is believed for what stands behind it: the next one, or nothing.
// Where the next one stands elsewhere the record's length is wrong; where it is not to be found it may be damaged
// itself, and the record is believed if it is the one that was expected.
func (s *Salvaged) follows(r Record, size int, lost bool) bool {
	behind := s.peek(size + HeadSize)[size:]
	if len(behind) == 0 {
		return true
	}
	if len(behind) == HeadSize {
		if next, _, err := parseHead(behind); err == nil && next.Number == r.next() {
			return true
		}
	}
	const ahead = 64 << 10 // the next one is not looked for further behind: it would be a chunk of a minute
	if lost || r.Number != s.next || !s.spend(ahead) {
		return false
	}
	return !successor(r, s.peek(min(size+ahead, s.r.Size())))
}

// holds says what keeps a record, whose bytes are all there, from being one of the call. Its body is then in s.plain.
func (s *Salvaged) holds(r Record) (err error) {
	switch {
	case r.Number < s.next:
		return fmt.Errorf("record %d in the place of record %d", r.Number, s.next)
	case r.Kind == call.KindHeader || r.Kind == call.KindKey:
		return fmt.Errorf("record of kind %d in the middle", r.Kind)
	}
	if s.plain, err = s.opener.Open(s.plain[:0], r); err != nil {
		return err
	}
	r.Body = s.plain
	switch r.Kind {
	case call.KindMark:
		_, err = r.mark()
	case call.KindGap:
		_, err = r.gap()
	case call.KindEnd:
		_, err = r.end()
	case call.KindHole:
		err = r.hole()
	}
	return err
}

// take takes what a record that holds tells.
func (s *Salvaged) take(r Record) {
	offset := s.offset
	s.next = r.next()
	size := HeadSize + int64(len(r.Body))
	r.Body = s.plain
	switch r.Kind {
	case call.KindChunk:
		if missing := r.Position - s.found.Frames; missing > 0 {
			if !s.open {
				s.lose(Loss{Offset: offset, Record: r.Number, Reason: "frames are missing"})
			}
			if last := len(s.found.Lost) - 1; last >= 0 {
				s.found.Lost[last].Frames += missing
			}
		}
		s.open, s.found.Frames, s.rest = false, r.Position+int64(r.Frames), s.plain
	case call.KindMark:
		m, _ := r.mark() // it holds
		s.marks.add(m)
	case call.KindGap:
		g, _ := r.gap()
		s.marks.add(gapMark(g))
	case call.KindEnd:
		e, _ := r.end()
		s.found.End = &e
	case call.KindHole:
		s.lose(Loss{Offset: offset, Size: size, Record: r.Number, Records: r.Frames, Reason: "a hole: damaged on the recorder's card"})
	}
}

// lose reports a loss. There are never more than are worth listing: the last one then stands for all that follow.
func (s *Salvaged) lose(l Loss) {
	s.open = true
	if last := len(s.found.Lost) - 1; last+1 >= maxHoles {
		of := &s.found.Lost[last]
		of.Size, of.Records = l.Offset+l.Size-of.Offset, of.Records+l.Records
		return
	}
	s.found.Lost = append(s.found.Lost, l)
}
