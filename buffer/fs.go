package buffer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FS is what the ring does with its folder. Tests put one in its place that fails or loses power at any call.
type FS interface {
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Create makes a file, or empties one, for writing.
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List gives the names of the files in a folder, which is made where it is missing.
	List(folder string) ([]string, error)
	// SyncFolder makes renames and removals in the folder durable.
	SyncFolder(folder string) error
	// Lock takes a file for this process alone until it is closed; a *LockedError says who has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file of the ring.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Sync makes what was written durable (fdatasync).
	Sync() error
	// Allocate reserves room for a file of the given size, so that a full card is known before anything is written.
	Allocate(size int64) error
	// Forget drops what the system keeps of the file in memory, so that the next read comes from the card: after a
	// sync that failed in an earlier life of the program, memory may hold what the card does not.
	Forget()
}

// LockedError says that another process has the ring.
type LockedError struct {
	Ring    string
	Process int // 0 where it is not known
}

func (e *LockedError) Error() string {
	if e.Process == 0 {
		return fmt.Sprintf("ring %s is in use by another process", e.Ring)
	}
	return fmt.Sprintf("ring %s is in use by process %d", e.Ring, e.Process)
}

// osFS is the system's.
type osFS struct{}

type osFile struct{ *os.File }

func (osFS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) List(folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (osFS) SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		b, _ := io.ReadAll(io.LimitReader(f, 32)) // who has it is only for the message
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		return nil, &LockedError{Ring: filepath.Dir(name), Process: pid}
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(f.Truncate(0), second(f.WriteAt([]byte(pid), 0))); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return lock{f}, nil
}

// lock is a file that is held. It is unlocked before it is closed: a child process that is just being started has it
// open too until it runs its own program, and would hold it a moment longer.
type lock struct{ *os.File }

// Close lets go.
func (l lock) Close() error {
	return errors.Join(unix.Flock(int(l.Fd()), unix.LOCK_UN), l.File.Close())
}

func second(_ int, err error) error { return err }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }

func (f osFile) Allocate(size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a file system without it finds out while writing
	}
	return err
}

func (f osFile) Forget() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

const temporary = ".new"

// publish makes a file whole or not at all: written under another name, synced, closed, renamed, its folder synced.
// What an earlier attempt left under the other name is overwritten.
func publish(fs FS, name string, write func(File) error) (err error) {
	temp := name + temporary
	f, err := fs.Create(temp)
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Sync(), f.Close()); err == nil {
		err = fs.Rename(temp, name)
	}
	if err != nil {
		_ = fs.Remove(temp) // the error that matters is the first
		return err
	}
	return fs.SyncFolder(filepath.Dir(name))
}
