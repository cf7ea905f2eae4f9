package cutter

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo sends back what comes, and remembers from where.
type echo struct {
	net.Listener
	all  sync.WaitGroup
	from chan string
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l, from: make(chan string, 10)}
	e.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			e.from <- host
			e.all.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	return e
}

func open(t *testing.T) (*echo, *Link) {
	t.Helper()
	e := newEcho(t)
	l, err := Listen(e.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(); _ = l.Close(); e.all.Wait() })
	return e, l
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange says something and wants it back.
func exchange(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(text)))
	return err
}

// TestCutsAtTheByte resets after each byte of an exchange: so many come back, and no more.
func TestCutsAtTheByte(t *testing.T) {
	const text = "eight by"
	for cut := range int64(2 * len(text)) {
		_, l := open(t)
		l.After(cut, l.Reset)
		c := dial(t, l)
		if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("cut at %d: %v, want a reset", cut, err)
		}
		if most := max(0, cut-int64(len(text))); int64(len(b)) > most {
			t.Errorf("cut at %d: %d bytes came back, want at most %d", cut, len(b), most)
		}
		if err := exchange(dial(t, l), text); err != nil {
			t.Errorf("the connection after: %v", err)
		}
	}
}

func TestLoseAnswer(t *testing.T) {
	_, l := open(t)
	c := dial(t, l)
	if err := exchange(c, "heard"); err != nil {
		t.Fatal(err)
	}
	l.LoseAnswer()
	if err := exchange(c, "lost"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestHole: what was said into a hole arrives when it is over.
func TestHole(t *testing.T) {
	_, l := open(t)
	c := dial(t, l)
	if err := exchange(c, "before"); err != nil {
		t.Fatal(err)
	}
	l.Hole()
	l.Hole()
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if err := exchange(c, "within"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want nothing until the deadline", err)
	}
	l.Heal()
	l.Heal()
	_ = c.SetDeadline(time.Time{})
	if _, err := io.ReadFull(c, make([]byte, len("within"))); err != nil {
		t.Error(err)
	}
}

// TestMove: the old connection is dead without a word, the new one comes from another address.
func TestMove(t *testing.T) {
	e, l := open(t)
	old := dial(t, l)
	if err := exchange(old, "before"); err != nil {
		t.Fatal(err)
	}
	l.Move()
	_ = old.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if err := exchange(old, "after"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want nothing until the deadline", err)
	}
	if err := exchange(dial(t, l), "anew"); err != nil {
		t.Error(err)
	}
	if first, second := <-e.from, <-e.from; first == second {
		t.Errorf("both come from %s", first)
	}
}
