package buffer

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// watched is a ring whose Damaged is noted.
type watched struct {
	*Ring
	card *card
	opts Options
	told []Holed
}

func watch(t *testing.T, c *card) (*watched, Recovered) {
	w := &watched{card: c, opts: memoryOptions(c)}
	w.opts.Damaged = func(id call.ID, holes []call.Hole) { w.told = append(w.told, Holed{id, holes}) }
	var rec Recovered
	w.Ring, rec = mustOpen(t, w.opts)
	return w, rec
}

// storedAs finds a call among those that the ring tells of.
func storedAs(t *testing.T, r *Ring, id call.ID) call.Stored {
	t.Helper()
	calls, err := r.Calls()
	noError(t, err)
	i := slices.IndexFunc(calls, func(s call.Stored) bool { return s.Header.Call == id })
	if i < 0 {
		t.Fatalf("call %v is lost", id)
	}
	return calls[i]
}

// twoCalls makes two calls beside each other, which fill a segment and more, and gives their chunks.
func twoCalls(t *testing.T, p phone) (a, b *talk, chunks [][]byte) {
	t.Helper()
	a, b = p.begin(), p.begin()
	for range 60 {
		a.speak(2000)
		b.speak(2000)
		chunks = append(chunks, a.file[len(a.file)-2000:])
		noError(t, p.r.Sync())
	}
	a.end()
	b.end()
	p.call(20, 2000) // closes the segment
	noError(t, p.r.Sync())
	return a, b, chunks
}

// A damaged record costs that record: the call keeps its offsets with a hole, which is told once, noted, and amended; and
// its bytes are kept aside.
func TestDamageLeavesAHole(t *testing.T) {
	for name, damage := range map[string]func(c *card, chunks [][]byte) (bad []int){
		"a bit of a record": func(c *card, chunks [][]byte) []int {
			c.flip(t, chunks[20])
			return []int{20}
		},
		"a record's head": func(c *card, chunks [][]byte) []int {
			n, i := c.find(t, chunks[20])
			n.view[i-frameHeader+13] ^= 1 // its length
			return []int{20}
		},
		"two apart": func(c *card, chunks [][]byte) []int {
			c.flip(t, chunks[3])
			c.flip(t, chunks[20])
			return []int{3, 20}
		},
		"two beside each other, heads and all": func(c *card, chunks [][]byte) []int {
			for _, n := range []int{11, 12} {
				n, i := c.find(t, chunks[n])
				clear(n.view[i-frameHeader : i+2000])
			}
			return []int{11, 12}
		},
		"a page that cannot be read": func(c *card, chunks [][]byte) []int {
			n, i := c.find(t, chunks[7])
			c.unreadable = func(m *inode, at, to int64) bool { return m == n && at <= int64(i) && int64(i) < to }
			return []int{7}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCard(1)
			w, _ := watch(t, c)
			a, b, chunks := twoCalls(t, phone{t, w.Ring})
			bad := damage(c, chunks)
			want := bytes.Clone(a.file)
			for _, n := range bad {
				clear(want[len(a.file)-60*2000-len(`{"reason":"on-hook"}`)+n*2000:][:2000])
			}
			f, err := w.OpenCall(a.id)
			noError(t, err)
			if _, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size())); !damaged(err) {
				t.Fatalf("a damaged call reads without *CorruptError: %v", err)
			}
			noError(t, f.Close())
			if len(w.told) > 0 {
				t.Error("told before it was synced")
			}
			noError(t, w.Sync())
			var lost int64
			if len(w.told) != 1 || w.told[0].Call != a.id {
				t.Fatalf("told %+v", w.told)
			}
			for _, h := range w.told[0].Holes {
				lost += h.Size
			}
			if lost != int64(2000*len(bad)) {
				t.Errorf("holes %+v, want %d bytes", w.told[0].Holes, 2000*len(bad))
			}
			if name != "two beside each other, heads and all" && name != "a page that cannot be read" && len(c.kept()) != len(bad) {
				t.Errorf("kept aside: %v", c.kept())
			}
			amended(t, w, a, want)
			if name == "a page that cannot be read" {
				return // the other call has a record there too
			}
			if !bytes.Equal(readCall(t, w.Ring, b.id), b.file) {
				t.Error("another call suffers from the damage")
			}
		})
	}
}

// amended follows a call with holes until it is delivered.
func amended(t *testing.T, w *watched, a *talk, want []byte) {
	t.Helper()
	holes := w.told[0].Holes
	for n := range 2 { // also when the ring is opened again
		if !bytes.Equal(readCall(t, w.Ring, a.id), want) {
			t.Fatalf("opened %d times: the call is not what it was, with a hole", n+1)
		}
		if s := storedAs(t, w.Ring, a.id); s.Parked == "" || s.Manifest == nil || s.Size != int64(len(a.file)) {
			t.Errorf("before the amendment: %+v", s)
		}
		if n > 0 {
			break
		}
		noError(t, w.Close())
		var rec Recovered
		w.Ring, rec = mustOpen(t, w.opts)
		if len(rec.Holed) != 1 || rec.Holed[0].Call != a.id || !slices.Equal(rec.Holed[0].Holes, holes) || len(rec.Damaged)+len(rec.Interrupted) > 0 {
			t.Errorf("recovered %+v", rec)
		}
	}
	phone{t, w.Ring}.entry(call.Entry{Type: call.EntryAmendment, Call: &a.id, Amendment: &call.Amendment{
		Was: "sum", Size: int64(len(a.file)), SHA256: "new", Chain: "chain", Holes: holes}})
	noError(t, w.Close())
	w.Ring, _ = mustOpen(t, w.opts)
	for range 2 {
		if s := storedAs(t, w.Ring, a.id); s.Parked != "" || s.Manifest == nil || s.Manifest.SHA256 != "new" || s.Manifest.Chain != "chain" {
			t.Errorf("after the amendment: %+v", s)
		}
		noError(t, w.Close())
		var rec Recovered
		if w.Ring, rec = mustOpen(t, w.opts); len(rec.Holed) > 0 {
			t.Errorf("told again: %+v", rec.Holed)
		}
	}
	r := a.receipt()
	r.SHA256 = "other"
	if err := w.Accept(r, "jws"); err == nil {
		t.Error("a receipt of other bytes releases")
	}
	r.SHA256 = "new"
	noError(t, w.Accept(r, "jws"))
	noError(t, w.Sync())
	if _, err := w.OpenCall(a.id); err == nil {
		t.Error("the receipt of the amended call does not release it")
	}
}

// The first and last record of a call, and its end entry.
func TestDamagedEndsOfCalls(t *testing.T) {
	for name, of := range map[string]func(a *talk) []byte{
		"header":    func(a *talk) []byte { return a.file[:60] },
		"end":       func(*talk) []byte { return nil },
		"end entry": func(a *talk) []byte { return fmt.Appendf(nil, `"size":%d`, len(a.file)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCard(1)
			w, _ := watch(t, c)
			a, _, chunks := twoCalls(t, phone{t, w.Ring})
			if bad := of(a); bad != nil {
				c.flip(t, bad)
			} else {
				n, i := c.find(t, chunks[59])
				n.view[i+bytes.Index(n.view[i:], []byte("on-hook"))] ^= 1
			}
			w.table.forget(w.table.calls[a.id])
			_ = storedAs(t, w.Ring, a.id)
			f, err := w.OpenCall(a.id)
			noError(t, err)
			_, _ = io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			noError(t, f.Close())
			noError(t, w.Sync())
			got := readCall(t, w.Ring, a.id)
			if !withHoles(got, a.file, true) || bytes.Equal(got, a.file) != (name == "end entry") {
				t.Errorf("the call is not what it was, with a hole")
			}
			noError(t, w.Close())
			r, rec := mustOpen(t, w.opts)
			if len(rec.Interrupted) > 0 || len(rec.Holed) != len(w.told) || len(rec.Unsigned) != 1-len(w.told) {
				t.Errorf("told %+v, recovered %+v", w.told, rec)
			}
			if name == "end entry" && len(rec.LostEntries) != 1 {
				t.Errorf("lost entries %v", rec.LostEntries)
			}
			if !bytes.Equal(readCall(t, r, a.id), got) {
				t.Error("the call changes with the next start")
			}
		})
	}
}

// A call whose end record is damaged before its end entry was stored gets another end.
func TestDamagedEndWithoutItsEntry(t *testing.T) {
	c := newCard(1)
	w, _ := watch(t, c)
	a := phone{t, w.Ring}.begin()
	a.speak(1000)
	noError(t, a.record(call.KindEnd, []byte(`{"reason":"busy"}`)))
	noError(t, w.Sync())
	noError(t, w.Close())
	c.flip(t, []byte("busy"))
	for range 2 {
		var rec Recovered
		w.Ring, rec = mustOpen(t, w.opts)
		if len(rec.Interrupted) != 1 || len(rec.Unsigned)+len(rec.Holed) > 0 {
			t.Fatalf("recovered %+v", rec)
		}
		noError(t, w.Sync())
		noError(t, w.Close())
	}
	w.Ring, _ = mustOpen(t, w.opts)
	noError(t, w.Append(call.Record{Call: a.id, Kind: call.KindEnd, Number: 3, Data: []byte("end")}))
	noError(t, w.Close())
	r, rec := mustOpen(t, w.opts)
	if len(rec.Unsigned) != 1 || !bytes.Equal(readCall(t, r, a.id), append(holed(a.file, []byte(`{"reason":"busy"}`)), "end"...)) {
		t.Errorf("recovered %+v", rec)
	}
	phone{t, r}.entry(call.Entry{Type: call.EntryEnd, Call: &a.id, Manifest: &call.Manifest{SHA256: "with the hole"}})
	noError(t, r.Sync())
	if s := storedAs(t, r, a.id); s.Parked != "" || s.Manifest == nil || s.Manifest.SHA256 != "with the hole" {
		t.Errorf("a manifest that was made of the hole is not believed: %+v", s)
	}
}

// A call that has an end entry, and whose last records stood in a segment that is lost, ends in a hole of the size that
// the entry tells.
func TestLostTailOfAnEndedCall(t *testing.T) {
	c := newCard(1)
	w, _ := watch(t, c)
	p := phone{t, w.Ring}
	nextSegment := func() uint32 {
		t.Helper()
		g := w.space.generation
		for w.space.generation == g {
			p.call(2, 3000)
			noError(t, w.Sync())
		}
		return w.writer.open.seg.number
	}
	a := p.begin()
	a.speak(3000)
	noError(t, w.Sync())
	lost := nextSegment()
	a.speak(2000)
	noError(t, a.record(call.KindEnd, []byte("{}")))
	noError(t, w.Sync())
	nextSegment()
	p.entry(call.Entry{Type: call.EntryEnd, Call: &a.id, Manifest: &call.Manifest{Size: int64(len(a.file)), SHA256: "sum"}})
	noError(t, w.Close())
	clear(c.names["/card/ring/"+segmentName(lost)].view)
	r, rec := mustOpen(t, w.opts)
	for _, x := range rec.Interrupted {
		if x.Header.Call == a.id {
			t.Error("a call that was signed is to be ended again")
		}
	}
	want := append(bytes.Clone(a.file[:len(a.file)-2002]), make([]byte, 2002)...)
	if !bytes.Equal(readCall(t, r, a.id), want) || !slices.ContainsFunc(rec.Holed, func(h Holed) bool { return h.Call == a.id }) {
		t.Errorf("recovered %+v", rec.Holed)
	}
}

// An entry that is damaged is an error once, missing from then on, and told at the next start, until an entry says that it
// is lost.
func TestDamagedEntries(t *testing.T) {
	c := newCard(1)
	w, _ := watch(t, c)
	p := phone{t, w.Ring}
	var bad []byte
	for i := range 6 {
		p.entry(call.Entry{Type: call.EntryGap, Line: fmt.Sprintf("gap %d", i)})
		if i == 3 {
			bad = w.State().JWS
		}
	}
	p.call(80, 2000) // closes the segment
	noError(t, w.Sync())
	c.flip(t, bad)
	if entries, err := w.Entries(99); !damaged(err) || len(entries) != 3 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	noError(t, w.Sync())
	if entries, err := w.Entries(99); err != nil || len(entries) != 3 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	for range 2 {
		noError(t, w.Close())
		var rec Recovered
		if w.Ring, rec = mustOpen(t, w.opts); !slices.Equal(rec.LostEntries, []uint64{4}) {
			t.Errorf("lost entries %v", rec.LostEntries)
		}
	}
	p.r = w.Ring
	p.entry(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 4, Last: 4}})
	noError(t, w.Close())
	r, rec := mustOpen(t, w.opts)
	if len(rec.LostEntries) > 0 {
		t.Errorf("told again: %v", rec.LostEntries)
	}
	noError(t, r.Accept(call.Receipt{Epoch: r.State().Epoch, First: 1, Last: 3}, "jws"))
	noError(t, r.Accept(call.Receipt{Epoch: r.State().Epoch, First: 4, Last: 4}, "jws"))
	if entries, err := r.Entries(99); err != nil || len(entries) != 5 || entries[0].Number != 5 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// A card that cannot be reached is no damage.
func TestUnreachableCardIsNoDamage(t *testing.T) {
	c := newCard(1)
	w, _ := watch(t, c)
	a, _, _ := twoCalls(t, phone{t, w.Ring})
	c.unreadable = func(*inode, int64, int64) bool { return true }
	f, err := w.OpenCall(a.id)
	noError(t, err)
	if _, err := f.ReadAt(make([]byte, 100), 0); err == nil {
		t.Error("read from a card that is gone")
	}
	noError(t, f.Close())
	if _, err := w.Entries(9); err == nil {
		t.Error("entries from a card that is gone")
	}
	c.unreadable = nil
	noError(t, w.Sync())
	if len(w.told) > 0 || !bytes.Equal(readCall(t, w.Ring, a.id), a.file) {
		t.Errorf("told %+v", w.told)
	}
	if entries, err := w.Entries(9); err != nil || len(entries) == 0 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// What is kept aside is bounded.
func TestKeptAsideIsBounded(t *testing.T) {
	c := newCard(1)
	r, _ := mustOpen(t, memoryOptions(c))
	s := r.writer.open.seg
	f, err := c.Open(r.disk.path(s.number))
	noError(t, err)
	var gaps []stretch
	for i := range int64(90) {
		gaps = append(gaps, stretch{pageSize + 100*i, pageSize + 100*i + 100})
	}
	_, err = f.WriteAt(noise(testSegment-pageSize), pageSize)
	noError(t, err)
	if err := r.disk.keepAside(f, s, call.ID{}, gaps); err == nil || len(c.kept()) != maxKept {
		t.Errorf("%d files, %v", len(c.kept()), err)
	}
}

func TestPiecesOfAHole(t *testing.T) {
	h := call.Hole{Record: 7, Records: 100, Offset: 50, Size: 5*MaxRecord + 3}
	all := pieces(h)
	var records uint32
	var size int64
	for _, p := range all {
		if p.Record != h.Record+records || p.Offset != h.Offset+size || p.Records == 0 || p.Size > MaxRecord {
			t.Errorf("piece %+v", p)
		}
		records, size = records+p.Records, size+p.Size
	}
	if len(all) != 6 || records != h.Records || size != h.Size {
		t.Errorf("%d pieces of %d records and %d bytes", len(all), records, size)
	}
	if pieces(call.Hole{Records: 2, Size: 3 * MaxRecord}) != nil {
		t.Error("two records of three times the longest")
	}
}
