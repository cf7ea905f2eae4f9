package recorder_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// restart makes a new recorder on what is in the ring.
func (r *rig) restart() {
	s := ledger.State{Device: device, Epoch: epoch}
	if e := r.entries(); len(e) > 0 {
		s.Next, s.Previous = e[len(e)-1].Number+1, ledger.Hash(e[len(e)-1].JWS)
	}
	r.recorder = newRecorder(r.ring, r.clock, r.watch, s)
}

func (r *rig) open(id call.ID) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(join(r.ring.records, id))), nil
}

// interrupted is a rig whose recorder was cut short in its second call.
func interrupted(t *testing.T) *rig {
	r := newRig(t, mono, nil, began(100, 100), ended(5000, 5000), began(10000, 10000))
	r.hearUntil(12000, 800)
	r.hear(500, call.CauseOverrun, 4000)
	r.restart()
	return r
}

func TestCloseInterrupted(t *testing.T) {
	r := interrupted(t)
	if err := r.recorder.CloseInterrupted(r.stored(), r.open, resumed); err != nil {
		t.Fatal(err)
	}
	calls := r.calls()
	if len(calls) != 2 || calls[0].End.Recovered {
		t.Fatalf("got %v", summaries(calls))
	}
	c := calls[1]
	if c.start != 10000 || c.End.Frames != 6000 || c.End.Reason != call.EndedPowerLost || !c.manifest.Recovered ||
		c.manifest.Began != call.BeganVoice || len(c.End.Gaps) != 1 || c.End.Gaps[0] != (call.Gap{Position: 2000, Frames: 500, Cause: call.CauseOverrun}) {
		t.Errorf("got %+v", c.manifest)
	}
	if n := len(r.watch.ended); n != 2 || r.watch.ended[1] != c.Header.Call {
		t.Errorf("%d ends observed", n)
	}
}

// TestCloseInterruptedGoesOn: one call that cannot be closed does not keep the others open.
func TestCloseInterruptedGoesOn(t *testing.T) {
	r := interrupted(t)
	bad := call.Stored{Header: call.Header{Call: call.ID{9}}}
	torn := call.Stored{Header: call.Header{Call: call.ID{8}}}
	open := func(id call.ID) (io.ReadCloser, error) {
		switch id {
		case bad.Header.Call:
			return nil, errors.New("unreadable")
		case torn.Header.Call:
			return io.NopCloser(strings.NewReader("nonsense")), nil
		}
		return r.open(id)
	}
	err := r.recorder.CloseInterrupted(append([]call.Stored{bad, torn}, r.stored()...), open, resumed)
	if err == nil || !strings.Contains(err.Error(), "unreadable") || !strings.Contains(err.Error(), torn.Header.Call.String()) {
		t.Errorf("got %v", err)
	}
	if c := r.calls(); len(c) != 2 || !c[1].End.Recovered {
		t.Errorf("got %v", summaries(c))
	}
}

// TestCloseInterruptedFull: what fails now is done at the next start, from wherever it stopped.
func TestCloseInterruptedFull(t *testing.T) {
	for _, kind := range []call.Kind{call.KindEnd, call.KindEntry} {
		r := interrupted(t)
		r.ring.fail = func(rec call.Record) error {
			if rec.Kind == kind {
				return errFull
			}
			return nil
		}
		if err := r.recorder.CloseInterrupted(r.stored(), r.open, resumed); !errors.Is(err, errFull) {
			t.Errorf("kind %d: %v", kind, err)
		}
		r.ring.fail = nil
		r.restart()
		if err := r.recorder.CloseInterrupted(r.stored(), r.open, resumed); err != nil {
			t.Error(err)
		}
		if c := r.calls(); len(c) != 2 || !c[1].manifest.Recovered {
			t.Errorf("kind %d: got %v", kind, summaries(c))
		}
	}
}
