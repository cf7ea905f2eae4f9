// Package ledger numbers and chains what a recorder says of itself: each call's begin and end, and gaps, are entries
// whose numbers are gapless, so that a missing number is a missing entry.
//
//	l := ledger.New(state)  // where the ring's last entry left off
//	entry, err := l.Add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "front desk", Anchor: now}, store)
//
// An entry is the payload of a compact JWS (RFC 7515) and names the SHA-256 of the JWS before it. In version 0 the JWS
// is unsecured (alg "none", RFC 7515 appendix A.5): the chain shows what is missing or was swapped by accident, and
// proves nothing against somebody who writes it anew. docs/format-ledger.md describes it field by field.
//
// Whoever receives entries uses Parse for one, and Check for a run of them.
package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/linekeeper/linekeeper/call"
)

// Version of the entries that this package writes and reads.
const Version = 0

// MaxEntry bounds an entry, in bytes of JWS.
const MaxEntry = 64 << 10

// header is {"alg":"none"} in base64url, which every JWS of version 0 begins with.
const header = "eyJhbGciOiJub25lIn0"

// State is where a ledger stands: all that is needed to go on with it.
type State struct {
	Device   call.DeviceID
	Epoch    call.Epoch
	Next     uint64 // number of the next entry; 0 is taken for 1
	Previous string // Hash of the entry before; empty at number 1
}

// Ledger gives entries their numbers. It is safe for concurrent use.
type Ledger struct {
	mu    sync.Mutex
	state State
}

// New goes on from a state.
func New(s State) *Ledger {
	s.Next = max(s.Next, 1)
	return &Ledger{state: s}
}

// State is where the ledger stands now.
func (l *Ledger) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Add makes e the next entry: it fills in version, device, epoch, number and the hash of the entry before, and hands
// the JWS to store, which may keep it. Number and place in the chain are taken only where store succeeds; its error is
// wrapped. Entries are stored one at a time, in order, and store must not call the ledger.
func (l *Ledger) Add(e call.Entry, store func(number uint64, jws []byte) error) (call.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Version, e.Device, e.Epoch = Version, l.state.Device, l.state.Epoch
	e.Number, e.Previous = l.state.Next, l.state.Previous
	if err := checkForm(e); err != nil {
		return call.Entry{}, fmt.Errorf("add %s entry %d to the ledger: %w", e.Type, e.Number, err)
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return call.Entry{}, fmt.Errorf("add %s entry %d to the ledger: %w", e.Type, e.Number, err)
	}
	jws := make([]byte, 0, len(header)+2+base64.RawURLEncoding.EncodedLen(len(payload)))
	jws = append(jws, header+"."...)
	jws = base64.RawURLEncoding.AppendEncode(jws, payload)
	jws = append(jws, '.')
	if len(jws) > MaxEntry {
		return call.Entry{}, fmt.Errorf("add %s entry %d to the ledger: %d bytes, at most %d", e.Type, e.Number, len(jws), MaxEntry)
	}
	hash := Hash(jws)
	if err := store(e.Number, jws); err != nil {
		return call.Entry{}, fmt.Errorf("store %s entry %d of the ledger: %w", e.Type, e.Number, err)
	}
	l.state.Next, l.state.Previous = e.Number+1, hash
	return e, nil
}

// Hash is how an entry names the one before it: the SHA-256 of its JWS, in hex.
func Hash(jws []byte) string {
	sum := sha256.Sum256(jws)
	return hex.EncodeToString(sum[:])
}
