package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

const (
	// streamEvery is how often what is new of the calls in progress is sent. With a chunk of a second, the ring's sync,
	// and the round trips of a slow link, headquarters is never 10 s behind.
	streamEvery = 2 * time.Second
	// streamPart bounds what is sent of one call at a time, so that a call that is long under way when the link comes up
	// does not go ahead of the others for long.
	streamPart = 128 << 10
	// streamWatch is how long a call has to be watched before it is known how fast it grows.
	streamWatch = 3 * time.Second

	// The link has to carry so much more than the calls in progress need for streaming to begin, and to go on.
	streamBegins  = 1.5
	streamGoesOn  = 1.1
	streamRefused = 30 * time.Second // before it is tried again, where headquarters cannot take it now
)

// streams is the sending of calls in progress, in a goroutine of its own. It outlives a connection, so that a call goes on
// as soon as there is another.
type streams struct {
	calls []*growing
	on    bool
	until time.Time // not before

	mu   sync.Mutex
	now  call.ID       // being sent; zero: none
	calm chan struct{} // closed: no bytes of a call in progress wait for the link
}

// growing is a call in progress.
type growing struct {
	id           call.ID
	size         int64 // synced
	acknowledged int64

	since time.Time // when it was first seen
	from  int64     // its size then
}

// rate is how fast the call grows, in bytes a second; 0: not known yet.
func (g *growing) rate(now time.Time) float64 {
	watched := now.Sub(g.since)
	if watched < streamWatch {
		return 0
	}
	return float64(g.size-g.from) / watched.Seconds()
}

// streamCalls sends what there is of calls in progress, as long as the link carries more than they need, until ctx ends
// or the link fails. It never sends more than one at a time, and the bytes of ended calls wait for it.
func (s *session) streamCalls(ctx context.Context) {
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	s.streams.until = time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.lookAtGrowing(time.Now())
		if !s.gate.permit().Calls || !s.streams.carried(s.meter.rate(time.Now()), time.Now()) {
			continue
		}
		for _, g := range s.streams.calls {
			if err := s.streamCall(ctx, g); err != nil {
				if ctx.Err() == nil {
					s.watched <- err
				}
				return
			}
		}
	}
}

// lookAtGrowing finds the calls in progress.
func (s *session) lookAtGrowing(now time.Time) {
	var calls []*growing
	s.store.EachWaiting(func(w call.Waiting) bool {
		if w.Ended || w.Number != 0 || w.Size == 0 || w.Parked {
			return true
		}
		i := slices.IndexFunc(s.streams.calls, func(g *growing) bool { return g.id == w.Call })
		g := &growing{id: w.Call, since: now, from: w.Size}
		if i >= 0 {
			g = s.streams.calls[i]
		}
		g.size = w.Size
		calls = append(calls, g)
		return true
	})
	s.streams.calls = calls
}

// carried says whether the calls in progress are to be sent now: what the link carries is compared with what they need.
// Where that is not known of the link, trying will tell.
func (s *streams) carried(link float64, now time.Time) bool {
	need := 0.0
	for _, g := range s.calls {
		rate := g.rate(now)
		if rate == 0 && link != 0 {
			return s.on && !now.Before(s.until) // soon it will be known
		}
		need += rate
	}
	times := streamBegins
	if s.on {
		times = streamGoesOn
	}
	s.on = len(s.calls) > 0 && (link == 0 || link > times*need)
	return s.on && !now.Before(s.until)
}

// streamCall sends what is new of a call in progress. Its error means that the link has failed.
func (s *session) streamCall(ctx context.Context, g *growing) error {
	size := min(g.size, g.acknowledged+streamPart)
	if size <= g.acknowledged {
		return nil
	}
	s.streams.take(g.id)
	defer func() {
		s.streams.take(call.ID{})
		s.poke()
	}()
	c, err := s.store.Call(g.id)
	if err != nil || c.Ended {
		return nil // what is left of it goes as of any other
	}
	t := &transfer{session: s, ctx: ctx, call: c, size: size, grows: true, turn: atOnce, handed: make(chan struct{})}
	t.run()
	var refused *RefusedError
	var later *LaterError
	var busy *BusyError
	switch {
	case t.err == nil:
		g.acknowledged = size
	case ctx.Err() != nil, t.local() != nil: // of the card: the transfer of the whole call will say so
	case errors.As(t.err, &refused), errors.As(t.err, &later), errors.As(t.err, &busy):
		s.log.Info("a call in progress is not taken", "call", g.id, "error", t.err)
		s.streams.until = time.Now().Add(streamRefused)
	default:
		return fmt.Errorf("send call %s, which is in progress: %w", g.id, t.err)
	}
	return nil
}

// take notes which call in progress is being sent; zero: none.
func (s *streams) take(id call.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = id
}

// has says whether a call is being sent as one in progress.
func (s *streams) has(id call.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now == id
}

// hurry makes the bytes of ended calls wait until the function that it gives is called.
func (s *streams) hurry() (over func()) {
	calm := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = calm
	return func() { close(calm) }
}

// give waits until no bytes of a call in progress wait for the link.
func (s *streams) give(ctx context.Context) error {
	s.mu.Lock()
	calm := s.calm
	s.mu.Unlock()
	if calm == nil {
		return nil
	}
	select {
	case <-calm:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
