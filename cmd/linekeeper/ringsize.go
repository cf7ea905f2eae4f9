package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/cmd/internal/settings"
)

// ringSize is the ring's room in bytes; 0, written "auto": as its file system has it.
type ringSize settings.Size

const (
	autoSize   ringSize = 0
	leastRing           = 64 << 20
	mostRing            = 1 << 40
	sharedRing          = 2 << 30 // where others write to the ring's file system too, and no more than half of that
	ringSpare           = 64      // where none does, one part in so many stays free, and at least leastSpare
	leastSpare          = 64 << 20
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *ringSize) UnmarshalText(b []byte) error {
	if string(b) == "auto" {
		*s = autoSize
		return nil
	}
	if err := (*settings.Size)(s).UnmarshalText(b); err != nil || *s == autoSize {
		return fmt.Errorf("%q is neither \"auto\" nor a size such as \"64MiB\" or \"2GiB\"", b)
	}
	return nil
}

// ringBytes is how large the ring is to be, in bytes. One that is not where it should be takes what may be had there.
func (c *config) ringBytes() (int64, error) {
	if c.Ring.Size != autoSize && !c.ringIsBeside() {
		return int64(c.Ring.Size), nil
	}
	total, own, err := fileSystemOf(c.ringDir())
	if err != nil {
		return 0, fmt.Errorf("ring.size is \"auto\": %w", err)
	}
	size := autoRing(total, own)
	if size < leastRing {
		return 0, fmt.Errorf("ring.size is \"auto\": the file system of %s has %d MiB in all, too few for a ring: take a larger card", c.ringDir(), total>>20)
	}
	return size, nil
}

// autoRing is how much of a file system the ring takes, own or shared. What stays free of its own is for what is kept aside
// of damaged records, a segment that is made anew, and the file system itself (docs/format-ring.md).
func autoRing(total int64, own bool) int64 {
	if !own {
		return min(sharedRing, total/2)
	}
	return min(mostRing, total-max(leastSpare, total/ringSpare))
}

// fileSystemOf says how many bytes the file system of a folder has, and whether it begins there. Of a folder that is not
// there yet it is the one that it would be made in.
func fileSystemOf(dir string) (total int64, own bool, err error) {
	var here, above unix.Stat_t
	err = unix.Stat(dir, &here)
	there := err == nil
	for ; errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir); err = unix.Stat(dir, &here) {
		dir = filepath.Dir(dir)
	}
	var s unix.Statfs_t
	if err == nil {
		err = errors.Join(unix.Stat(filepath.Dir(dir), &above), unix.Statfs(dir, &s))
	}
	if err != nil {
		return 0, false, fmt.Errorf("ask how large the file system of %s is: %w", dir, err)
	}
	return int64(s.Blocks) * s.Bsize, there && here.Dev != above.Dev, nil
}
