package tus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// errStalled is the cause of a request that the watchdog cancelled.
var errStalled = errors.New("no byte got through")

// meter counts what really moves over the connections of one transport: bytes that headquarters' TCP has acknowledged,
// and bytes that came from it. What the kernel merely holds for sending does not count, so that a link of 9.6 kbit/s
// with a deep queue is told from a dead one.
type meter struct {
	mu    sync.Mutex
	moved int64 // of connections that are closed
	conns map[*meteredConn]struct{}
}

type meteredConn struct {
	*net.TCPConn
	meter         *meter
	read, written int64 // under meter.mu
}

func (m *meter) wrap(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	mc := &meteredConn{TCPConn: tcp, meter: m}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[mc] = struct{}{}
	return mc
}

func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.meter.mu.Lock()
	c.read += int64(n)
	c.meter.mu.Unlock()
	return n, err
}

func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.meter.mu.Lock()
	c.written += int64(n)
	c.meter.mu.Unlock()
	return n, err
}

func (c *meteredConn) Close() error {
	c.meter.mu.Lock()
	if _, open := c.meter.conns[c]; open {
		delete(c.meter.conns, c)
		c.meter.moved += c.read + c.written
	}
	c.meter.mu.Unlock()
	return c.TCPConn.Close()
}

// closeAll ends what is open, so that the next request makes a new connection.
func (m *meter) closeAll() {
	m.mu.Lock()
	open := slices.Collect(maps.Keys(m.conns))
	m.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // nothing more is wanted of it
	}
}

// queued is what the kernel holds: unsent, or sent and not acknowledged.
func (c *meteredConn) queued() int64 {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var n int
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return int64(n)
}

// count changes whenever a byte has moved.
func (m *meter) count() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := m.moved
	for c := range m.conns {
		total += c.read + c.written - c.queued()
	}
	return total
}

// watch gives a context that is cancelled with errStalled when nothing has moved for a while. stop ends the watch.
func (m *meter) watch(ctx context.Context, stall time.Duration) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		const looks = 4 // for each stall
		tick := time.NewTicker(stall / looks)
		defer tick.Stop()
		last, still := m.count(), 0
		for still < looks {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n := m.count(); n != last {
				last, still = n, 0
			} else {
				still++
			}
		}
		cancel(fmt.Errorf("%w for %v", errStalled, stall))
	}()
	return ctx, func() { cancel(nil); <-done }
}
