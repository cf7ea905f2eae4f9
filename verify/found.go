package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// found is what a call file is.
type found struct {
	seal.Contents
	size   int64  // of the whole file
	sha256 string // of the whole file, whatever it holds
	err    error  // seal.Verify's; nil: it is a whole call file
	read   error  // it could not be read to its end
}

// readCall reads a file to its end, behind damage too: for its hash.
func readCall(r io.Reader, keys seal.Keys) (f found) {
	in := &reading{r: r}
	hash := sha256.New()
	all := io.TeeReader(in, hash)
	f.Contents, f.err = seal.Verify(all, keys)
	_, _ = io.Copy(io.Discard, all) // in.err has it
	f.size, f.read = in.size, in.err
	f.sha256 = hex.EncodeToString(hash.Sum(nil))
	return f
}

// reading counts, and remembers an error that is not the end.
type reading struct {
	r    io.Reader
	size int64
	err  error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// place is where the file is wrong, as far as it shows.
func (f found) place(at Finding) Finding {
	var corrupt *seal.CorruptError
	var cut *seal.TruncatedError
	record := f.Records
	switch {
	case errors.As(f.err, &corrupt):
		at.Record, at.Offset = &record, &corrupt.Offset
	case errors.As(f.err, &cut):
		at.Record, at.Offset = &record, &cut.Offset
	}
	return at
}

// reason is what is wrong with the file by itself.
func (f found) reason() string {
	var corrupt *seal.CorruptError
	if errors.As(f.err, &corrupt) {
		return corrupt.Reason
	}
	return f.err.Error()
}

func (f found) truncated() bool {
	var cut *seal.TruncatedError
	return errors.As(f.err, &cut)
}

func (f found) noKey() bool {
	var noKey *seal.NoKeyError
	return errors.As(f.err, &noKey)
}

// whole says whether the records are those of a whole call file.
func (f found) whole() bool { return f.err == nil || f.noKey() }

// beheaded says whether a hole took the header, without which nothing of the file can be read, or the end.
func (f found) beheaded() bool { return f.Records == 0 || f.truncated() && len(f.Holes) > 0 }

// is says whether the file is the one that was signed for.
func (f found) is(size int64, sha256 string) bool { return f.size == size && f.sha256 == sha256 }

// judgeAlone says what a file is of which nothing signed speaks. It is never green.
func (r *Report) judgeAlone(f found, at Finding) {
	at.Colour, at.Code = Amber, CodeNoManifest
	switch {
	case f.read != nil:
		at.Colour, at.Code = Red, CodeUnreadable
		at.Text = fmt.Sprintf("the file cannot be read: %v", f.read)
	case errors.Is(f.err, seal.ErrVersion):
		at.Code = CodeVersion
		at.Text = "a newer program wrote this file: verify it with that"
	case f.truncated():
		at = f.place(at)
		at.Code = CodeIncomplete
		at.Text = "the file stops before its end, and nothing signed speaks of it: the call goes on, was cut short, or has not arrived as a whole"
	case !f.whole():
		at = f.place(at)
		at.Colour, at.Code = Red, CodeAltered
		at.Text = fmt.Sprintf("this is not what was recorded: %s", f.reason())
	default:
		at.Text = "the call file is whole, and nothing signed says that it is the one which was recorded: put its manifest beside it (CALL.jws, or the recorder's ledger)"
	}
	r.add(at)
	if f.whole() {
		r.remarks(f, nil, f.Holes, at)
	}
}

// remarks are what is amber about a file that is what it should be.
func (r *Report) remarks(f found, m *call.Manifest, holes []call.Hole, at Finding) {
	at.Colour, at.Record, at.Offset = Amber, nil, nil
	recovered, gaps, rate := f.End.Recovered, f.End.Gaps, f.Header.Rate
	if m != nil {
		recovered, gaps, rate = m.Recovered, m.Gaps, m.Rate
	}
	if recovered {
		at.Code, at.Text = CodePowerCut, "the recorder was cut short during the call: it ends with what was stored"
		r.add(at)
	}
	if len(gaps) > 0 {
		var frames int64
		for _, g := range gaps {
			frames += g.Frames
		}
		at.Code = CodeGap
		at.Text = fmt.Sprintf("%.1f s of the call were not recorded, at %d places, first at %.1f s (%q)",
			seconds(frames, rate), len(gaps), seconds(gaps[0].Position, rate), gaps[0].Cause)
		r.add(at)
	}
	for _, h := range holes {
		hole := at
		hole.Code, hole.Record, hole.Offset = CodeHole, &h.Record, &h.Offset
		hole.Text = "one record was damaged on the recorder's card"
		if h.Records > 1 {
			hole.Text = fmt.Sprintf("%d records were damaged on the recorder's card", h.Records)
		}
		r.add(hole)
	}
	if f.noKey() {
		at.Code, at.Text = CodeNoKey, "the key given does not open this call, so its records were not tried: give the key that was headquarters' when it was recorded"
		r.add(at)
	}
}

func seconds(frames int64, rate int) float64 { return float64(frames) / float64(max(rate, 1)) }
