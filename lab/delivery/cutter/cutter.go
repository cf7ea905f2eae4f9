// Package cutter is a link on loopback that fails on command, at a byte: it carries TCP connections to one address, and
// can reset them, swallow everything, lose the answer to what has just arrived, or have the client come from another
// address.
//
//	l, err := cutter.Listen("127.0.0.1:8444", cutter.Options{BytesPerSecond: 64 << 10})
//	l.After(70_001, func() { l.Reset() })   // after the 70,001st byte from now, of both directions together
//	dial(l.Address())
//
// It ends TCP twice, so it says nothing of retransmissions, and byte counts of a link are not to be had from it: that
// takes kernel TCP end to end. What it is for is that a cut falls between any two bytes of what the programs say.
package cutter

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options may be left zero.
type Options struct {
	BytesPerSecond int // in each direction of each connection; 0: no bound
}

// Link is a listener on loopback and the connections that it carries. Close it.
type Link struct {
	to       string
	opts     Options
	listener net.Listener
	all      sync.WaitGroup

	mu       sync.Mutex
	pairs    map[*pair]struct{}
	flow     chan struct{} // closed while bytes flow; open in a hole
	falls    chan struct{} // closed but while fall is called
	lastByte byte          // of the address that the client comes from, 127.0.0.x
	deaf     bool          // the next answer is lost, with its connection
	carried  int64
	trip     int64 // carried bytes at which fall is called; negative: none
	fall     func()
	closed   bool
}

// pair is a connection of the client and ours to the server.
type pair struct {
	client, server *net.TCPConn
	gone           chan struct{} // closed when nothing is carried between the two any more
	once           sync.Once
}

// piece is the most that is carried at a time, in bytes.
const piece = 4 << 10

// Listen gives a link to an address.
func Listen(to string, opts Options) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make a link to %s: %w", to, err)
	}
	flow := make(chan struct{})
	close(flow)
	l := &Link{to: to, opts: opts, listener: listener, pairs: map[*pair]struct{}{}, flow: flow, falls: flow, lastByte: 1, trip: -1}
	l.all.Go(l.accept)
	return l, nil
}

// Address is where the client is to connect to.
func (l *Link) Address() string { return l.listener.Addr().String() }

// After has fall called once so many bytes more, of both directions, have been carried: before the next byte is. It
// takes the place of what was asked for before.
func (l *Link) After(bytes int64, fall func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trip, l.fall = l.carried+bytes, fall
}

// Reset ends all connections, on both sides, with a reset.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		p.reset()
	}
}

// LoseAnswer resets the connection over which the next bytes come from the server, in their place.
func (l *Link) LoseAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

// Hole swallows: nothing is carried, and nobody is told, until Heal. Then the connections go on, as TCP does.
func (l *Link) Hole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flow:
		l.flow = make(chan struct{})
	default: // it is one already
	}
}

// Heal ends a hole.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flow:
	default:
		close(l.flow)
	}
}

// Move changes the client's address: connections there are dead, of which neither side is told, and new ones come from
// another address of loopback.
func (l *Link) Move() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastByte = l.lastByte%250 + 1
	for p := range l.pairs {
		p.part()
	}
}

// Close ends everything.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	err := l.listener.Close()
	for p := range l.pairs {
		p.reset()
	}
	l.mu.Unlock()
	l.Heal()
	l.all.Wait()
	return err
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of file descriptors: some will be closed
			continue
		}
		l.all.Go(func() { l.join(c.(*net.TCPConn)) })
	}
}

// join carries one connection to its end.
func (l *Link) join(client *net.TCPConn) {
	l.mu.Lock()
	from := net.IPv4(127, 0, 0, l.lastByte)
	l.mu.Unlock()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	server, err := d.Dial("tcp", l.to)
	if err != nil { // nobody is there
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn), gone: make(chan struct{})}
	l.mu.Lock()
	l.pairs[p] = struct{}{}
	if l.closed {
		p.reset()
	}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.carry(p, p.client, p.server, false) })
	both.Go(func() { l.carry(p, p.server, p.client, true) })
	both.Wait()
	p.reset()
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
}

// carry carries one direction until it ends, or the pair is parted: then what comes is read and thrown away, until its
// side gives up.
func (l *Link) carry(p *pair, from, to *net.TCPConn, answers bool) {
	_ = from.SetReadBuffer(piece) // what waits in sockets is what a cut cannot fall into
	b := make([]byte, piece)
	for {
		n, err := from.Read(b)
		if l.pass(p, to, b[:n], answers) != nil {
			return
		}
		if err != nil {
			if !p.isGone() { // else the other side is not told
				_ = to.CloseWrite()
			}
			return
		}
		if l.opts.BytesPerSecond > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(l.opts.BytesPerSecond))
		}
	}
}

// pass carries bytes, as far as nothing falls between them.
func (l *Link) pass(p *pair, to *net.TCPConn, b []byte, answers bool) error {
	for len(b) > 0 {
		l.mu.Lock()
		for _, gate := range []<-chan struct{}{l.falls, l.flow} {
			l.mu.Unlock()
			select {
			case <-gate:
			case <-p.gone:
				return nil
			}
			l.mu.Lock()
		}
		if p.isGone() {
			l.mu.Unlock()
			return nil
		}
		if answers && l.deaf {
			l.deaf = false
			p.reset()
			l.mu.Unlock()
			return net.ErrClosed
		}
		n := int64(len(b))
		var fall func()
		if l.trip >= 0 && l.carried+n >= l.trip {
			n, fall = l.trip-l.carried, l.fall
			l.trip, l.fall, l.falls = -1, nil, make(chan struct{})
		}
		falls := l.falls
		l.carried += n
		l.mu.Unlock()
		_, err := to.Write(b[:n])
		if fall != nil {
			fall()
			close(falls)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// part has nothing carried between the two any more.
func (p *pair) part() { p.once.Do(func() { close(p.gone) }) }

func (p *pair) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// reset ends both connections at once.
func (p *pair) reset() {
	p.part()
	for _, c := range []*net.TCPConn{p.client, p.server} {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
