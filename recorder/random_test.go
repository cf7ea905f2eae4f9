package recorder_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

// plan is what a detector will say, drawn at random: calls one after the other, told late, sometimes in parts.
func plan(rng *rand.Rand, until int64) (script []told) {
	at, known := int64(0), int64(0)
	tell := func(e call.Event, late int64) {
		known = max(known, e.Position+rng.Int64N(late+1))
		script = append(script, told{known, e})
	}
	parts := []int{2, 4, 30}[rng.IntN(3)]
	for at += rng.Int64N(3 * rate); at < until; {
		first := at
		tell(call.Event{Kind: call.EventBegan, Position: at, Reason: call.BeganVoice}, 2*rate)
		for range rng.IntN(parts) {
			from := at
			at += 1 + rng.Int64N(5*rate)
			switch rng.IntN(3) {
			case 0:
				at = max(at, known)
				tell(call.Event{Kind: call.EventEnded, Position: at, Reason: call.EndedLongest}, 0)
				tell(call.Event{Kind: call.EventBegan, Position: at, Reason: call.BeganContinued}, 0)
			default:
				m := from + rng.Int64N(at-from)
				tell(call.Event{Kind: call.EventMark, Position: m, Mark: call.Mark{Kind: call.MarkTone, Value: "busy"}}, rate)
			}
		}
		at += rng.Int64N(3 * rate)
		tell(call.Event{Kind: call.EventEnded, Position: at, Reason: call.EndedSilence}, 4*rate)
		at = max(first, at+rng.Int64N(5*rate)-rate) // a pre-roll may reach back into the call before
	}
	return script
}

// feed drives random periods and losses; refuse says how often the ring takes nothing for a while.
func feed(rng *rand.Rand, r *rig, until int64, losses bool, refuse int) {
	longest := []int{1, 30, 800, 3 * rate, 9 * rate}[rng.IntN(5)]
	until = min(until, int64(longest)*4000)
	refused := 0
	onlyAudio := rng.IntN(2) == 0 // as a full ring, which keeps room for ends and entries
	r.ring.fail = func(rec call.Record) error {
		if onlyAudio && (rec.Kind == call.KindEnd || rec.Kind == call.KindEntry) {
			return nil
		}
		if refused > 0 || refuse > 0 && rng.IntN(refuse*100) == 0 {
			return errFull
		}
		return nil
	}
	for r.position < until {
		if refused--; refuse > 0 && refused <= 0 && rng.IntN(refuse) == 0 {
			refused = rng.IntN(1 + int(60*rate)/longest)
		}
		if losses && rng.IntN(20) == 0 {
			lost := 1 + rng.Int64N([]int64{100, 100, rate, 12 * rate}[rng.IntN(4)])
			cause := func() string { return []string{call.CauseOverrun, call.CauseCardLost}[rng.IntN(2)] }
			for rng.IntN(2) == 0 {
				r.hear(lost, cause(), 0)
			}
			r.hear(lost, cause(), 1+rng.IntN(longest))
			continue
		}
		r.hear(0, "", 1+rng.IntN(longest))
	}
	r.ring.fail = nil
}

// TestRandom drives random periods, losses, events and refused records through a line, and holds what is in the ring to
// what was fed: each call's audio frame by frame, and every frame that is in no call accounted for.
func TestRandom(t *testing.T) {
	runs := 16
	if testing.Short() {
		runs = 4
	}
	for seed := range runs {
		for _, c := range []struct {
			losses bool
			refuse int
		}{{false, 0}, {true, 0}, {false, 30}, {true, 30}} {
			t.Run(fmt.Sprint(seed, c.losses, c.refuse), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(seed), 1))
				f := pcm.Format{Rate: rate, Channels: 1 + rng.IntN(2)}
				until := int64(60 * rate)
				script := plan(rng, until)
				r := newRig(t, f, func(cfg *recorder.LineConfig) {
					cfg.MaxLoss = 10 * time.Second
					cfg.MaxWait = 8 * time.Second
				}, script...)
				feed(rng, r, until, c.losses, c.refuse)
				r.stop()
				r.checkAll(script, c.refuse)
			})
		}
	}
}

// checkAll checks the calls, and that every frame that the detector wanted, and every lost one, is in one call or in the
// ledger's losses.
func (r *rig) checkAll(script []told, refused int) {
	r.t.Helper()
	const inCall, wanted = 1, 2
	frame := make([]byte, r.position)
	last := int64(0)
	for _, c := range r.calls() {
		if c.start < last || c.end > r.position {
			r.t.Fatalf("a call of %d to %d after one that ended at %d", c.start, c.end, last)
		}
		last = c.end
		for i := c.start; i < c.end; i++ {
			frame[i] |= inCall
		}
	}
	script = script[:len(script)-len(r.detector.told)] // what was told
	late := int64(0)
	for i, on := 0, int64(-1); i <= len(script); i++ {
		switch {
		case i == len(script) && on >= 0:
			for p := on; p < r.position; p++ {
				frame[p] |= wanted
			}
		case i == len(script):
		case script[i].event.Kind == call.EventBegan:
			on = script[i].event.Position
		case script[i].event.Kind == call.EventEnded:
			for p := on; p < script[i].event.Position; p++ {
				frame[p] |= wanted
			}
			late += script[i].known + 9*rate - script[i].event.Position
			on = -1
		}
	}
	missing := map[string]int64{}
	for p, cause := range causes(r.lost, 0, r.position) {
		if frame[p]&inCall != 0 {
			continue
		}
		if cause != "" {
			missing[cause]++
		} else if frame[p]&wanted != 0 {
			missing[call.CauseOverflow]++
		}
	}
	for _, g := range r.losses() {
		missing[g.Cause] -= g.Frames
	}
	for cause, frames := range missing {
		// Of a call that was given up, the ledger also counts what followed its end until that was known.
		if frames != 0 && (cause != call.CauseOverflow || frames > 0 || refused == 0 || -frames > late) {
			r.t.Errorf("%d frames lost by %q are in no call and not in the ledger", frames, cause)
		}
	}
	if len(r.watch.began) != len(r.watch.ended) {
		r.t.Errorf("%d calls began, %d ended", len(r.watch.began), len(r.watch.ended))
	}
}

// TestCutAnywhere cuts what a random run has stored after every record, closes what was interrupted, and finds every
// call whole and with its end entry, once.
func TestCutAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	script := plan(rng, 20*rate)
	whole := newRig(t, mono, nil, script...)
	feed(rng, whole, 20*rate, true, 0)
	whole.stop()
	for n := range len(whole.ring.records) + 1 {
		r := newRig(t, mono, nil)
		r.lost = whole.lost
		r.ring.records = append(r.ring.records, whole.ring.records[:n]...)
		r.restart()
		for again := range 2 { // the second time there is nothing to do
			before := len(r.ring.records)
			if err := r.recorder.CloseInterrupted(r.stored(), r.open, resumed); err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			if again > 0 && len(r.ring.records) != before {
				t.Errorf("cut at %d: closed twice", n)
			}
		}
		for _, c := range r.calls() {
			whole := bytes.Contains(join(whole.ring.records[:n], c.Header.Call), []byte(`"records":`))
			if c.End.Recovered == whole || c.End.Recovered && c.End.Reason != call.EndedPowerLost {
				t.Errorf("cut at %d: end %+v", n, c.End)
			}
		}
	}
}

func join(records []call.Record, id call.ID) []byte {
	_, file := files(records)
	return file[id]
}

// stored is what a ring says of its calls.
func (r *rig) stored() (calls []call.Stored) {
	ids, file := files(r.ring.records)
	for _, id := range ids {
		c, err := seal.Verify(bytes.NewReader(file[id]), seal.Keys{callKey()})
		s := call.Stored{Header: c.Header, Size: c.Size, Ended: err == nil}
		for _, e := range r.entries() {
			if e.Type == call.EntryEnd && *e.Call == id {
				s.Manifest = e.Manifest
			}
		}
		calls = append(calls, s)
	}
	return calls
}
