package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/wire"
)

// longestLife is the longest that a recorder lives before it is killed.
const longestLife = 6 * time.Second

// said is what a recorder said of a call, by our clock.
type said struct {
	began  time.Time
	ended  time.Time // zero: it did not say so
	sha256 string
	died   time.Time // when the recorder that recorded it was killed; zero: it was not, or the call was over
}

// office is a recorder, and what it has said in all its lives.
type office struct {
	recorder *station.Recorder
	sim      *linesim.Sim
	card     string
	random   *rand.Rand

	mu    sync.Mutex
	calls map[string]*said
}

// live starts the recorder and kills it at a random moment, which may be before it is ready.
func (o *office) live(ctx context.Context) error {
	p, err := station.Start("recorder", o.recorder.Dir+"/log", o.recorder.Env, o.hear, o.recorder.Program, "run", "--config", o.recorder.Config, "--log", "json")
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(o.random.Int64N(int64(longestLife)))):
	case <-p.Done():
		return fmt.Errorf("a recorder ended by itself: %w: %s", p.Err(), p.LastWords())
	case <-ctx.Done():
	}
	died := time.Now()
	p.Kill()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if c.ended.IsZero() && c.died.IsZero() {
			c.died = died
		}
	}
	return nil
}

// deliver lets the recorder live, with nothing more to hear, until headquarters has everything.
func (o *office) deliver(ctx context.Context) error {
	if err := o.sim.Unplug(o.card); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := o.recorder.Start(starting, o.hear)
	if err != nil {
		return err
	}
	for begin := time.Now(); ; {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			p.Kill()
			return ctx.Err()
		}
		waiting, err := o.waiting()
		if err == nil && waiting == 0 {
			return p.Stop()
		}
		if time.Since(begin) > 5*time.Minute {
			p.Kill()
			return fmt.Errorf("after 5 minutes a recorder still has %d calls and entries to deliver (%w): %s", waiting, err, p.LastWords())
		}
	}
}

// waiting is how many calls and entries headquarters does not have.
func (o *office) waiting() (int, error) {
	out, err := o.recorder.Command("status", "--json")
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var s struct{ Waiting wire.Waiting }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, err
	}
	return s.Waiting.Calls + s.Waiting.Entries, nil
}

// hear notes what the recorder says.
func (o *office) hear(e station.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := e.Text("call")
	switch e.Message {
	case "call began":
		o.calls[id] = &said{began: time.Now()}
	case "call ended":
		if o.calls[id] == nil { // recovered: its beginning was never said, or in a life that said no more
			o.calls[id] = &said{}
		}
		if c := o.calls[id]; c.died.IsZero() {
			c.ended, c.sha256 = time.Now(), e.Text("sha256")
		}
	}
}
