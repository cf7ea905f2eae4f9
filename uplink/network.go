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

// Silence is how long a link may say nothing and still be alive: at 9.6 kbit/s a queue of 128 KB, full of what others on
// the same line send, lasts for 110 s. Only over a link that has shown that it is faster is one found dead sooner.
const Silence = leastPatience + 120*time.Second

const (
	// notSent bounds what waits in the kernel without having been sent: status and entries would have to wait behind it,
	// and a program that is killed would go on sending it.
	notSent = 4 << 10
	// probes is how many keep-alive probes go out within that time, each of which costs a metered link some 80 bytes.
	probes = 4
	// deepQueue is the deepest queue, bytes, that may stand before what is sent, and leastPatience what is waited beyond the
	// time that this takes.
	deepQueue     = 128 << 10
	leastPatience = 20 * time.Second
	// looks is how often a watch looks within the time that it allows for a stall, and leastMoved is the number of bytes
	// that have to move between two looks: more than keep-alives do by themselves.
	looks      = 4
	leastMoved = 256
	// glance is how often it looks at the least whether a connection's own address is still there.
	glance = 2 * time.Second
)

// ErrStalled is the cause of a context that Network.Watch cancelled.
var ErrStalled = errors.New("nothing got through")

// Network makes a transport's TCP connections, as they suit bad links, and counts what really moves over them: bytes
// that headquarters' TCP has acknowledged, and bytes that came from it. What the kernel merely holds for sending does
// not count, so that a link of 9.6 kbit/s with a deep queue is told from a dead one. The zero value is ready.
type Network struct {
	Traffic *Traffic // what goes is counted and held down there; nil: nowhere

	mu    sync.Mutex
	moved int64 // of connections that are closed
	conns map[*connection]struct{}
}

type connection struct {
	*net.TCPConn
	flow
	network       *Network
	ended         context.Context
	end           context.CancelFunc
	read, written int64 // under network.mu

	writing sync.Mutex
	kept    []byte // of writes, not sent yet
}

// Dial connects.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         30 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: Silence / probes, Count: probes},
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
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dial %s %s: %w", network, address, err), c.Close())
	}
	conn := &connection{TCPConn: tcp, flow: flow{raw: raw}, network: n}
	conn.ended, conn.end = context.WithCancel(context.Background())
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
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(Silence.Milliseconds())))
	})
	return errors.Join(controlErr, err)
}

// Watch gives a context that is cancelled, with ErrStalled as its cause, when nothing has moved for a time: stall, or what
// a deep queue takes at the rate that the link has shown, if that is less. stop ends the watch and the context.
func (n *Network) Watch(ctx context.Context, stall time.Duration) (_ context.Context, stop func()) {
	return watch(ctx, func() time.Duration { return min(stall, n.patience()) }, n.count, n.homeless)
}

func watch(ctx context.Context, patience func() time.Duration, count func() int64, dead func() error) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for last, since, still := count(), time.Now(), 0; still < looks; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(patience()/looks, glance)):
			}
			if err := dead(); err != nil {
				cancel(err)
				return
			}
			if time.Since(since) < patience()/looks {
				continue
			}
			still++
			since = time.Now()
			if now := count(); now-last >= leastMoved {
				last, still = now, 0
			}
		}
		cancel(fmt.Errorf("%w for %v", ErrStalled, patience().Round(time.Millisecond)))
	}()
	return ctx, func() { cancel(nil); <-done }
}

// homeless says so where a connection was made from an address that this machine has no longer: it is dead, and nothing
// will ever tell.
func (n *Network) homeless() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		at, ok := c.LocalAddr().(*net.TCPAddr)
		if !ok {
			continue
		}
		probe, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Zone: at.Zone})
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("%w: this machine has not the address %v any more", ErrStalled, at.IP)
		}
		if err == nil {
			_ = probe.Close() // nothing was sent
		}
	}
	return nil
}

// patience is how long nothing may move: Silence, or less over a link that has shown that it empties a deep queue sooner.
func (n *Network) patience() time.Duration {
	rate := n.Rate()
	if rate == 0 {
		return Silence
	}
	return min(Silence, leastPatience+time.Duration(float64(deepQueue)/float64(rate)*float64(time.Second)))
}

// Rate is what the link has shown that it carries, in bytes a second; 0: nothing yet.
func (n *Network) Rate() (rate uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if info, _, err := c.look(); err == nil {
			rate = max(rate, info.Delivery_rate)
		}
	}
	return rate
}

// Cut ends the streams of all connections in both directions, so that whoever uses them finds out and closes them.
// (Closing them here would be taken by paho for its own doing, and its goroutines would stay.)
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.end()
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
	_, n, err := c.look()
	if err != nil {
		return 0 // closed: nothing is queued
	}
	return n
}

func (c *connection) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b[:c.network.Traffic.pieces(len(b))])
	c.network.mu.Lock()
	c.read += int64(n)
	c.network.mu.Unlock()
	c.network.Traffic.spend(c.ended, n)
	return n, err
}

// Write implements net.Conn. It waits while the link has enough to carry. The last packet of a large write, which is not
// full, goes out with the next one, or soon; so does what is small: packets that are not full cost a slow link more than
// they bring, and the kernel, which counts packets, would take the link for a faster one.
func (c *connection) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.kept = append(c.kept, b...)
	wait := gather
	switch {
	case len(b) >= record:
		wait = linger
		fallthrough
	case len(c.kept) >= small || c.swift:
		if err := c.push(len(b) >= record); err != nil {
			return 0, err
		}
	}
	if len(c.kept) > 0 {
		time.AfterFunc(wait, c.flush)
	}
	return len(b), nil
}

// flush sends what a write has left, if no other has taken it along. What goes wrong, the next one says.
func (c *connection) flush() {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.push(false)
}

// push sends what is kept. Where more is to be expected it leaves what would not fill another packet.
func (c *connection) push(more bool) error {
	packet := 0
	for len(c.kept) > 0 && (!more || len(c.kept) >= packet) {
		var n int
		var err error
		if n, packet, err = c.turn(len(c.kept)); err != nil {
			return err
		}
		if more && n > packet {
			n -= n % packet
		}
		n = c.network.Traffic.pieces(n)
		c.network.Traffic.spend(c.ended, n)
		n, err = c.send(c.kept[:n])
		c.kept = c.kept[:copy(c.kept, c.kept[n:])]
		c.network.mu.Lock()
		c.written += int64(n)
		c.network.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *connection) SetDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.TCPConn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.setDeadline(t)
	return c.TCPConn.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.end()
	c.network.mu.Lock()
	if _, open := c.network.conns[c]; open {
		delete(c.network.conns, c)
		c.network.moved += c.read + c.written
	}
	c.network.mu.Unlock()
	c.end()
	return c.TCPConn.Close()
}
