package seal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// What the search for the next record may spend on places that look like one: so many bytes at once, and so many more
// for each byte that it passes. A true record looks like one by design, noise one time in a hundred million; a file made
// so that every place does is searched in time that grows with its size and not with the square of it.
const (
	minBudget  = 16 * MaxBody
	budgetRate = 16
)

// search moves through a file in which records have to be found again. It holds a window of one record and the head
// behind it.
type search struct {
	r      *bufio.Reader
	offset int64 // where it stands
	budget int64
	fault  error // of reading
}

// plausible says, cheaply, whether a head could stand here.
func plausible(head []byte) bool {
	return head[1] == Version && head[2] == 0 && head[3] == 0 && head[0] >= byte(call.KindChunk) && head[0] <= byte(call.KindGap)
}

// successor says whether the head of the record that must follow r stands in the bytes that r begins.
func successor(r Record, window []byte) bool {
	for at := HeadSize; ; at++ {
		i := bytes.Index(window[min(at+1, len(window)):], []byte{Version, 0, 0})
		if i < 0 {
			return false
		}
		at += i
		head := window[at:]
		if len(head) < HeadSize {
			return false
		}
		if binary.LittleEndian.Uint32(head[4:]) != r.next() { // cheap, and nearly always so
			continue
		}
		if _, _, err := parseHead(head); err == nil {
			return true
		}
	}
}

// advance goes one byte on in search of a record; false: nothing is left.
func (s *search) advance() bool {
	if len(s.peek(1)) == 0 {
		return false
	}
	s.skip(1)
	s.budget += budgetRate
	return true
}

// spend says whether the budget has room for bytes, and takes them from it.
func (s *search) spend(n int) bool {
	if s.budget < int64(n) {
		return false
	}
	s.budget -= int64(n)
	return true
}

// skip goes on by bytes that were peeked at.
func (s *search) skip(n int) {
	n, _ = s.r.Discard(n) // they are in the window
	s.offset += int64(n)
}

// peek gives the next n bytes, or as many as are left.
func (s *search) peek(n int) []byte {
	b, err := s.r.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.fault = err
	}
	return b
}

// failed is why nothing is left.
func (s *search) failed() error {
	if s.fault != nil {
		return fmt.Errorf("salvage call file at byte %d: %w", s.offset, s.fault)
	}
	return io.EOF
}
