package verify

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"iter"

	"github.com/linekeeper/linekeeper/call"
)

// Ledger names the ledger of one epoch of a recorder.
type Ledger struct {
	Device call.DeviceID
	Epoch  call.Epoch
}

// Source is where ledgers and call files are: a folder, or headquarters' library.
type Source interface {
	// Ledgers gives each ledger once.
	Ledgers(ctx context.Context) iter.Seq2[Ledger, error]

	// Entries gives the entries of a ledger from a number on, in order of their numbers; of one number all that there
	// are.
	Entries(ctx context.Context, l Ledger, from uint64) iter.Seq2[Line, error]

	// Key gives the public key of a recorder, and whether it is certain that it is that recorder's; nil: not known.
	Key(ctx context.Context, device call.DeviceID) (key ed25519.PublicKey, confirmed bool, err error)

	// Open gives the file of a call.
	Open(ctx context.Context, id call.ID) (File, error)

	// Files gives each call of which there is a file, or a part of one. Those that were opened may be left out.
	Files(ctx context.Context) iter.Seq2[Listed, error]
}

// Line is an entry and where it stands.
type Line struct {
	JWS    []byte
	File   string // empty: in no file
	Offset int64  // in the file, bytes
}

// Due says how much of a call file has to be there.
type Due uint8

// What may be due.
const (
	DueLater Due = iota // it is on its way: none of it or a part are no surprise
	DueHere             // it was said to be here; a part of it may be all that has arrived
	DueWhole            // it was here whole: headquarters has given its receipt
)

// File is a call file.
type File struct {
	io.ReadCloser        // nil: it is not here
	Name          string // for findings
	Due           Due
}

func (f File) shut() error {
	if f.ReadCloser == nil {
		return nil
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("verify: close call file %s: %w", f.Name, err)
	}
	return nil
}

// Listed is what the header of a call file says of it.
type Listed struct {
	Call   call.ID
	Ledger Ledger
	Number uint64 // of its begin entry

	// Signed is what stands by itself, where there is no ledger: the call's end entry, then amendments of it; and, wherever
	// among them, corrections of the clock by which it began.
	Signed []Line
}
