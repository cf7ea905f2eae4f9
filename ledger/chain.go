package ledger

import (
	"crypto/ed25519"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// maxBreaks bounds what a Chain keeps of places that are not accounted for.
const maxBreaks = 4096

// Link is the place of an entry in the chain: what the next one has to follow.
type Link struct {
	Device call.DeviceID
	Epoch  call.Epoch
	Number uint64 // 0: the beginning of the epoch, which entry 1 follows
	Hash   string // of the entry's JWS; empty at number 0
}

// LinkOf is the place of an entry.
func LinkOf(e call.SignedEntry) Link {
	return Link{Device: e.Device, Epoch: e.Epoch, Number: e.Number, Hash: Hash(e.JWS)}
}

// ChainError says that an entry does not follow the one before it.
type ChainError struct {
	Number uint64 // of the entry
	Reason string
}

func (e *ChainError) Error() string { return fmt.Sprintf("ledger entry %d: %s", e.Number, e.Reason) }

// Break is a place where a chain is broken: what stands before an entry is missing, or is not what the entry names.
type Break struct {
	Number uint64 // of the entry behind it

	// First to Last are the entries that are not there; or, where Replaced is true, the one entry that is there and is
	// another than Number names.
	First, Last uint64
	Replaced    bool
}

func (b Break) reason() string {
	if b.Replaced {
		return fmt.Sprintf("names another entry %d than the one before it", b.Last)
	}
	return fmt.Sprintf("follows entry %d", b.First-1)
}

// Chain follows the ledger of one epoch entry by entry, and keeps only where it stands: a ledger may be as long as it
// likes. It is not safe for concurrent use.
//
// A place where numbers are missing, or where an entry is not the one that the next names, is a break. It may be honest:
// entries that were damaged on the card are gone, and those behind them name hashes that nobody has. So a break is kept
// until a lost entry, which comes later by its nature, covers the entries it is about. Breaks that are left at the end are
// what nobody has accounted for.
type Chain struct {
	pub    ed25519.PublicKey
	last   *Link
	breaks []Break
}

// NewChain begins behind an entry; nil begins anywhere, with the first entry that is added. Pub is the device's key; nil
// looks at no signature, which is for the recorder's own ring.
func NewChain(after *Link, pub ed25519.PublicKey) *Chain {
	c := &Chain{pub: pub}
	if after != nil {
		link := *after
		c.last = &link
	}
	return c
}

// Last is where the chain stands: behind the last entry that was added; false where there is none.
func (c *Chain) Last() (Link, bool) {
	if c.last == nil {
		return Link{}, false
	}
	return *c.last, true
}

// Breaks are the breaks so far that no lost entry covers, or what is left of them, in order. The slice is the caller's.
func (c *Chain) Breaks() []Break { return append([]Break(nil), c.breaks...) }

// Add takes the next entry. An entry of wrong form or signature (Parse, Verify), or one that stands at no place behind
// the last one (*ChainError), is not taken, and the chain stays where it was. A break is no error here. The entry keeps
// jws.
func (c *Chain) Add(jws []byte) (call.SignedEntry, error) {
	e, err := c.read(jws)
	if err != nil {
		return call.SignedEntry{}, err
	}
	if c.last != nil {
		if err := c.follow(e); err != nil {
			return call.SignedEntry{}, err
		}
	}
	if e.Type == call.EntryLost {
		c.excuse(*e.Lost)
	}
	signed := call.SignedEntry{Entry: e, JWS: jws}
	link := LinkOf(signed)
	c.last = &link
	return signed, nil
}

func (c *Chain) read(jws []byte) (call.Entry, error) {
	if c.pub == nil {
		return Parse(jws)
	}
	return Verify(jws, c.pub)
}

func (c *Chain) follow(e call.Entry) error {
	l := c.last
	switch {
	case e.Device != l.Device:
		return &ChainError{e.Number, fmt.Sprintf("of device %s among those of %s", e.Device, l.Device)}
	case e.Epoch != l.Epoch:
		return &ChainError{e.Number, fmt.Sprintf("of epoch %s among those of %s", e.Epoch, l.Epoch)}
	case e.Number <= l.Number:
		return &ChainError{e.Number, fmt.Sprintf("follows entry %d", l.Number)}
	case e.Number == l.Number+1 && e.Previous == l.Hash:
		return nil
	case len(c.breaks) >= maxBreaks:
		return &ChainError{e.Number, fmt.Sprintf("the chain is broken at more than %d places before it", maxBreaks)}
	case e.Number == l.Number+1:
		c.breaks = append(c.breaks, Break{Number: e.Number, First: l.Number, Last: l.Number, Replaced: true})
	default:
		c.breaks = append(c.breaks, Break{Number: e.Number, First: l.Number + 1, Last: e.Number - 1})
	}
	return nil
}

// excuse takes away from the breaks what a lost entry covers.
func (c *Chain) excuse(lost call.Lost) {
	var left []Break
	for _, b := range c.breaks {
		if lost.Last < b.First || b.Last < lost.First {
			left = append(left, b)
			continue
		}
		before, after := b, b
		if before.Last = lost.First - 1; before.First <= before.Last {
			left = append(left, before)
		}
		if after.First = lost.Last + 1; after.First <= after.Last {
			left = append(left, after)
		}
	}
	c.breaks = left
}

// Check reads a run of entries and checks that each follows the one before: same device and epoch, next number, and the
// right hash; or that a lost entry of the run accounts for what is missing before it. After is what the first must
// follow; nil takes the run from anywhere. Pub is the device's key; nil looks at no signature.
//
// The entries before the first that is wrong are returned in every case; the error is *ChainError where one does not
// follow, and as of Verify and Parse where it is wrong by itself. A sender that cuts its runs where a number is missing
// never needs the lost entry to be in the same run: a receiver keeps the runs, and a Chain over all of them tells.
func Check(after *Link, pub ed25519.PublicKey, run ...[]byte) ([]call.SignedEntry, error) {
	entries := make([]call.SignedEntry, 0, len(run))
	chain := NewChain(after, pub)
	var wrong error
	for i, jws := range run {
		e, err := chain.Add(jws)
		if err != nil {
			wrong = fmt.Errorf("entry %d of %d: %w", i+1, len(run), err)
			break
		}
		entries = append(entries, e)
	}
	if len(chain.breaks) == 0 {
		return entries, wrong
	}
	first := chain.breaks[0]
	for i, e := range entries {
		if e.Number == first.Number {
			entries = entries[:i]
			break
		}
	}
	return entries, &ChainError{Number: first.Number, Reason: first.reason()}
}
