package encoder

import (
	"bytes"
	"testing"
)

func TestSplitPacket(t *testing.T) {
	frame := func(n int) []byte { return bytes.Repeat([]byte{0xaa}, n) }
	const toc, two = 0x08, 0x09
	tests := []struct {
		name   string
		packet []byte
		first  []byte // nil: an error
	}{
		{"empty frame", []byte{toc, 0, 7, 7}, []byte{toc}},
		{"short frame", append([]byte{toc, 3}, 0xaa, 0xaa, 0xaa, 7, 7), append([]byte{toc}, frame(3)...)},
		{"251 bytes", append(append([]byte{toc, 251}, frame(251)...), 7, 7), append([]byte{toc}, frame(251)...)},
		{"252 bytes", append(append([]byte{toc, 252, 0}, frame(252)...), 7, 7), append([]byte{toc}, frame(252)...)},
		{"1275 bytes", append(append([]byte{toc, 255, 255}, frame(1275)...), 7, 7), append([]byte{toc}, frame(1275)...)},
		{"nothing", nil, nil},
		{"no length", []byte{toc}, nil},
		{"half a length", []byte{toc, 252}, nil},
		{"longer than the packet", []byte{toc, 3, 1, 2}, nil},
		{"two frames", []byte{two, 1, 1, 1, 7, 7}, nil},
	}
	for _, test := range tests {
		first, rest, err := splitPacket(test.packet)
		if (err == nil) != (test.first != nil) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !bytes.Equal(first, test.first) || err == nil && !bytes.Equal(rest, []byte{7, 7}) {
			t.Errorf("%s: got %x and %x", test.name, first, rest)
		}
	}
}

// The table of RFC 6716, section 3.1, at its corners.
func TestOpusSamples(t *testing.T) {
	tests := []struct {
		packet []byte
		want   int64 // 0: an error
	}{
		{[]byte{0 << 3}, 480}, {[]byte{1 << 3}, 960}, {[]byte{3 << 3}, 2880}, {[]byte{11 << 3}, 2880},
		{[]byte{12 << 3}, 480}, {[]byte{15 << 3}, 960},
		{[]byte{16 << 3}, 120}, {[]byte{17 << 3}, 240}, {[]byte{31 << 3}, 960},
		{[]byte{1<<3 | 1}, 1920}, {[]byte{1<<3 | 2}, 1920}, {[]byte{16<<3 | 3, 48}, 5760}, {[]byte{1<<3 | 3, 0xc6}, 5760},
		{nil, 0}, {[]byte{1<<3 | 3}, 0}, {[]byte{1<<3 | 3, 0}, 0}, {[]byte{1<<3 | 3, 7}, 0}, {[]byte{16<<3 | 3, 49}, 0},
	}
	for _, test := range tests {
		got, err := opusSamples(test.packet)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("packet %x: %d, %v, want %d", test.packet, got, err, test.want)
		}
	}
}
