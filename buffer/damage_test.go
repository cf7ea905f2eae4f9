package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// memoryOptions puts the ring on a card in memory.
func memoryOptions(c *card) Options {
	o := testOptions("/card/ring")
	o.FS = c
	return o
}

// place finds data on the card.
func (c *card) find(t *testing.T, data []byte) (*inode, int) {
	t.Helper()
	for _, n := range c.names {
		if i := bytes.Index(n.view, data); i >= 0 {
			return n, i
		}
	}
	t.Fatal("the data is not on the card")
	return nil, 0
}

func (c *card) flip(t *testing.T, data []byte) {
	t.Helper()
	n, i := c.find(t, data)
	n.view[i] ^= 1
	n.disk[i] ^= 1
}

func TestDamagedChunkFailsItsCallAndNoOther(t *testing.T) {
	c := newCard(1)
	r, _ := mustOpen(t, memoryOptions(c))
	p := phone{t, r}
	a, b := p.begin(), p.begin()
	var chunk []byte
	for i := range 60 {
		a.speak(2000)
		b.speak(2000)
		if i == 20 {
			chunk = a.file[len(a.file)-2000:]
		}
	}
	a.end()
	b.end()
	filler := p.call(20, 2000) // closes the first segment
	noError(t, r.Close())
	c.flip(t, chunk)
	r, _ = mustOpen(t, memoryOptions(c))
	f, err := r.OpenCall(a.id)
	noError(t, err)
	_, err = io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("a damaged call reads without *CorruptError: %v", err)
	}
	noError(t, f.Close())
	for _, c := range []*talk{b, filler} {
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Error("another call suffers from the damage")
		}
	}
}

func TestDamageInTheOpenSegment(t *testing.T) {
	c := newCard(1)
	r, _ := mustOpen(t, memoryOptions(c))
	p := phone{t, r}
	a, b := p.begin(), p.begin()
	var bad, entry []byte
	for i := range 8 {
		a.speak(1000)
		b.speak(1000)
		if i == 4 {
			bad = a.file[len(a.file)-1000:]
			p.entry(call.Entry{Type: call.EntryGap, Line: "damaged"})
			entry = r.State().JWS
		}
		p.entry(call.Entry{Type: call.EntryGap})
		noError(t, r.Sync())
	}
	noError(t, r.Close())
	c.flip(t, bad)
	c.flip(t, entry)
	for n := range 2 {
		var rec Recovered
		r, rec = mustOpen(t, memoryOptions(c))
		if len(rec.Interrupted) != 2 || !slices.Equal(rec.LostEntries, []uint64{7}) || len(rec.Holed) > 0 {
			t.Errorf("recovered: interrupted %d, lost entries %v, holed %v", len(rec.Interrupted), rec.LostEntries, rec.Holed)
		}
		// The damage is told once: the hole is noted, the segment closed, and its directory leaves out what is lost.
		if n == 0 && (rec.Torn != 2 || len(rec.Damaged) != 1 || rec.Damaged[0].Call != a.id) || n == 1 && rec.Torn+len(rec.Damaged) > 0 {
			t.Errorf("opened for the %d. time: torn %d, damaged: %+v", n+1, rec.Torn, rec.Damaged)
		}
		if !bytes.Equal(readCall(t, r, a.id), holed(a.file, bad)) {
			t.Error("the damaged call is not what it was, with a hole")
		}
		if !bytes.Equal(readCall(t, r, b.id), b.file) {
			t.Error("another call suffers from the damage")
		}
		if entries, err := r.Entries(99); err != nil || len(entries) != 6 || r.Status().WaitingEntries != 10 {
			t.Errorf("%d entries, %v", len(entries), err)
		}
		noError(t, r.Close())
	}
	if kept := c.kept(); len(kept) != 2 || !strings.Contains(kept[0]+kept[1], a.id.String()) {
		t.Errorf("kept aside: %v", kept)
	}
	r, _ = mustOpen(t, memoryOptions(c))
	if err := r.Append(call.Record{Call: a.id, Kind: call.KindChunk, Number: 9}); err == nil {
		t.Error("a chunk was added to an interrupted call")
	}
	noError(t, r.Append(call.Record{Call: a.id, Kind: call.KindEnd, Number: 9, Data: []byte("end")}))
	noError(t, r.Close())
	r, rec := mustOpen(t, memoryOptions(c))
	if len(rec.Interrupted) != 1 || len(rec.Unsigned) != 1 || rec.Unsigned[0].Header.Call != a.id {
		t.Errorf("after the end: %+v", rec)
	}
	if got := readCall(t, r, a.id); !bytes.Equal(got, append(holed(a.file, bad), "end"...)) {
		t.Error("the end of the damaged call is not its last record")
	}
}

// holed is a file in which damaged bytes are zeros, which the tests' holes are made of.
func holed(file []byte, bad []byte) []byte {
	return bytes.Replace(file, bad, make([]byte, len(bad)), 1)
}

// withHoles says whether what was read is a file, or where it is not whole the beginning of one, but for zeros.
func withHoles(got, file []byte, whole bool) bool {
	if len(got) > len(file) || whole && len(got) < len(file) {
		return false
	}
	for i, b := range got {
		if b != 0 && b != file[i] {
			return false
		}
	}
	return true
}

// kept lists the damaged bytes that were kept aside.
func (c *card) kept() []string {
	names, _ := c.List("/card/ring/damaged")
	return names
}

func TestDamagedHeadsAndDirectories(t *testing.T) {
	fill := func(t *testing.T) (*card, []*talk) {
		c := newCard(1)
		r, _ := mustOpen(t, memoryOptions(c))
		p := phone{t, r}
		var all []*talk
		for range 30 {
			all = append(all, p.call(5, 3000))
			noError(t, r.Sync())
		}
		noError(t, r.Close())
		return c, all
	}
	path := "/card/ring/" + segmentName(1)
	for name, damage := range map[string]func(c *card, n *inode){
		"head zeroed":             func(_ *card, n *inode) { clear(n.view[:pageSize]) },
		"head flipped":            func(_ *card, n *inode) { n.view[20] ^= 4 },
		"directory zeroed":        func(_ *card, n *inode) { clear(n.view[len(n.view)-pageSize:]) },
		"directory flipped":       func(_ *card, n *inode) { n.view[len(n.view)-100] ^= 4 },
		"directory tail flipped":  func(_ *card, n *inode) { n.view[len(n.view)-9] ^= 4 },
		"head and directory gone": func(_ *card, n *inode) { clear(n.view[:pageSize]); clear(n.view[len(n.view)-pageSize:]) },
		"cut short":               func(_ *card, n *inode) { n.view = n.view[:len(n.view)-pageSize] },
	} {
		t.Run(name, func(t *testing.T) {
			c, all := fill(t)
			n := c.names[path]
			damage(c, n)
			n.disk = bytes.Clone(n.view)
			r, _ := mustOpen(t, memoryOptions(c))
			calls, err := r.Calls()
			noError(t, err)
			if len(calls) != len(all) {
				t.Fatalf("%d calls of %d", len(calls), len(all))
			}
			for _, c := range all {
				if !bytes.Equal(readCall(t, r, c.id), c.file) {
					t.Fatal("a call changed")
				}
			}
			if entries, err := r.Entries(1000); err != nil || len(entries) != 60 {
				t.Errorf("%d entries, %v", len(entries), err)
			}
		})
	}
	t.Run("zeroed", func(t *testing.T) {
		c, all := fill(t)
		n := c.names[path]
		clear(n.view)
		clear(n.disk)
		r, rec := mustOpen(t, memoryOptions(c))
		calls, err := r.Calls()
		noError(t, err)
		if len(calls) >= len(all) || len(calls) < len(all)-12 || len(rec.Damaged) == 0 || len(rec.LostEntries) == 0 {
			t.Errorf("%d calls of %d, damage %+v, lost entries %v", len(calls), len(all), rec.Damaged, rec.LostEntries)
		}
		for _, s := range calls {
			got := readCall(t, r, s.Header.Call)
			for _, c := range all {
				if c.id == s.Header.Call && !withHoles(got, c.file, s.Ended) {
					t.Error("a call changed")
				}
			}
		}
	})
	t.Run("swapped", func(t *testing.T) {
		c, all := fill(t)
		a, b := c.names[path], c.names["/card/ring/"+segmentName(2)]
		a.view, b.view = b.view, a.view
		a.disk, b.disk = b.disk, a.disk
		r, rec := mustOpen(t, memoryOptions(c))
		if len(rec.Damaged) < 2 || c.names[path+".foreign-1"] == nil {
			t.Errorf("damage %+v", rec.Damaged)
		}
		if calls, err := r.Calls(); err != nil || len(calls) == 0 || len(calls) >= len(all) {
			t.Errorf("%d calls, %v", len(calls), err)
		}
	})
	t.Run("of a later version", func(t *testing.T) {
		c, _ := fill(t)
		n := c.names[path]
		page := segmentHead{number: 1}.page()
		page[8] = 7
		copy(n.view, page)
		binaryFix(n.view)
		if _, _, err := Open(memoryOptions(c)); err == nil || !strings.Contains(err.Error(), "version 7") {
			t.Errorf("opened: %v", err)
		}
	})
}

var le = binary.LittleEndian

// binaryFix makes a segment's first page sound again.
func binaryFix(page []byte) {
	le.PutUint32(page[36:], crc32.Checksum(page[:36], castagnoli))
}

// resum makes the checksum at the end of a directory right.
func resum(b []byte) []byte {
	le.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}
