package cuttest

import (
	"errors"
	"net"
	"sync"
	"testing"
)

// proxy passes TCP on, and cuts it once.
type proxy struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	left  int64             // until the cut; negative: there was one
	conns map[net.Conn]bool // true: the recorder's
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, left: -1, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

// Address is where it listens.
func (p *proxy) Address() string { return p.listener.Addr().String() }

// cutAfter has everything cut when so many bytes have been passed on.
func (p *proxy) cutAfter(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = bytes
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, false
		p.mu.Unlock()
		p.running.Go(func() { p.pass(far, near, p.spend) })
		p.running.Go(func() { p.pass(near, far, func(n int) int { return n }) })
	}
}

// pass brings bytes across until one end is done, and then ends both.
func (p *proxy) pass(to, from net.Conn, spend func(int) int) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		may := spend(n)
		_, writeErr := to.Write(b[:may])
		if may < n {
			p.cut()
		}
		if err != nil || writeErr != nil || may < n {
			break
		}
	}
	_ = errors.Join(to.Close(), from.Close()) // ended already: so much the better
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, to)
	delete(p.conns, from)
}

// spend says how many of n bytes still pass.
func (p *proxy) spend(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left >= 0 {
		if int64(n) > p.left {
			n, p.left = int(p.left), -1
		} else {
			p.left -= int64(n)
		}
	}
	return n
}

// cut ends every connection: the recorder's by a reset, the receiver's behind what it has not read yet, which a reset would
// take from it.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, recorder := range p.conns {
		if recorder {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
	clear(p.conns)
}
