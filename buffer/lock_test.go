package buffer

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLockIsLetGoOf: a ring can be opened again as soon as it is closed, also while a child process that is just being
// started still has the lock's file open, as it does until it runs its own program.
func TestLockIsLetGoOf(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	held, err := osFS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	child, err := syscall.Dup(int(held.(lock).Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := osFS{}.Lock(name)
	if err != nil {
		t.Fatalf("closed, and still held: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}
