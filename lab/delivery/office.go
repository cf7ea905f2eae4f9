package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/lab/delivery/clock"
	"github.com/linekeeper/linekeeper/lab/delivery/cutter"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/wire"
)

// linkRate is what an office's link carries, in bytes a second.
const linkRate = 128 << 10

// looks is how often it is looked at what a recorder still has.
const looks = 3 * time.Second

// office is a recorder with its links.
type office struct {
	*station.Recorder
	prepared
	links  []*cutter.Link
	every  float64 // bytes between two faults of a link, as a mean
	clock  *clock.Clock
	counts *counts

	mu      sync.Mutex
	random  *rand.Rand
	process *station.Process
	fate    kind // why the process was killed; empty: it was not
}

// newOffice makes a recorder, with calls in its ring, whose settings name links in front of headquarters.
func (d *delivery) newOffice(n, calls int) (*office, error) {
	dir := filepath.Join(d.dir, fmt.Sprintf("recorder%d", n))
	o := &office{every: float64(d.every), counts: d.counts, random: rand.New(rand.NewPCG(d.seed, uint64(n)))}
	seen := *d.head.Headquarters
	mqtt := seen.MQTT
	order := []string{"https", "mqtt"}
	if n%2 == 1 {
		order = []string{"mqtt", "https"}
	}
	if n%4 > 1 {
		mqtt = d.head.address
	}
	for to, address := range map[string]*string{seen.Recorders: &seen.Recorders, mqtt: &seen.MQTT} {
		link, err := cutter.Listen(to, cutter.Options{BytesPerSecond: linkRate})
		if err != nil {
			return nil, err
		}
		*address = link.Address()
		o.links = append(o.links, link)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if o.clock, err = clock.New(dir); err != nil {
		return nil, err
	}
	// The line's card is away: there are no other calls than those in the ring.
	o.Recorder, err = station.NewRecorder(filepath.Join(d.bin, "linekeeper"), dir, fmt.Sprintf("Office %d", n), &seen, station.RecorderOptions{
		Lines: []station.Line{{Name: "line 1", Device: "pulled_out"}}, Order: order, Env: o.clock.Env(),
	})
	if err != nil {
		return nil, err
	}
	o.prepared, err = prepare(dir, filepath.Join(d.dir, "copies"), calls, o.random)
	return o, err
}

// suffer keeps the recorder running, with faults of its link and of itself, until it has nothing left to deliver.
func (o *office) suffer(ctx context.Context) error {
	for _, l := range o.links {
		o.arm(l)
	}
	for {
		p, err := o.start(ctx)
		if err != nil {
			return err
		}
		for alive := true; alive; {
			select {
			case <-ctx.Done():
				return nil
			case <-p.Done():
				alive = false
			case <-time.After(looks):
				if left, err := o.waiting(); err == nil && left == 0 {
					return nil
				}
			}
		}
		if err := o.bury(p); err != nil {
			return err
		}
	}
}

// start starts the recorder. It may be killed before it is ready.
func (o *office) start(ctx context.Context) (*station.Process, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p, err := station.Start("recorder", filepath.Join(o.Dir, "log"), o.Env, nil, o.Program, "run", "--config", o.Config, "--log", "json")
	o.process, o.fate = p, ""
	return p, err
}

// bury does what is to be done while the recorder is down.
func (o *office) bury(p *station.Process) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.fate {
	case "":
		return fmt.Errorf("a recorder ended by itself: %w: %s", p.Err(), p.LastWords())
	case unindexed:
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(o.Dir, "index.db"+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// arm has the next fault fall at a byte that is drawn.
func (o *office) arm(l *cutter.Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l.After(int64(o.every*o.random.ExpFloat64()), func() { o.fall(l) })
}

// fall is a fault, between two bytes of a link.
func (o *office) fall(l *cutter.Link) {
	o.mu.Lock()
	k := draw(o.random, linkFaults)
	length := time.Duration(o.random.Int64N(int64(5 * time.Second)))
	by := jump(o.random)
	p := o.process
	if k == killed || k == unindexed {
		o.fate = k
	}
	o.mu.Unlock()
	o.counts.add(k)
	switch k {
	case reset:
		l.Reset()
	case loseAnswer:
		l.LoseAnswer()
	case shortHole:
		l.Hole()
		time.AfterFunc(length, l.Heal)
	case longHole:
		l.Hole()
		time.AfterFunc(70*time.Second, l.Heal)
	case move:
		l.Move()
	case killed, unindexed:
		p.Kill()
	case clockJump:
		_ = o.clock.Shift(by) // a file of 8 bytes, written in place
		l.Reset()
		time.AfterFunc(time.Second+length, func() { _ = o.clock.Shift(0) })
	}
	o.arm(l)
}

// settle has nothing fall any more, and the recorder begin afresh: without the waits that it had come to.
func (o *office) settle(ctx context.Context) error {
	for _, l := range o.links {
		l.After(1<<60, func() {})
		l.Heal()
		l.Reset()
	}
	o.mu.Lock()
	if o.process != nil {
		o.process.Kill()
	}
	o.mu.Unlock()
	if err := o.clock.Shift(0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("nothing falls any more, and 5 minutes were not enough"))
	defer cancel()
	p, err := o.Start(ctx, nil)
	if err != nil {
		return err
	}
	for {
		left, err := o.waiting()
		if err == nil && left == 0 {
			return p.Stop()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("%s still has %d calls and entries (%w): %w: %s", o.Dir, left, err, context.Cause(ctx), p.LastWords())
		}
	}
}

// waiting is how many calls and entries headquarters does not have.
func (o *office) waiting() (int, error) {
	out, err := o.Command("status", "--json")
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var s struct{ Waiting wire.Waiting }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, err
	}
	return s.Waiting.Calls + s.Waiting.Entries, nil
}

func (o *office) close() {
	for _, l := range o.links {
		_ = l.Close() // its work is done
	}
}
