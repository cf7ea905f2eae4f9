package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Lines gives the entries of a ledger file (.ledger), in which each JWS is a line, in order: for Chain, Verify or Parse,
// which check them. It needs memory for one entry, however long the file is. Each slice is the caller's. A file that cannot
// be read, or has a line longer than an entry can be, ends with an error.
func Lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, MaxEntry+2)
		n := 0
		for lines.Scan() {
			n++
			if !yield(bytes.Clone(lines.Bytes()), nil) {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(nil, fmt.Errorf("read ledger file: line %d is longer than %d bytes: this is no ledger file", n+1, MaxEntry))
		} else if err != nil {
			yield(nil, fmt.Errorf("read ledger file, line %d: %w", n+1, err))
		}
	}
}
