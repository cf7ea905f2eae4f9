package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// What a folder is searched for, by the ends of names.
const (
	extCall     = ".lkc"
	extManifest = ".jws"    // the end entry of the call of that name
	extLedger   = ".ledger" // entries, one a line
)

// Paths verifies call files and folders. A folder is searched with all below it, but for links, for call files (.lkc),
// ledger files (.ledger: one entry a line), manifests (CALL.jws) and recorders' certificates (.crt, .pem), which are
// believed where headquarters' authority has signed them and else only used (CodeSignerUnknown). Of a call file the same
// is looked for beside it. The error is of a path that cannot be searched, or is neither a folder nor a call file.
func Paths(ctx context.Context, paths []string, o Options) (Report, error) {
	report := newReport()
	for _, path := range paths {
		f := newFolder(o.Trust, report)
		if err := f.search(path); err != nil {
			return *report, fmt.Errorf("verify %s: %w", path, err)
		}
		if err := check(ctx, f, o, report); err != nil {
			return *report, err
		}
	}
	return *report, nil
}

// folder is the Source of files.
type folder struct {
	trust   *Trust
	report  *Report
	beside  map[call.DeviceID]ed25519.PublicKey // keys that nobody confirms
	calls   map[call.ID]*callFile
	ledgers map[Ledger][]place
	signed  []signed // manifests and, for one call file, what a ledger file says of it
	texts   []string // ledger files and manifests
}

type callFile struct {
	path   string
	boot   string // in which it began, as its header says
	listed Listed
	opened bool
}

// place is where an entry stands.
type place struct {
	number uint64
	offset int64
	file   int32 // in texts
	size   int32
}

// signed is an entry that stands by itself.
type signed struct {
	entry call.Entry
	line  Line
	place place
	of    call.ID // the call that it is about; a correction names none: the one that it lies beside
}

func newFolder(trust *Trust, report *Report) *folder {
	if trust == nil {
		trust = &Trust{}
	}
	return &folder{trust: trust, report: report, beside: map[call.DeviceID]ed25519.PublicKey{},
		calls: map[call.ID]*callFile{}, ledgers: map[Ledger][]place{}}
}

// search fills the index.
func (f *folder) search(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		if err := f.searchFolder(path); err != nil {
			return err
		}
		if len(f.calls)+len(f.ledgers)+len(f.signed) == 0 && len(f.report.Findings) == 0 {
			return errors.New("it holds neither call files (.lkc) nor ledgers (.ledger)")
		}
		f.attach(f.ofLedger)
		f.withoutLedger(path)
	case strings.EqualFold(filepath.Ext(path), extCall):
		if err := f.searchBeside(path); err != nil {
			return err
		}
	default:
		return fmt.Errorf("neither a folder nor a call file (%s)", extCall)
	}
	for _, places := range f.ledgers {
		inNumber(places)
	}
	return nil
}

func inNumber(places []place) {
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.number, b.number) })
}

func (f *folder) searchFolder(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		switch strings.ToLower(filepath.Ext(path)) {
		case extCall:
			_, err := f.addCall(path)
			return err
		case extManifest:
			return f.addText(path, f.addSigned)
		case extLedger:
			return f.addText(path, f.addEntry)
		case ".crt", ".pem":
			return f.addCertificate(path)
		}
		return nil
	})
}

// searchBeside looks for what belongs to one call file, in its folder.
func (f *folder) searchBeside(path string) error {
	own, err := f.addCall(path)
	if err != nil || own == nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	manifest := strings.TrimSuffix(path, filepath.Ext(path)) + extManifest
	for _, d := range entries {
		near := filepath.Join(filepath.Dir(path), d.Name())
		switch ext := strings.ToLower(filepath.Ext(near)); {
		case !d.Type().IsRegular():
		case near == manifest:
			err = f.addText(near, func(e call.Entry, l Line, p place) {
				own.listed.Signed = append(own.listed.Signed, l) // of whatever call: the name says that it is this one's
			})
		case ext == extLedger:
			err = f.addText(near, func(e call.Entry, l Line, p place) {
				if (Ledger{e.Device, e.Epoch}) == own.listed.Ledger {
					f.addEntry(e, l, p)
				}
				if e.Call != nil && *e.Call == own.listed.Call || e.Type == call.EntryCorrection && e.Device == own.listed.Ledger.Device && e.Correction.BootID == own.boot {
					f.signed = append(f.signed, signed{e, l, p, own.listed.Call})
				}
			})
		case ext == ".crt" || ext == ".pem":
			err = f.addCertificate(near)
		}
		if err != nil {
			return err
		}
	}
	f.attach(func(signed) bool { return false })
	return f.chained(own.listed.Ledger)
}

// attach gives the entries that stand by themselves to their calls, or to a ledger that has taken them.
func (f *folder) attach(taken func(signed) bool) {
	slices.SortStableFunc(f.signed, func(a, b signed) int { return cmp.Compare(a.entry.Number, b.entry.Number) })
	for _, s := range f.signed {
		if taken(s) {
			continue
		}
		var c *callFile
		switch s.entry.Type {
		case call.EntryEnd, call.EntryAmendment, call.EntryCorrection:
			c = f.calls[s.of]
		}
		if c != nil && !slices.ContainsFunc(c.listed.Signed, func(l Line) bool { return bytes.Equal(l.JWS, s.line.JWS) }) {
			c.listed.Signed = append(c.listed.Signed, s.line)
		}
	}
	f.signed = nil
}

// withoutLedger says once what cannot be seen of calls that have nothing but their manifests.
func (f *folder) withoutLedger(path string) {
	for _, c := range f.calls {
		if len(c.listed.Signed) > 0 {
			f.report.add(Finding{Colour: Amber, Code: CodeExcerpt, File: path,
				Text: "there are manifests without their ledger: whether calls are missing between them cannot be seen"})
			return
		}
	}
}

// ofLedger puts a manifest among the entries of its ledger, where it is another entry or the same again.
func (f *folder) ofLedger(s signed) bool {
	l := Ledger{s.entry.Device, s.entry.Epoch}
	if _, ok := f.ledgers[l]; ok {
		f.ledgers[l] = append(f.ledgers[l], s.place)
		return true
	}
	return false
}

func (f *folder) addEntry(e call.Entry, _ Line, p place) {
	l := Ledger{e.Device, e.Epoch}
	if before := f.ledgers[l]; len(before) > 0 {
		if last := before[len(before)-1]; last.file == p.file && last.number > p.number {
			f.report.add(Finding{Colour: Amber, Code: CodeDisorder, File: f.texts[p.file], Offset: &p.offset,
				Device: e.Device, Epoch: &e.Epoch, Entry: e.Number,
				Text: fmt.Sprintf("entry %d stands behind entry %d: somebody has edited this file", e.Number, last.number)})
		}
	}
	f.ledgers[l] = append(f.ledgers[l], p)
}

func (f *folder) addSigned(e call.Entry, l Line, p place) {
	of, _ := named(l.File) // or of no call
	if e.Call != nil {
		of = *e.Call
	}
	f.signed = append(f.signed, signed{e, l, p, of})
}

// named is the call whose ID a file has for its name.
func named(path string) (call.ID, error) {
	return call.ParseID(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

// addText indexes a ledger file.
func (f *folder) addText(path string, take func(call.Entry, Line, place)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	index := int32(len(f.texts))
	f.texts = append(f.texts, path)
	for line, err := range ledger.Lines(file) {
		if err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return err
		}
		var e call.Entry
		if err == nil {
			e, err = ledger.Parse(line.JWS)
		}
		if err != nil {
			f.report.add(Finding{Colour: Red, Code: CodeNotAnEntry, File: path, Offset: &line.Offset,
				Text: fmt.Sprintf("this line is no entry of a ledger, or was altered: %v", err)})
			continue
		}
		take(e, Line{JWS: line.JWS, File: path, Offset: line.Offset},
			place{number: e.Number, offset: line.Offset, file: index, size: int32(len(line.JWS))})
	}
	return nil
}

// addCall indexes a call file by what its header says; nil: it is none, which is noted.
func (f *folder) addCall(path string) (*callFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	h, _, _ := seal.NewReader(file).Unlock(nil) // without keys that is an error; what is wrong with the file will show
	if err := file.Close(); err != nil {
		return nil, err
	}
	if _, err := call.ParseDeviceID(string(h.Device)); err != nil {
		h.Device = "" // anybody's word; what is shown to a person must not be
	}
	name, notAName := named(path)
	c := &callFile{path: path, boot: h.Anchor.BootID, listed: Listed{Call: h.Call, Ledger: Ledger{h.Device, h.Epoch}, Number: h.Number}}
	at := Finding{Colour: Red, File: path, Call: &c.listed.Call}
	switch {
	case h.Call.IsZero() && notAName != nil:
		at.Code, at.Call, at.Text = CodeAltered, nil, "this is not a call file, or its header was altered"
		f.report.add(at)
		return nil, nil
	case h.Call.IsZero():
		c.listed.Call = name
	case notAName == nil && name != h.Call:
		at.Code, at.Text = CodeCallForeign, fmt.Sprintf("the file is named as call %s and holds another call", name)
		f.report.add(at)
	}
	other := f.calls[c.listed.Call]
	if other == nil {
		f.calls[c.listed.Call] = c
		return c, nil
	}
	same, err := sameBytes(path, other.path)
	if err == nil && !same {
		at.Code, at.Text = CodeCallTwice, fmt.Sprintf("there is another file of this call, %s: one of the two is false", other.path)
		f.report.add(at)
	}
	return other, err
}

func sameBytes(a, b string) (bool, error) {
	x, err := hashFile(a)
	if err != nil {
		return false, err
	}
	y, err := hashFile(b)
	return x == y, err
}

func hashFile(path string) (sum [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return [sha256.Size]byte(hash.Sum(nil)), err
}

// maxCertificate is more than any certificate has, in bytes.
const maxCertificate = 64 << 10

func (f *folder) addCertificate(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxCertificate))
	if err != nil {
		return err
	}
	own := Trust{keys: map[call.DeviceID]ed25519.PublicKey{}}
	device, key, err := own.read(text)
	if err != nil {
		return nil // another kind of certificate, or a key: not for us
	}
	if f.trust.authority == nil {
		if _, ok := f.beside[device]; !ok {
			f.beside[device] = key
		}
		return nil
	}
	if _, _, err := f.trust.read(text); err != nil {
		f.report.add(Finding{Colour: Red, Code: CodeWrongSigner, File: path, Device: device, Text: err.Error()})
		return nil
	}
	if f.trust.keys[device] == nil {
		return f.trust.Add(text)
	}
	return nil
}
