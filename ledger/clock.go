package ledger

import (
	"cmp"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Outranks says whether a correction entry counts in the place of another one of the same recorder and boot: that with
// the better grade does, and of equals the later one, whichever was read first.
func Outranks(e, other call.Entry) bool {
	if a, b := e.Correction.Grade, other.Correction.Grade; a != b {
		return a.Better(b)
	}
	return cmp.Or(cmp.Compare(e.Anchor.BootTime, other.Anchor.BootTime), cmp.Compare(e.Number, other.Number)) > 0
}

// Corrected gives the wall time of a moment, and its grade, as they are known after a correction. It corrects only what is
// of its boot and of a worse grade; false: the moment stays as it was believed.
func Corrected(a call.Anchor, by call.Correction) (wall time.Time, grade call.Grade, ok bool) {
	if a.BootID != by.BootID || !by.Grade.Better(a.Grade) {
		return a.Wall, a.Grade, false
	}
	return a.Wall.Add(by.Add), by.Grade, true
}
