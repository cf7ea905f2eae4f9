package ogg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPagesComeBack(t *testing.T) {
	s := Stream{Serial: 0x01020304}
	packets := [][]byte{{}, {1}, bytes.Repeat([]byte{2}, 254), bytes.Repeat([]byte{3}, 255), bytes.Repeat([]byte{4}, 510), bytes.Repeat([]byte{5}, 1000)}
	var sizes []int32
	for _, p := range packets {
		sizes = append(sizes, int32(len(p)))
	}
	stream := s.AppendPage(nil, FlagFirst, 0, sizes[:1], nil)
	stream = s.AppendPage(stream, 0, 960, sizes, bytes.Join(packets, nil))
	stream = s.AppendPage(stream, FlagLast, 1<<40, []int32{MaxPacket}, make([]byte, MaxPacket))

	r := NewReader(bytes.NewReader(stream))
	want := []Page{
		{Flags: FlagFirst, Sequence: 0, Packets: packets[:1]},
		{Granule: 960, Sequence: 1, Packets: packets},
		{Flags: FlagLast, Granule: 1 << 40, Sequence: 2, Packets: [][]byte{make([]byte, MaxPacket)}},
	}
	for i, w := range want {
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p.Flags != w.Flags || p.Granule != w.Granule || p.Sequence != w.Sequence || p.Serial != s.Serial || len(p.Packets) != len(w.Packets) {
			t.Errorf("page %d: got flags %d, granule %d, sequence %d, serial %x, %d packets", i, p.Flags, p.Granule, p.Sequence, p.Serial, len(p.Packets))
			continue
		}
		for k := range w.Packets {
			if !bytes.Equal(p.Packets[k], w.Packets[k]) {
				t.Errorf("page %d: packet %d differs", i, k)
			}
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// The first page of a stream that opusenc (opus-tools 0.2) wrote.
const foreign = "4f676753000200000000000000000700000000000000810b352f01134f707573486561640101380180bb0000000000"

func TestChecksumIsThatOfOthers(t *testing.T) {
	b, err := hex.DecodeString(foreign)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		t.Fatal(err)
	}
	if p.Serial != 7 || p.Flags != FlagFirst || len(p.Packets) != 1 {
		t.Fatalf("got %+v", p)
	}
	s := Stream{Serial: 7}
	if got := s.AppendPage(nil, FlagFirst, 0, []int32{int32(len(p.Packets[0]))}, p.Packets[0]); hex.EncodeToString(got) != foreign {
		t.Errorf("wrote %x", got)
	}
}

func TestDamagedPages(t *testing.T) {
	s := Stream{Serial: 1}
	first := s.AppendPage(nil, FlagFirst, 0, []int32{3}, []byte("abc"))
	good := s.AppendPage(nil, 0, 960, []int32{3, 300}, make([]byte, 303))
	continued := s.AppendPage(nil, FlagContinued, 960, []int32{1}, []byte("a"))
	open := s.AppendPage(nil, 0, 960, []int32{255}, make([]byte, 255))
	open = open[:len(open)-255-1] // without the lacing value 0 that ends the packet
	open[lacingCount]--           //
	open = append(open, make([]byte, 255)...)
	copy(open[crcOffset:], make([]byte, 4))
	sum := checksum(0, open)
	copy(open[crcOffset:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	tests := []struct {
		name string
		page []byte
		want string
	}{
		{"cut in the head", good[:20], "at byte 31, after 20 bytes: unexpected EOF"},
		{"cut in the lacing values", good[:28], "unexpected EOF"},
		{"cut after the lacing values", good[:30], "unexpected EOF"},
		{"cut in the body", good[:len(good)-1], "unexpected EOF"},
		{"no page", change(0, 'o'), "want OggS, version 0"},
		{"another version", change(4, 1), "want OggS, version 0"},
		{"body", change(100, 1), "damaged: checksum"},
		{"granule", change(7, 1), "damaged: checksum"},
		{"checksum", change(crcOffset, good[crcOffset]+1), "damaged: checksum"},
		{"continued packet", continued, "over the edge"},
		{"packet that goes on", open, "over the edge"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(io.MultiReader(bytes.NewReader(first), bytes.NewReader(test.page)))
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			_, err := r.Next()
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	s := Stream{Serial: 1}
	f.Add(s.AppendPage(s.AppendPage(nil, FlagFirst, 0, []int32{3}, []byte("abc")), FlagLast, 960, []int32{3, 300}, make([]byte, 303)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for total := 0; ; {
			p, err := r.Next()
			if err != nil {
				return
			}
			for _, packet := range p.Packets {
				total += len(packet)
			}
			if total > len(b) {
				t.Fatalf("%d bytes of packets from %d", total, len(b))
			}
		}
	})
}
