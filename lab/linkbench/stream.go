package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/lab/badlink"
	"github.com/linekeeper/linekeeper/uplink"
)

// ourWindow in the place of a congestion control: the recorder's own connections, with nothing on top of them.
const ourWindow = "our window"

// stream is what one endless stream of plain TCP gets through the draw's link within a time, for each byte of IP that the
// link could have carried: the most that anything over the kernel's TCP can hope for.
func (d draw) stream(ctx context.Context, control string, span time.Duration) (goodput float64, err error) {
	link, err := badlink.Open(badlink.Config{Rate: d.Rate, Delay: d.RTT / 2, Loss: d.Loss, Queue: d.Queue, Seed: d.Seed})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	var listener net.Listener
	if err := link.Far.Do(func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", badlink.FarAddress+":9")
		return err
	}); err != nil {
		return 0, err
	}
	var arrived atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := listener.Accept(); err == nil {
			_, _ = io.Copy(counting{&arrived}, c) // to the end of the stream
			_ = c.Close()
		}
	}()
	defer func() { _ = listener.Close(); <-ended }()
	var c net.Conn
	if err := link.Near.Do(func() (err error) {
		if control == ourWindow {
			c, err = new(uplink.Network).Dial(ctx, "tcp4", listener.Addr().String())
			return err
		}
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			var err error
			return errors.Join(raw.Control(func(fd uintptr) {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control)
			}), err)
		}}
		c, err = dialer.DialContext(ctx, "tcp4", listener.Addr().String())
		return err
	}); err != nil {
		return 0, fmt.Errorf("a stream of TCP with %s: %w", control, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := c.SetDeadline(time.Now().Add(span)); err != nil {
		return 0, err
	}
	begin := time.Now()
	for chunk := make([]byte, 4<<10); err == nil; {
		_, err = c.Write(chunk)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return float64(arrived.Load()) / (float64(d.Rate) / 8 * time.Since(begin).Seconds()), nil
}
