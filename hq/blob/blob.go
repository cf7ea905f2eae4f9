// Package blob keeps call files on disk.
//
//	store, err := blob.Open("/var/lib/linekeeper-hq/calls", blob.Options{})
//	err = store.Room(size)              // hq.ErrNoRoom where it would not fit
//	err = store.Publish(id, spoolFile)  // durable, or not there at all
//	f, err := store.Open(ctx, id)
//
// A call's file is calls/{first two characters of its ID}/{ID}.lkc: IDs are random, so a million calls are a thousand
// in each of 1024 folders. A file never changes once it is there, and none is put over another. What is published from
// the same file system is linked and not copied, so that a crash in between leaves either name to go on from.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// DefaultReserve is what is left free on the disk, in bytes: for the database, logs, and whoever comes to make room.
const DefaultReserve = 256 << 20

const suffix = ".lkc"

// Options of a store. The zero value is good.
type Options struct {
	Reserve int64 // bytes to leave free; 0: DefaultReserve
	Beside  bool  // another process may have the store open: what it is writing is left alone

	// Free says how many bytes can be written to the file system of a folder; nil: as the kernel says.
	Free func(dir string) (int64, error)
}

// Store is a folder of call files. It is safe for concurrent use, but for calls of Publish and SetAside of one ID.
type Store struct {
	dir  string
	opts Options
	made sync.Map // of the folders that are known to be there, by path
}

// Open opens a store and makes its folder where there is none.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Reserve == 0 {
		opts.Reserve = DefaultReserve
	}
	if opts.Free == nil {
		opts.Free = free
	}
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("open store of call files: %w", err)
	}
	if opts.Beside {
		return &Store{dir: dir, opts: opts}, nil
	}
	// What a crash left half copied.
	torn, err := filepath.Glob(filepath.Join(dir, "*", ".new-*"))
	if err != nil {
		return nil, fmt.Errorf("open store of call files: %w", err)
	}
	for _, path := range torn {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("open store of call files: %w", err)
		}
	}
	return &Store{dir: dir, opts: opts}, nil
}

// Look gives a store to read from, beside a headquarters that runs: nothing is made, and nothing cleared away.
func Look(dir string) *Store { return &Store{dir: dir} }

// All gives each call that has a file, in no order that means anything.
func (s *Store) All() iter.Seq2[call.ID, error] {
	return func(yield func(call.ID, error) bool) {
		err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			id, err := call.ParseID(strings.TrimSuffix(e.Name(), suffix))
			if err != nil || e.IsDir() || s.Path(id) != path {
				return nil // not a call's file
			}
			if !yield(id, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(call.ID{}, fmt.Errorf("list call files: %w", err))
		}
	}
}

func free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Room says whether so many bytes more fit: hq.ErrNoRoom where the reserve would be touched.
func (s *Store) Room(size int64) error {
	left, err := s.opts.Free(s.dir)
	if err != nil {
		return err
	}
	if left-s.opts.Reserve < size {
		return fmt.Errorf("%w: %d bytes on the disk of %s, which has %d free, of which %d stay free: make room there",
			hq.ErrNoRoom, size, s.dir, left, s.opts.Reserve)
	}
	return nil
}

// Path is where a call's file is, or would be.
func (s *Store) Path(id call.ID) string {
	name := id.String()
	return filepath.Join(s.dir, name[:2], name+suffix)
}

// Open opens a call's file for reading; hq.ErrNotFound: there is none.
func (s *Store) Open(_ context.Context, id call.ID) (io.ReadSeekCloser, error) {
	f, err := os.Open(s.Path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open file of call %s: %w", id, hq.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open file of call %s: %w", id, err)
	}
	return f, nil
}

// Publish makes the file at path, whose bytes must be durable and change no more, the call's file, durably. The file
// at path stays too and is the caller's to remove. hq.ErrExists: the call has a file already, which stays as it is.
func (s *Store) Publish(id call.ID, path string) error {
	err := s.publish(s.Path(id), path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("publish call %s: %w", id, hq.ErrExists)
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("publish call %s: %w: %w", id, hq.ErrNoRoom, err)
	case err != nil:
		return fmt.Errorf("publish call %s: %w", id, err)
	}
	return nil
}

func (s *Store) publish(to, from string) error {
	dir := filepath.Dir(to)
	if _, ok := s.made.Load(dir); !ok {
		if err := makeFolder(dir); err != nil {
			return err
		}
		s.made.Store(dir, true)
	}
	err := os.Link(from, to)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		err = copyTo(to, from) // another file system, or one without links
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also where it was there before: a crash may have come between its link and this.
	return errors.Join(err, syncFolder(dir))
}

// copyTo copies by way of a temporary file, so that to is whole or not there.
func copyTo(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // renamed by then
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, out.Name(), unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// SetAside takes away a file that nobody was given a receipt for, so that the call's true one can take its place. It is
// kept beside, under another name.
func (s *Store) SetAside(id call.ID) error {
	path := s.Path(id)
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.unclaimed-%d", strings.TrimSuffix(path, suffix), n)
		err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, aside, unix.RENAME_NOREPLACE)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = syncFolder(filepath.Dir(path))
		}
		if err != nil {
			return fmt.Errorf("set aside file of call %s: %w", id, err)
		}
		return nil
	}
}

// makeFolder makes a folder that survives a power cut.
func makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(dir)) // also where it is there: who made it may not have come to this
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
