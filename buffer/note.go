package buffer

import (
	"encoding/json"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// op is what a note does.
type op uint8

const (
	opReceipt op = 1 // a call was receipted: it is released
	opGivenUp op = 2 // a call was given up for room
	opAccept  op = 3 // all entries up to Last were receipted
	opPark    op = 4 // headquarters refused a call: Why
	opRequeue op = 5 // a parked call is to be sent again
	opCarried op = 7 // what was needed of the segment in Where was written again before this note
	opState   op = 6 // where the ledger stands; each segment begins with one
)

// note is a record of the ring's own: JSON.
type note struct {
	Op      op           `json:"op"`
	Call    *call.ID     `json:"call,omitempty"`
	Receipt string       `json:"receipt,omitempty"` // the JWS
	Where   []segmentRef `json:"where,omitempty"`   // where the records stand that are released
	Why     string       `json:"why,omitempty"`
	Last    uint64       `json:"last,omitempty"`     // opAccept; opState: the last entry that was appended
	JWS     []byte       `json:"jws,omitempty"`      // opState: of that entry
	Upto    uint64       `json:"accepted,omitempty"` // opState: all entries up to here are receipted
}

// MarshalJSON gives a pair.
func (r segmentRef) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d]", r.number, r.generation), nil
}

// UnmarshalJSON reads a pair.
func (r *segmentRef) UnmarshalJSON(b []byte) error {
	var pair [2]uint32
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	r.number, r.generation = pair[0], pair[1]
	return nil
}

func parseNote(b []byte) (note, error) {
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		return note{}, fmt.Errorf("note: %w", err)
	}
	if n.Call == nil && n.Op != opAccept && n.Op != opState && n.Op != opCarried {
		return note{}, fmt.Errorf("note %d is about no call", n.Op)
	}
	return n, nil
}

// row is what a directory says of the note.
func (n note) row(offset uint32, length int) smallRow {
	row := smallRow{kind: call.KindNote, op: n.Op, offset: offset, length: uint32(length), number: n.Last}
	if n.Call != nil {
		row.call = *n.Call
	}
	return row
}

// releases says whether the note makes its call's room free.
func (o op) releases() bool { return o == opReceipt || o == opGivenUp }
