package web

import (
	"hash/maphash"
	"sync"
	"time"
)

// How many logins may be tried in one window. An address may hold an office, so it has more.
const (
	loginWindow     = time.Minute
	loginsOfUser    = 8
	loginsOfAddress = 24
)

// throttle limits the logins that are tried for one user and from one address. It counts in a table of fixed size, so
// that no stream of names or addresses makes it grow; two that share a place there share its limit, which with a secret
// seed nobody can aim for. It is of one process: several at one headquarters multiply the limit.
type throttle struct {
	now  func() time.Time
	seed maphash.Seed

	mu    sync.Mutex
	slots [4096]struct {
		tried int
		until time.Time
	}
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seed: maphash.MakeSeed()}
}

// take counts one attempt and says how long to wait instead; 0: go on. An attempt counts before its outcome is known,
// so that many at once do not all slip through.
func (t *throttle) take(address, user string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var wait time.Duration
	for key, most := range map[string]int{"address " + address: loginsOfAddress, "user " + user: loginsOfUser} {
		slot := &t.slots[t.slot(key)]
		if !now.Before(slot.until) {
			slot.tried, slot.until = 0, now.Add(loginWindow)
		}
		if slot.tried++; slot.tried > most {
			wait = max(wait, slot.until.Sub(now))
		}
	}
	return wait
}

// succeeded forgets what was tried for the user. The address keeps its count: one right password must not buy guesses at
// others.
func (t *throttle) succeeded(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots[t.slot("user "+user)].tried = 0
}

func (t *throttle) slot(key string) int {
	return int(maphash.String(t.seed, key) % uint64(len(t.slots)))
}
