package uplink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// farewell bounds what is said at the end.
const farewell = 5 * time.Second

// errReturn ends a session that is well, for a transport that is preferred.
var errReturn = errors.New("going back to the first choice of transport")

// Run delivers until ctx ends, and gives ctx's error.
func (u *Uplink) Run(ctx context.Context) error {
	var wait retry
	for ctx.Err() == nil {
		var after time.Duration // as headquarters asked
		for i, t := range u.transports {
			s := &session{Uplink: u, transport: t, preferred: i == 0, watched: make(chan error, 1)}
			err := s.run(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var busy *BusyError
			if errors.As(err, &busy) {
				after = max(after, busy.After)
			}
			if s.worked {
				wait.reset()
			}
			if s.worked && !s.barren {
				break // and from the first choice again
			}
		}
		pause := wait.fail(after)
		u.log.Debug("next attempt to reach headquarters", "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return ctx.Err()
}

// session is one connection over one transport.
type session struct {
	*Uplink
	transport Transport
	preferred bool
	worked    bool       // something got through, or there was nothing to send
	barren    bool       // in the end a call was sent again and again, and headquarters never had more of it
	watched   chan error // why status could not be sent
}

// run connects and works until the link fails or ctx ends.
func (s *session) run(ctx context.Context) (err error) {
	name := s.transport.Name()
	first := s.status()
	if err := s.transport.Status(ctx, first); err != nil {
		_ = s.transport.Close() // nothing was connected
		if ctx.Err() == nil {
			s.log.Info("headquarters is not reached", "link", name, "error", err)
			s.note(func(n *Snapshot) { n.LastError = err.Error() })
		}
		return fmt.Errorf("connect over %s: %w", name, err)
	}
	s.note(func(n *Snapshot) { n.Link, n.LastError = name, "" })
	s.cfg.Observer.Connected(name)

	work, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watchStatus(work, first) })
	watcher.Go(func() { s.watchCommands(work) })
	defer func() {
		cancel()
		watcher.Wait()
		s.leave(ctx, err)
	}()
	if err := s.have(work); err != nil {
		return err
	}
	return s.work(work)
}

// leave ends the connection. A recorder that stops of its own accord says so; of a link that failed headquarters finds
// out in other ways.
func (s *session) leave(ctx context.Context, why error) {
	if ctx.Err() != nil || errors.Is(why, errReturn) {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		if err := s.transport.Status(bye, wire.OfflineStatus(s.cfg.Device)); err != nil {
			s.log.Debug("could not say farewell", "link", s.transport.Name(), "error", err)
		}
		cancel()
	}
	if err := s.transport.Close(); err != nil {
		s.log.Debug("close link", "link", s.transport.Name(), "error", err)
	}
	s.note(func(n *Snapshot) {
		n.Link, n.Disconnected = "", time.Now()
		n.Call, n.Sent, n.Size = call.ID{}, 0, 0
		if ctx.Err() == nil {
			n.LastError = why.Error()
		}
	})
	s.cfg.Observer.Disconnected(s.transport.Name(), why)
}

// work sends what there is to send, and sleeps when there is nothing.
func (s *session) work(ctx context.Context) error {
	since := time.Now()
	for {
		if err := s.sendEntries(ctx); err != nil {
			return err
		}
		more, next, err := s.sendMedia(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		s.worked = true
		if !s.entries.until.IsZero() && (next.IsZero() || s.entries.until.Before(next)) {
			next = s.entries.until
		}
		if err := s.idle(ctx, since, next); err != nil {
			return err
		}
	}
}

// idle waits for something to do: until Wake, or next (zero: nothing is planned).
func (s *session) idle(ctx context.Context, since, next time.Time) error {
	var timer, back <-chan time.Time
	if !next.IsZero() {
		timer = time.After(time.Until(next))
	}
	if !s.preferred {
		back = time.After(time.Until(since.Add(s.cfg.ReturnAfter)))
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.wake:
	case <-timer:
	case <-back:
		return errReturn
	case err := <-s.watched:
		return fmt.Errorf("send status: %w", err)
	case <-s.transport.Lost():
		return errors.New("connection lost")
	}
	return nil
}

// have asks what headquarters has of the calls that it has not been asked about, as many as one question holds, and
// accepts the receipts that were missed.
func (s *session) have(ctx context.Context) error {
	calls, err := s.store.Calls()
	if err != nil {
		s.log.Error("read the ring's calls", "error", err)
		return nil // media will say so again
	}
	waiting := s.inOrder(calls)
	if !s.begun {
		for _, c := range calls {
			if !c.Receipt && c.Ended && c.Manifest != nil {
				s.unasked[c.Header.Call] = true
			}
		}
		s.begun = true
	}
	for _, c := range calls { // a parked call may have been taken in after all, over another way
		if c.Parked != "" {
			waiting = append(waiting, c)
		}
	}
	q := wire.HaveQuestion{Epoch: s.cfg.Epoch, Calls: []call.ID{}}
	asked := make(map[call.ID]call.Stored)
	for _, c := range waiting {
		if id := c.Header.Call; s.unasked[id] && len(q.Calls) < wire.MaxHave {
			q.Calls = append(q.Calls, id)
			asked[id] = c
		}
	}
	answer, err := s.transport.Have(ctx, q)
	var refused *RefusedError
	var busy *BusyError
	if errors.As(err, &refused) || errors.As(err, &busy) { // should it never answer, the rest has to go all the same
		s.log.Warn("headquarters does not say what it has", "error", err)
	} else if err != nil {
		return fmt.Errorf("ask what headquarters has: %w", err)
	}
	s.reconcile(asked, answer)
	if answer.Recipients != "" && s.cfg.Recipients != nil {
		if err := s.cfg.Recipients(answer.Recipients); err != nil {
			s.log.Error("headquarters' word on whom calls are sealed to is not taken", "error", err)
		}
	}
	for id := range asked {
		delete(s.unasked, id)
	}
	return nil
}

func (s *session) reconcile(asked map[call.ID]call.Stored, answer wire.HaveAnswer) {
	for _, jws := range answer.Receipts {
		r, err := s.verify(jws)
		switch {
		case err != nil:
			s.badReceipt(err)
		case r.Call == nil:
			s.acceptOldEntries(r, jws)
		default:
			if c, ok := asked[*r.Call]; ok {
				s.accept(c, jws)
			}
		}
	}
}
