package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

// client asks the agent of one boot.
type client struct {
	conn net.Conn
	boot *boot
	done chan struct{} // closed when nothing more is heard

	mu      sync.Mutex // also held while a request is written
	last    uint64
	waiting map[uint64]chan frame.Reply
	ready   chan struct{}
}

func newClient(conn net.Conn, b *boot) *client {
	c := &client{conn: conn, boot: b, done: make(chan struct{}), waiting: map[uint64]chan frame.Reply{}, ready: make(chan struct{})}
	go c.hear()
	return c
}

func (c *client) hear() {
	defer close(c.done)
	ready := sync.OnceFunc(func() { close(c.ready) })
	for {
		var r frame.Reply
		if err := frame.Receive(c.conn, &r); err != nil {
			return
		}
		if r.Ready {
			ready()
			continue
		}
		c.mu.Lock()
		if answer, ok := c.waiting[r.ID]; ok {
			answer <- r // has room for one
			delete(c.waiting, r.ID)
		}
		c.mu.Unlock()
	}
}

func (c *client) awaitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	default:
	}
	select {
	case <-c.ready:
		return nil
	case <-c.boot.dead:
		return c.boot.why
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask sends a request and waits for its answer; what does not answer before ctx ends is cancelled in the guest.
func (c *client) ask(ctx context.Context, q frame.Request) (frame.Reply, error) {
	if err := ctx.Err(); err != nil {
		return frame.Reply{}, context.Cause(ctx)
	}
	answer := make(chan frame.Reply, 1)
	c.mu.Lock()
	c.last++
	q.ID = c.last
	c.waiting[q.ID] = answer
	c.mu.Unlock()
	defer c.forget(q.ID)
	sent := make(chan error, 1)
	go func() { sent <- c.send(q) }()
	for {
		select {
		case err := <-sent:
			if err != nil {
				return frame.Reply{}, c.gone(err)
			}
			sent = nil
		case r := <-answer:
			if r.Error != "" {
				return r, errors.New(r.Error)
			}
			return r, nil
		case <-c.boot.dead:
			return frame.Reply{}, c.boot.why
		case <-c.done:
			return frame.Reply{}, c.gone(errors.New("its agent hung up"))
		case <-ctx.Done():
			go func() { _ = c.send(frame.Request{ID: q.ID, Cancel: true}) }()
			return frame.Reply{}, context.Cause(ctx)
		}
	}
}

func (c *client) send(q frame.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return frame.Send(c.conn, q)
}

// gone is why the guest does not answer; its end is the better reason where it has ended.
func (c *client) gone(err error) error {
	select {
	case <-c.boot.dead:
		return c.boot.why
	default:
		return fmt.Errorf("ask the guest: %w", err)
	}
}

func (c *client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *client) close() {
	_ = c.conn.Close()
	<-c.done
}
