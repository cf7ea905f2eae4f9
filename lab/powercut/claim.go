package powercut

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Claim is what a workload says it was promised: that a sync has returned, and what that sync made durable. Or it
// announces what it is about to do, which a cut may find done or not.
type Claim struct {
	// Heard is how far every line's audio had been given to the recorder before the sync, by the workload's clock.
	Heard   time.Duration `json:"heard,omitempty"`
	Calls   []CallClaim   `json:"calls,omitempty"`   // that grew
	Entries []EntryClaim  `json:"entries,omitempty"` // that are new

	Releasing *Release `json:"releasing,omitempty"` // announced: their receipts come next
	Released  *Release `json:"released,omitempty"`  // their receipts are synced
}

// CallClaim is how far a call is durable.
type CallClaim struct {
	Call   call.ID `json:"call"`
	Size   int64   `json:"size"`   // of its file, bytes
	SHA256 string  `json:"sha256"` // of so many bytes of the file
	Ended  bool    `json:"ended,omitempty"`
}

// EntryClaim is an entry that is durable.
type EntryClaim struct {
	Number uint64 `json:"number"`
	SHA256 string `json:"sha256"` // ledger.Hash
}

// Release is what headquarters has.
type Release struct {
	Calls []call.ID `json:"calls,omitempty"`
	Last  uint64    `json:"last,omitempty"` // all entries up to here; 0: none
}

// Teller hands claims to the harness.
type Teller struct {
	to     io.Writer
	answer *bufio.Reader
}

// NewTeller tells over a channel that goes both ways.
func NewTeller(to io.Writer, from io.Reader) *Teller {
	return &Teller{to: to, answer: bufio.NewReader(from)}
}

// Tell returns when the harness has noted the claim.
func (t *Teller) Tell(c Claim) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := t.to.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("tell the harness: %w", err)
	}
	if _, err := t.answer.ReadSlice('\n'); err != nil {
		return fmt.Errorf("wait for the harness: %w", err)
	}
	return nil
}

// Claims are all that a workload said, in order, each with the length of the log when it came.
type Claims struct {
	said []said
}

type said struct {
	Claim
	at uint64
}

// Listen takes claims until the workload's end, which may be sudden. Length gives the length of the log.
func Listen(from io.Reader, to io.Writer, length func() (uint64, error)) (*Claims, error) {
	c := &Claims{}
	in := json.NewDecoder(from)
	for {
		var s said
		err := in.Decode(&s.Claim)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("read claim %d: %w", len(c.said)+1, err)
		}
		if s.at, err = length(); err != nil {
			return c, err
		}
		c.said = append(c.said, s)
		if _, err := io.WriteString(to, "\n"); err != nil {
			return c, nil // it ended
		}
	}
}

// Len is how many claims there are.
func (c *Claims) Len() int { return len(c.said) }

// Truth is what the workload wrote, all in all: for what a card holds beyond what was promised.
type Truth struct {
	calls   map[call.ID][]CallClaim // growing
	entries map[uint64]string
}

// Truth of all that was said.
func (c *Claims) Truth() *Truth {
	t := &Truth{calls: make(map[call.ID][]CallClaim), entries: make(map[uint64]string)}
	for _, s := range c.said {
		for _, x := range s.Calls {
			t.calls[x.Call] = append(t.calls[x.Call], x)
		}
		for _, e := range s.Entries {
			t.entries[e.Number] = e.SHA256
		}
	}
	return t
}

// Promise is what a card must hold at some point.
type Promise struct {
	truth    *Truth
	heard    time.Duration
	calls    map[call.ID]CallClaim
	entry    uint64           // the last one
	released map[call.ID]bool // true: its receipt is synced; false: on its way
	accepted uint64           // entries whose receipt is synced
	perhaps  uint64           // or on its way
}

// Promises gives the promises at growing points of the log.
type Promises struct {
	claims *Claims
	next   int
	now    Promise
}

// Promises begins at the beginning, with a card that was new.
func (c *Claims) Promises() *Promises { return c.After(&Promise{truth: &Truth{}}) }

// After begins where a cut ended an earlier life of the card, with what had been promised by then.
func (c *Claims) After(p *Promise) *Promises {
	now := p.clone()
	now.truth = c.Truth()
	for id, promised := range p.calls { // what was written further on, the card need not have, and goes on otherwise
		before := slices.DeleteFunc(slices.Clone(p.truth.calls[id]), func(x CallClaim) bool { return x.Size > promised.Size })
		now.truth.calls[id] = append(before, now.truth.calls[id]...)
	}
	for n, sum := range p.truth.entries {
		if n <= p.entry {
			now.truth.entries[n] = sum
		}
	}
	return &Promises{claims: c, now: now}
}

func (p *Promise) clone() Promise {
	c := *p
	c.calls, c.released = make(map[call.ID]CallClaim), make(map[call.ID]bool)
	maps.Copy(c.calls, p.calls)
	maps.Copy(c.released, p.released)
	return c
}

// At is what had been promised when the log had n entries; n never falls. The promise is the caller's.
func (p *Promises) At(n uint64) *Promise {
	for ; p.next < len(p.claims.said) && p.claims.said[p.next].at <= n; p.next++ {
		p.now.take(p.claims.said[p.next].Claim)
	}
	now := p.now.clone()
	return &now
}

func (p *Promise) take(c Claim) {
	p.heard = max(p.heard, c.Heard)
	for _, x := range c.Calls {
		p.calls[x.Call] = x
	}
	for _, e := range c.Entries {
		p.entry = max(p.entry, e.Number)
	}
	if r := c.Releasing; r != nil {
		p.perhaps = max(p.perhaps, r.Last)
		for _, id := range r.Calls {
			p.released[id] = false
		}
	}
	if r := c.Released; r != nil {
		p.accepted = max(p.accepted, r.Last)
		for _, id := range r.Calls {
			p.released[id] = true
			delete(p.calls, id)
		}
	}
}
