package gpio

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Input is what a contact is connected to. Every gpio.PinIn of periph is one.
type Input interface {
	In(pull gpio.Pull, edge gpio.Edge) error
	Read() gpio.Level
	WaitForEdge(timeout time.Duration) bool
}

// Times of a contact.
const (
	bounce    = 20 * time.Millisecond  // a contact that has not changed for so long has settled
	lookAgain = 200 * time.Millisecond // a contact is looked at, also where no edge is told of
)

// Contact is a switch between a pin and ground: a button, or the hook of a telephone.
type Contact struct {
	in   Input
	shut gpio.Level // its level when it is closed
	log  *slog.Logger
}

// OpenContact finds a pin by its name, as Open does, and makes it an input that is pulled up where the board can. A name
// that begins with ! is of a contact that is closed when the pin is high.
func OpenContact(name string, log *slog.Logger) (*Contact, error) {
	b, err := thisBoard()
	if err != nil {
		return nil, fmt.Errorf("open contact %q: %w", name, err)
	}
	plain, high := strings.CutPrefix(name, "!")
	found, err := b.find(plain)
	if err != nil {
		return nil, fmt.Errorf("open contact %q: %w", name, err)
	}
	in, ok := found.(Input)
	if !ok {
		return nil, fmt.Errorf("open contact %q: it is an output only", name)
	}
	c := NewContact(in, high, log)
	return c, c.prepare()
}

// NewContact makes a contact of an input that is closed when it is low; or, where high is set, when it is high.
func NewContact(in Input, high bool, log *slog.Logger) *Contact {
	return &Contact{in: in, shut: gpio.Level(high), log: log}
}

// prepare makes the pin an input. Not every board can pull it up or down; the wiring has to then.
func (c *Contact) prepare() error {
	pull := gpio.PullUp
	if c.shut == gpio.High {
		pull = gpio.PullDown
	}
	err := c.in.In(pull, gpio.BothEdges)
	if err != nil {
		c.log.Info("the board does not pull the contact's pin: the wiring has to", "error", err)
		err = c.in.In(gpio.PullNoChange, gpio.BothEdges)
	}
	if err != nil {
		return fmt.Errorf("make it an input: %w", err)
	}
	return nil
}

// Closed says whether the contact is closed now.
func (c *Contact) Closed() bool { return c.in.Read() == c.shut }

// Run tells of every change that lasts, from open on, until ctx ends. It takes a thread.
func (c *Contact) Run(ctx context.Context, changed func(closed bool)) {
	c.Watch(ctx, func() time.Duration { return 0 }, func(closed bool, _ time.Duration) { changed(closed) })
}

// Watch is Run that also tells when a change began, before the contact bounced, by a clock.
func (c *Contact) Watch(ctx context.Context, clock func() time.Duration, changed func(closed bool, at time.Duration)) {
	closed := false
	var began, bounced time.Duration
	for ctx.Err() == nil {
		now := c.Closed()
		if now == closed {
			c.in.WaitForEdge(lookAgain)
			continue
		}
		if at := clock(); at-bounced > bounce {
			began = at
		}
		if c.settled(now) {
			closed = now
			changed(closed, began)
		} else {
			bounced = clock()
		}
	}
}

// settled waits until the contact has not changed for a while, and says whether it is still so.
func (c *Contact) settled(closed bool) bool {
	for c.in.WaitForEdge(bounce) {
		if c.Closed() != closed {
			return false
		}
	}
	return c.Closed() == closed
}
