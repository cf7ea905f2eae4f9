package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// File is a file on the card that is being tried.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
	Forget(size int64) error // the kernel's copy, so that what is read comes from the card
}

// Disk is where calls are kept.
type Disk interface {
	Create() (File, error) // a file of no other name
	Remove() error         // that file
	Free() (int64, error)  // bytes that the recorder may still write
	Now() time.Time
}

const (
	cardPage   = 4096
	cardSyncs  = 16
	cardSize   = 4 << 20
	slowSync   = 3 * time.Second // beyond that the recorder's queue fills up
	slowestBps = 256 << 10       // bytes a second: eight lines of FLAC take a third of it
)

// Card writes to the card as the recorder does, page by page with a sync for each, then more at once, reads it back, and
// leaves nothing there. room is how many bytes the ring will still need.
func Card(d Disk, where string, room int64) Result {
	speed, slowest, err := tryCard(d)
	if err != nil {
		return fail(CheckCard, "", cardAdvice(err), "%s: %v", where, err)
	}
	free, err := d.Free()
	switch {
	case err != nil:
		return fail(CheckCard, "", cardAdvice(err), "%s: %v", where, err)
	case free < room:
		return fail(CheckCard, "", "make ring.size smaller in the settings, or make room on the card", "%s has room for %d MiB, and the ring needs %d more", where, free>>20, room>>20)
	case slowest > slowSync:
		return fail(CheckCard, "", "try another card: this one is worn, or of a poor kind", "a sync took %v", slowest.Round(time.Millisecond))
	case speed < slowestBps:
		return fail(CheckCard, "", "try another card: this one is worn, or of a poor kind", "it writes %.2f MB/s", speed/1e6)
	}
	return pass(CheckCard, "", "writes %.1f MB/s, the slowest of %d syncs took %v, and what was written reads back", speed/1e6, cardSyncs, slowest.Round(time.Millisecond))
}

// tryCard gives bytes a second of a write of some megabytes with its sync, and the slowest sync of a page.
func tryCard(d Disk) (speed float64, slowest time.Duration, err error) {
	f, err := d.Create()
	if err != nil {
		return 0, 0, fmt.Errorf("make a file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), d.Remove()) }()
	pattern := make([]byte, cardSize)
	x := uint32(2463534242) // xorshift: nothing that a card could make smaller
	for i := range pattern {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		pattern[i] = byte(x)
	}
	for i := range cardSyncs {
		begun := d.Now()
		if err := writeSynced(f, pattern[i*cardPage:(i+1)*cardPage], int64(i)*cardPage); err != nil {
			return 0, 0, err
		}
		slowest = max(slowest, d.Now().Sub(begun))
	}
	begun := d.Now()
	if err := writeSynced(f, pattern, 0); err != nil {
		return 0, 0, err
	}
	speed = cardSize / max(d.Now().Sub(begun), time.Microsecond).Seconds()
	if err := f.Forget(cardSize); err != nil {
		return 0, 0, fmt.Errorf("read it back: %w", err)
	}
	back := make([]byte, cardSize)
	if _, err := f.ReadAt(back, 0); err != nil {
		return 0, 0, fmt.Errorf("read it back: %w", err)
	}
	if !bytes.Equal(back, pattern) {
		return 0, 0, errAltered
	}
	return speed, slowest, nil
}

func writeSynced(f File, p []byte, at int64) error {
	if _, err := f.WriteAt(p, at); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

var errAltered = errors.New("what was written does not read back as it was")

// cardAdvice is what to do about an error of the card.
func cardAdvice(err error) string {
	switch {
	case errors.Is(err, unix.EIO), errors.Is(err, errAltered):
		return "the card is failing: replace it (`dmesg` has the kernel's words)"
	case errors.Is(err, unix.EROFS):
		return "the card is mounted read-only, as the kernel does after errors: see `dmesg`, check the file system, replace the card"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "make room on the card, or make ring.size smaller in the settings"
	case errors.Is(err, fs.ErrPermission):
		return "run this as root or as the recorder's user"
	case errors.Is(err, fs.ErrNotExist):
		return "make the folder, or correct `data` in the settings"
	}
	return "see whether the card is mounted, and `dmesg`"
}

// Folder is the disk that a folder is on.
type Folder struct {
	Dir  string
	name string
}

// Create implements Disk.
func (d *Folder) Create() (File, error) {
	f, err := os.CreateTemp(d.Dir, ".selftest-*")
	if err != nil {
		return nil, err
	}
	d.name = f.Name()
	return diskFile{f}, nil
}

// Remove implements Disk.
func (d *Folder) Remove() error { return os.Remove(d.name) }

// Free implements Disk.
func (d *Folder) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.Dir, &s); err != nil {
		return 0, fmt.Errorf("ask for the room left: %w", err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Now implements Disk.
func (d *Folder) Now() time.Time { return time.Now() }

type diskFile struct{ *os.File }

// Sync is one without the file's times, as the recorder's.
func (f diskFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }

// Forget implements File.
func (f diskFile) Forget(size int64) error {
	return unix.Fadvise(int(f.Fd()), 0, size, unix.FADV_DONTNEED)
}

// Used is how many bytes the files of a folder take; 0 where there is none.
func Used(dir string) (bytes int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for name := range slices.Values(files) {
		if s, err := os.Stat(name); err == nil && s.Mode().IsRegular() {
			bytes += s.Size()
		}
	}
	return bytes
}
