package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// notSent bounds what waits in the kernel without having been sent: it is wasted when the link is cut, and status
	// and entries would have to wait behind it.
	notSent = 8 << 10
	// userTimeout is how long sent bytes may stay unacknowledged before the kernel gives the connection up.
	userTimeout = 15 * time.Second
	// looks is how often a watch looks within the time that it allows for a stall, and leastMoved is the number of bytes
	// that have to move between two looks: more than keep-alives do by themselves.
	looks      = 4
	leastMoved = 256
)

// ErrStalled is the cause of a context that Network.Watch cancelled.
var ErrStalled = errors.New("nothing got through")

// Network makes a transport's TCP connections, as they suit bad links, and counts what really moves over them: bytes
// that headquarters' TCP has acknowledged, and bytes that came from it. What the kernel merely holds for sending does
// not count, so that a link of 9.6 kbit/s with a deep queue is told from a dead one. The zero value is ready.
type Network struct {
	mu    sync.Mutex
	moved int64 // of connections that are closed
	conns map[*connection]struct{}
}

type connection struct {
	*net.TCPConn
	network       *Network
	read, written int64 // under network.mu
}

// Dial connects. Keep-alive probes are rare, since each costs a metered link some 80 bytes.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         30 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4},
		Control:         setSocket,
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("dial %s %s: not TCP", network, address), c.Close())
	}
	conn := &connection{TCPConn: tcp, network: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = make(map[*connection]struct{})
	}
	n.conns[conn] = struct{}{}
	return conn, nil
}

func setSocket(_, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())))
	})
	return errors.Join(controlErr, err)
}

// Watch gives a context that is cancelled, with ErrStalled as its cause, when nothing has moved for so long. stop ends
// the watch and the context.
func (n *Network) Watch(ctx context.Context, stall time.Duration) (_ context.Context, stop func()) {
	return watch(ctx, stall, n.count)
}

func watch(ctx context.Context, stall time.Duration, count func() int64) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(stall / looks)
		defer tick.Stop()
		last, still := count(), 0
		for still < looks {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			still++
			if now := count(); now-last >= leastMoved {
				last, still = now, 0
			}
		}
		cancel(fmt.Errorf("%w for %v", ErrStalled, stall))
	}()
	return ctx, func() { cancel(nil); <-done }
}

// Cut ends the streams of all connections in both directions, so that whoever uses them finds out and closes them.
// (Closing them here would be taken by paho for its own doing, and its goroutines would stay.)
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = errors.Join(c.CloseRead(), c.CloseWrite()) // ended already: so much the better
	}
}

func (n *Network) count() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	total := n.moved
	for c := range n.conns {
		total += c.read + c.written - c.queued()
	}
	return total
}

// queued is what the kernel holds: unsent, or sent and not acknowledged.
func (c *connection) queued() int64 {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var n int
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) // closed: nothing is queued
	return int64(n)
}

func (c *connection) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.network.mu.Lock()
	c.read += int64(n)
	c.network.mu.Unlock()
	return n, err
}

func (c *connection) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.network.mu.Lock()
	c.written += int64(n)
	c.network.mu.Unlock()
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.network.mu.Lock()
	if _, open := c.network.conns[c]; open {
		delete(c.network.conns, c)
		c.network.moved += c.read + c.written
	}
	c.network.mu.Unlock()
	return c.TCPConn.Close()
}
