package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/buffer"
)

// forgetful is a file system for the ring that forgets to sync, and says that it did: the control.
type forgetful struct {
	share  float64    // of the syncs that it forgets
	random *rand.Rand // the ring syncs from one goroutine at a time
}

type forgetfulFile struct {
	*os.File
	fs forgetful
}

// syncs draws whether a sync is done.
func (f forgetful) syncs() bool { return f.random.Float64() >= f.share }

func (f forgetful) open(name string, flags int) (buffer.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	return forgetfulFile{file, f}, nil
}

func (f forgetful) Open(name string) (buffer.File, error) { return f.open(name, 0) }

func (f forgetful) Create(name string) (buffer.File, error) {
	return f.open(name, os.O_CREATE|os.O_TRUNC)
}

func (forgetful) Rename(from, to string) error { return os.Rename(from, to) }

func (forgetful) Remove(name string) error { return os.Remove(name) }

func (forgetful) List(folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (f forgetful) SyncFolder(folder string) error {
	if !f.syncs() {
		return nil
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock takes nothing: the card is the workload's alone.
func (f forgetful) Lock(name string) (io.Closer, error) { return f.open(name, os.O_CREATE) }

func (f forgetfulFile) Sync() error {
	if !f.fs.syncs() {
		return nil
	}
	return unix.Fdatasync(int(f.Fd()))
}

func (forgetfulFile) Allocate(int64) error { return nil }

func (forgetfulFile) Forget() {}

func (f forgetfulFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
