package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAutoRing(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name  string
		total int64
		own   bool
		want  int64
	}{
		{"a card of 32 GB of its own", 28 * gib, true, 28*gib - 28*gib/64},
		{"a small card of its own", gib, true, gib - 64*mib},
		{"larger than any ring", 2 << 40, true, 1 << 40},
		{"shared", 28 * gib, false, 2 * gib},
		{"shared and small", 128 * mib, false, 64 * mib},
	} {
		if got := autoRing(c.total, c.own); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestRingSizeIsTheFileSystems: a folder that is not there yet shares the file system that it would be made in; the root of
// a file system has its own.
func TestRingSizeIsTheFileSystems(t *testing.T) {
	c := newConfig()
	c.Data = filepath.Join(t.TempDir(), "not", "there")
	total, own, err := fileSystemOf(c.ringDir())
	if err != nil || own || total <= 0 {
		t.Fatalf("%d bytes, own %t, %v", total, own, err)
	}
	if size, err := c.ringBytes(); total >= 2*leastRing && (err != nil || size != autoRing(total, false)) {
		t.Errorf("%d, %v", size, err)
	}
	if _, own, err := fileSystemOf("/proc"); err != nil || !own {
		t.Errorf("/proc is a file system of its own: %t, %v", own, err)
	}
	c.Ring.Size = leastRing
	if size, err := c.ringBytes(); size != leastRing || err != nil {
		t.Errorf("%d, %v", size, err)
	}
	c.Data, c.Ring.Size = "/proc", autoSize // a file system without bytes; no folder can be made there
	if _, err := c.ringBytes(); err == nil || !strings.Contains(err.Error(), "larger card") {
		t.Errorf("%v", err)
	}
}

func TestRingSizeText(t *testing.T) {
	for text, want := range map[string]ringSize{"auto": autoSize, "64MiB": 64 << 20} {
		s := ringSize(1)
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"all", "0", ""} {
		var s ringSize
		if err := s.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), `"auto"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
