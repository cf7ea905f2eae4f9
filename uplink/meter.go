package uplink

import (
	"sync"
	"time"
)

// meter measures what the link carries: bytes of calls that were handed to it, over the time from the first of a transfer
// to its acknowledgement. Time in which nothing was to be sent does not count.
type meter struct {
	mu    sync.Mutex
	bytes float64
	busy  time.Duration
	under int       // transfers
	since time.Time // counted up to here, while some are under way
}

const (
	leastBusy = 2 * time.Second  // before which nothing is known
	mostBusy  = 40 * time.Second // what is older counts half, and half again
)

func (m *meter) begin(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(now)
	m.under++
}

func (m *meter) add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += float64(max(0, bytes))
}

func (m *meter) end(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(now)
	m.under--
}

// count adds the time since it was last counted; m.mu is held.
func (m *meter) count(now time.Time) {
	if m.under > 0 {
		m.busy += now.Sub(m.since)
	}
	m.since = now
	for m.busy > mostBusy {
		m.busy, m.bytes = m.busy/2, m.bytes/2
	}
}

// rate is what the link carries, in bytes a second; 0: nobody knows yet.
func (m *meter) rate(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(now)
	if m.busy < leastBusy {
		return 0
	}
	return m.bytes / m.busy.Seconds()
}
