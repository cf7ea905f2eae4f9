package badlink

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open opens a link, or skips where that is not allowed. In CI it must be.
func open(t *testing.T, cfg Config) *Link {
	t.Helper()
	l, err := Open(cfg)
	if errors.Is(err, ErrNotAllowed) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// pair connects from near to far.
func pair(t *testing.T, l *Link) (near, far net.Conn) {
	t.Helper()
	var listener net.Listener
	err := l.Far.Do(func() (err error) { listener, err = net.Listen("tcp", FarAddress+":0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	err = l.Near.Do(func() (err error) { near, err = net.Dial("tcp", listener.Addr().String()); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return near, far
}

func TestRateAndDelay(t *testing.T) {
	l := open(t, Config{Rate: 1_000_000, Delay: 50 * time.Millisecond, Queue: 64 << 10})
	began := time.Now()
	near, far := pair(t, l)
	if d := time.Since(began); d < 100*time.Millisecond || d > 300*time.Millisecond {
		t.Errorf("connected in %v, want a round trip of 100 ms", d)
	}
	const size = 125_000
	began = time.Now()
	go func() { _, _ = near.Write(make([]byte, size)); _ = near.(*net.TCPConn).CloseWrite() }()
	if n, err := io.Copy(io.Discard, far); n != size || err != nil {
		t.Fatalf("%d bytes arrived, %v", n, err)
	}
	if d := time.Since(began); d < time.Second || d > 2*time.Second {
		t.Errorf("%d bytes took %v, want 1 s and a little", size, d)
	}
	c := l.Counters()
	if c.Up.Delivered < size || c.Up.Payload < c.Up.Delivered || c.Up.Lost != 0 || c.Up.Cut != 0 || c.Down.Payload != 0 {
		t.Errorf("counted %+v", c)
	}
	controls, err := l.Controls()
	if err != nil || !slices.Equal(controls, []string{"cubic"}) && !slices.Equal(controls, nil) {
		t.Errorf("congestion control %v, %v", controls, err)
	}
}

func TestLossIsSeeded(t *testing.T) {
	lost := func(seed uint64) (which []int) {
		l := open(t, Config{Rate: 100_000_000, Queue: 1 << 20, Loss: 0.2, Seed: seed})
		var from, to net.PacketConn
		err := errors.Join(
			l.Near.Do(func() (err error) { from, err = net.ListenPacket("udp", NearAddress+":9"); return err }),
			l.Far.Do(func() (err error) { to, err = net.ListenPacket("udp", FarAddress+":9"); return err }))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = errors.Join(from.Close(), to.Close()) }()
		const packets = 100
		for i := range packets {
			if _, err := from.WriteTo([]byte{byte(i)}, to.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, 10)
		for arrived := map[byte]bool{}; ; {
			if err := to.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := to.ReadFrom(b); err != nil {
				for i := range packets {
					if !arrived[byte(i)] {
						which = append(which, i)
					}
				}
				return which
			}
			arrived[b[0]] = true
		}
	}
	first, again, other := lost(1), lost(1), lost(2)
	if !slices.Equal(first, again) || slices.Equal(first, other) || len(first) < 8 || len(first) > 35 {
		t.Errorf("lost %v, then %v, with another seed %v", first, again, other)
	}
}

func TestQueueOverflows(t *testing.T) {
	l := open(t, Config{Rate: 64_000, Queue: 8 << 10})
	var c net.Conn
	if err := l.Near.Do(func() (err error) { c, err = net.Dial("udp", FarAddress+":9"); return err }); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for range 20 {
		_, _ = c.Write(make([]byte, 1000)) // nobody hears at the far end, which says so
	}
	for l.Counters().Up.Packets < 20 {
		time.Sleep(time.Millisecond) // the kernel hands them over when it likes
	}
	if n := l.Counters().Up.Overflowed; n < 11 || n > 13 { // 7 fit, and what is sent meanwhile
		t.Errorf("%d of 20 packets overflowed, want those beyond 8 KiB", n)
	}
}

func TestCuts(t *testing.T) {
	l := open(t, Config{Rate: 10_000_000, Delay: time.Millisecond, Queue: 64 << 10})
	near, far := pair(t, l)
	hello := func() error {
		if _, err := near.Write([]byte("hello")); err != nil {
			return err
		}
		if err := far.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		_, err := io.ReadFull(far, make([]byte, 5))
		return err
	}
	if err := hello(); err != nil {
		t.Fatal(err)
	}
	l.Cut()
	if err := hello(); !errors.Is(err, os.ErrDeadlineExceeded) || l.Counters().Up.Cut == 0 {
		t.Errorf("over a link that is cut: %v, %+v", err, l.Counters())
	}
	l.Restore()
	if err := far.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
		t.Errorf("after the cut: %v", err)
	}
	if err := l.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := hello(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a connection that was reset: %v", err)
	}
	if err := errors.Join(l.Unplug(), l.Plug(OtherAddress)); err != nil {
		t.Fatal(err)
	}
	if near, _ := pair(t, l); near.LocalAddr().(*net.TCPAddr).IP.String() != OtherAddress {
		t.Errorf("connected from %v after a change of address", near.LocalAddr())
	}
}

func TestPrograms(t *testing.T) {
	l := open(t, Config{Rate: 10_000_000, Queue: 64 << 10})
	cmd := exec.Command("sleep", "1000")
	if err := l.Near.Start(cmd); err != nil {
		t.Fatal(err)
	}
	l.Near.close()
	l.Near = nil
	if err := cmd.Wait(); err == nil {
		t.Error("a program outlived its namespace")
	}
}

// TestOnAThread: it is never the program's first, whichever goroutine asks for one.
func TestOnAThread(t *testing.T) {
	for range 50 { // of which some begin on the first
		done := make(chan int)
		for range 4 {
			go onAThread(func() { done <- unix.Gettid() })
		}
		for range 4 {
			if <-done == unix.Getpid() {
				t.Fatal("the first thread")
			}
		}
	}
}

func TestConfig(t *testing.T) {
	for _, bad := range []Config{{}, {Rate: 1}, {Rate: 1, Queue: 1 << 10}, {Rate: 1, Queue: 8 << 10, Loss: 1}, {Rate: 1, Queue: 8 << 10, Loss: -0.1}} {
		if l, err := Open(bad); err == nil {
			_ = l.Close()
			t.Errorf("%+v was taken", bad)
		}
	}
}
