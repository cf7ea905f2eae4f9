package library

import (
	"errors"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// TestHoldsTellTheRecorder what it has to know of them, and keep every word.
func TestHoldsTellTheRecorder(t *testing.T) {
	l := open(t)
	id := call.NewID()
	if err := l.Hold(t.Context(), hq.Hold{Call: id, On: true, Why: "case 12"}); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("of no call: %v", err)
	}
	must(t, l.AddEntries(t.Context(), []call.SignedEntry{entry(north, 1, 1, id, "line 1", noon)}))
	must(t, l.Hold(t.Context(), hq.Hold{Call: id, On: true, Why: "case 12", By: "ana"}))
	if err := l.Hold(t.Context(), hq.Hold{Call: id, On: true, Why: "case 13"}); !errors.Is(err, hq.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	commands, err := l.CommandsOf(t.Context(), id, 9)
	must(t, err)
	if len(commands) != 1 || commands[0].Kind != wire.CommandHold || commands[0].Device != north || commands[0].Why != "case 12" || commands[0].By != "ana" {
		t.Errorf("%+v", commands)
	}

	must(t, l.Complete(t.Context(), hq.Arrival{Header: call.Header{Call: id, Device: north, Line: "line 1", Number: 1, Rate: 8000}, Size: 1, SHA256: "aa", Received: noon}))
	for _, on := range []bool{false, true, false} { // only the first is news to the recorder, which has delivered the call
		must(t, l.Hold(t.Context(), hq.Hold{Call: id, On: on, Why: "closed", By: "ben"}))
	}
	commands, err = l.CommandsOf(t.Context(), id, 9)
	must(t, err)
	if len(commands) != 2 || commands[0].Kind != wire.CommandUnhold {
		t.Errorf("%+v", commands)
	}
	said, err := l.Holds(t.Context(), id, 9)
	must(t, err)
	if len(said) != 4 || said[0].On || !said[3].On || said[3] != (hq.Hold{Call: id, On: true, Why: "case 12", By: "ana", At: noon}) {
		t.Errorf("%+v", said)
	}
}
