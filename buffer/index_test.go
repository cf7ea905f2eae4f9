package buffer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

func TestIndexIsRebuilt(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Index = filepath.Join(t.TempDir(), "sub", "index.db")
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	var all []*talk
	for range 30 {
		all = append(all, p.call(5, 3000))
	}
	noError(t, r.SaveTransfer(all[0].id, "https", []byte("url")))
	noError(t, r.SaveTransfer(all[1].id, "https", []byte("url")))
	noError(t, r.Sync())
	noError(t, r.Accept(all[1].receipt(), "jws"))
	noError(t, r.Close())

	check := func(transfer string) Recovered {
		t.Helper()
		r, rec := mustOpen(t, o)
		defer func() { noError(t, r.Close()) }()
		calls, err := r.Calls()
		noError(t, err)
		if len(calls) != len(all)-1 || len(rec.Damaged) > 0 {
			t.Errorf("%d calls, damage %+v", len(calls), rec.Damaged)
		}
		if got, err := r.Transfer(all[0].id, "https"); err != nil || string(got) != transfer {
			t.Errorf("transfer %q, %v", got, err)
		}
		if got, err := r.Transfer(all[1].id, "https"); err != nil || got != nil {
			t.Errorf("transfer of a released call %q, %v", got, err)
		}
		return rec
	}
	check("url")
	noError(t, os.Remove(o.Index))
	if rec := check(""); rec.IndexSetAside != "" {
		t.Errorf("set aside %q", rec.IndexSetAside)
	}
	for n, damage := range []func(){
		func() { noError(t, os.WriteFile(o.Index, noise(9000), 0o600)) },
		func() {
			b, err := os.ReadFile(o.Index)
			noError(t, err)
			for i := 4096 + 100; i < len(b); i += 97 {
				b[i] ^= 0x55
			}
			noError(t, os.WriteFile(o.Index, b, 0o600))
		},
		func() {
			other := testOptions(t.TempDir())
			other.Index = o.Index
			noError(t, os.Remove(o.Index))
			r, _ := mustOpen(t, other)
			noError(t, r.Close())
		},
	} {
		damage()
		if rec := check(""); rec.IndexSetAside != o.Index+".damaged-"+string(rune('1'+n)) {
			t.Errorf("damage %d: set aside %q", n, rec.IndexSetAside)
		}
	}
}

func TestOneProcessARing(t *testing.T) {
	o := testOptions(t.TempDir())
	mustOpen(t, o)
	_, _, err := Open(o)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Process != os.Getpid() || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("opened twice: %v", err)
	}
}

func TestNoRoomOnTheFileSystem(t *testing.T) {
	c := newCard(1)
	c.full = true
	o := memoryOptions(c)
	_, _, err := Open(o)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("opened: %v", err)
	}
	for _, want := range []string{"/card/ring/segment-00000.lkr", "0.125 MiB", "free room"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	c.full = false
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	c.full = true
	var done []*talk
	for range 5 {
		done = append(done, p.call(5, 3000))
	}
	err = r.Sync()
	for ; err == nil && len(done) < 20; err = r.Sync() {
		done = append(done, p.call(5, 3000))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if s := r.Status(); !s.Full || s.Err == "" {
		t.Errorf("status %+v", s)
	}
	if err := r.Append(call.Record{Call: call.NewID(), Kind: call.KindHeader}); !errors.Is(err, ErrFull) {
		t.Errorf("appended: %v", err)
	}
	c.full = false
	r.space.tryGrowth()
	noError(t, r.Sync())
	for _, c := range done {
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Error("a call changed")
		}
	}
	if s := r.Status(); s.Full || s.Err != "" {
		t.Errorf("status %+v", s)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	c := newCard(1)
	c.lockErr = syscall.EROFS
	_, _, err := Open(memoryOptions(c))
	if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "/card/ring") || !strings.Contains(err.Error(), "writable") {
		t.Errorf("opened: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"too small":  func(o *Options) { o.SizeBytes = 7 * testSegment },
		"odd pages":  func(o *Options) { o.SegmentBytes++ },
		"policy":     func(o *Options) { o.WhenFull = "maybe" },
		"no GiveUp":  func(o *Options) { o.WhenFull = OverwriteWhenFull },
		"no decoder": func(o *Options) { o.Entry = nil },
	} {
		o := testOptions(t.TempDir())
		change(&o)
		if _, _, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	o := testOptions(t.TempDir())
	r, _ := mustOpen(t, o)
	noError(t, r.Close())
	o.SegmentBytes, o.SizeBytes = 2*testSegment, 16*testSegment
	if _, _, err := Open(o); err == nil || !strings.Contains(err.Error(), "0.25 MiB") {
		t.Errorf("opened with other segments: %v", err)
	}
}
