package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// watch waits, by inotify, for the moments between a call's last byte and its receipt.
type watch struct {
	fd   int
	file *os.File         // of fd
	dirs map[int32]string // by watch
}

// Moments of headquarters' work on a call.
type moment int

const (
	lastByte  moment = iota // of the call stands in the spool
	published               // the call's file stands among the others
)

// patience is how long a moment is waited for.
const patience = 30 * time.Second

// await gives the call of which the moment has come; zero: ctx has ended, or no call has come for a while.
func await(ctx context.Context, data string, m moment) (call.ID, error) {
	f, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return call.ID{}, err
	}
	w := watch{fd: f, file: os.NewFile(uintptr(f), "inotify"), dirs: map[int32]string{}}
	defer func() { _ = w.file.Close() }()
	if m == lastByte {
		err = errors.Join(w.addBelow(filepath.Join(data, "spool/tus"), unix.IN_MODIFY), w.addBelow(filepath.Join(data, "spool/mqtt"), unix.IN_CREATE))
	} else {
		calls := filepath.Join(data, "calls")
		err = errors.Join(w.add(calls, unix.IN_CREATE), w.addBelow(calls, unix.IN_CREATE|unix.IN_MOVED_TO))
	}
	if err != nil {
		return call.ID{}, err
	}
	_ = w.file.SetReadDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Now()) })
	defer stop()
	for b := make([]byte, 64<<10); ; {
		n, err := w.file.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return call.ID{}, nil
		}
		if err != nil {
			return call.ID{}, err
		}
		for rest := b[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			end := unix.SizeofInotifyEvent + int(e.Len)
			path := filepath.Join(w.dirs[e.Wd], unix.ByteSliceToString(rest[unix.SizeofInotifyEvent:end]))
			if id, err := w.look(path); err != nil || !id.IsZero() {
				return id, err
			}
			rest = rest[end:]
		}
	}
}

func (w *watch) add(dir string, events uint32) error {
	wd, err := unix.InotifyAddWatch(w.fd, dir, events)
	w.dirs[int32(wd)] = dir
	return err
}

// addBelow watches the folders of a folder.
func (w *watch) addBelow(dir string, events uint32) error {
	below, err := os.ReadDir(dir)
	for _, d := range below {
		err = errors.Join(err, w.add(filepath.Join(dir, d.Name()), events))
	}
	return err
}

// look says of which call something has happened, if it is what is waited for.
func (w *watch) look(path string) (call.ID, error) {
	name := filepath.Base(path)
	if id, err := call.ParseID(strings.TrimSuffix(name, ".lkc")); err == nil {
		return id, nil // published
	}
	of, said, _ := strings.Cut(name, ".")
	if file, err := wire.ParseFileID(of); err == nil {
		if said == "lkc" || whole(path, said) {
			return file.Call, nil
		}
		return call.ID{}, nil
	}
	if len(name) != 2 {
		return call.ID{}, nil
	}
	if err := w.add(path, unix.IN_CREATE|unix.IN_MOVED_TO); err != nil { // a new folder
		return call.ID{}, err
	}
	files, _ := os.ReadDir(path) // one may have been faster
	for _, f := range files {
		if id, err := call.ParseID(strings.TrimSuffix(f.Name(), ".lkc")); err == nil {
			return id, nil
		}
	}
	return call.ID{}, nil
}

// whole says whether an upload by tus has all its bytes: what its name says of it begins with how many those are.
func whole(path, said string) bool {
	size, _, _ := strings.Cut(said, ".")
	info, err := os.Stat(path)
	return err == nil && strconv.FormatInt(info.Size(), 10) == size
}
