package verify

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// maxKept bounds what is remembered of a ledger's faults.
const maxKept = 1 << 16

// Options are how to look.
type Options struct {
	Keys  seal.Keys // to open calls with, and so check every record's tag; nil: they are checked as they stand
	Trust *Trust    // nil: nobody; not looked at where the Source knows the keys
}

// Check goes over all ledgers and call files of a Source. The error is of the Source; what is found wrong is in the
// report.
func Check(ctx context.Context, src Source, o Options) (Report, error) {
	report := newReport()
	err := check(ctx, src, o, report)
	return *report, err
}

func check(ctx context.Context, src Source, o Options, to *Report) error {
	w := &walk{src: src, keys: o.Keys, report: to, ledgers: map[Ledger]*extent{}, asked: map[call.DeviceID]bool{},
		clocks: clocks{corrections: map[boot]call.Entry{}}}
	if err := w.all(ctx); err != nil {
		return err
	}
	w.clocks.tell(to)
	return nil
}

// walk is a Check under way.
type walk struct {
	src     Source
	keys    seal.Keys
	report  *Report
	ledgers map[Ledger]*extent
	order   []Ledger
	asked   map[call.DeviceID]bool
	clocks  clocks
}

// extent is what is remembered of a ledger that was gone over.
type extent struct {
	key       ed25519.PublicKey
	last      uint64
	follows   *call.Seq          // what its first entry names
	unlinked  bool               // its first entry names nothing
	beginless map[call.ID]uint64 // calls that end without a begin, and in which entry
	endless   map[call.ID]bool   // calls that were given up before they ended
}

func (w *walk) all(ctx context.Context) error {
	for l, err := range w.src.Ledgers(ctx) {
		if err != nil {
			return fmt.Errorf("verify: list ledgers: %w", err)
		}
		key, err := w.key(ctx, l)
		if err != nil {
			return err
		}
		w.order = append(w.order, l)
		if err := newLedgerWalk(w, l, key).all(ctx); err != nil {
			return err
		}
	}
	w.links()
	for f, err := range w.src.Files(ctx) {
		if err == nil {
			err = w.file(ctx, f)
		}
		if err != nil {
			return fmt.Errorf("verify: list call files: %w", err)
		}
	}
	return nil
}

// key gives the key of a ledger's recorder, and says once for each where it is not certain.
func (w *walk) key(ctx context.Context, l Ledger) (ed25519.PublicKey, error) {
	key, confirmed, err := w.src.Key(ctx, l.Device)
	if err != nil {
		return nil, fmt.Errorf("verify: look up key of recorder %s: %w", l.Device, err)
	}
	if w.asked[l.Device] || confirmed {
		return key, nil
	}
	w.asked[l.Device] = true
	text := fmt.Sprintf("nobody says what the key of recorder %s is, so its signatures were not checked: give its certificate", l.Device)
	if key != nil {
		text = fmt.Sprintf("the key of recorder %s lies beside what it has signed, and nobody confirms it: give the certificate of headquarters' authority", l.Device)
	}
	w.report.add(Finding{Colour: Amber, Code: CodeSignerUnknown, Text: text, Device: l.Device})
	return key, nil
}

// links looks at how the ledgers of a recorder follow each other.
func (w *walk) links() {
	unlinked := map[call.DeviceID]int{}
	for _, l := range w.order {
		e := w.ledgers[l]
		at := Finding{Device: l.Device, Epoch: &l.Epoch, Entry: 1}
		if e.unlinked {
			if unlinked[l.Device]++; unlinked[l.Device] > 1 {
				at.Colour, at.Code = Amber, CodeExcerpt
				at.Text = "this ring does not know which one was before it: whether another one was between cannot be seen"
				w.report.add(at)
			}
		}
		if e.follows == nil {
			continue
		}
		before, ok := w.ledgers[Ledger{l.Device, e.follows.Epoch}]
		switch {
		case !ok:
			at.Colour, at.Code = Amber, CodeExcerpt
			at.Text = fmt.Sprintf("the ledger before this one, of epoch %s with entries to %d, is not here", e.follows.Epoch, e.follows.Number)
		case before.last < e.follows.Number:
			at.Colour, at.Code, at.Epoch, at.Entry = Red, CodeEntryMissing, &e.follows.Epoch, before.last+1
			at.Text = fmt.Sprintf("%s missing: the next ring's first entry names the last", entries(before.last+1, e.follows.Number))
		default:
			continue
		}
		w.report.add(at)
	}
}

// file looks for the begin entry of a call of which there is a file. Where it stands, the ledger has led to the file
// already, but where the call was given up.
func (w *walk) file(ctx context.Context, f Listed) error {
	at := Finding{Call: &f.Call}
	if f.Ledger.Device != "" { // its header could be read
		at.Device, at.Epoch, at.Entry = f.Ledger.Device, &f.Ledger.Epoch, f.Number
	}
	known := w.ledgers[f.Ledger]
	switch {
	case known == nil || f.Number == 0 || f.Number > known.last:
		return w.loneFile(ctx, f, at)
	case known.beginless[f.Call] > 0:
		return nil
	}
	e, err := w.entry(ctx, f, known.key)
	switch {
	case err != nil:
		return err
	case e == nil:
		return w.loneFile(ctx, f, at)
	case e.Type == call.EntryBegin && *e.Call == f.Call:
		if known.endless[f.Call] {
			return w.loneFile(ctx, f, at)
		}
		return nil
	}
	file, err := w.src.Open(ctx, f.Call)
	if err != nil {
		return err
	}
	at.File = file.Name
	at.Colour, at.Code = Red, CodeCallForeign
	at.Text = fmt.Sprintf("the file claims that entry %d is its begin, and that is another (%s): the recorder did not record this call", f.Number, e.Type)
	w.report.add(at)
	return file.shut()
}

// entry gives the entry that a file names as its begin; nil: it is not there, or not signed.
func (w *walk) entry(ctx context.Context, f Listed, key ed25519.PublicKey) (*call.Entry, error) {
	for line, err := range w.src.Entries(ctx, f.Ledger, f.Number) {
		if err != nil {
			return nil, err
		}
		e, err := readEntry(line.JWS, key)
		if err != nil {
			continue
		}
		if e.Number != f.Number {
			return nil, nil
		}
		return &e, nil
	}
	return nil, nil
}

func readEntry(jws []byte, key ed25519.PublicKey) (call.Entry, error) {
	if key == nil {
		return ledger.Parse(jws)
	}
	return ledger.Verify(jws, key)
}

// loneFile looks at a file that no ledger leads to.
func (w *walk) loneFile(ctx context.Context, f Listed, at Finding) error {
	file, err := w.src.Open(ctx, f.Call)
	if err != nil {
		return err
	}
	if file.ReadCloser == nil {
		return nil // only just gone
	}
	at.File = file.Name
	found, err := w.read(file)
	if err != nil {
		return err
	}
	if len(f.Signed) == 0 {
		w.report.judgeAlone(found, at)
		return nil
	}
	return w.byItself(ctx, found, f, at)
}

// byItself holds a file against the entries that stand by themselves: of its call, and of the clock by which it began.
func (w *walk) byItself(ctx context.Context, found found, f Listed, at Finding) error {
	var s *suspect
	var end *call.Entry
	var corrections []Line
	for _, line := range f.Signed {
		if e, err := ledger.Parse(line.JWS); err == nil && e.Type == call.EntryCorrection {
			corrections = append(corrections, line)
			continue
		}
		e, wrong, err := w.standing(ctx, line, at)
		if err != nil {
			return err
		}
		at.Device, at.Epoch, at.Entry = wrong.Device, wrong.Epoch, wrong.Entry
		switch {
		case e == nil:
			wrong.Text = fmt.Sprintf("this is not the manifest of the call: %s", wrong.Text)
		case e.Call == nil || *e.Call != f.Call:
			wrong.Code, wrong.Text = CodeCallForeign, "the manifest is of another call"
		case (e.Type == call.EntryEnd) != (end == nil):
			wrong.Code, wrong.Text = CodeEntryWrong, "this is not the end entry of the call, or a second one"
		case end == nil:
			w.report.Entries++
			end, s = e, w.report.compare(found, DueHere, *e.Manifest, *e, at)
			w.clocks.begin(e.Manifest.Anchor, at, true)
			continue
		default:
			w.report.Entries++
			if s != nil && e.Type == call.EntryAmendment && w.report.amend(s, *e) {
				s = nil
			}
			continue
		}
		w.report.add(wrong)
		if end == nil {
			return nil
		}
	}
	if s != nil {
		w.report.add(s.finding)
	}
	return w.corrected(ctx, corrections, end, at)
}

// standing reads an entry that stands by itself; nil: it is none, or not signed by its recorder. The finding, which is
// red, is for whoever takes it for wrong.
func (w *walk) standing(ctx context.Context, line Line, at Finding) (*call.Entry, Finding, error) {
	at.File, at.Offset = line.place()
	at.Colour, at.Code = Red, CodeNotAnEntry
	e, err := ledger.Parse(line.JWS)
	if err == nil {
		at.Device, at.Epoch, at.Entry = e.Device, &e.Epoch, e.Number
		key, failed := w.key(ctx, Ledger{e.Device, e.Epoch})
		if failed != nil {
			return nil, at, failed
		}
		e, err = readEntry(line.JWS, key)
	}
	if err != nil {
		at.Code, at.Text = formOf(err), err.Error()
		return nil, at, nil
	}
	return &e, at, nil
}

// corrected takes the corrections that stand beside the end entry of a call.
func (w *walk) corrected(ctx context.Context, lines []Line, end *call.Entry, at Finding) error {
	for _, line := range lines {
		e, wrong, err := w.standing(ctx, line, at)
		switch {
		case err != nil:
			return err
		case e == nil:
			wrong.Text = fmt.Sprintf("this does not correct the recorder's clock: %s", wrong.Text)
		case end == nil || e.Device != end.Device:
			wrong.Code, wrong.Text = CodeEntryWrong, "the correction is of another recorder's clock"
		case e.Correction.BootID != end.Manifest.Anchor.BootID:
			wrong.Code, wrong.Text = CodeEntryWrong, "the correction is of another boot than the one in which the call began"
		default:
			w.report.Entries++
			w.clocks.correct(*e)
			continue
		}
		w.report.add(wrong)
	}
	return nil
}

// read reads a call file to its end.
func (w *walk) read(file File) (found, error) {
	f := readCall(file, w.keys)
	w.report.Calls++
	return f, file.shut()
}

// formOf says which code an entry has that a chain has not taken.
func formOf(err error) Code {
	var chain *ledger.ChainError
	switch {
	case errors.Is(err, ledger.ErrSignature):
		return CodeWrongSigner
	case errors.As(err, &chain):
		return CodeEntryTwice
	}
	return CodeNotAnEntry
}
