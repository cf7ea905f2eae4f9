package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

// Of linux/uinput.h.
const (
	uiDevCreate    = 0x5501
	uiDevSetup     = 0x405c5503 // struct uinput_setup
	uiSetEventBit  = 0x40045564
	uiSetKeyBit    = 0x40045565
	uiSetSwitchBit = 0x4004556d
	uiGetName      = 0x8040552c // of 64 bytes at most

	busUSB = 3
)

// keyboard is an input device with the keys of frame.Hooks, made when it is first asked for.
type keyboard struct {
	mu   sync.Mutex
	file *os.File // nil: not made yet
	node string
}

// do gives the node, below /dev/input.
func (k *keyboard) do(q frame.Key) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == nil {
		if err := k.make(); err != nil {
			return nil, fmt.Errorf("make an input device: %w", err)
		}
	}
	if q.Name == "" {
		return []byte(k.node), nil
	}
	hook, ok := frame.Hooks()[q.Name]
	if !ok {
		return nil, fmt.Errorf("the input device has no %s", q.Name)
	}
	value := uint32(0)
	if q.Press {
		value = 1
	}
	// The kernel gives each event its time, and passes on only what changes something. An event of zeros ends a report.
	events := appendEvent(nil, hook.Type, hook.Code, value)
	_, err := k.file.Write(appendEvent(events, 0, 0, 0))
	return []byte(k.node), err
}

func appendEvent(to []byte, kind, code uint16, value uint32) []byte {
	to = append(to, make([]byte, 16)...) // the time
	to = binary.LittleEndian.AppendUint16(to, kind)
	to = binary.LittleEndian.AppendUint16(to, code)
	return binary.LittleEndian.AppendUint32(to, value)
}

func (k *keyboard) make() error {
	f, err := os.OpenFile("/dev/uinput", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if k.node, err = create(f); err != nil {
		_ = f.Close()
		return err
	}
	k.file = f
	return nil
}

func create(f *os.File) (node string, err error) {
	fd := int(f.Fd())
	for _, hook := range frame.Hooks() {
		request := map[uint16]uint{frame.EventKey: uiSetKeyBit, frame.EventSwitch: uiSetSwitchBit}[hook.Type]
		err = errors.Join(err, unix.IoctlSetInt(fd, uiSetEventBit, int(hook.Type)), unix.IoctlSetInt(fd, request, int(hook.Code)))
	}
	if err != nil {
		return "", fmt.Errorf("give it keys: %w", err)
	}
	// struct uinput_setup: bus, vendor, product, version, a name of 80 bytes, and four bytes more.
	var setup [92]byte
	binary.LittleEndian.PutUint16(setup[:], busUSB)
	copy(setup[8:], "Lab handset")
	if err := control(f, uiDevSetup, unsafe.Pointer(&setup)); err != nil {
		return "", err
	}
	if err := unix.IoctlSetInt(fd, uiDevCreate, 0); err != nil {
		return "", err
	}
	var name [64]byte
	if err := control(f, uiGetName, unsafe.Pointer(&name)); err != nil {
		return "", err
	}
	return awaitNode(filepath.Join("/sys/devices/virtual/input", unix.ByteSliceToString(name[:])))
}

// awaitNode waits until devtmpfs has the node of an input device.
func awaitNode(inputs string) (string, error) {
	for range 100 {
		found, _ := filepath.Glob(filepath.Join(inputs, "event*"))
		if len(found) > 0 {
			node := filepath.Join("/dev/input", filepath.Base(found[0]))
			if _, err := os.Stat(node); err == nil {
				return node, nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", fmt.Errorf("no node came for %s", inputs)
}

func control(f *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument)); errno != 0 {
		return fmt.Errorf("uinput request %#x: %w", request, errno)
	}
	return nil
}
