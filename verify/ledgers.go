package verify

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// begin is the begin entry of a call that has not ended yet.
type begin struct {
	number uint64
	at     call.Anchor
}

// ledgerWalk goes over one ledger.
type ledgerWalk struct {
	*walk
	at     Ledger
	extent *extent
	chain  *ledger.Chain

	open     map[call.ID]begin
	suspects map[call.ID]*suspect
	rejected map[uint64]bool // numbers of entries that are there and are not the recorder's
	lost     bool            // entries were lost or are missing
	first    uint64          // number of the first entry that is here
}

func newLedgerWalk(w *walk, l Ledger, key ed25519.PublicKey) *ledgerWalk {
	e := &extent{key: key, beginless: map[call.ID]uint64{}, endless: map[call.ID]bool{}}
	w.ledgers[l] = e
	return &ledgerWalk{
		walk: w, at: l, extent: e,
		chain: ledger.NewChain(&ledger.Link{Device: l.Device, Epoch: l.Epoch}, key),
		open:  map[call.ID]begin{}, suspects: map[call.ID]*suspect{}, rejected: map[uint64]bool{},
	}
}

func (w *ledgerWalk) all(ctx context.Context) error {
	for line, err := range w.src.Entries(ctx, w.at, 1) {
		if err != nil {
			return fmt.Errorf("verify: read ledger of recorder %s, epoch %s: %w", w.at.Device, w.at.Epoch, err)
		}
		if err := w.line(ctx, line); err != nil {
			return err
		}
	}
	w.gaps()
	w.rest()
	return w.unfinished(ctx)
}

// finding is one about an entry of this ledger.
func (w *ledgerWalk) finding(colour Colour, code Code, number uint64, format string, args ...any) Finding {
	return Finding{Colour: colour, Code: code, Text: fmt.Sprintf(format, args...),
		Device: w.at.Device, Epoch: &w.at.Epoch, Entry: number}
}

func (w *ledgerWalk) line(ctx context.Context, line Line) error {
	before, _ := w.chain.Last()
	e, err := w.chain.Add(line.JWS)
	if err != nil {
		w.reject(line, err, before)
		return nil
	}
	w.report.Entries++
	w.extent.last = e.Number
	if w.first == 0 {
		w.first = e.Number
	}
	return w.entry(ctx, e.Entry)
}

// place is where a line stands, for a finding.
func (l Line) place() (string, *int64) {
	if l.File == "" {
		return "", nil
	}
	return l.File, &l.Offset
}

// reject speaks of an entry that the chain has not taken.
func (w *ledgerWalk) reject(line Line, err error, before ledger.Link) {
	code := formOf(err)
	e, bad := ledger.Parse(line.JWS)
	if code == CodeEntryTwice && bad == nil && e.Number == before.Number && ledger.Hash(line.JWS) == before.Hash {
		return // the same again
	}
	f := w.finding(Red, code, e.Number, "this is no entry of a ledger: %v", err)
	f.File, f.Offset = line.place()
	switch code {
	case CodeWrongSigner:
		f.Text = "the entry is not signed by its recorder: it was altered, or somebody else wrote it"
		if len(w.rejected) < maxKept {
			w.rejected[e.Number] = true
		}
	case CodeEntryTwice:
		f.Text = "there is another entry of this number: one of the two is false, or the recorder was cloned"
		if e.Number != before.Number {
			f.Code, f.Text = CodeEntryWrong, fmt.Sprintf("the entry stands where it cannot: %v", err)
		}
	}
	w.report.add(f)
}

// entry takes in what an entry says.
func (w *ledgerWalk) entry(ctx context.Context, e call.Entry) error {
	at := w.finding(Amber, "", e.Number, "")
	at.Call = e.Call
	switch e.Type {
	case call.EntryEpoch:
		w.epoch(e, at)
	case call.EntryBegin:
		if _, twice := w.open[*e.Call]; twice {
			at.Colour, at.Code, at.Text = Red, CodeEntryWrong, "a call begins that has begun"
			w.report.add(at)
		}
		w.open[*e.Call] = begin{e.Number, e.Anchor}
	case call.EntryEnd:
		return w.end(ctx, e, at)
	case call.EntryGap:
		at.Code, at.Text = CodeGap, fmt.Sprintf("audio of line %q was lost outside a call (%q)", e.Line, e.Gap.Cause)
		w.report.add(at)
	case call.EntryTombstone:
		at.Code, at.Text = CodeTombstone, fmt.Sprintf("the call was given up before it was delivered (%q)", e.Reason)
		w.report.add(at)
		w.givenUp(*e.Call)
	case call.EntryRefusal:
		w.givenUp(*e.Call)
	case call.EntryCorrection:
		w.clocks.correct(e)
	case call.EntryLost:
		w.lost = true
		at.Code, at.Text, at.Entry = CodeLost, fmt.Sprintf("%s lost: damaged on the recorder's card, as entry %d says", entries(e.Lost.First, e.Lost.Last), e.Number), e.Lost.First
		w.report.add(at)
	case call.EntryAmendment:
		if s := w.suspects[*e.Call]; s != nil && w.report.amend(s, e) {
			delete(w.suspects, *e.Call)
		}
	}
	return nil
}

func (w *ledgerWalk) epoch(e call.Entry, at Finding) {
	if e.Number != 1 {
		at.Colour, at.Code, at.Text = Red, CodeEntryWrong, "a ring begins in the middle of its ledger"
		w.report.add(at)
		return
	}
	w.extent.follows, w.extent.unlinked = e.LastEnd, e.LastEnd == nil
}

// end takes an end entry.
func (w *ledgerWalk) end(ctx context.Context, e call.Entry, at Finding) error {
	if _, ok := w.open[*e.Call]; !ok && len(w.extent.beginless) < maxKept {
		w.extent.beginless[*e.Call] = e.Number
	}
	delete(w.open, *e.Call)
	if w.suspects[*e.Call] != nil {
		return nil // it ends a second time, which is noted as being without a begin
	}
	w.clocks.begin(e.Manifest.Anchor, at, false)
	s, err := w.ended(ctx, e, at)
	if s != nil {
		w.suspects[*e.Call] = s
	}
	return err
}

// givenUp: of this call nothing need be here.
func (w *ledgerWalk) givenUp(id call.ID) {
	if _, ok := w.open[id]; ok {
		w.extent.endless[id] = true
		delete(w.open, id)
	}
	if s := w.suspects[id]; s != nil && s.missing {
		delete(w.suspects, id)
	}
}

// gaps speaks of what is missing from the ledger itself.
func (w *ledgerWalk) gaps() {
	for _, b := range w.chain.Breaks() {
		w.lost = true
		switch {
		case b.Replaced:
			w.report.add(w.finding(Red, CodeEntryReplaced, b.Last, "entry %d names another entry %d than the one that is here", b.Number, b.Last))
		case w.spokenOf(b):
		case b.Number == w.first:
			w.report.add(w.finding(Amber, CodeExcerpt, b.Number, "the ledger begins here with entry %d: what stood before cannot be seen; copy all of it", b.Number))
		default:
			w.report.add(w.finding(Red, CodeEntryMissing, b.First, "%s missing: somebody took away what they tell of", entries(b.First, b.Last)))
		}
	}
}

// entries names some, with their verb.
func entries(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d is", first)
	}
	return fmt.Sprintf("entries %d to %d are", first, last)
}

// spokenOf says whether all the entries of a break are there, and were rejected.
func (w *ledgerWalk) spokenOf(b ledger.Break) bool {
	for n := b.First; n <= b.Last; n++ {
		if !w.rejected[n] {
			return false
		}
	}
	return true
}

// rest speaks of what no later entry has accounted for.
func (w *ledgerWalk) rest() {
	for _, s := range inOrder(w.suspects, func(s *suspect) uint64 { return s.finding.Entry }) {
		w.report.add(w.suspects[s].finding)
	}
	if w.lost || len(w.rejected) > 0 {
		return // its begin may be among what is missing
	}
	for _, id := range inOrder(w.extent.beginless, func(n uint64) uint64 { return n }) {
		f := w.finding(Red, CodeEntryWrong, w.extent.beginless[id], "the call ends without having begun, or a second time")
		f.Call = &id
		w.report.add(f)
	}
}

// unfinished speaks of calls that have begun and not ended.
func (w *ledgerWalk) unfinished(ctx context.Context) error {
	for _, id := range inOrder(w.open, func(b begin) uint64 { return b.number }) {
		at := w.finding(Amber, CodeOpen, w.open[id].number, "the call has begun, and the ledger does not tell of its end: it goes on, or what came after has not arrived")
		at.Call = &id
		w.clocks.begin(w.open[id].at, at, false)
		file, err := w.src.Open(ctx, id)
		if err != nil {
			return fmt.Errorf("verify: open call %s: %w", id, err)
		}
		if file.ReadCloser == nil {
			w.report.add(at)
			continue
		}
		at.File = file.Name
		f, err := w.read(file)
		if err != nil {
			return err
		}
		if f.truncated() && f.read == nil {
			w.report.add(at)
			continue
		}
		w.report.judgeAlone(f, at)
	}
	return nil
}

// inOrder gives the calls of a map in the order of the ledger.
func inOrder[T any](m map[call.ID]T, number func(T) uint64) []call.ID {
	return slices.SortedFunc(maps.Keys(m), func(a, b call.ID) int {
		return cmp.Or(cmp.Compare(number(m[a]), number(m[b])), slices.Compare(a[:], b[:]))
	})
}
