package stick_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/linekeeper/linekeeper/stick"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, opts stick.Options) *stick.Stick {
	t.Helper()
	s, err := stick.Open(dir, opts)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func text(b string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, b)
		return err
	}
}

// TestPublishIsDurableInOrder: the bytes are synced before the name stands, and the name before Publish returns.
func TestPublishIsDurableInOrder(t *testing.T) {
	var ops []string
	s := open(t, t.TempDir(), stick.Options{Before: func(op, path string) error { ops = append(ops, op+" "+path); return nil }})
	must(t, s.Publish("a/b/c.txt", text("hello")))
	want := []string{"make folder a", "sync folder .", "make folder a/b", "sync folder a", "remove a/b/c.txt.new", "create a/b/c.txt.new",
		"write a/b/c.txt", "sync a/b/c.txt", "rename a/b/c.txt", "sync a/b/c.txt", "sync folder a/b"}
	if !slices.Equal(ops, want) {
		t.Errorf("%q", ops)
	}
	if b, err := s.Read("a/b/c.txt", 5); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPulled: at whichever operation the stick is pulled, a name has its old bytes or its new ones.
func TestPulled(t *testing.T) {
	for n := range 100 {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "a"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "a/x"), []byte("old"), 0o600))
		left := n
		s := open(t, dir, stick.Options{Before: func(string, string) error {
			if left--; left < 0 {
				return syscall.EIO
			}
			return nil
		}})
		err := s.Publish("a/x", text("new"))
		b, read := os.ReadFile(filepath.Join(dir, "a/x"))
		must(t, read)
		if err == nil {
			if string(b) != "new" || n < 6 {
				t.Errorf("%q after %d operations", b, n)
			}
			return
		}
		if !stick.Gone(err) || string(b) != "old" && string(b) != "new" {
			t.Errorf("pulled at %d: %q, %v", n, b, err)
		}
		again := open(t, dir, stick.Options{})
		must(t, again.Tidy("a", 10))
		if files, err := again.List("a", 1); err != nil || len(files) != 1 {
			t.Errorf("pulled at %d, tidied: %v, %v", n, files, err)
		}
	}
	t.Error("never whole")
}

// TestLinks: whatever is a link, or leads through one, is not followed, read, or written through.
func TestLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	precious := filepath.Join(outside, "precious")
	must(t, os.WriteFile(precious, []byte("precious"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "folder")))
	must(t, os.Symlink(precious, filepath.Join(dir, "file")))
	must(t, os.Symlink("real", filepath.Join(dir, "inside")))
	must(t, os.WriteFile(filepath.Join(dir, "real"), []byte("x"), 0o600))
	must(t, os.Symlink(precious, filepath.Join(dir, "new.txt.new")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "pipes"), 0o700))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipes/pipe"), 0o600))
	s := open(t, dir, stick.Options{})
	for _, name := range []string{"file", "folder/precious", "inside", "pipe", "../" + filepath.Base(outside) + "/precious", precious, "", "real/", "folder"} {
		if b, err := s.Read(name, 100); !errors.Is(err, stick.ErrHostile) {
			t.Errorf("read %q: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"folder/x", "folder/a/b", "real/x", "../x", "/x", "file/x"} {
		if err := s.Publish(name, text("x")); !errors.Is(err, stick.ErrHostile) {
			t.Errorf("published %q: %v", name, err)
		}
	}
	if err := s.Remove("folder/precious"); !errors.Is(err, stick.ErrHostile) {
		t.Error(err)
	}
	for _, folder := range []string{".", "folder", "pipes", "real"} {
		if list, err := s.List(folder, 100); !errors.Is(err, stick.ErrHostile) {
			t.Errorf("listed %q: %v, %v", folder, list, err)
		}
	}
	// A link in the place of what is to be written is replaced, not followed.
	must(t, s.Publish("file", text("mine")))
	must(t, s.Publish("new.txt", text("mine")))
	if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, stick.Options{})
	for n := range 300 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), bytes.Repeat([]byte("x"), n), 0o600))
	}
	if list, err := s.List(".", 300); err != nil || len(list) != 300 {
		t.Errorf("%d, %v", len(list), err)
	}
	if _, err := s.List(".", 299); !errors.Is(err, stick.ErrHostile) || !strings.Contains(err.Error(), "more than 299 names") {
		t.Error(err)
	}
	if b, err := s.Read("250", 250); err != nil || len(b) != 250 {
		t.Errorf("%d, %v", len(b), err)
	}
	if _, err := s.Read("250", 249); !errors.Is(err, stick.ErrHostile) {
		t.Error(err)
	}
	if _, err := s.Read("none", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.List("none", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	must(t, s.Remove("none"))
	must(t, s.Tidy("none", 1))
	if r, err := s.Room(); err != nil || r.Free <= 0 || r.Largest <= 1<<32 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := stick.Open(filepath.Join(dir, "none"), stick.Options{}); err == nil {
		t.Error("a stick that is not there")
	}
}
