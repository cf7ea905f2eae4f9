package buffer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// Whole segments that are lost, doubled, old or exchanged cost what stood in them, and nothing is given as what it is
// not: not after the first opening, and not after the next.
func TestDamagedSegments(t *testing.T) {
	path := func(n uint32) string { return "/card/ring/" + segmentName(n) }
	set := func(c *card, n uint32, b []byte) {
		c.names[path(n)] = &inode{view: slices.Clone(b), disk: slices.Clone(b)}
		c.saved[path(n)] = c.names[path(n)]
	}
	for name, damage := range map[string]func(c, before *card){
		"zeroed":     func(c, _ *card) { set(c, 1, make([]byte, testSegment)) },
		"swapped":    func(c, _ *card) { a, b := c.names[path(1)].disk, c.names[path(2)].disk; set(c, 1, b); set(c, 2, a) },
		"duplicated": func(c, _ *card) { set(c, 2, c.names[path(1)].disk) },
		"duplicated, without its head": func(c, _ *card) {
			set(c, 2, c.names[path(1)].disk)
			clear(c.names[path(2)].view[:pageSize])
		},
		"stale":                func(c, before *card) { set(c, 1, before.names[path(1)].disk) },
		"deleted":              func(c, _ *card) { delete(c.names, path(1)); delete(c.saved, path(1)) },
		"cut to nothing":       func(c, _ *card) { set(c, 1, nil) },
		"the second half gone": func(c, _ *card) { clear(c.names[path(1)].view[testSegment/2:]) },
		"the first half gone":  func(c, _ *card) { clear(c.names[path(1)].view[:testSegment/2]) },
		"the open one zeroed": func(c, _ *card) {
			set(c, 4, make([]byte, testSegment))
		},
		"torn tail of the open one": func(c, _ *card) {
			v := c.names[path(4)].view
			end := len(bytes.TrimRight(v, "\x00"))
			clear(v[end-300 : end])
		},
		"all directories gone": func(c, _ *card) {
			for _, n := range c.names {
				if len(n.view) == testSegment {
					clear(n.view[testSegment-2*pageSize:])
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCard(1)
			r, _ := mustOpen(t, memoryOptions(c))
			p := phone{t, r}
			var all []*talk
			long := p.begin() // stands in every segment
			var before *card
			for i := range 30 {
				all = append(all, p.call(5, 3000))
				long.speak(1000)
				noError(t, r.Sync())
				if i == 15 {
					before = c.clone()
				}
			}
			long.end()
			all = append(all, long)
			noError(t, r.Close())
			damage(c, before)
			for range 3 {
				checkDamaged(t, c, all)
			}
		})
	}
}

// checkDamaged opens the ring and holds what it gives against what was stored.
func checkDamaged(t *testing.T, c *card, all []*talk) {
	t.Helper()
	r, rec := mustOpen(t, memoryOptions(c))
	calls, err := r.Calls()
	noError(t, err)
	sound := 0
	for _, s := range calls {
		i := slices.IndexFunc(all, func(a *talk) bool { return a.id == s.Header.Call })
		if i < 0 {
			t.Fatal("a call that nobody made")
		}
		got := readWithHoles(t, r, s.Header.Call)
		if !withHoles(got, all[i].file, s.Ended) {
			t.Errorf("call %d changed: %d bytes of %d", i, len(got), len(all[i].file))
		}
		if bytes.Equal(got, all[i].file) {
			sound++
		}
	}
	if sound < len(all)-20 {
		t.Errorf("%d calls of %d are whole", sound, len(all))
	}
	entries, err := r.Entries(1000)
	noError(t, err)
	if len(entries)+len(rec.LostEntries) == 0 {
		t.Error("no entries")
	}
	p := phone{t, r}
	extra := p.call(1, 100) // it goes on
	noError(t, r.Sync())
	if !bytes.Equal(readCall(t, r, extra.id), extra.file) {
		t.Error("a new call is not what was appended")
	}
	noError(t, r.Accept(extra.receipt(), "jws"))
	noError(t, r.Close())
}

// readWithHoles reads a call as often as it takes to find all that is damaged of it.
func readWithHoles(t *testing.T, r *Ring, id call.ID) []byte {
	t.Helper()
	for range 8 {
		f, err := r.ReadCall(id)
		noError(t, err)
		b, err := io.ReadAll(f)
		noError(t, f.Close())
		if err == nil {
			return b
		}
		if !damaged(err) {
			t.Fatal(err)
		}
		noError(t, r.Sync())
	}
	t.Fatal("the call stays unreadable")
	return nil
}

// A flipped bit anywhere costs at most one record of a call, or an entry or note, and nothing else; and everything reads
// when it has been noted.
func TestFlipsCostWhatTheyHit(t *testing.T) {
	whole := newCard(1)
	w, _ := watch(t, whole)
	p := phone{t, w.Ring}
	var all []*talk
	for i := range 24 {
		all = append(all, p.call(5, 3000))
		noError(t, w.Sync())
		if i == 4 {
			noError(t, w.Hold(all[2].id, "court"))
		}
	}
	noError(t, w.Close())
	rng := rand.New(rand.NewPCG(1, 9))
	for n := range 120 {
		c := whole.clone()
		name := fmt.Sprintf("/card/ring/%s", segmentName(uint32(rng.IntN(4))))
		at, bit := rng.IntN(testSegment), byte(1)<<rng.IntN(8)
		c.names[name].view[at] ^= bit
		c.names[name].disk[at] ^= bit
		if err := survives(t, c, all); err != nil {
			t.Fatalf("flip %d, %s at %d bit %d: %v", n, name, at, bit, err)
		}
	}
}

// survives opens a damaged ring, reads everything twice, and says what is worse than one record lost.
func survives(t *testing.T, c *card, all []*talk) error {
	w, rec := watch(t, c)
	for _, a := range all {
		f, err := w.OpenCall(a.id)
		if err != nil {
			return err
		}
		_, _ = io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		noError(t, f.Close())
	}
	entries := len(rec.LostEntries)
	if _, err := w.Entries(1000); err != nil {
		entries++
	}
	noError(t, w.Sync())
	bad := 0
	for _, a := range all {
		got := readCall(t, w.Ring, a.id)
		if !bytes.Equal(got, a.file) {
			bad++
			if !withHoles(got, a.file, true) || bytes.Count(got, []byte{0}) > 3000+bytes.Count(a.file, []byte{0}) {
				return fmt.Errorf("call %v lost more than a record", a.id)
			}
		}
	}
	if bad+entries > 1 {
		return fmt.Errorf("%d calls and %d entries suffer", bad, entries)
	}
	return w.Close()
}
