package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Where things stand on a courier's stick: docs/format-courier.md. All of a recorder's is in CourierFolder/{device}.
const (
	CourierFolder   = "linekeeper"
	CourierIndexes  = "index"        // what the recorder has put here: {number}.jws, each a CourierIndex
	CourierEntries  = "entries"      // of its ledger: {epoch}.ledger, a JWS a line
	CourierCalls    = "calls"        // {call}.lkc
	CourierReceipts = "receipts.jws" // from headquarters: a receipt a line
	CourierAgain    = "again.txt"    // from headquarters: calls that arrived damaged, a line each
)

// What a stick may hold of one recorder. Whoever reads one refuses what is beyond it, so that a stick from nowhere costs
// nobody more memory or time than one from a recorder. The number of calls is what a folder of FAT32 holds of names so long.
const (
	MaxCourierIndex    = 4 << 20   // bytes of an index
	MaxCourierIndexes  = 32        // index files
	MaxCourierCalls    = 10_000    // calls of one index
	MaxCourierFiles    = 16_000    // call files
	MaxCourierEntries  = 256 << 20 // bytes of a file of entries
	MaxCourierEpochs   = 16        // files of entries
	MaxCourierReceipts = 32 << 20  // bytes of the receipts
	MaxCourierDevices  = 256       // recorders of one stick
	MaxCourierReceipt  = 4 << 10   // bytes of one receipt
)

// CourierIndex is what a recorder sends by courier: the calls that headquarters did not have when it was written, in the
// order in which they are to go. What does not fit the stick stands in it all the same, so that headquarters knows what is
// still at the recorder. On the stick it is a compact JWS, signed by the recorder's key.
type CourierIndex struct {
	Version int           `json:"v"`
	Type    string        `json:"type"` // courier
	Device  call.DeviceID `json:"device"`
	Epoch   call.Epoch    `json:"epoch"`
	Time    time.Time     `json:"time"` // as the recorder believed
	Calls   []CourierCall `json:"calls"`
	More    int           `json:"more,omitempty"`  // calls that wait too, and are too many for this index
	First   uint64        `json:"first,omitempty"` // number of the first entry that headquarters does not have; 0: it has all
	Last    uint64        `json:"last,omitempty"`  // and of the last
}

// CourierCall is a call file that is to be, or stands, on the stick.
type CourierCall struct {
	Call   call.ID `json:"call"`
	Size   int64   `json:"size"`   // bytes
	SHA256 string  `json:"sha256"` // hex
}

// courierType is in each index, so that nothing else that the recorder's key signed can be taken for one.
const courierType = "courier"

// SignCourierIndex gives the index as a compact JWS; version and type are filled in.
func SignCourierIndex(key ed25519.PrivateKey, x CourierIndex) (string, error) {
	x.Version, x.Type = 1, courierType
	if err := x.check(); err != nil {
		return "", err
	}
	return sign(key, "courier's index", x)
}

// VerifyCourierIndex checks signature and form, and that the index is the recorder's whose key it is.
func VerifyCourierIndex(key ed25519.PublicKey, jws string) (x CourierIndex, err error) {
	if len(jws) > MaxCourierIndex {
		return CourierIndex{}, fmt.Errorf("courier's index: %d bytes, at most %d", len(jws), MaxCourierIndex)
	}
	if err := verifyBy(key, "the recorder's key", "courier's index", jws, &x); err != nil {
		return CourierIndex{}, err
	}
	if x.Device != call.DeviceIDOf(key) {
		return CourierIndex{}, fmt.Errorf("courier's index: it says that it is of recorder %q", x.Device)
	}
	return x, x.check()
}

// ReadCourierIndex reads an index without a look at its signature: for the recorder, which knows what is its own, to see
// what an earlier visit left on the stick.
func ReadCourierIndex(jws string) (x CourierIndex, err error) {
	if len(jws) > MaxCourierIndex {
		return CourierIndex{}, fmt.Errorf("courier's index: %d bytes, at most %d", len(jws), MaxCourierIndex)
	}
	if err := read("courier's index", jws, &x); err != nil {
		return CourierIndex{}, err
	}
	return x, x.check()
}

func (x *CourierIndex) check() error {
	wrong := func(format string, args ...any) error { return fmt.Errorf("courier's index: "+format, args...) }
	switch {
	case x.Version != 1:
		return wrong("version %d, this program reads 1", x.Version)
	case x.Type != courierType:
		return wrong("type %q is not %q", x.Type, courierType)
	case len(x.Calls) > MaxCourierCalls:
		return wrong("%d calls, at most %d", len(x.Calls), MaxCourierCalls)
	case x.More < 0 || x.More > 0 && len(x.Calls) < MaxCourierCalls:
		return wrong("%d more calls beside %d", x.More, len(x.Calls))
	case (x.First == 0) != (x.Last == 0) || x.Last < x.First:
		return wrong("entries %d to %d", x.First, x.Last)
	}
	if _, err := call.ParseDeviceID(string(x.Device)); err != nil {
		return wrong("%w", err)
	}
	seen := make(map[call.ID]bool, len(x.Calls))
	for _, c := range x.Calls {
		if c.Call.IsZero() || seen[c.Call] || c.Size < 1 || !IsSHA256(c.SHA256) {
			return wrong("call %s, %d bytes, SHA-256 %q, is no call file, or stands there twice", c.Call, c.Size, c.SHA256)
		}
		seen[c.Call] = true
	}
	return nil
}

// CourierCallFile is the name of a call's file on the stick.
func CourierCallFile(id call.ID) string { return id.String() + ".lkc" }

// ParseCourierCallFile gives the call of such a name.
func ParseCourierCallFile(name string) (call.ID, error) {
	text, ok := strings.CutSuffix(name, ".lkc")
	if !ok {
		return call.ID{}, errors.New("not {call}.lkc")
	}
	return call.ParseID(text)
}

// CourierIndexFile is the name of the n-th index, from 1.
func CourierIndexFile(n int) string { return fmt.Sprintf("%08d.jws", n) }

// ParseCourierIndexFile gives the number of such a name.
func ParseCourierIndexFile(name string) (n int, err error) {
	if _, err := fmt.Sscanf(name, "%08d.jws", &n); err != nil || n < 1 || CourierIndexFile(n) != name {
		return 0, errors.New("not {number of 8 digits}.jws")
	}
	return n, nil
}

// CourierEntriesFile is the name of an epoch's file of entries.
func CourierEntriesFile(e call.Epoch) string { return e.String() + ".ledger" }

// ParseCourierEntriesFile gives the epoch of such a name.
func ParseCourierEntriesFile(name string) (e call.Epoch, err error) {
	text, ok := strings.CutSuffix(name, ".ledger")
	if !ok {
		return 0, errors.New("not {epoch}.ledger")
	}
	return e, e.UnmarshalText([]byte(text))
}
