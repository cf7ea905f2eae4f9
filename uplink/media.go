package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

const (
	// mostTransfers are under way at once: the first sends its bytes, those behind it are being created.
	mostTransfers = 4
	// The next transfer begins when so little is left of those before it that the link might fall idle: for so long, at
	// the rate that was measured, but not less and not more than so many bytes.
	aheadTime  = 3 * time.Second
	leastAhead = 32 << 10
	mostAhead  = 1 << 20
)

// startMedia begins to send the call whose turn it is, if there is room for one more under way. It says whether it did
// something, and there may be more to do.
func (s *session) startMedia(ctx context.Context) (bool, error) {
	if !s.room() {
		return false, nil
	}
	if s.stale || len(s.plan.calls) == 0 && s.plan.more {
		s.replan()
	}
	i := slices.IndexFunc(s.plan.calls, s.permitted.admits)
	if i < 0 {
		return false, nil
	}
	next := s.plan.calls[i]
	if s.unasked(next) {
		return true, s.have(ctx)
	}
	if s.streams.has(next.Call) {
		return false, nil // its end has just come; the rest follows
	}
	s.plan.calls = slices.Delete(s.plan.calls, i, i+1)
	s.start(ctx, next)
	return true, nil
}

// replan looks at everything that waits. The newest call is that behind all that had their turn, or have it now.
func (s *session) replan() {
	horizon := s.horizon
	for _, t := range s.transfers {
		horizon = max(horizon, t.number)
	}
	s.plan, s.stale = s.makePlan(horizon, s.underWay), false
}

// room says whether another transfer may begin.
func (s *session) room() bool {
	if len(s.transfers) >= mostTransfers {
		return false
	}
	var left int64
	for _, t := range s.transfers {
		left += t.left()
	}
	ahead := int64(s.meter.rate(time.Now()) * aheadTime.Seconds())
	return len(s.transfers) == 0 || left < min(max(ahead, leastAhead), mostAhead)
}

// underWay says whether a call is being sent.
func (s *session) underWay(id call.ID) bool {
	for _, t := range s.transfers {
		if t.call.Header.Call == id {
			return true
		}
	}
	return false
}

// start begins to send a call, behind those that are under way.
func (s *session) start(ctx context.Context, w call.Waiting) {
	id := w.Call
	c, err := s.store.Call(id)
	switch {
	case err != nil:
		s.later(id, 0, fmt.Errorf("read what the ring has of it: %w", err))
		return
	case c.Manifest == nil:
		s.later(id, 0, errors.New("its manifest cannot be read"))
		return
	case c.Receipt:
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := &transfer{session: s, ctx: ctx, cancel: cancel, call: c, number: w.Number, size: c.Manifest.Size, handed: make(chan struct{})}
	if n := len(s.transfers); n > 0 {
		t.turn = s.transfers[n-1].handed
	} else {
		t.turn = atOnce
	}
	s.transfers = append(s.transfers, t)
	s.show()
	s.running.Go(func() {
		t.run()
		s.done <- t
	})
}

// atOnce is the turn of a transfer that waits for no other.
var atOnce = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// show says in the snapshot which call is being sent.
func (s *session) show() {
	var id call.ID
	var sent, size int64
	if len(s.transfers) > 0 {
		t := s.transfers[0]
		id, size = t.call.Header.Call, t.size
		t.mu.Lock()
		sent = t.sent
		t.mu.Unlock()
	}
	s.note(func(n *Snapshot) { n.Call, n.Sent, n.Size = id, sent, size })
}

// remove takes a transfer that has ended out of those under way, and says whether it was the first.
func (s *session) remove(t *transfer) (first bool) {
	for i, other := range s.transfers {
		if other == t {
			s.transfers = append(s.transfers[:i], s.transfers[i+1:]...)
			s.show()
			return i == 0
		}
	}
	return false
}

// finished deals with the outcome of a transfer. Its error means that the link has failed.
func (s *session) finished(ctx context.Context, t *transfer) error {
	defer t.cancel(nil)
	first := s.remove(t)
	c, id := t.call, t.call.Header.Call
	var refused *RefusedError
	var later *LaterError
	switch {
	case t.err == nil:
		s.accept(c, t.jws)
	case t.local() != nil:
		s.later(id, 0, t.local())
	case ctx.Err() != nil:
		s.doubt(id)
		return ctx.Err()
	case errors.Is(context.Cause(t.ctx), errNotNow):
		s.doubt(id)
		return nil
	case errors.As(t.err, &refused):
		if err := s.park(ctx, c, refused.Reason); err != nil {
			return err
		}
	case errors.As(t.err, &later):
		s.doubt(id) // it may have arrived all the same
		s.later(id, later.After, t.err)
	default:
		s.doubt(id)
		if first {
			s.blame(t)
		}
		return fmt.Errorf("deliver call %s: %w", id, t.err)
	}
	s.horizon = max(s.horizon, t.number)
	return nil
}

// blame counts an attempt against the call at whose transfer the link failed. Should it be this call that kills the link,
// others, or another transport, have their turn.
func (s *session) blame(t *transfer) {
	id := t.call.Header.Call
	trouble := s.trouble(id)
	trouble.got(t.acknowledged())
	s.barren = trouble.barren >= maxBarren
	s.worked = s.worked || !s.barren
	var busy *BusyError
	if s.barren || errors.As(t.err, &busy) {
		s.later(id, 0, t.err)
	}
}

// doubt notes that headquarters has to be asked about a call before it is sent again.
func (s *session) doubt(id call.ID) {
	s.trouble(id).doubt = true
	delete(s.asked, id)
}

// later puts a call off; the others go on.
func (s *session) later(id call.ID, after time.Duration, why error) {
	s.log.Warn("call is put off", "call", id, "for", s.trouble(id).fail(after), "error", why)
	s.stale = true
}

// park sets a refused call aside, unless it is the recorder that is refused (its certificate, its place at
// headquarters): then a whole backlog would be parked for a mistake that somebody will mend.
func (s *session) park(ctx context.Context, c call.Stored, reason string) error {
	id := c.Header.Call
	if err := s.transport.Status(ctx, s.status()); err != nil {
		return fmt.Errorf("call %s was refused (%s), and then the status: %w", id, reason, err)
	}
	if err := s.store.Park(id, reason); err != nil {
		s.later(id, 0, fmt.Errorf("park: %w", err))
		return nil
	}
	s.cfg.Observer.Parked(id, reason)
	return nil
}
