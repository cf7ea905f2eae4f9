package stick

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Error is what went wrong on a stick.
type Error struct {
	Op   string // what was attempted
	Path string // on the stick
	Do   string // what to do about it; may be empty
	Err  error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s on the stick: %v", e.Op, e.Path, e.Err)
	if e.Do != "" {
		text += ": " + e.Do
	}
	return text
}

// Unwrap gives what the system said.
func (e *Error) Unwrap() error { return e.Err }

// ErrHostile is what no honest program puts on a stick: a link, too many names, too many bytes.
var ErrHostile = errors.New("not what belongs on such a stick")

type hostileError struct{ what string }

func (e *hostileError) Error() string        { return e.what }
func (e *hostileError) Is(target error) bool { return target == ErrHostile }

// Gone says whether an error means that the stick is not there any more, or cannot be read.
func Gone(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESTALE)
}

// explain adds to an error of the system what it means on a stick.
func (s *Stick) explain(op, path string, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := &Error{Op: op, Path: path, Err: err}
	switch {
	case errors.Is(err, syscall.EROFS):
		e.Do = "the stick is read-only: move its switch, mount it for writing, or take another"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Do = "the stick is full, or its folder takes no more names: have headquarters import it, or take another"
	case errors.Is(err, syscall.EFBIG):
		e.Do = "the stick's file system takes no file so large: format it as exFAT"
	case errors.Is(err, fs.ErrPermission):
		e.Do = "no right to do that there: mount the stick for this user, or run this as root"
	case Gone(err):
		e.Do = "was it pulled out? Put it in again, or take another"
	case errors.Is(err, syscall.ENAMETOOLONG):
		e.Do = "the stick's file system takes no name so long: format it as exFAT"
	}
	return e
}

// Room is how a stick's file system stands.
type Room struct {
	Free    int64 // bytes that can be written
	Largest int64 // bytes of the largest file that it takes
	System  string
}

// largestFAT is the largest file of FAT32: its size has 32 bits.
const largestFAT = 1<<32 - 1

// Room asks for the stick's room.
func (s *Stick) Room() (Room, error) {
	if err := s.opts.Before("ask for room", "."); err != nil {
		return Room{}, s.explain("ask for the room", ".", err)
	}
	if s.opts.Room != nil {
		return s.opts.Room()
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return Room{}, s.explain("ask for the room", ".", err)
	}
	r := Room{Free: int64(st.Bavail) * st.Bsize, Largest: 1<<63 - 1, System: "another"}
	switch st.Type {
	case unix.MSDOS_SUPER_MAGIC:
		r.Largest, r.System = largestFAT, "FAT32"
	case unix.EXFAT_SUPER_MAGIC:
		r.System = "exFAT"
	}
	return r, nil
}
