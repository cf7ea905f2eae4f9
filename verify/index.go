package verify

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// Ledgers implements Source.
func (f *folder) Ledgers(context.Context) iter.Seq2[Ledger, error] {
	return func(yield func(Ledger, error) bool) {
		for _, l := range slices.SortedFunc(maps.Keys(f.ledgers), func(a, b Ledger) int {
			return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Epoch, b.Epoch))
		}) {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// Entries implements Source.
func (f *folder) Entries(_ context.Context, l Ledger, from uint64) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var file *os.File
		defer func() {
			if file != nil {
				_ = file.Close() // only read
			}
		}()
		places := f.ledgers[l]
		at, _ := slices.BinarySearchFunc(places, from, func(p place, n uint64) int { return cmp.Compare(p.number, n) })
		for _, p := range places[at:] {
			path := f.texts[p.file]
			if file == nil || file.Name() != path {
				if file != nil {
					_ = file.Close()
				}
				var err error
				if file, err = os.Open(path); err != nil {
					yield(Line{}, err)
					return
				}
			}
			jws := make([]byte, p.size)
			if _, err := file.ReadAt(jws, p.offset); err != nil {
				yield(Line{}, fmt.Errorf("%s changed while it was read: %w", path, err))
				return
			}
			if !yield(Line{JWS: jws, File: path, Offset: p.offset}, nil) {
				return
			}
		}
	}
}

// chained says what is missing from a ledger that lies beside a call file, and forgets it: its other calls were not asked
// about. So a correction, or an amendment, that was taken away from it shows.
func (f *folder) chained(l Ledger) error {
	inNumber(f.ledgers[l])
	chain := ledger.NewChain(nil, nil) // without a key: nobody can forge what the next entry names, and what is used is checked there
	file := ""
	for line, err := range f.Entries(context.Background(), l, 1) {
		if err != nil {
			return err
		}
		file = line.File
		_, _ = chain.Add(line.JWS) // one that stands twice
	}
	delete(f.ledgers, l)
	for _, b := range chain.Breaks() {
		at := Finding{Colour: Red, Code: CodeEntryMissing, File: file, Device: l.Device, Epoch: &l.Epoch, Entry: b.First,
			Text: fmt.Sprintf("%s missing: somebody took away what they tell of", entries(b.First, b.Last))}
		if b.Replaced {
			at.Code, at.Text = CodeEntryReplaced, fmt.Sprintf("entry %d names another entry %d than the one that is here", b.Number, b.Last)
		}
		f.report.add(at)
	}
	return nil
}

// Key implements Source.
func (f *folder) Key(_ context.Context, device call.DeviceID) (ed25519.PublicKey, bool, error) {
	if key := f.trust.keys[device]; key != nil {
		return key, true, nil
	}
	return f.beside[device], false, nil
}

// Open implements Source.
func (f *folder) Open(_ context.Context, id call.ID) (File, error) {
	c := f.calls[id]
	if c == nil {
		return File{Due: DueHere}, nil
	}
	c.opened = true
	file, err := os.Open(c.path)
	if err != nil {
		return File{ReadCloser: io.NopCloser(failing{err}), Name: c.path, Due: DueHere}, nil
	}
	return File{ReadCloser: file, Name: c.path, Due: DueHere}, nil
}

// Files implements Source: it leaves out what was opened.
func (f *folder) Files(context.Context) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		for _, id := range slices.SortedFunc(maps.Keys(f.calls), func(a, b call.ID) int { return slices.Compare(a[:], b[:]) }) {
			if c := f.calls[id]; !c.opened && !yield(c.listed, nil) {
				return
			}
		}
	}
}

// failing is a file that cannot be opened.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
