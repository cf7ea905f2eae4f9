package uplink

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved atomic.Int64
		var gone error
		began := time.Now()
		ctx, stop := watch(t.Context(), func() time.Duration { return time.Minute }, moved.Load, func() error { return gone })
		defer stop()
		for range 20 { // 10 min at some 20 bytes a second
			time.Sleep(30 * time.Second)
			moved.Add(600)
		}
		if ctx.Err() != nil {
			t.Fatalf("a slow link was given up after %v: %v", time.Since(began), context.Cause(ctx))
		}
		began = time.Now()
		for ctx.Err() == nil { // a broker that answers pings, and nothing else
			time.Sleep(10 * time.Second)
			moved.Add(26)
		}
		if d := time.Since(began); !errors.Is(context.Cause(ctx), ErrStalled) || d < 45*time.Second || d > 80*time.Second {
			t.Errorf("given up after %v: %v", d, context.Cause(ctx))
		}
		began, gone = time.Now(), errors.New("no address")
		ctx, stop = watch(t.Context(), func() time.Duration { return time.Minute }, moved.Load, func() error { return gone })
		defer stop()
		<-ctx.Done()
		if d := time.Since(began); !errors.Is(context.Cause(ctx), gone) || d > 2*time.Second {
			t.Errorf("without an address given up after %v: %v", d, context.Cause(ctx))
		}
	})
}

// listen gives a listener and the connections it accepts.
func listen(t *testing.T) (address string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			conns <- c
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), conns
}

// TestNetworkCounts has a peer that does not read: what the kernel took counts as little as what it did not.
func TestNetworkCounts(t *testing.T) {
	address, accepted := listen(t)
	var n Network
	c, err := n.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	peer := <-accepted
	defer func() { _ = peer.Close() }()
	if _, err := peer.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if k, err := c.Read(make([]byte, 2000)); err != nil || n.count() != int64(k) {
		t.Errorf("read %d, counted %d, %v", k, n.count(), err)
	}
	before := n.count()
	go func() { _, _ = c.Write(make([]byte, 64<<20)) }() // blocks
	ctx, stop := n.Watch(t.Context(), 200*time.Millisecond)
	defer stop()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrStalled) || n.count() >= before+64<<20 {
		t.Errorf("counted %d of what nobody read, %v", n.count()-before, context.Cause(ctx))
	}
	n.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection that was cut")
	}
}

func TestSocketOptions(t *testing.T) {
	address, accepted := listen(t)
	var n Network
	c, err := n.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	defer func() { _ = (<-accepted).Close() }()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{unix.TCP_NOTSENT_LOWAT: 4096, unix.TCP_USER_TIMEOUT: 140_000} {
		var got int
		if err := errors.Join(raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) }), err); err != nil || got != want {
			t.Errorf("option %d is %d, want %d, %v", option, got, want, err)
		}
	}
}
