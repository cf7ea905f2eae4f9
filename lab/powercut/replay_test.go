package powercut

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

func replayOf(t *testing.T, entries ...Entry) *Replay {
	t.Helper()
	log, err := NewReader(bytes.NewReader(written(entries...)))
	if err != nil {
		t.Fatal(err)
	}
	return NewReplay(log, NewImage(64<<10))
}

func advance(t *testing.T, r *Replay, n uint64) {
	t.Helper()
	if err := r.Advance(n); err != nil {
		t.Fatal(err)
	}
}

// cuts gives what many cuts here leave of the first bytes, one letter a sector.
func cuts(t *testing.T, r *Replay, sectors int) map[string]int {
	t.Helper()
	seen := make(map[string]int)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m, _, err := r.Cut(random)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, sectors*sector)
		if _, err := m.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		for i := range sectors {
			part := b[i*sector : (i+1)*sector]
			if part[0] != part[sector-1] {
				s.WriteByte('/') // torn within
			} else {
				s.WriteByte(part[0] + '0')
			}
		}
		seen[s.String()]++
	}
	return seen
}

func TestCutKeepsWhatWasFlushed(t *testing.T) {
	r := replayOf(t, write(0, 0, 1, 1024), Entry{Flags: Flush}, write(0, 0, 2, 512), write(512, 0, 3, 512))
	advance(t, r, 2)
	if got := cuts(t, r, 2); len(got) != 1 || got["11"] == 0 {
		t.Fatalf("after the flush: %v", got)
	}
	advance(t, r, 4)
	got := cuts(t, r, 2)
	for _, want := range []string{"11", "21", "13", "23", "/1", "1/", "2/"} {
		if got[want] == 0 {
			t.Errorf("never %q: %v", want, got)
		}
	}
	if len(got) != 7 {
		t.Errorf("also what no cut leaves: %v", got)
	}
}

func TestCutNeverGoesBackToAnOlderWrite(t *testing.T) {
	r := replayOf(t, write(0, 0, 1, 512), write(0, FUA, 2, 512), write(512, Flush, 3, 512))
	advance(t, r, 2)
	if got := cuts(t, r, 2); len(got) != 1 || got["20"] == 0 {
		t.Fatalf("after FUA: %v", got)
	}
	advance(t, r, 3)
	got := cuts(t, r, 2)
	if len(got) != 3 || got["20"] == 0 || got["23"] == 0 || got["2/"] == 0 {
		t.Fatalf("a flush does not cover its own write: %v", got)
	}
}

func TestCutTearsBetweenSectors(t *testing.T) {
	r := replayOf(t, write(0, 0, 1, 2048))
	advance(t, r, 1)
	got := cuts(t, r, 4)
	for _, want := range []string{"0000", "1111", "1000", "1100", "1110", "0101", "/000", "111/"} {
		if got[want] == 0 {
			t.Errorf("never %q: %v", want, got)
		}
	}
}

func TestCutWithDiscard(t *testing.T) {
	r := replayOf(t, write(0, 0, 1, 8192), Entry{Flags: Flush}, Entry{Offset: 512, Length: 4096, Flags: Discard}, Entry{Flags: Mark, Data: []byte("x")})
	advance(t, r, 4)
	got := cuts(t, r, 10)
	if len(got) != 2 || got["1111111111"] == 0 || got["1000000001"] == 0 {
		t.Fatalf("%v", got)
	}
}

func TestReplayRefuses(t *testing.T) {
	r := replayOf(t, write(0, 0, 1, 512), write(64<<10, 0, 1, 512), Entry{Flags: Flush})
	advance(t, r, 2)
	if err := r.Advance(1); err == nil {
		t.Error("it went back")
	}
	if err := r.Advance(3); err == nil || !strings.Contains(err.Error(), "of a card of") {
		t.Errorf("a write behind the card: %v", err)
	}
	if err := replayOf(t).Advance(1); err == nil || !strings.Contains(err.Error(), "the log has 0") {
		t.Errorf("behind the log: %v", err)
	}
}

func TestImage(t *testing.T) {
	m := NewImage(10_000)
	want := make([]byte, 10_000)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		at := random.IntN(len(want))
		n := random.IntN(len(want) - at + 1)
		b := bytes.Repeat([]byte{byte(random.IntN(3))}, n)
		copy(want[at:], b)
		if err := m.Write(int64(at), b); err != nil {
			t.Fatal(err)
		}
	}
	before := m.Clone()
	if err := m.Zero(100, 9000); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "card")
	if err := before.WriteFile(name); err != nil {
		t.Fatal(err)
	}
	again, err := ReadImage(name)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := again.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d, %v, same %v", n, err, bytes.Equal(got, want))
	}
	clear(want[100:9100])
	if _, err := m.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatal("zeroed wrongly")
	}
	if m.Write(9_999, []byte{1, 2}) == nil || m.Write(-1, nil) == nil || m.Zero(1, 10_000) == nil {
		t.Error("wrote beyond the end")
	}
}
