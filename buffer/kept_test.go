package buffer

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

func TestKeepRefuses(t *testing.T) {
	r, _ := mustOpen(t, testOptions(t.TempDir()))
	for _, bad := range []struct {
		name string
		size int
	}{{"", 1}, {strings.Repeat("n", maxName+1), 1}, {"n", maxValue + 1}} {
		if err := r.Keep(bad.name, make([]byte, bad.size)); err == nil {
			t.Errorf("%d bytes under %q are kept", bad.size, bad.name)
		}
	}
	if r.Kept("n") != nil {
		t.Error("something is kept that nobody gave")
	}
}

// TestKeptGoesForward keeps more values than there are segments, each of which would keep one of them from being used
// again.
func TestKeptGoesForward(t *testing.T) {
	dir := t.TempDir()
	r, _ := mustOpen(t, testOptions(dir))
	p := phone{t, r}
	want := map[string]string{}
	for r.space.generation < 40 {
		if name := fmt.Sprintf("a name, it is %d", r.space.generation); r.space.generation < 12 && want[name] == "" {
			want[name] = fmt.Sprint(r.space.generation)
			noError(t, r.Keep(name, []byte(want[name])))
		}
		c := p.call(20, 4000)
		noError(t, r.Sync())
		noError(t, r.Accept(call.Receipt{Call: &c.id, Size: int64(len(c.file)), SHA256: "sum"}, "jws"))
		noError(t, r.Accept(call.Receipt{Epoch: r.State().Epoch, First: 1, Last: r.State().Last}, "jws"))
		noError(t, r.Keep("volume", []byte(c.id.String())))
		noError(t, r.Sync())
		if got := string(r.Kept("volume")); got != c.id.String() {
			t.Fatalf("kept is %q", got)
		}
	}
	want["volume"] = string(r.Kept("volume"))
	noError(t, r.Close())
	o := testOptions(dir)
	o.Index = filepath.Join(dir, "index.db")
	r, _ = mustOpen(t, o)
	for name, value := range want {
		if got := string(r.Kept(name)); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// TestWishes has what people say of a call survive, and forgotten when it is taken back.
func TestWishes(t *testing.T) {
	dir := t.TempDir()
	r, _ := mustOpen(t, testOptions(dir))
	c := phone{t, r}.call(1, 100)
	noError(t, r.Sync())
	noError(t, r.Park(c.id, "no room for it"))
	noError(t, r.Ask(c.id))
	noError(t, r.Flag(c.id))
	noError(t, r.Close())
	r, _ = mustOpen(t, testOptions(dir))
	calls, err := r.Calls()
	noError(t, err)
	if s := calls[0]; !s.Asked || !s.Flagged || s.Parked != "" {
		t.Errorf("%+v", s)
	}
	noError(t, r.Unflag(c.id))
	calls, err = r.Calls()
	noError(t, err)
	if s := calls[0]; !s.Asked || s.Flagged {
		t.Errorf("%+v", s)
	}
}
