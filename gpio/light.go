// Package gpio shows the recorder's state on a light, and reads contacts: buttons, a telephone's hook. A light is an LED on a pin of a board's header, on a line of a GPIO chip, or
// one of the board's own. One light shows the state that comes first; three show record, link and fault apart.
//
//	out, err := gpio.Open("GPIO17")
//	if err != nil {
//		return err // names the pin, and what the board has instead
//	}
//	light := gpio.NewLight(out, log)
//	go light.Run(ctx)
//	light.Show(gpio.SlowBlink)
//
// A light is dark unless its program runs: Run leaves it so when it returns. After a kill it is as the kernel leaves
// the pin.
package gpio

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Output is what a light is connected to. Every gpio.PinOut of periph is one.
type Output interface {
	Out(level gpio.Level) error
}

// Light runs a pattern on an output.
type Light struct {
	out Output
	log *slog.Logger

	mu      sync.Mutex
	pattern Pattern
	changed chan struct{} // holds one: the pattern was changed

	lit    bool // as far as is known; the rest is Run's alone
	known  bool
	failed bool
}

// NewLight makes a light that is dark until Run runs. The logger hears when the output fails and when it works again.
func NewLight(out Output, log *slog.Logger) *Light {
	return &Light{out: out, log: log, changed: make(chan struct{}, 1)}
}

// Show changes the pattern, at once. A pattern that is shown already goes on undisturbed, and one that was to be seen
// once is not seen again. It never waits, and is safe for concurrent use.
func (l *Light) Show(p Pattern) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p == l.pattern {
		return
	}
	l.pattern = p
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Run drives the output until ctx ends, then turns it off. An output that fails is tried again with each change of the
// pattern's level: a light is never a reason to stop.
func (l *Light) Run(ctx context.Context) {
	defer l.set(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var s shape
	step, next := -1, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.changed:
			step, next = 0, time.Now()
		case <-timer.C:
			if step++; step == len(s.times) && !s.once {
				step = 0
			}
		}
		if step == 0 {
			l.mu.Lock()
			s = l.pattern.shape()
			l.mu.Unlock()
		}
		if step >= len(s.times) {
			l.set(false)
			timer.Stop()
			continue
		}
		l.set(step%2 == 0)
		// Counted from when it should have been: a late goroutine does not slow a pattern down, and after a long
		// sleep it does not hurry either.
		if next = next.Add(s.times[step]); time.Until(next) < 0 {
			next = time.Now().Add(s.times[step])
		}
		timer.Reset(time.Until(next))
	}
}

func (l *Light) set(lit bool) {
	if l.known && l.lit == lit {
		return
	}
	err := l.out.Out(gpio.Level(lit))
	l.known, l.lit = err == nil, lit
	switch {
	case err != nil && !l.failed:
		l.failed = true
		l.log.Warn("the light cannot be driven; it is tried again", "error", err)
	case err == nil && l.failed:
		l.failed = false
		l.log.Info("the light works again")
	}
}
