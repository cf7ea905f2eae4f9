package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// Contents is what Verify found in a call file.
type Contents struct {
	Header  call.Header
	Opened  bool        // its bodies could be read: it was opened with a key, or is in clear
	Marks   []call.Mark // the first 65,536, gaps among them; of a sealed call that was not opened, gaps only
	Holes   []call.Hole // in order; those that adjoin are one
	End     call.End    // zero where the file is not whole
	Frames  int64       // that its chunks cover, and holes between them
	Records uint32      // those that holes stand for counted too
	Size    int64       // bytes of whole records
	SHA256  string      // of the file, hex; empty where it is not whole
	Chain   string      // over its records, hex; as far as Size
}

// Verify reads a call file to its end and checks that it is whole: the header first and once, the key behind it, the
// numbers gapless, the chunks adjoining each other, the end last and in agreement with what stands before it. With a key
// it opens every chunk and mark, so that none of them, nor the header, can have been altered, moved or taken from
// another call. Holes, which stand where the recorder's card was damaged, are listed and are no damage.
//
// The error is nil for a whole file. Where keys were given and none fits it is a *NoKeyError, the rest having been
// checked and found whole. Otherwise it is as of Reader.Next; Contents then holds what was found before.
//
// Without a key, and of the end and the gaps also with one, nothing here keeps a file from being made up: that it is the
// one which the recorder meant is for SHA256, or Chain, and the signed manifest to show.
func Verify(r io.Reader, keys Keys) (Contents, error) {
	hash := sha256.New()
	in := NewReader(io.TeeReader(r, hash))
	v := verifier{keys: keys}
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			v.SHA256 = hex.EncodeToString(hash.Sum(nil))
			return v.contents(), v.noKey
		}
		if err == nil {
			err = corrupt(in.start, v.take(rec, in.raw, in.start))
		}
		if err != nil {
			v.End = call.End{}
			return v.contents(), fmt.Errorf("verify call file: %w", err)
		}
		v.Size = in.Offset()
	}
}

// verifier is a Verify under way.
type verifier struct {
	Contents
	keys   Keys
	header [sha256.Size]byte
	opener *Opener // nil: bodies cannot be opened
	keyed  bool    // the key record was there, or a hole in its place
	noKey  error
	plain  []byte
	chain  chain
	marks  marks
	loose  bool // since a hole there was no chunk: it may have held some
}

func (v *verifier) contents() Contents {
	v.Marks = v.marks.kept
	if v.Records > 0 {
		v.Chain = hex.EncodeToString(v.chain[:])
	}
	return v.Contents
}

func (v *verifier) take(r Record, raw []byte, offset int64) error {
	if r.Number != v.Records {
		return fmt.Errorf("record %d follows %d records", r.Number, v.Records)
	}
	leaf := sha256.Sum256(raw)
	if err := v.kind(r, leaf, offset); err != nil {
		return err
	}
	v.chain.add(r.Number == 0, leaf)
	v.Records = r.next()
	return nil
}

func (v *verifier) kind(r Record, leaf [sha256.Size]byte, offset int64) (err error) {
	switch r.Kind {
	case call.KindHeader:
		v.header = leaf
		v.Header, err = r.header()
		if v.Header.Seal == call.SealNone {
			v.opener, v.keyed, v.Opened = &Opener{}, true, true
		}
		return err
	case call.KindKey:
		return v.key(r)
	case call.KindChunk, call.KindMark:
		return v.body(r)
	case call.KindGap:
		g, err := r.gap()
		if err == nil {
			v.marks.add(gapMark(g))
		}
		return err
	case call.KindHole:
		return v.hole(r, offset)
	}
	e, err := r.end()
	if err == nil && (e.Frames < v.Frames || e.Frames > v.Frames && !v.loose) {
		return fmt.Errorf("end after %d frames, the chunks cover %d", e.Frames, v.Frames)
	}
	v.End, v.Frames = e, e.Frames
	return err
}

func (v *verifier) key(r Record) (err error) {
	if v.Header.Seal == call.SealNone {
		return errors.New("a key in a call that is in clear")
	}
	v.keyed = true
	if len(v.keys) == 0 {
		return r.checkKey()
	}
	v.opener, err = v.keys.unlock(v.Header, v.header, r)
	v.Opened = err == nil
	var noKey *NoKeyError
	if errors.As(err, &noKey) {
		v.noKey = fmt.Errorf("verify call file: %w", err)
		return nil
	}
	return err
}

// body checks a chunk or mark, and opens it where that can be done.
func (v *verifier) body(r Record) (err error) {
	switch {
	case !v.keyed:
		return errors.New("sealed, and the key record is missing")
	case v.opener != nil:
		if v.plain, err = v.opener.Open(v.plain[:0], r); err != nil {
			return err
		}
	case len(r.Body) < Overhead:
		return fmt.Errorf("sealed body of %d bytes", len(r.Body))
	}
	if r.Kind == call.KindChunk {
		if r.Position < v.Frames || r.Position > v.Frames && !v.loose {
			return fmt.Errorf("chunk at frame %d, those before it cover %d", r.Position, v.Frames)
		}
		v.Frames, v.loose = r.Position+int64(r.Frames), false
		return nil
	}
	if v.opener == nil {
		return nil
	}
	r.Body = v.plain
	m, err := r.mark()
	if err == nil {
		v.marks.add(m)
	}
	return err
}

func (v *verifier) hole(r Record, offset int64) error {
	if err := r.hole(); err != nil {
		return err
	}
	v.loose = true
	v.keyed = v.keyed || r.Number == 1
	h := call.Hole{Record: r.Number, Records: r.Frames, Offset: offset, Size: HeadSize + int64(len(r.Body))}
	if last := len(v.Holes) - 1; last >= 0 && v.Holes[last].Record+v.Holes[last].Records == h.Record {
		v.Holes[last].Records += h.Records
		v.Holes[last].Size += h.Size
		return nil
	}
	v.Holes = append(v.Holes, h)
	if len(v.Holes) > maxHoles {
		return fmt.Errorf("more than %d holes", maxHoles)
	}
	return nil
}
