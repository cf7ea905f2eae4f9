package handset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stream is an open node. Close ends a Read that waits.
type stream interface {
	io.ReadCloser

	// State asks the device where its hook is, and gives what a decoder's state takes.
	State() ([]byte, error)
}

// Of linux/input.h and linux/hidraw.h.
const (
	setClock      = 0x400445a0 // EVIOCSCLOCKID
	setMask       = 0x40104593 // EVIOCSMASK
	getKeys       = 0x80004518 // EVIOCGKEY, without the length
	getInput      = 0xc000480a // HIDIOCGINPUT, without the length
	lengthOfIoctl = 16         // bits from which the length stands
)

// device is a node of /dev.
type device struct {
	*os.File
	node node
}

// openDevice opens a node. Of an input device only the hook's keys are delivered, with times of CLOCK_BOOTTIME: the kernel
// passes over the others, so that who types on a keyboard that is in a handset's port is not overheard.
func openDevice(n node) (stream, error) {
	f, err := os.OpenFile("/dev/"+n.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	d := &device{File: f, node: n}
	if !n.raw {
		if err := d.narrow(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), errors.Join(err, f.Close()))
		}
	}
	return d, nil
}

func (d *device) narrow() error {
	clock := int32(unix.CLOCK_BOOTTIME)
	if _, err := d.control(setClock, unsafe.Pointer(&clock)); err != nil {
		return fmt.Errorf("set the clock of its events: %w", err)
	}
	var kinds [8]byte // of all 32, to the length of a word, or the kernel refuses it
	kinds[eventKey/8] |= 1 << (eventKey % 8)
	var codes [keyCount / 8]byte
	for _, key := range hookKeys() {
		codes[key/8] |= 1 << (key % 8)
	}
	for _, mask := range []struct {
		kind uint32
		bits []byte
	}{{eventSync, kinds[:]}, {eventKey, codes[:]}} {
		// struct input_mask
		argument := struct {
			kind, size uint32
			bits       unsafe.Pointer // of 64 bits
		}{mask.kind, uint32(len(mask.bits)), unsafe.Pointer(&mask.bits[0])}
		_, err := d.control(setMask, unsafe.Pointer(&argument))
		runtime.KeepAlive(argument.bits)
		if err != nil {
			return fmt.Errorf("take only the hook's keys from it: %w", err)
		}
	}
	return nil
}

// State is the keys that are down; or, of a raw device, the report of its hook as Read would give it.
func (d *device) State() ([]byte, error) {
	if !d.node.raw {
		down := make([]byte, keyCount/8)
		_, err := d.control(getKeys|uintptr(len(down))<<lengthOfIoctl, unsafe.Pointer(&down[0]))
		return down, err
	}
	report := make([]byte, 1+d.node.field.bytes)
	report[0] = d.node.field.report
	n, err := d.control(getInput|uintptr(len(report))<<lengthOfIoctl, unsafe.Pointer(&report[0]))
	if report = report[:min(n, len(report))]; !d.node.field.numbered && len(report) > 0 {
		report = report[1:]
	}
	return report, err
}

func (d *device) control(request uintptr, argument unsafe.Pointer) (n int, err error) {
	conn, err := d.SyscallConn()
	if err != nil {
		return 0, err
	}
	done := conn.Control(func(fd uintptr) {
		r, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(argument))
		if n = int(r); errno != 0 {
			n, err = 0, errno
		}
	})
	return n, errors.Join(err, done)
}
