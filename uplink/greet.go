package uplink

import (
	"context"
	"fmt"
	"sync"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// greeting is what goes out behind the first status of a connection, before that is answered, and what came back: on a
// link with long round trips headquarters knows of new calls two of them sooner.
type greeting struct {
	question wire.HaveQuestion
	answer   wire.HaveAnswer
	haveErr  error

	batch      []call.SignedEntry // none: there was nothing to send
	receipt    string
	entriesErr error
}

// greet connects and says how the recorder is. It gives no greeting where the rest has to wait for that.
func (s *session) greet(ctx context.Context, first wire.Status) (*greeting, error) {
	t, ok := s.transport.(Pipelined)
	if !ok || IsWeak(s.transport) { // what is not headquarters has to be found to be there first
		return nil, s.say(ctx, first)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	standing, opened := make(chan struct{}), make(chan error, 1)
	go func() { opened <- t.Open(ctx, first, func() { close(standing) }) }()
	select {
	case err := <-opened:
		return nil, s.said(first, err)
	case <-standing:
	}
	g := &greeting{question: s.question(), batch: s.early()}
	var beside sync.WaitGroup
	beside.Go(func() { g.answer, g.haveErr = s.transport.Have(ctx, g.question) })
	if len(g.batch) > 0 {
		beside.Go(func() { g.receipt, g.entriesErr = s.transport.Entries(ctx, message(g.batch)) })
	}
	err := s.said(first, <-opened)
	if err != nil {
		cancel() // nothing else will be answered
	}
	beside.Wait()
	return g, err
}

// early gives the first entries that wait, as many as may be sent a second time should headquarters have them already.
func (s *session) early() []call.SignedEntry {
	if !s.entries.due() {
		return nil
	}
	pending, err := s.store.Entries(maxEntries)
	if err != nil {
		s.putOffEntries(fmt.Errorf("read the ring's entries: %w", err))
		return nil
	}
	return nextBatch(pending, earlyBatch)
}

// heed takes in what came back, or asks what the greeting did not.
func (s *session) heed(ctx context.Context, g *greeting) error {
	if g == nil {
		return s.have(ctx)
	}
	if err := s.heard(g.question, g.answer, g.haveErr); err != nil || len(g.batch) == 0 {
		return err
	}
	_, err := s.took(g.batch, g.receipt, g.entriesErr)
	return err
}
