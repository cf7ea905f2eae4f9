package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	for {
		u.closed(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var after time.Duration // as headquarters asked
		var notNow bool
		for i, t := range u.transports {
			s := &session{Uplink: u, transport: t, preferred: i == 0, batch: firstBatch, watched: make(chan error, 2), stale: true,
				done: make(chan *transfer, mostTransfers), poked: make(chan struct{}, 1), gated: make(chan Permit)}
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
			notNow = errors.Is(err, errNotNow)
			if notNow || s.worked && !s.barren {
				break // and from the first choice again
			}
		}
		if notNow {
			continue
		}
		pause := wait.fail(after)
		u.log.Debug("next attempt to reach headquarters", "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-u.now:
			wait.reset()
		}
	}
}

// Retry ends the wait for the next attempt to connect, and the others are short again: the network has come back. It
// never waits, and changes nothing while there is a connection.
func (u *Uplink) Retry() {
	if u.Snapshot().Link != "" {
		return
	}
	select {
	case u.now <- struct{}{}:
	default: // it will be tried anyway
	}
}

// session is one connection over one transport.
type session struct {
	*Uplink
	transport Transport
	preferred bool
	batch     int        // bytes of the next batch of entries
	worked    bool       // something got through, or there was nothing to send
	barren    bool       // in the end a call was sent again and again, and headquarters never had more of it
	watched   chan error // why the status, or a call in progress, could not be sent

	plan      plan
	stale     bool           // the plan is to be made anew
	transfers []*transfer    // under way, in the order in which they began
	running   sync.WaitGroup // their goroutines
	done      chan *transfer // those that have ended
	poked     chan struct{}

	permitted Permit
	gated     chan Permit // what is allowed from now on
}

// run connects and works until the link fails or ctx ends.
func (s *session) run(ctx context.Context) (err error) {
	name := s.transport.Name()
	first := s.status()
	var g *greeting
	err = s.ready(ctx)
	if err == nil {
		g, err = s.greet(ctx, first)
	}
	if err != nil {
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
	watcher.Go(func() { s.streamCalls(work) })
	permitted := s.gate.permit()
	s.permitted = permitted
	watcher.Go(func() { s.watchGate(work, permitted) })
	defer func() {
		cancel()
		watcher.Wait()
		s.drain(work)
		s.leave(ctx, err)
	}()
	if err := s.heed(work, g); err != nil {
		return err
	}
	return s.work(work)
}

func (s *session) ready(ctx context.Context) error {
	if s.cfg.Ready == nil {
		return nil
	}
	return s.cfg.Ready(ctx)
}

// leave ends the connection. A recorder that stops of its own accord says so; of a link that failed headquarters finds
// out in other ways.
func (s *session) leave(ctx context.Context, why error) {
	if ctx.Err() != nil || errors.Is(why, errReturn) || errors.Is(why, errNotNow) {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		if errors.Is(why, errNotNow) { // so that headquarters knows why there is silence from now on
			_ = s.transport.Status(bye, s.status())
		}
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
		if err := s.ready(ctx); err != nil {
			return err
		}
		if err := s.sendEntries(ctx); err != nil {
			return err
		}
		more, err := s.startMedia(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := s.wait(ctx, since); err != nil {
			return err
		}
	}
}

// wait waits until there is something to do: what Wake tells, the end of a transfer or room for the next, or the time
// when something that was put off can be tried again.
func (s *session) wait(ctx context.Context, since time.Time) error {
	var timer, back <-chan time.Time
	next := s.plan.next
	if !s.entries.until.IsZero() && (next.IsZero() || s.entries.until.Before(next)) {
		next = s.entries.until
	}
	if !next.IsZero() {
		timer = time.After(time.Until(next))
	}
	var lost <-chan struct{}
	var watched <-chan error
	if len(s.transfers) == 0 { // else the transfers find out for themselves
		s.worked = true
		lost, watched = s.transport.Lost(), s.watched
		if !s.preferred {
			back = time.After(time.Until(since.Add(s.cfg.ReturnAfter)))
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.wake:
		s.stale = true
	case <-timer:
		s.stale = true
	case <-s.poked:
	case p := <-s.gated:
		return s.allow(p)
	case t := <-s.done:
		return s.finished(ctx, t)
	case <-back:
		return errReturn
	case err := <-watched:
		return err
	case <-lost:
		return errors.New("connection lost")
	}
	return nil
}

// poke makes wait look again whether there is room for another transfer. It never waits.
func (s *session) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// drain waits for the transfers under way, whose context has ended, and takes in what they have come to.
func (s *session) drain(ctx context.Context) {
	s.running.Wait()
	for len(s.transfers) > 0 {
		_ = s.finished(ctx, <-s.done) // why the session ends is known
	}
}

// unasked says whether headquarters may have a call and has not been asked: one that was stored when the program
// started, or whose transfer failed.
func (s *session) unasked(w call.Waiting) bool {
	t := s.troubles[w.Call]
	return !s.asked[w.Call] && (w.Number <= s.known || t != nil && t.doubt)
}

// have asks what headquarters has, and takes in its answer.
func (s *session) have(ctx context.Context) error {
	q := s.question()
	answer, err := s.transport.Have(ctx, q)
	return s.heard(q, answer, err)
}

// question is about the calls that come next and that headquarters has not been asked about, as many as it may hold.
func (s *session) question() wire.HaveQuestion {
	if s.stale {
		s.replan()
	}
	q := wire.HaveQuestion{Epoch: s.cfg.Epoch, Calls: []call.ID{}}
	for _, w := range s.plan.calls {
		if s.unasked(w) {
			q.Calls = append(q.Calls, w.Call)
		}
	}
	for _, w := range s.plan.parked { // they may have been taken in after all, over another way
		q.Calls = append(q.Calls, w.Call)
		s.askedParked = max(s.askedParked, w.Number)
	}
	s.plan.parked = nil
	return q
}

// heard takes in the answer to a question, and accepts the receipts that were missed. Its error means that the link has
// failed.
func (s *session) heard(q wire.HaveQuestion, answer wire.HaveAnswer, err error) error {
	var refused *RefusedError
	var busy *BusyError
	if errors.As(err, &refused) || errors.As(err, &busy) { // should it never answer, the rest has to go all the same
		s.log.Warn("headquarters does not say what it has", "error", err)
	} else if err != nil {
		return fmt.Errorf("ask what headquarters has: %w", err)
	}
	for _, id := range q.Calls {
		s.asked[id] = true
		if t := s.troubles[id]; t != nil {
			t.doubt = false
		}
	}
	s.tellTime(answer)
	if s.cfg.Health != nil && err == nil {
		s.cfg.Health.Told(answer.Health)
	}
	s.reconcile(q.Calls, answer)
	if answer.Recipients != "" && s.cfg.Recipients != nil {
		if err := s.cfg.Recipients(answer.Recipients); err != nil {
			s.log.Error("headquarters' word on whom calls are sealed to is not taken", "error", err)
		}
	}
	return nil
}

// tellTime tells headquarters' time. That of the answer itself could be anybody's, at a broker; its word on recipients is
// signed when it answers.
func (s *session) tellTime(answer wire.HaveAnswer) {
	if answer.Recipients == "" || s.cfg.Time == nil {
		return
	}
	if r, err := wire.VerifyRecipients(s.cfg.ReceiptKey, answer.Recipients); err == nil && r.Device == s.cfg.Device {
		s.cfg.Time(r.Time)
	}
}

func (s *session) reconcile(asked []call.ID, answer wire.HaveAnswer) {
	for _, jws := range answer.Receipts {
		r, err := s.verify(jws)
		switch {
		case err != nil:
			s.badReceipt(err)
		case r.Call == nil:
			s.acceptOldEntries(r, jws)
		case slices.Contains(asked, *r.Call):
			c, err := s.store.Call(*r.Call)
			if err != nil || c.Manifest == nil {
				s.log.Warn("a receipt has to wait until its call can be read", "call", *r.Call, "error", err)
				continue
			}
			s.accept(c, jws)
			s.plan.calls = slices.DeleteFunc(s.plan.calls, func(w call.Waiting) bool { return w.Call == *r.Call })
		}
	}
}
