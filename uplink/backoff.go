package uplink

import (
	"math/rand/v2"
	"time"
)

const (
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	longestAsk  = time.Hour // the most that headquarters' Retry-After is believed
)

// retry is how long something has to wait after it failed, ever longer.
type retry struct {
	failures int
	until    time.Time // zero: now
}

// fail puts the next attempt off: twice as long as the time before, less up to half of it by chance (so that a thousand
// recorders that lost headquarters together do not come back together), and not before after.
func (r *retry) fail(after time.Duration) time.Duration {
	wait := min(firstWait<<min(r.failures, 20), longestWait)
	r.failures++
	wait -= rand.N(wait / 2)
	wait = max(wait, min(after, longestAsk))
	r.until = time.Now().Add(wait)
	return wait
}

// reset is for success.
func (r *retry) reset() { *r = retry{} }

// due says whether it may be tried now.
func (r *retry) due() bool { return r == nil || !time.Now().Before(r.until) }
