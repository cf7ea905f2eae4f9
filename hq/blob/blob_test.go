package blob

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

func open(t *testing.T, opts Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "calls"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spooled")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, s *Store, id call.ID) string {
	t.Helper()
	f, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPublishNeverReplaces(t *testing.T) {
	s, id := open(t, Options{}), call.NewID()
	if _, err := s.Open(t.Context(), id); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("no such call: %v", err)
	}
	spooled := file(t, "true")
	if err := s.Publish(id, spooled); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(spooled); err != nil {
		t.Errorf("the spooled file is not the caller's any more: %v", err)
	}
	if err := s.Publish(id, file(t, "false")); !errors.Is(err, hq.ErrExists) {
		t.Errorf("a second file: %v", err)
	}
	if got := read(t, s, id); got != "true" {
		t.Errorf("the call's file is now %q", got)
	}
	if err := s.SetAside(id); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(id, file(t, "other")); err != nil || read(t, s, id) != "other" {
		t.Errorf("after setting aside: %v", err)
	}
	if err := s.SetAside(id); err != nil {
		t.Errorf("setting aside a second one: %v", err)
	}
	if kept, _ := filepath.Glob(filepath.Join(s.dir, "*", "*unclaimed-*")); len(kept) != 2 {
		t.Errorf("kept aside: %v", kept)
	}
	if err := s.Publish(call.NewID(), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("published what is not there")
	}
}

func TestCopyIsWholeOrAbsent(t *testing.T) {
	s, id := open(t, Options{}), call.NewID()
	to := s.Path(id)
	if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := copyTo(to, file(t, "copied")); err != nil || read(t, s, id) != "copied" {
		t.Fatalf("copy: %v", err)
	}
	if err := copyTo(to, file(t, "again")); !errors.Is(err, os.ErrExist) || read(t, s, id) != "copied" {
		t.Errorf("copied over another: %v", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(to), ".new-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "*", ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRoom(t *testing.T) {
	left := int64(1000)
	s := open(t, Options{Reserve: 100, Free: func(string) (int64, error) { return left, nil }})
	if err := s.Room(900); err != nil {
		t.Error(err)
	}
	if err := s.Room(901); !errors.Is(err, hq.ErrNoRoom) {
		t.Errorf("into the reserve: %v", err)
	}
	left = 50
	if err := s.Room(0); !errors.Is(err, hq.ErrNoRoom) {
		t.Errorf("below the reserve: %v", err)
	}
	if err := open(t, Options{Reserve: 1}).Room(1); err != nil {
		t.Errorf("as the kernel says: %v", err)
	}
}

func TestAllAreListedBesideARunningStore(t *testing.T) {
	s := open(t, Options{})
	want := map[call.ID]bool{}
	for range 5 {
		id := call.NewID()
		want[id] = true
		if err := s.Publish(id, file(t, "x")); err != nil {
			t.Fatal(err)
		}
	}
	torn := filepath.Join(filepath.Dir(s.Path(call.NewID())), ".new-1")
	for _, path := range []string{torn, filepath.Join(s.dir, "notes.txt"), s.Path(call.NewID()) + ".old"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for id, err := range Look(s.dir).All() {
		if err != nil || !want[id] {
			t.Errorf("listed %s, %v", id, err)
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	if _, err := os.Stat(torn); err != nil {
		t.Errorf("what another store is copying was touched: %v", err)
	}
	for range Look(filepath.Join(t.TempDir(), "none")).All() {
		t.Error("something in a folder that is not there")
	}
}
