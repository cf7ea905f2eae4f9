package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/delivery/clock"
	"github.com/linekeeper/linekeeper/lab/station"
)

// head is headquarters, with its embedded broker and a Mosquitto beside it.
type head struct {
	*station.Headquarters
	mosquitto *station.Mosquitto
	address   string // of Mosquitto
	disk      disk
	clock     *clock.Clock
	random    *rand.Rand
	counts    *counts

	process, broker *station.Process

	mu      sync.Mutex
	arrived map[string]int // calls that it said have arrived, and how often
	grown   chan struct{}  // one slot
}

func newHead(bin, dir string, random *rand.Rand, c *counts) (*head, error) {
	h := &head{random: random, counts: c, arrived: map[string]int{}, grown: make(chan struct{}, 1)}
	data := filepath.Join(dir, "hq")
	var err error
	if h.disk, err = newDisk(data); err != nil {
		return nil, err
	}
	if h.Headquarters, err = station.NewHeadquarters(filepath.Join(bin, "linekeeper-hq"), data, "", "", "", nil); err != nil {
		return nil, err
	}
	if h.address, err = station.FreeAddress(""); err != nil {
		return nil, err
	}
	if h.mosquitto, err = station.NewMosquitto(filepath.Join(dir, "mosquitto"), h.Headquarters, h.address); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(h.Config)
	if err != nil {
		return nil, err
	}
	text = fmt.Appendf(text, "\n[broker]\nurl = \"mqtts://%s\"\n", h.address)
	if err := os.WriteFile(h.Config, text, 0o600); err != nil {
		return nil, err
	}
	if h.clock, err = clock.New(dir); err != nil {
		return nil, err
	}
	h.Env = h.clock.Env()
	return h, nil
}

// start starts Mosquitto and headquarters, whichever does not run.
func (h *head) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if h.broker == nil {
		if h.broker, err = h.mosquitto.Start(ctx); err != nil {
			return err
		}
	}
	if h.process == nil {
		h.process, err = h.Start(ctx, h.hear)
	}
	return err
}

func (h *head) hear(e station.Event) {
	if e.Message != "call arrived" {
		return
	}
	h.mu.Lock()
	h.arrived[e.Text("call")]++
	h.mu.Unlock()
	select {
	case h.grown <- struct{}{}:
	default:
	}
}

func (h *head) received() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.arrived)
}

// suffer draws a fault whenever so many calls have arrived, as a mean, until ctx ends.
func (h *head) suffer(ctx context.Context, every float64) error {
	for next := h.received(); ; {
		next += 1 + int(every*h.random.ExpFloat64())
		for h.received() < next {
			select {
			case <-ctx.Done():
				return nil
			case <-h.grown:
			case <-h.process.Done():
				return fmt.Errorf("headquarters ended by itself: %w: %s", h.process.Err(), h.process.LastWords())
			}
		}
		k := draw(h.random, headFaults)
		if err := errors.Join(h.fault(ctx, k), h.start(context.WithoutCancel(ctx))); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
}

// fault does one. What it ends is to be started again.
func (h *head) fault(ctx context.Context, k kind) (err error) {
	if k == finishKilled {
		return h.killInFinish(ctx)
	}
	h.counts.add(k)
	switch k {
	case headKilled:
		wait(ctx, time.Duration(h.random.Int64N(int64(time.Second))))
		h.process.Kill()
		h.process = nil
	case headStopped:
		err, h.process = h.process.Stop(), nil
	case brokerKilled:
		h.broker.Kill()
		h.broker = nil
		wait(ctx, time.Duration(h.random.Int64N(int64(3*time.Second))))
	case diskFull:
		// No room at all, even for the library; or just so little that what comes in is refused.
		left := []int64{0, 4 << 10, 40 << 10, 1 << 20, 200 << 20}[h.random.IntN(5)]
		if err := h.disk.fill(left); err != nil {
			return err
		}
		wait(ctx, 2*time.Second+time.Duration(h.random.Int64N(int64(8*time.Second))))
		err = h.disk.empty()
	case headClock:
		if err := h.clock.Shift(jump(h.random)); err != nil {
			return err
		}
		wait(ctx, time.Second+time.Duration(h.random.Int64N(int64(5*time.Second))))
		err = h.clock.Shift(0)
	}
	return err
}

// killInFinish kills headquarters between a call's last byte and its receipt, or just after it has made that.
func (h *head) killInFinish(ctx context.Context) error {
	id, err := await(ctx, h.Dir, moment(h.random.IntN(2)))
	if err != nil || id.IsZero() {
		return err
	}
	if h.random.IntN(2) == 0 {
		time.Sleep(time.Duration(h.random.Int64N(int64(2 * time.Millisecond))))
	}
	h.process.Kill()
	h.process = nil
	h.counts.add(finishKilled)
	lib, err := library.Open(filepath.Join(h.Dir, "library.db"), time.Now)
	if err != nil {
		return err
	}
	_, err = lib.Receipt(ctx, id)
	if errors.Is(err, hq.ErrNotFound) {
		h.counts.unfinished++
		err = nil
	}
	return errors.Join(err, lib.Close())
}

// stop ends both.
func (h *head) stop() error {
	h.broker.Kill()
	return h.process.Stop()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
