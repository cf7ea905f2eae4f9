package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// inOrder gives the calls that wait to be sent, in the order in which they go: the newest, if it has not had its turn,
// then the backlog from its oldest, and at the end those that have failed again and again.
func (u *Uplink) inOrder(calls []call.Stored) []call.Stored {
	var order, last []call.Stored
	newest := -1
	for _, c := range calls {
		if !c.Ended || c.Manifest == nil || c.Receipt || c.Parked != "" {
			continue
		}
		if r := u.retries[c.Header.Call]; r != nil && r.failures > 1 {
			last = append(last, c)
			continue
		}
		if c.Header.Number > u.horizon {
			newest = len(order)
		}
		order = append(order, c)
	}
	if newest > 0 {
		first := order[newest]
		copy(order[1:newest+1], order[:newest])
		order[0] = first
	}
	return append(order, last...)
}

// sendMedia sends the call whose turn it is. more says that there may be another; if not, next is when one that had to
// wait can be tried again (zero: none).
func (s *session) sendMedia(ctx context.Context) (more bool, next time.Time, err error) {
	calls, err := s.store.Calls()
	if err != nil {
		s.log.Error("read the ring's calls", "error", err)
		return false, time.Now().Add(longestWait), nil
	}
	waiting := s.inOrder(calls)
	s.tidy(waiting)
	for _, c := range waiting {
		r := s.retries[c.Header.Call]
		if r.due() {
			if s.unasked[c.Header.Call] {
				return true, time.Time{}, s.have(ctx)
			}
			return true, time.Time{}, s.deliver(ctx, c)
		}
		if next.IsZero() || r.until.Before(next) {
			next = r.until
		}
	}
	return false, next, nil
}

// tidy forgets what was remembered of calls that wait no more.
func (u *Uplink) tidy(waiting []call.Stored) {
	if len(u.retries) == 0 && len(u.reached) == 0 {
		return
	}
	still := make(map[call.ID]bool, len(waiting))
	for _, c := range waiting {
		still[c.Header.Call] = true
	}
	for id := range u.retries {
		if !still[id] {
			delete(u.retries, id)
		}
	}
	for id := range u.reached {
		if !still[id] {
			delete(u.reached, id)
		}
	}
}

// later puts a call off; the others go on.
func (u *Uplink) later(id call.ID, after time.Duration, why error) {
	r := u.retries[id]
	if r == nil {
		r = new(retry)
		u.retries[id] = r
	}
	u.log.Warn("call is put off", "call", id, "for", r.fail(after), "error", why)
}

// deliver sends one call and deals with the outcome. Its error means that the link has failed.
func (s *session) deliver(ctx context.Context, c call.Stored) error {
	id := c.Header.Call
	defer s.note(func(n *Snapshot) { n.Call, n.Sent, n.Size = call.ID{}, 0, 0 })
	t := &transfer{session: s, call: c}
	jws, err := t.send(ctx)

	var refused *RefusedError
	var later *LaterError
	var busy *BusyError
	switch {
	case err == nil:
		s.accept(c, jws)
	case ctx.Err() != nil:
		return ctx.Err()
	case t.local() != nil:
		s.later(id, 0, t.local())
	case errors.As(err, &refused):
		if err := s.park(ctx, c, refused.Reason); err != nil {
			return err
		}
	case errors.As(err, &later):
		s.unasked[id] = true // it may have arrived all the same
		s.later(id, later.After, err)
	default:
		s.unasked[id] = true
		s.barren = s.reached[id].barren >= maxBarren
		s.worked = s.worked || !s.barren
		if s.barren || errors.As(err, &busy) {
			s.later(id, 0, err) // should it be this call that kills the link: others first
		}
		return fmt.Errorf("deliver call %s: %w", id, err)
	}
	s.horizon = max(s.horizon, c.Header.Number)
	return nil
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

// reached is how far a call has ever got.
type reached struct {
	acknowledged int64 // bytes
	barren       int   // attempts since it got further
}

func (r reached) next(acknowledged int64) reached {
	if acknowledged > r.acknowledged {
		return reached{acknowledged: acknowledged}
	}
	r.barren++
	return r
}

// maxBarren is how many attempts may bring a call no further before another call, or another transport, has its turn.
// It is not the first: that an attempt has brought something is often known only when the next one begins.
const maxBarren = 2

// transfer is one attempt to send one call. The transport may use it from other goroutines.
type transfer struct {
	*session
	call call.Stored

	mu      sync.Mutex
	failure error // of the card, not of the link
	most    int64 // bytes acknowledged
}

func (t *transfer) send(ctx context.Context) (jws string, err error) {
	id, m, via := t.call.Header.Call, t.call.Manifest, t.transport.Name()
	file, err := t.store.OpenCall(id)
	if err != nil {
		return "", t.fail(fmt.Errorf("open the call: %w", err))
	}
	defer func() { _ = file.Close() }() // it was only read
	if file.Size() != m.Size {
		return "", t.fail(fmt.Errorf("the ring has %d bytes of a call whose manifest says %d", file.Size(), m.Size))
	}
	state, err := t.store.Transfer(id, via)
	if err != nil {
		return "", t.fail(fmt.Errorf("read how far the transfer is: %w", err))
	}
	t.note(func(n *Snapshot) { n.Call, n.Size = id, m.Size })
	defer func() { t.reached[id] = t.reached[id].next(t.acknowledged()) }()
	return t.transport.Deliver(ctx, File{
		Call: id, Size: m.Size, SHA256: m.SHA256, Bytes: &source{file: file, transfer: t}, State: state,
		Save: func(state []byte) error {
			if err := t.store.SaveTransfer(id, via, state); err != nil {
				return t.fail(fmt.Errorf("keep how far the transfer is: %w", err))
			}
			return nil
		},
		Progress: t.progress,
	})
}

func (t *transfer) progress(sent, acknowledged int64) {
	t.mu.Lock()
	t.most = max(t.most, acknowledged)
	t.mu.Unlock()
	t.note(func(n *Snapshot) { n.Sent = sent })
}

func (t *transfer) acknowledged() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.most
}

func (t *transfer) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
	return err
}

func (t *transfer) local() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

// source notes when the card cannot be read, which is no fault of the link.
type source struct {
	file     CallFile
	transfer *transfer
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	whole := errors.Is(err, io.EOF) && off+int64(n) == s.transfer.call.Manifest.Size
	if err != nil && !whole {
		err = s.transfer.fail(fmt.Errorf("read the call at %d: %w", off, err))
	}
	return n, err
}
