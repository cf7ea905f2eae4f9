package buffer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// op is what a note does.
type op uint8

const (
	opReceipt op = 1 // a call was receipted: it is released
	opGivenUp op = 2 // a call was given up for room
	opAccept  op = 3 // all entries up to Last were receipted
	opCall    op = 4 // what is to be remembered of a call, all of it: the last such note counts
	opLost    op = 5 // the entry Last was found damaged
	opState   op = 6 // where the ledger stands; each segment begins with one
	opCarried op = 7 // what was needed of the segment in Where was written again before this note
	opKept    op = 8 // Value is kept under Name: the last such note counts
)

// note is a record of the ring's own: JSON.
type note struct {
	Op      op           `json:"op"`
	Call    *call.ID     `json:"call,omitempty"`
	Receipt string       `json:"receipt,omitempty"` // the JWS
	Where   []segmentRef `json:"where,omitempty"`   // where the records stand that are released, or the entry that is lost
	Last    uint64       `json:"last,omitempty"`    // opAccept, opLost; opState: the last entry that was appended
	JWS     []byte       `json:"jws,omitempty"`     // opState: of that entry
	Upto    uint64       `json:"accepted,omitempty"`
	Name    string       `json:"name,omitempty"`  // opKept
	Value   []byte       `json:"value,omitempty"` // opKept
	callState
}

// callState is what the ring has to remember of a call beside its records. It is replaced as a whole.
type callState struct {
	Parked string      `json:"parked,omitempty"` // why headquarters refused it
	Hold   string      `json:"hold,omitempty"`   // why it must not be given up
	Asked  bool        `json:"asked,omitempty"`  // headquarters has asked for it
	Flag   bool        `json:"flag,omitempty"`   // somebody has marked it as of interest
	Kept   string      `json:"kept,omitempty"`   // the receipt of a call on hold
	Holes  []call.Hole `json:"holes,omitempty"`  // in order
	SHA256 string      `json:"sha256,omitempty"` // of the file with all these holes, once an entry has said it
	Chain  string      `json:"chain,omitempty"`
	Was    string      `json:"was,omitempty"`   // SHA-256 of the file before, in that entry
	Ended  bool        `json:"ended,omitempty"` // the end record is among the damaged
}

func (s callState) isZero() bool {
	return s.Parked == "" && s.Hold == "" && !s.Asked && !s.Flag && s.Kept == "" && len(s.Holes) == 0 && s.SHA256 == ""
}

// segmentRef names a segment in one of its uses; as JSON it is a pair.
type segmentRef struct {
	number     uint32
	generation uint32
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

// parseNote reads a note, and leaves nothing in it that its readers would have to doubt.
func parseNote(b []byte) (note, error) {
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		return note{}, fmt.Errorf("note: %w", err)
	}
	if n.Call == nil && (n.Op.releases() || n.Op == opCall) {
		return note{}, fmt.Errorf("note %d is about no call", n.Op)
	}
	if n.Op == opKept && (n.Name == "" || len(n.Name) > maxName) {
		return note{}, fmt.Errorf("note of a value kept under %q", n.Name)
	}
	var at int64
	var next uint32
	for _, h := range n.Holes {
		if h.Offset < at || h.Size < 0 || h.Size > MaxRecord || h.Offset+h.Size > maxFile || h.Record < next || h.Records == 0 || h.Record+h.Records < h.Record {
			return note{}, fmt.Errorf("note about call %v: hole at record %d is none", n.Call, h.Record)
		}
		at, next = h.Offset+h.Size, h.Record+h.Records
	}
	return n, nil
}

// row is what a directory says of the note.
func (n note) row(offset uint32, length int) smallRow {
	row := smallRow{kind: call.KindNote, op: n.Op, offset: offset, length: uint32(length), number: n.Last}
	if n.Call != nil {
		row.call = *n.Call
	}
	if n.Op == opKept {
		copy(row.call[:], n.Name)
	}
	return row
}

// releases says whether the note makes its call's room free.
func (o op) releases() bool { return o == opReceipt || o == opGivenUp }

// outlives says whether the note must stay as long as the segments in its Where.
func (o op) outlives() bool { return o.releases() || o == opLost }

// noteItem makes a note a record to be written.
func noteItem(n note) *item {
	it := &item{note: &n}
	it.encode()
	return it
}

// encode makes the record's data of its note.
func (it *item) encode() {
	b, err := json.Marshal(it.note)
	if err != nil {
		panic("buffer: a note that cannot be encoded: " + err.Error()) // strings and numbers only
	}
	it.Record = call.Record{Kind: call.KindNote, Data: b}
}

// withHoles gives the state with more holes in the call's file: nobody has said yet what it is now.
func (s callState) withHoles(more []call.Hole) callState {
	s.Holes = slices.Concat(s.Holes, more)
	slices.SortFunc(s.Holes, func(a, b call.Hole) int { return cmp.Compare(a.Record, b.Record) })
	s.SHA256, s.Chain, s.Was = "", "", ""
	return s
}
