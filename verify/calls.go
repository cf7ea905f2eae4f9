package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// suspect is a call that is not what its manifest says; later entries may say why.
type suspect struct {
	found   found
	finding Finding  // what stands if nothing does
	said    []string // SHA-256 of the file, as entries have said it so far
	missing bool     // no file, or a part of one
}

// ended compares a call file with its manifest. It gives nil where it is that file, and all has been said of it.
func (w *walk) ended(ctx context.Context, e call.Entry, at Finding) (*suspect, error) {
	file, err := w.src.Open(ctx, *e.Call)
	if err != nil {
		return nil, fmt.Errorf("verify: open call %s: %w", e.Call, err)
	}
	if file.ReadCloser == nil {
		return absent(file.Due, e.Manifest.SHA256, at), nil
	}
	at.File = file.Name
	f, err := w.read(file)
	if err != nil {
		return nil, err
	}
	return w.report.compare(f, file.Due, *e.Manifest, e, at), nil
}

func absent(due Due, sha256 string, at Finding) *suspect {
	at.Colour, at.Code = Red, CodeCallMissing
	at.Text = "the call was recorded, and its file is not here: somebody took it away, or did not copy it"
	switch due {
	case DueLater:
		at.Colour, at.Code = Amber, CodeIncomplete
		at.Text = "the call was recorded, and its file has not arrived"
	case DueWhole:
		at.Text = "headquarters gave its receipt for this call, and the file is gone: restore it from a backup; the recorder may have it still"
	}
	return &suspect{finding: at, said: []string{sha256}, missing: true}
}

// compare says how a file stands to its manifest.
func (r *Report) compare(f found, due Due, m call.Manifest, e call.Entry, at Finding) *suspect {
	if f.is(m.Size, m.SHA256) {
		r.intact(f, m, e, at)
		return nil
	}
	s := &suspect{found: f, said: []string{m.SHA256}}
	at.Colour = Red
	switch {
	case f.read != nil:
		at.Code, at.Text = CodeUnreadable, fmt.Sprintf("the file cannot be read: %v", f.read)
	case f.truncated() && f.size < m.Size:
		at = f.place(at)
		at.Code, s.missing = CodeIncomplete, true
		at.Text = fmt.Sprintf("%d of %d bytes of the call file are here", f.size, m.Size)
		if due != DueWhole {
			at.Colour = Amber
		}
	case f.whole():
		at.Code = CodeAltered
		at.Text = "the file is not the one that the recorder signed for: it was altered or replaced; with the call's key the record can be named"
		if f.Opened && f.err == nil {
			at.Text = "the file is not the one that the recorder signed for, though all its records are of one call: its end or a gap was altered, or all of it replaced"
		}
	default:
		at = f.place(at)
		at.Code, at.Text = CodeAltered, fmt.Sprintf("the file is not the one that the recorder signed for: %s", f.reason())
	}
	s.finding = at
	return s
}

// intact speaks of a file that is, to the byte, the one that was signed for.
func (r *Report) intact(f found, m call.Manifest, e call.Entry, at Finding) {
	h := f.Header
	switch {
	case errors.Is(f.err, seal.ErrVersion):
		at.Colour, at.Code = Amber, CodeVersion
		at.Text = "the file is the one that was signed for; a newer program wrote it, and what is in it is for that to check"
	case !f.whole() && f.beheaded():
		at = f.place(at)
		at.Colour, at.Code = Amber, CodeHole
		at.Text = "the file is the one that was signed for; its beginning or its end was damaged on the recorder's card before"
	case !f.whole():
		at = f.place(at)
		at.Colour, at.Code = Red, CodeAltered
		at.Text = fmt.Sprintf("the file is the one that was signed for, and that was damaged when it was signed: %s", f.reason())
	case f.Chain != m.Chain:
		at.Colour, at.Code, at.Text = Red, CodeAltered, "the chain over the file's records is not the one that was signed"
	case h.Call != *e.Call || h.Device != e.Device || h.Epoch != e.Epoch:
		at.Colour, at.Code = Red, CodeCallForeign
		at.Text = fmt.Sprintf("the manifest was signed for a file of another call, %s of recorder %s", h.Call, h.Device)
	default:
		r.remarks(f, &m, f.Holes, at)
		return
	}
	r.add(at)
}

// amend takes an amendment. It says whether that accounts for the call's file.
func (r *Report) amend(s *suspect, e call.Entry) bool {
	a, f := e.Amendment, s.found
	if !slices.Contains(s.said, a.Was) {
		at := s.finding
		at.Colour, at.Code, at.Entry = Red, CodeEntryWrong, e.Number
		at.Text = "the amendment is of another file than the recorder had signed for before"
		r.add(at)
	}
	s.said = append(s.said, a.SHA256)
	if s.missing || f.read != nil || !f.is(a.Size, a.SHA256) || f.whole() && f.Chain != a.Chain {
		return false
	}
	at := s.finding
	at.Entry = e.Number
	r.remarks(f, nil, a.Holes, at)
	return true
}
