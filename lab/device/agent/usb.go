package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/device/frame"
	"github.com/linekeeper/linekeeper/lab/device/usbip"
)

const (
	controller = "/sys/devices/platform/vhci_hcd.0/"
	fullSpeed  = 2 // enum usb_device_speed of linux/usb/ch9.h
	portFree   = "004"
)

// ports are those of the kernel's virtual USB controller, with a telephone's wire at each.
type ports struct {
	mu sync.Mutex
	at map[int]*port
}

type port struct {
	wire *usbip.Wire

	mu   sync.Mutex // held while a card is put in or pulled
	card *usbip.Card
	conn net.Conn // nil: no card
}

func (p *ports) port(number int) *port {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at[number] == nil {
		if p.at == nil {
			p.at = map[int]*port{}
		}
		p.at[number] = &port{wire: usbip.NewWire()}
	}
	return p.at[number]
}

func (p *ports) do(ctx context.Context, q frame.USB) error {
	at := p.port(q.Port)
	if q.Play != nil {
		samples := make([]int16, len(q.Play.Samples)/2)
		for i := range samples {
			samples[i] = int16(binary.LittleEndian.Uint16(q.Play.Samples[2*i:]))
		}
		return at.wire.Play(ctx, q.Play.Rate, q.Play.Channels, samples)
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	switch {
	case q.Plug != nil:
		return at.plug(ctx, q.Port, *q.Plug)
	case at.conn == nil:
		return errors.New("no card is in this port")
	case q.Fault != nil:
		at.card.SetFault(*q.Fault)
		return nil
	case q.Pull:
		return at.pull(ctx, q.Port)
	}
	return errors.New("nothing is asked of the port")
}

// plug makes a card and gives the kernel the other end of its connection.
func (p *port) plug(ctx context.Context, number int, kind usbip.Kind) error {
	if p.conn != nil {
		return errors.New("a card is in this port already")
	}
	if err := kind.Check(); err != nil {
		return err
	}
	// After the boot's own: so that the buses have the same numbers each time.
	if said, err := exec.CommandContext(ctx, "sh", "-c", "udevadm settle && modprobe vhci_hcd").CombinedOutput(); err != nil {
		return fmt.Errorf("load vhci_hcd: %w: %s", err, said)
	}
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "card"), os.NewFile(uintptr(ends[1]), "controller")
	defer ours.Close()
	defer theirs.Close() // the kernel has taken hold of it then
	conn, err := net.FileConn(ours)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d %d %d %d", number-1, ends[1], number, fullSpeed)
	if err := os.WriteFile(controller+"attach", []byte(text), 0); err != nil {
		return errors.Join(err, conn.Close())
	}
	p.card, p.conn = usbip.NewCard(kind, p.wire), conn
	go func(card *usbip.Card) {
		if err := card.Serve(conn); err != nil && !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(os.Stderr, "agent:", err)
		}
		_ = conn.Close()
	}(p.card)
	return nil
}

// pull breaks the connection, which is what the kernel sees of a card that is pulled out, and waits until it has let go
// of it.
func (p *port) pull(ctx context.Context, number int) error {
	err := p.conn.Close()
	p.card, p.conn = nil, nil
	for err == nil {
		var free bool
		if free, err = isFree(number); free {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// isFree says whether nothing is left of the card in a port: neither its connection, which the controller's table tells
// of (hub, port from 0, state, and what does not matter here), nor the device, which goes after it.
func isFree(number int) (bool, error) {
	text, err := os.ReadFile(controller + "status")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "hs" && f[1] == fmt.Sprintf("%04d", number-1) {
			devices, err := filepath.Glob(fmt.Sprintf("%susb*/*-%d", controller, number))
			return f[2] == portFree && len(devices) == 0, err
		}
	}
	return false, fmt.Errorf("the controller has no port %d", number)
}
