package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/powercut"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
)

const (
	period   = 200 * time.Millisecond
	interval = time.Second // of syncs
)

var format = pcm.Format{Rate: 8000, Channels: 1}

type workload struct {
	card   string
	lines  int
	begin  time.Duration // of the lines' time
	length time.Duration
	seed   uint64
	forget float64 // share of the syncs
	teller *powercut.Teller

	// lockstep has the lines wait for each sync, so that a seed gives the same claims every time; nil: they do not.
	lockstep chan struct{}

	device *powercut.Device
	clock  powercut.Clock
	notes  *notes
	random *rand.Rand    // of the sync loop
	whole  []call.ID     // at headquarters soon
	last   uint64        // entry that is synced
	given  uint64        // entry that headquarters has
	tick   time.Duration // of the sync loop
}

// run records, with the sync loop beside, as in the recorder: the lines are at most one interval ahead of the card.
func (w *workload) run() error {
	w.random = rand.New(rand.NewPCG(w.seed, 0))
	w.notes = newNotes()
	o := powercut.DeviceOptions{Wrap: w.notes.wrap, Observer: w.notes, Clock: &w.clock}
	if w.forget > 0 {
		o.FS = forgetful{w.forget, rand.New(rand.NewPCG(w.seed, 1<<32))}
	}
	var err error
	if w.device, err = powercut.OpenDevice(w.card, o); err != nil {
		return err
	}
	if err := w.resume(); err != nil {
		return err
	}
	w.clock.Now = w.begin
	if err := w.device.Settle(); err != nil {
		return err
	}
	if err := w.synced(0); err != nil {
		return err
	}
	heard, ended := make(chan time.Duration), make(chan error, 1)
	go func() { ended <- w.syncLoop(heard) }()
	err = w.hear(heard, ended)
	close(heard)
	return errors.Join(err, <-ended, w.device.Ring.Close())
}

// resume takes over what an earlier life has left for headquarters.
func (w *workload) resume() error {
	calls, err := w.device.Ring.Calls()
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.Manifest != nil && !c.Receipt {
			w.notes.manifests[c.Header.Call] = *c.Manifest
			w.whole = append(w.whole, c.Header.Call)
		}
	}
	w.last = w.device.Ring.State().Last
	w.given = w.last
	waiting, err := w.device.Ring.Entries(1)
	if len(waiting) > 0 {
		w.given = waiting[0].Number - 1
	}
	return err
}

// hear gives the lines their audio, and says after each interval how far it went.
func (w *workload) hear(heard chan<- time.Duration, ended chan error) error {
	var lines []*recorder.Line
	for i := range w.lines {
		l, err := w.device.Recorder.Line(lineConfig(i, format.Frames(w.begin), rand.New(rand.NewPCG(w.seed, uint64(i)+1))))
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	samples := make([]int16, format.Frames(period))
	for at := w.begin; w.length == 0 || at < w.begin+w.length; at += period {
		w.clock.Now = at + period
		for _, l := range lines {
			l.Heard(pcm.Period{Format: format, Position: format.Frames(at), At: w.clock.Now, Samples: samples})
		}
		if w.clock.Now%interval != 0 {
			continue
		}
		select {
		case heard <- w.clock.Now:
		case err := <-ended:
			ended <- nil
			return err
		}
		if w.lockstep == nil {
			continue
		}
		select {
		case <-w.lockstep:
		case err := <-ended:
			ended <- nil
			return err
		}
	}
	return w.device.Recorder.Stop()
}

func (w *workload) syncLoop(heard <-chan time.Duration) error {
	for at := range heard {
		if err := w.synced(at); err != nil {
			return err
		}
		if w.tick++; w.tick%7 == 0 {
			if err := w.release(); err != nil {
				return err
			}
		}
		if w.lockstep != nil {
			w.lockstep <- struct{}{}
		}
	}
	return w.synced(0) // what stopping the recorder has added
}

// synced syncs, and claims what was appended before.
func (w *workload) synced(heard time.Duration) error {
	claim, ended := w.notes.take()
	claim.Heard = heard
	if err := w.device.Ring.Sync(); err != nil {
		return err
	}
	w.whole = append(w.whole, ended...)
	if n := len(claim.Entries); n > 0 {
		w.last = claim.Entries[n-1].Number
	}
	return w.teller.Tell(claim)
}

// waiting is how many whole calls headquarters does not have, as a rule.
const waiting = 10

// release takes receipts for a few calls and the entries, and syncs them.
func (w *workload) release() error {
	r := &powercut.Release{}
	for range min(len(w.whole)-waiting, 6) { // any of the older half
		i := w.random.IntN((len(w.whole) + 1) / 2)
		r.Calls = append(r.Calls, w.whole[i])
		w.whole[i], w.whole = w.whole[0], w.whole[1:]
	}
	if w.random.IntN(2) == 0 && w.last > w.given {
		r.Last = w.given + 1 + w.random.Uint64N(w.last-w.given)
	}
	if len(r.Calls) == 0 && r.Last == 0 {
		return nil
	}
	if err := w.teller.Tell(powercut.Claim{Releasing: r}); err != nil {
		return err
	}
	if err := w.accept(r); err != nil {
		return err
	}
	if err := w.device.Ring.Sync(); err != nil {
		return err
	}
	return w.teller.Tell(powercut.Claim{Released: r})
}

func (w *workload) accept(r *powercut.Release) error {
	for _, id := range r.Calls {
		m := w.notes.manifest(id)
		receipt := call.Receipt{Device: powercut.DeviceID(), Call: &id, Size: m.Size, SHA256: m.SHA256}
		if err := w.device.Ring.Accept(receipt, jws(id.String())); err != nil {
			return err
		}
	}
	if r.Last == 0 {
		return nil
	}
	receipt := call.Receipt{Device: powercut.DeviceID(), Epoch: w.device.Ring.State().Epoch, First: w.given + 1, Last: r.Last}
	w.given = r.Last
	return w.device.Ring.Accept(receipt, jws("entries"))
}

// jws is as long as a receipt; the ring does not read it.
func jws(of string) string {
	return fmt.Sprintf("%s.%x.%s", of, sha256.Sum256([]byte(of)), strings.Repeat("x", 200))
}
