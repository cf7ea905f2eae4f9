// Package stick reads and writes a USB stick, on which anybody may have put anything.
//
//	s, err := stick.Open("/run/linekeeper/stick", stick.Options{})
//	files, err := s.List("linekeeper/47Z33QX1/calls", 16000) // no more than so many, or an error
//	b, err := s.Read("linekeeper/bundle.jws", 64<<10)        // no more bytes than that
//	err = s.Publish("linekeeper/report.txt", write)          // whole and durable, or not there
//
// What it promises:
//
//   - Nothing outside the stick is ever touched, whatever links lie on it: a link is an error, as a name of a file and in
//     the middle of a path. Devices, pipes and sockets are errors too, and are not opened.
//   - Whoever reads says how much is too much, in names and in bytes, before anything is read.
//   - The stick may be pulled out at any moment. A file stands under its name with all its bytes, or not at all: it is
//     written under another name, synced, and renamed. What a pull leaves behind ends in ".new"; Tidy takes it away.
//   - An error says what was attempted, on which file of the stick, and what to do about it.
//
// Paths are relative to the stick, with slashes.
package stick

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// temporary ends the name of a file that is being written.
const temporary = ".new"

// Options of a stick. The zero value is good.
type Options struct {
	// Before is called before each operation on the stick, and fails it with its error. Tests pull the stick with it.
	Before func(op, path string) error

	// Room says how much room there is; nil: as the system says.
	Room func() (Room, error)
}

// Stick is an opened stick. It is for one goroutine at a time.
type Stick struct {
	root *os.Root
	dir  string
	opts Options
}

// Open opens the folder at which a stick is mounted.
func Open(dir string, opts Options) (*Stick, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the stick: %w", err)
	}
	if opts.Before == nil {
		opts.Before = func(string, string) error { return nil }
	}
	return &Stick{root, dir, opts}, nil
}

// Close lets go of the stick.
func (s *Stick) Close() error { return s.root.Close() }

// Entry is a file or folder on the stick, and never a link.
type Entry struct {
	Name   string
	Size   int64
	Folder bool
}

// List gives what is in a folder, in no order; fs.ErrNotExist where it is not there. More than most names, or one that is
// neither a file nor a folder, is an error. Files that were being written when the stick was pulled are left out.
func (s *Stick) List(folder string, most int) (list []Entry, err error) {
	defer func() { err = s.explain("list", folder, err) }()
	dir, err := s.open(folder, true)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for {
		if err := s.opts.Before("list", folder); err != nil {
			return nil, err
		}
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), temporary) {
				continue
			}
			if len(list) == most {
				return nil, &hostileError{fmt.Sprintf("there are more than %d names in it", most)}
			}
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			if !info.IsDir() && !info.Mode().IsRegular() {
				return nil, &hostileError{fmt.Sprintf("%q in it is neither a file nor a folder", e.Name())}
			}
			list = append(list, Entry{e.Name(), info.Size(), info.IsDir()})
		}
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Read gives a file's bytes; fs.ErrNotExist where it is not there, and an error where it has more than most.
func (s *Stick) Read(name string, most int64) ([]byte, error) {
	f, size, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, s.explain("read", name, tooLarge(size, most))
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = tooLarge(int64(len(b)), most)
	}
	return b, s.explain("read", name, err)
}

func tooLarge(size, most int64) error {
	return &hostileError{fmt.Sprintf("%d bytes, at most %d", size, most)}
}

// Open opens a file for reading and gives its size. It may turn out to have more bytes, or fewer.
func (s *Stick) Open(name string) (io.ReadCloser, int64, error) {
	f, err := s.open(name, false)
	if err != nil {
		return nil, 0, s.explain("open", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, s.explain("open", name, errors.Join(err, f.Close()))
	}
	return &file{f, s, name}, info.Size(), nil
}

// open opens a file or a folder that is not a link, and lies behind none.
func (s *Stick) open(name string, folder bool) (*os.File, error) {
	if err := s.opts.Before("open", name); err != nil {
		return nil, err
	}
	seen, err := s.look(name)
	if err != nil {
		return nil, err
	}
	switch {
	case folder && !seen.IsDir():
		return nil, &hostileError{"it is not a folder"}
	case !folder && !seen.Mode().IsRegular():
		return nil, &hostileError{"it is not a file"}
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(seen, now) {
		return nil, errors.Join(&hostileError{"it changed while it was opened"}, err, f.Close())
	}
	return f, nil
}

// look says what stands at a path, no part of which may be a link.
func (s *Stick) look(name string) (info fs.FileInfo, err error) {
	if !fs.ValidPath(name) {
		return nil, &hostileError{"it is no path on the stick"}
	}
	parts := strings.Split(name, "/")
	for i := range parts {
		if info, err = s.root.Lstat(path.Join(parts[:i+1]...)); err != nil {
			return nil, err
		}
		if i < len(parts)-1 && !info.IsDir() || info.Mode()&fs.ModeSymlink != 0 {
			return nil, &hostileError{"a link, or something else that is no folder, stands in its way"}
		}
	}
	return info, nil
}

// Publish makes a file stand under its name with what write writes, durably, in place of the one that may be there. Its
// folders are made where they are missing. Where write fails, or the stick does before it is renamed, the name is as it was
// before.
func (s *Stick) Publish(name string, write func(io.Writer) error) (err error) {
	defer func() { err = s.explain("write", name, err) }()
	if err := s.makeFolders(path.Dir(name)); err != nil {
		return err
	}
	temp := name + temporary
	if err := s.remove(temp); err != nil { // it may be a link
		return err
	}
	if err := s.opts.Before("create", temp); err != nil {
		return err
	}
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	out := &file{f, s, name}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err = write(out); err == nil {
		err = out.sync()
	}
	if err == nil {
		err = s.opts.Before("rename", name)
	}
	if err == nil {
		err = s.root.Rename(temp, name)
	}
	if err != nil {
		_ = s.remove(temp) // the error that matters is the first
		return err
	}
	// On FAT a new name has neither size nor beginning before its file is synced again: it would be an empty one.
	if err := out.sync(); err != nil {
		return err
	}
	return s.syncFolder(path.Dir(name))
}

// Settle makes all that was done to the stick durable: from then on it can be pulled, and nothing of it is lost.
func (s *Stick) Settle() error {
	err := s.opts.Before("settle", ".")
	if err == nil {
		err = s.settle()
	}
	return s.explain("settle", ".", err)
}

func (s *Stick) settle() error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd()))), dir.Close())
}

// makeFolders makes a folder and those that it is in.
func (s *Stick) makeFolders(folder string) error {
	for i, c := range folder + "/" {
		if c != '/' || folder == "." {
			continue
		}
		part := folder[:i]
		info, err := s.look(part)
		switch {
		case err == nil && info.IsDir():
			continue
		case err == nil:
			return &hostileError{fmt.Sprintf("%q is not a folder", part)}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := s.opts.Before("make folder", part); err != nil {
			return err
		}
		if err := s.root.Mkdir(part, 0o755); err != nil {
			return err
		}
		if err := s.syncFolder(path.Dir(part)); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes what was renamed or removed in a folder durable. File systems that cannot do that say so, and write it
// with their own.
func (s *Stick) syncFolder(folder string) error {
	if err := s.opts.Before("sync folder", folder); err != nil {
		return err
	}
	dir, err := s.root.Open(folder)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}

// Remove removes a file; one that is not there is no error.
func (s *Stick) Remove(name string) error { return s.explain("remove", name, s.remove(name)) }

func (s *Stick) remove(name string) error {
	if err := s.opts.Before("remove", name); err != nil {
		return err
	}
	if _, err := s.look(path.Dir(name)); err != nil && path.Dir(name) != "." {
		return err
	}
	if err := s.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Tidy removes what a pull left half written in a folder, which may not be there.
func (s *Stick) Tidy(folder string, most int) error {
	dir, err := s.open(folder, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.explain("tidy", folder, err)
	}
	names, err := dir.Readdirnames(most)
	_ = dir.Close() // it was only read
	if err != nil && !errors.Is(err, io.EOF) {
		return s.explain("tidy", folder, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, temporary) {
			if err := s.remove(path.Join(folder, name)); err != nil {
				return s.explain("tidy", folder, err)
			}
		}
	}
	return nil
}

// file is an open file of the stick, read and written through Options.Before only.
type file struct {
	f     *os.File
	stick *Stick
	name  string
}

func (f *file) Read(b []byte) (int, error) {
	if err := f.stick.opts.Before("read", f.name); err != nil {
		return 0, err
	}
	return f.f.Read(b)
}

func (f *file) Write(b []byte) (int, error) {
	if err := f.stick.opts.Before("write", f.name); err != nil {
		return 0, err
	}
	return f.f.Write(b)
}

func (f *file) Close() error { return f.f.Close() }

// sync makes the file's bytes durable, and has the next reader get them from the stick itself and not from memory.
func (f *file) sync() error {
	if err := f.stick.opts.Before("sync", f.name); err != nil {
		return err
	}
	if err := f.f.Sync(); err != nil {
		return err
	}
	_ = unix.Fadvise(int(f.f.Fd()), 0, 0, unix.FADV_DONTNEED) // memory is only faster
	return nil
}
