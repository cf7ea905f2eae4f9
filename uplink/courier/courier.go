// Package courier takes calls out on a USB stick, where the link does not carry them.
//
//	desk := courier.NewDesk(courier.DeskConfig{Store: ring, Key: deviceKey, ReceiptKey: headquarters, ...})
//	mux.Handle(courier.Path, desk.Handler())               // in the recorder, on its control socket
//
//	recorder := courier.NewClient(&http.Client{...})       // beside the stick, in a process with no rights but that socket
//	done, err := courier.Carry(ctx, stick, recorder, progress)
//
// The recorder has the ring and its keys, and never sees the stick. The carrier sees the stick, and has no key: what it
// puts there was sealed and signed by the recorder, what it finds there it hands over as it is, and the recorder checks it.
//
// A visit does this, in this order (docs/format-courier.md has the files):
//
//  1. hands over headquarters' receipts that lie on the stick, and clears away the call files that they release;
//  2. puts down the index, signed by the recorder: the calls that wait, and the entries that wait;
//  3. puts down the entries;
//  4. puts down the call files, those that headquarters asked for first, then those on hold, then from the oldest, as far as
//     there is room, and reads each back.
//
// What it promises:
//
//   - The stick can be pulled out at any moment, and the next visit goes on where this one was: a call file stands on the
//     stick whole or not at all, and one that stands there is not written again.
//   - A call file is cleared away only for a receipt that the recorder has checked and made durable. Those of an earlier
//     ring, or of calls that the ring gave up, stay: the stick may be the only place that has them.
//   - Only calls that have ended, whose manifest stands in the ledger, and all of whose bytes are synced, go out.
//   - Of another recorder's folder on the same stick nothing is read or written.
package courier

import (
	"context"
	"io"

	"github.com/linekeeper/linekeeper/call"
)

// Recorder is the recorder, as the carrier beside the stick has it.
type Recorder interface {
	// Accept hands over receipts that lay on the stick. What was accepted is durable when it returns.
	Accept(ctx context.Context, receipts []string) (Accepted, error)
	// Index gives what waits, as the recorder has signed it: a wire.CourierIndex.
	Index(ctx context.Context) (jws string, err error)
	// Entries gives waiting entries behind a number, in order; none: there are no more.
	Entries(ctx context.Context, after uint64) (Entries, error)
	// Call opens a call's file, to be read once from its beginning.
	Call(ctx context.Context, id call.ID) (io.ReadCloser, error)
}

// Entries is a run of waiting entries.
type Entries struct {
	Last    uint64   `json:"last"` // number of the last; 0: there are none
	Entries []string `json:"entries"`
}

// Accepted is what became of receipts.
type Accepted struct {
	Calls   []call.ID `json:"calls"`   // that headquarters has, on a good receipt: released now, or long ago
	Entries int       `json:"entries"` // good receipts of entries
	Refused []string  `json:"refused"` // why others were not accepted
}

// Progress is how far a visit is.
type Progress struct {
	Call    int   // the n-th of the calls that wait, from 1
	Calls   int   // that wait
	Written int64 // bytes of calls, in this visit
	Bytes   int64 // of all calls that were not on the stick when it came
}

// Done is what a visit did.
type Done struct {
	Device   call.DeviceID `json:"device"`
	Accepted Accepted      `json:"accepted"`
	Cleared  int           `json:"cleared"` // call files that headquarters has, taken off the stick
	Entries  int           `json:"entries"` // that stand on the stick
	Waiting  int           `json:"waiting"` // calls, when the stick came
	There    int           `json:"there"`   // of them on the stick already
	Written  int           `json:"written"` // of them in this visit
	Bytes    int64         `json:"bytes"`   // written in this visit, of calls
	NoRoom   int           `json:"no_room"` // of them there was no room for
	Missing  int64         `json:"missing"` // bytes of room for those
	Left     []Left        `json:"left"`    // others that stayed, and why
}

// Left is a call that was not taken out.
type Left struct {
	Call   call.ID `json:"call"`
	Reason string  `json:"reason"`
}

// Complete says that all that waits stands on the stick.
func (d Done) Complete() bool {
	return d.NoRoom == 0 && len(d.Left) == 0 && d.There+d.Written == d.Waiting
}
