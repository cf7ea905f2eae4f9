package onefile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriter(t *testing.T) {
	dir := t.TempDir()
	w, err := Start(dir, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 2 {
		t.Errorf("two calls are in %v", files)
	}
	if _, err := Start(filepath.Join(dir, "nowhere"), 1, 100); !os.IsNotExist(err) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestAppendsAndSyncs(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "call"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if err := appendTo([]*os.File{f}, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := f.Stat(); err != nil || s.Size() != 200 {
		t.Errorf("after two seconds: %v, %v", s.Size(), err)
	}
}
