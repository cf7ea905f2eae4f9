package uplink

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestTraffic counts what goes both ways, and holds it down.
func TestTraffic(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // an echo
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	n := &Network{Traffic: NewTraffic(40 << 10)}
	c, err := n.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const size = 20 << 10
	began := time.Now()
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		written <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	// 40 KiB at 40 KiB a second, of which a quarter of a second goes at once.
	if d := time.Since(began); d < 700*time.Millisecond {
		t.Errorf("it took %v", d)
	}
	if got := n.Traffic.Total(); got != 2*size {
		t.Errorf("%d bytes are counted, not %d", got, 2*size)
	}
	_ = c.Close()
	_ = l.Close()
	<-done
}
