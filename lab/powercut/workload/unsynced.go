package main

import (
	"io"
	"os"

	"github.com/linekeeper/linekeeper/buffer"
)

// unsynced is a file system for the ring on which nothing is synced: the control.
type unsynced struct{}

type unsyncedFile struct{ *os.File }

func (unsynced) open(name string, flags int) (buffer.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (u unsynced) Open(name string) (buffer.File, error) { return u.open(name, 0) }
func (u unsynced) Create(name string) (buffer.File, error) {
	return u.open(name, os.O_CREATE|os.O_TRUNC)
}
func (unsynced) Rename(from, to string) error { return os.Rename(from, to) }
func (unsynced) Remove(name string) error     { return os.Remove(name) }
func (unsynced) SyncFolder(string) error      { return nil }

func (unsynced) List(folder string) ([]string, error) {
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

// Lock takes nothing: the card is the workload's alone.
func (u unsynced) Lock(name string) (io.Closer, error) { return u.open(name, os.O_CREATE) }

func (unsyncedFile) Sync() error          { return nil }
func (unsyncedFile) Allocate(int64) error { return nil }
func (unsyncedFile) Forget()              {}

func (f unsyncedFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
