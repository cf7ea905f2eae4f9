package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Line is a line of a ledger file.
type Line struct {
	JWS    []byte
	Offset int64 // in the file, bytes
}

// Lines gives the entries of a ledger file (.ledger), in which each JWS is a line, in order: for Chain, Verify or Parse,
// which check them. It needs memory for one entry, however long the file is. A Line is the caller's. A file that cannot
// be read, or has a line longer than an entry can be (bufio.ErrTooLong), ends with an error.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var next int64 // offset behind the last line
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, MaxEntry+2)
		lines.Split(func(data []byte, end bool) (int, []byte, error) {
			n, line, err := bufio.ScanLines(data, end)
			next += int64(n)
			return n, line, err
		})
		for offset := int64(0); lines.Scan(); offset = next {
			if !yield(Line{bytes.Clone(lines.Bytes()), offset}, nil) {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(Line{Offset: next}, fmt.Errorf("read ledger file: the line at byte %d is longer than %d bytes: this is no ledger file: %w", next, MaxEntry, err))
		} else if err != nil {
			yield(Line{Offset: next}, fmt.Errorf("read ledger file at byte %d: %w", next, err))
		}
	}
}
