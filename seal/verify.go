package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// maxMarks bounds what Verify keeps of a file: a day of dialling makes fewer.
const maxMarks = 1 << 16

// Contents is what Verify found in a call file.
type Contents struct {
	Header  call.Header
	Marks   []call.Mark
	End     call.End // zero where the file is not whole
	Frames  int64    // that its chunks cover
	Records uint32
	Size    int64  // bytes of whole records
	SHA256  string // of the file, hex; empty where it is not whole
}

// Verify reads a call file to its end and checks that it is whole: the header first and once, the numbers gapless, the
// chunks adjoining each other, the end last and in agreement with what stands before it. The error is nil for a whole
// file, and otherwise as of Reader.Next; Contents then holds what was found before.
//
// In version 0 nothing keeps a file from being made up; that it is the one which the recorder meant is for its SHA-256
// and manifest to show.
func Verify(r io.Reader) (Contents, error) {
	hash := sha256.New()
	in := NewReader(io.TeeReader(r, hash))
	var c Contents
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			c.SHA256 = hex.EncodeToString(hash.Sum(nil))
			return c, nil
		}
		if err == nil {
			err = corrupt(in.start, c.take(rec))
		}
		if err != nil {
			c.End = call.End{}
			return c, fmt.Errorf("verify call file: %w", err)
		}
		c.Size = in.Offset()
	}
}

func (c *Contents) take(r Record) (err error) {
	if r.Number != c.Records {
		return fmt.Errorf("record %d follows %d records", r.Number, c.Records)
	}
	switch r.Kind {
	case call.KindHeader:
		if c.Records > 0 {
			return errors.New("a second header")
		}
		c.Header, err = r.header()
	case call.KindChunk:
		if r.Position != c.Frames {
			return fmt.Errorf("chunk at frame %d, those before it cover %d", r.Position, c.Frames)
		}
		c.Frames += int64(r.Frames)
	case call.KindMark:
		var m call.Mark
		if m, err = r.mark(); err == nil {
			c.Marks = append(c.Marks, m)
		}
		if len(c.Marks) > maxMarks {
			err = fmt.Errorf("more than %d marks", maxMarks)
		}
	case call.KindEnd:
		if c.End, err = r.end(); err == nil && c.End.Frames != c.Frames {
			err = fmt.Errorf("end after %d frames, the chunks cover %d", c.End.Frames, c.Frames)
		}
	}
	if err == nil {
		c.Records++
	}
	return err
}
