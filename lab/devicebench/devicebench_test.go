package main

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

func TestParseJournal(t *testing.T) {
	const ready = `{"MESSAGE":"time=x msg=ready lines=2","__MONOTONIC_TIMESTAMP":"16800792"}` + "\n"
	const open = `{"MESSAGE":"time=x msg=\"sound card open\" device=a","__MONOTONIC_TIMESTAMP":"17000000"}` + "\n"
	const late = `{"MESSAGE":"time=x msg=\"sound card not open, trying again\" device=a","__MONOTONIC_TIMESTAMP":"16900000"}` + "\n"
	const first = `{"MESSAGE":"time=x msg=\"first audio\" device=a","__MONOTONIC_TIMESTAMP":"17900000","__CURSOR":"x"}` + "\n"
	const second = `{"MESSAGE":"time=x msg=\"first audio\" device=b","__MONOTONIC_TIMESTAMP":"17920556"}` + "\n"
	var m moments
	if err := m.parse(ready + late + open + first + second); err != nil {
		t.Fatal(err)
	}
	if m.ready != 16800792*time.Microsecond || m.late != 1 || m.opened != 17*time.Second || m.heard != 17920556*time.Microsecond {
		t.Errorf("read %+v", m)
	}
	for _, bad := range []string{"", ready, first, ready + first, ready + open, ready + "not JSON\n", strings.Replace(ready, "16800792", "soon", 1) + open + first} {
		if err := new(moments).parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseSample(t *testing.T) {
	const stat = "  60 1 2114 21 11 8 38 3 0 12 26 0 0 0 0 9 4\n"
	const journal = "16 transactions (4 requested), each up to 1024 blocks\n"
	const text = "123.45 200.00\n" + stat + journal + "  60 1 2114 21 11 8 40 3 0 12 26 0 0 0 0 7 4\n" + journal
	s, err := parseSample(text)
	if err != nil {
		t.Fatal(err)
	}
	if s.at != 123450*time.Millisecond || s.ring != (counter{38 * 512, 9, 16}) || s.files != (counter{40 * 512, 7, 16}) {
		t.Errorf("read %+v", s)
	}
	for _, bad := range []string{"", "1.0\n", "x y\n" + strings.SplitN(text, "\n", 2)[1], strings.Replace(text, " 9 4", "", 1), strings.ReplaceAll(text, "16 t", "many t")} {
		if _, err := parseSample(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestGroups(t *testing.T) {
	mine, other := call.ID{1}, call.ID{2}
	segment := make([]byte, 16384)
	record := func(at int, of call.ID, page uint32, length int) {
		le := binary.LittleEndian
		copy(segment[at:], "LKR0")
		le.PutUint32(segment[at+8:], 7)
		le.PutUint32(segment[at+12:], uint32(length))
		le.PutUint32(segment[at+16:], 3|page<<8)
		copy(segment[at+24:], of[:])
	}
	record(4096, mine, 1, 2000)
	record(6136, mine, 1, 2000)
	record(8192, other, 2, 2000)
	record(12288, mine, 3, 4097)
	g := groups{}
	g.add(5, segment, []call.ID{mine})
	if len(g) != 2 || g[group{5, 7, 1}] != 4000 || g[group{5, 7, 3}] != 4097 {
		t.Errorf("read %v", g)
	}
	if got := g.pages(); got != (4096+8192)/2 {
		t.Errorf("%v bytes of pages a sync", got)
	}
}

func TestInputs(t *testing.T) {
	if got := inputs(1); len(got) != 1 {
		t.Errorf("one line hears %v", got)
	}
	seen := map[input]bool{}
	for _, in := range inputs(8) {
		seen[in] = true
	}
	if len(seen) != 8 {
		t.Errorf("eight lines hear %v", seen)
	}
}

func TestProcessorTime(t *testing.T) {
	const stat = "42 (qemu (system) x) S 1 42 42 0 -1 4194560 100 0 0 0 1234 66 0 0 20 0 4 0 100 1 2"
	if got, err := processorTime(stat); err != nil || got != 13*time.Second {
		t.Errorf("read %v, %v", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", strings.Replace(stat, "1234", "many", 1)} {
		if _, err := processorTime(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	begin := time.Now()
	p := processor{seen: []spent{{begin, 0}, {begin.Add(time.Second), 300 * time.Millisecond}}}
	if got, err := p.until(begin.Add(500 * time.Millisecond)); err != nil || got != 300*time.Millisecond {
		t.Errorf("spent %v, %v", got, err)
	}
	if _, err := p.until(begin.Add(2 * time.Second)); err == nil {
		t.Error("a moment that was not watched was taken")
	}
}
