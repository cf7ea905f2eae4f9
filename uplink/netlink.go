package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// WatchNetwork calls up whenever the kernel says that a network interface has got its carrier, an address or a route,
// until ctx ends. It needs sockets of the family AF_NETLINK, and no rights.
func WatchNetwork(ctx context.Context, up func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	news := os.NewFile(uintptr(fd), "netlink") // non-blocking: a read ends when it is closed
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return errors.Join(fmt.Errorf("watch the network: %w", err), news.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = news.Close() })
	defer stop()
	b := make([]byte, 64<<10)
	for {
		n, err := news.Read(b)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS): // some news are lost: that there were some is all that matters
			up()
		case err != nil:
			return errors.Join(fmt.Errorf("watch the network: %w", err), news.Close())
		case comesUp(b[:n]):
			up()
		}
	}
}

// comesUp says whether messages of the kernel tell of something that was not there.
func comesUp(b []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return true // an attempt too many costs little
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWADDR, unix.RTM_NEWROUTE:
			return true
		case unix.RTM_NEWLINK:
			const flags = 8 // of struct ifinfomsg, after family, type and index
			if len(m.Data) >= unix.SizeofIfInfomsg && binary.NativeEndian.Uint32(m.Data[flags:])&unix.IFF_LOWER_UP != 0 {
				return true
			}
		}
	}
	return false
}
