// Package ledger numbers, chains and signs what a recorder says of itself: each call's begin and end, and all else that
// headquarters must not miss, are entries whose numbers are gapless, so that a missing number is a missing entry.
//
//	l := ledger.New(state, deviceKey)  // where the ring's last entry left off
//	entry, err := l.Add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "front desk", Anchor: now}, store)
//
// An entry is the payload of a compact JWS (RFC 7515), signed with the device's Ed25519 key (EdDSA, RFC 8037), and names
// the SHA-256 of the JWS before it. The signature says who wrote it, the number and the hash that none is missing before
// it. What they cannot show is that entries were cut off at the end: only headquarters' receipts can.
// docs/format-ledger.md describes it member by member.
//
// Whoever receives entries uses Verify for one, Check for a run of them, and Chain for a ledger of any length, of which
// it keeps one entry. Parse is for the recorder's own ring, which has the device's word for it already.
//
// Entries that were damaged on the card are not repaired: recovery goes on behind the last number that was ever given,
// naming the last entry that it could read, and adds entries of type lost for the numbers it could not; see Chain.
package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/linekeeper/linekeeper/call"
)

// Version of the entries that this package writes and reads.
const Version = 1

// MaxEntry bounds an entry, in bytes of JWS.
const MaxEntry = 64 << 10

// State is where a ledger stands: all that is needed to go on with it.
type State struct {
	Device   call.DeviceID
	Epoch    call.Epoch
	Next     uint64 // number of the next entry; 0 is taken for 1
	Previous string // Hash of the entry before, or of the last that could be read; empty where there is none
}

// Ledger gives entries their numbers and signatures. It is safe for concurrent use.
type Ledger struct {
	key    ed25519.PrivateKey
	owner  call.DeviceID // of the key
	header string        // of every JWS

	mu    sync.Mutex
	state State
}

// New goes on from a state, and signs with the device's key. The key must be the one that the device's ID follows from:
// Add refuses to sign with another.
func New(s State, key ed25519.PrivateKey) *Ledger {
	s.Next = max(s.Next, 1)
	l := &Ledger{key: key, header: header(s.Device), state: s}
	if len(key) == ed25519.PrivateKeySize {
		l.owner = call.DeviceIDOf(key.Public().(ed25519.PublicKey))
	}
	return l
}

// State is where the ledger stands now.
func (l *Ledger) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Add makes e the next entry: it fills in version, device, epoch, number and the hash of the entry before, signs it, and
// hands the JWS to store, which may keep it. Number and place in the chain are taken only where store succeeds; its error
// is wrapped. Entries are stored one at a time, in order, and store must not call the ledger.
func (l *Ledger) Add(e call.Entry, store func(number uint64, jws []byte) error) (call.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Version, e.Device, e.Epoch = Version, l.state.Device, l.state.Epoch
	e.Number, e.Previous = l.state.Next, l.state.Previous
	jws, err := l.sign(e)
	if err != nil {
		return call.Entry{}, fmt.Errorf("add %s entry %d to the ledger: %w", e.Type, e.Number, err)
	}
	hash := Hash(jws)
	if err := store(e.Number, jws); err != nil {
		return call.Entry{}, fmt.Errorf("store %s entry %d of the ledger: %w", e.Type, e.Number, err)
	}
	l.state.Next, l.state.Previous = e.Number+1, hash
	return e, nil
}

func (l *Ledger) sign(e call.Entry) ([]byte, error) {
	if l.owner != e.Device {
		return nil, fmt.Errorf("the key is not that of device %s, but of %q", e.Device, l.owner)
	}
	if err := checkForm(e); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	size := len(l.header) + 1 + base64.RawURLEncoding.EncodedLen(len(payload)) + 1 + signatureLen
	if size > MaxEntry {
		return nil, fmt.Errorf("%d bytes, at most %d", size, MaxEntry)
	}
	jws := append(make([]byte, 0, size), l.header+"."...)
	jws = base64.RawURLEncoding.AppendEncode(jws, payload)
	signature := ed25519.Sign(l.key, jws)
	return base64.RawURLEncoding.AppendEncode(append(jws, '.'), signature), nil
}

// Hash is how an entry names the one before it: the SHA-256 of its JWS, in hex.
func Hash(jws []byte) string {
	sum := sha256.Sum256(jws)
	return hex.EncodeToString(sum[:])
}
