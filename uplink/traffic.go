package uplink

import (
	"context"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Traffic counts what goes over the connections of all transports, both ways together, as TCP payload: TLS is in it,
// headers of IP and TCP (3 to 4 %) and what TCP repeats are not. It can hold the rate down. Set it as the Traffic of
// each Network, before the first connection.
type Traffic struct {
	total   atomic.Int64
	limiter *rate.Limiter // nil: no limit
	piece   int           // bytes that are written at a time
}

// leastPiece is what is written at a time at the least, however low the rate.
const leastPiece = 512

// NewTraffic gives a Traffic that is held to so many bytes a second; 0: to none.
func NewTraffic(bytesPerSecond int64) *Traffic {
	t := new(Traffic)
	if bytesPerSecond > 0 {
		t.piece = int(max(bytesPerSecond/4, leastPiece))
		t.limiter = rate.NewLimiter(rate.Limit(bytesPerSecond), t.piece)
	}
	return t
}

// Total is what has gone since the program started, in bytes.
func (t *Traffic) Total() int64 { return t.total.Load() }

// pieces bounds what is written or read at a time, so that the rate is even.
func (t *Traffic) pieces(n int) int {
	if t == nil || t.limiter == nil {
		return n
	}
	return min(n, t.piece)
}

// spend counts bytes and waits until they may go, or ctx ends.
func (t *Traffic) spend(ctx context.Context, n int) {
	if t == nil || n <= 0 {
		return
	}
	t.total.Add(int64(n))
	if t.limiter != nil {
		_ = t.limiter.WaitN(ctx, min(n, t.piece)) // ended: whoever uses the connection finds out
	}
}
