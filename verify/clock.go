package verify

import (
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// Time is when a call began whose recorder's clock was not synchronised.
type Time struct {
	Call          call.ID       `json:"call"`
	Device        call.DeviceID `json:"device"`
	Believed      time.Time     `json:"believed"` // as the recorder signed it, UTC
	BelievedGrade call.Grade    `json:"believed_grade"`
	Began         time.Time     `json:"began"` // as corrected, UTC; as believed where nothing corrects it
	Grade         call.Grade    `json:"grade"`

	// The entry that corrects it; left out where none does.
	Epoch *call.Epoch `json:"epoch,omitempty"`
	Entry uint64      `json:"entry,omitempty"` // its number
}

// MaxTimes bounds what a Report lists.
const MaxTimes = 100000

// boot is one of a recorder's.
type boot struct {
	device call.DeviceID
	id     string
}

// clocks is what is known of recorders' clocks: corrections may come before what they correct, or long after.
type clocks struct {
	corrections map[boot]call.Entry
	began       []begun
	omitted     int
}

// begun is when a call began, as its recorder believed.
type begun struct {
	at    call.Anchor
	where Finding
	alone bool // its ledger is not here
}

// correct takes a correction that its recorder has signed.
func (c *clocks) correct(e call.Entry) {
	b := boot{e.Device, e.Correction.BootID}
	if known, ok := c.corrections[b]; !ok || ledger.Outranks(e, known) {
		c.corrections[b] = e
	}
}

// begin takes when a call began. Where the clock was synchronised then, there is nothing to say.
func (c *clocks) begin(at call.Anchor, where Finding, alone bool) {
	switch {
	case at.Grade == call.GradeNTP:
	case len(c.began) == MaxTimes:
		c.omitted++
	default:
		c.began = append(c.began, begun{at, where, alone})
	}
}

// tell says of each call when it began.
func (c *clocks) tell(r *Report) {
	r.OmittedTimes += c.omitted
	for _, b := range c.began {
		t := Time{Call: *b.where.Call, Device: b.where.Device, Believed: b.at.Wall.UTC(), BelievedGrade: b.at.Grade, Began: b.at.Wall.UTC(), Grade: b.at.Grade}
		if e, ok := c.corrections[boot{t.Device, b.at.BootID}]; ok {
			if wall, grade, corrected := ledger.Corrected(b.at, *e.Correction); corrected {
				t.Began, t.Grade, t.Epoch, t.Entry = wall.UTC(), grade, &e.Epoch, e.Number
			}
		}
		if len(r.Times) == MaxTimes {
			r.OmittedTimes++
			continue
		}
		r.Times = append(r.Times, t)
		if b.alone && t.Grade == call.GradeNone {
			f := b.where
			f.Colour, f.Code = Amber, CodeClock
			f.Text = fmt.Sprintf("it began at %s by a clock that nobody had set, and nothing here says by how much that was wrong: ask for the recorder's ledger",
				t.Began.Format(time.DateTime))
			r.add(f)
		}
	}
}
