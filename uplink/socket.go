package uplink

import (
	"errors"
	"net"
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
)

// NewDialer gives a dialer whose TCP connections suit bad links. Keep-alive probes are rare, since each costs a metered
// link some 80 bytes.
func NewDialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         30 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4},
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			controlErr := c.Control(func(fd uintptr) {
				err = errors.Join(
					unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent),
					unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())))
			})
			return errors.Join(controlErr, err)
		},
	}
}
