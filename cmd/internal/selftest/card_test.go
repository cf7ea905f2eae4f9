package selftest

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badDisk is a disk in memory that fails in one way.
type badDisk struct {
	create, write, sync, read, free error
	altered                         bool
	left                            int64
	pageTime, syncTime              time.Duration // of a page, and of more
	size                            int64         // written since the last sync
	now                             time.Time
	content                         [cardSize]byte
	removed, closed                 bool
}

func (d *badDisk) Create() (File, error) { return d, d.create }
func (d *badDisk) Remove() error         { d.removed = true; return nil }
func (d *badDisk) Free() (int64, error)  { return d.left, d.free }
func (d *badDisk) Now() time.Time        { return d.now }
func (d *badDisk) Close() error          { d.closed = true; return nil }
func (d *badDisk) Forget(int64) error    { return nil }

func (d *badDisk) WriteAt(p []byte, at int64) (int, error) {
	d.size += int64(len(p))
	return copy(d.content[at:], p), d.write
}

func (d *badDisk) ReadAt(p []byte, at int64) (int, error) {
	if d.altered {
		d.content[cardSize/2] ^= 1
	}
	return copy(p, d.content[at:]), d.read
}

func (d *badDisk) Sync() error {
	took := d.pageTime
	if d.size > cardPage {
		took = d.syncTime
	}
	d.now, d.size = d.now.Add(took), 0
	return d.sync
}

func TestCard(t *testing.T) {
	fault := func(err error) error { return &os.PathError{Op: "write", Path: "/card/.selftest-1", Err: err} }
	for _, c := range []struct {
		name     string
		disk     badDisk
		want, do string
	}{
		{"well", badDisk{}, "PASS writes 4.2 MB/s, the slowest of 16 syncs took 20ms", ""},
		{"no writes", badDisk{write: fault(unix.EIO)}, "FAIL /card: write: ", "replace it"},
		{"no syncs", badDisk{sync: fault(unix.EIO)}, "FAIL /card: sync: ", "replace it"},
		{"no reads", badDisk{read: fault(unix.EIO)}, "FAIL /card: read it back: ", "replace it"},
		{"read-only", badDisk{create: fault(unix.EROFS)}, "FAIL /card: make a file: ", "mounted read-only"},
		{"full", badDisk{write: fault(unix.ENOSPC)}, "FAIL /card: write: ", "make room"},
		{"not allowed", badDisk{create: fault(unix.EACCES)}, "FAIL /card: make a file: ", "as root"},
		{"no folder", badDisk{create: fault(unix.ENOENT)}, "FAIL /card: make a file: ", "make the folder"},
		{"altered", badDisk{altered: true}, "FAIL /card: what was written does not read back", "replace it"},
		{"one slow sync", badDisk{pageTime: 4 * time.Second}, "FAIL a sync took 4s", "another card"},
		{"slow", badDisk{syncTime: 20 * time.Second}, "FAIL it writes 0.21 MB/s", "another card"},
		{"too small", badDisk{left: 100 << 20}, "FAIL /card has room for 100 MiB, and the ring needs 1024 more", "ring.size"},
		{"nobody knows", badDisk{free: fault(unix.EIO)}, "FAIL /card: write ", "replace it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.disk
			if d.left == 0 {
				d.left = 2 << 30
			}
			if d.pageTime == 0 {
				d.pageTime = 20 * time.Millisecond
			}
			if d.syncTime == 0 {
				d.syncTime = time.Second
			}
			r := Card(&d, "/card", 1<<30)
			if got := string(r.Verdict) + " " + r.Says; !strings.HasPrefix(got, c.want) || !strings.Contains(r.Do, c.do) || (r.Do == "") != (r.Verdict == Pass) {
				t.Errorf("%s -> %s\nwant %s -> %s", got, r.Do, c.want, c.do)
			}
			if d.create == nil && (!d.removed || !d.closed) {
				t.Error("it leaves its file there")
			}
		})
	}
}

// TestCardOfAFolder: on a real one nothing is left.
func TestCardOfAFolder(t *testing.T) {
	dir := t.TempDir()
	r := Card(&Folder{Dir: dir}, dir, 1)
	if r.Verdict != Pass {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
	if err := os.WriteFile(dir+"/segment", make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Used(dir); got != 5000 {
		t.Errorf("%d bytes used", got)
	}
	if r := Card(&Folder{Dir: dir + "/gone"}, dir, 1); r.Verdict != Fail || !strings.Contains(r.Do, "make the folder") {
		t.Errorf("%+v", r)
	}
	if !errors.Is(unix.ENOENT, os.ErrNotExist) {
		t.Error("this platform names a missing folder otherwise")
	}
}
