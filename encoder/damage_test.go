package encoder_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/encoder/ogg"
)

func TestDamagedMediaIsAnError(t *testing.T) {
	media := map[string][]byte{}
	whole := map[string][]int16{}
	for _, codec := range all {
		media[codec], _ = join(encode(t, encoder.Config{Codec: codec, Rate: 8000, Channels: 2}, sides(speech(8000, 20000), noise(20000, 0.1))))
		_, whole[codec] = mustDecode(t, codec, media[codec])
	}
	const half = 4000 // well within the audio of each
	tests := []struct {
		name   string
		codec  string
		damage func(b []byte) []byte
		want   string
	}{
		{"nothing", "opus", func(b []byte) []byte { return nil }, "head of opus media: unexpected EOF"},
		{"nothing", "mp3", func(b []byte) []byte { return nil }, "head of mp3 media: unexpected EOF"},
		{"nothing", "flac", func(b []byte) []byte { return nil }, "head of flac media: unexpected EOF"},
		{"other media", "opus", func(b []byte) []byte { return media["mp3"] }, "want OggS"},
		{"other media", "mp3", func(b []byte) []byte { return media["flac"] }, "want MPEG-2 layer III at 16 or 24 kHz"},
		{"other media", "flac", func(b []byte) []byte { return media["opus"] }, "signature"},
		{"bit in the head", "opus", func(b []byte) []byte { b[30] ^= 1; return b }, "byte 0: damaged: checksum"},
		{"bit in a page", "opus", func(b []byte) []byte { b[half] ^= 4; return b }, "damaged: checksum"},
		{"bit in a frame", "flac", func(b []byte) []byte { b[half] ^= 4; return b }, "decode flac"},
		{"bytes inserted", "opus", func(b []byte) []byte { return slices.Insert(b, half, 1, 2, 3) }, "page at byte"},
		{"bytes inserted", "mp3", func(b []byte) []byte { return slices.Insert(b, 18*216, 1, 2, 3) }, "frame at byte 3888"},
		{"bytes inserted", "flac", func(b []byte) []byte { return slices.Insert(b, half, 1, 2, 3) }, "decode flac"},
		{"cut in a page", "opus", func(b []byte) []byte { return b[:half] }, "unexpected EOF"},
		{"cut in a frame", "mp3", func(b []byte) []byte { return b[:half+1] }, "unexpected EOF"},
		{"cut in a frame", "flac", func(b []byte) []byte { return b[:half] }, "unexpected EOF"},
		{"MPEG-1", "mp3", func(b []byte) []byte { b[1] |= 8; return b }, "want MPEG-2 layer III"},
		{"22.05 kHz", "mp3", func(b []byte) []byte { b[2] &^= 12; return b }, "want MPEG-2 layer III at 16 or 24 kHz"},
	}
	for _, test := range tests {
		t.Run(test.codec+", "+test.name, func(t *testing.T) {
			_, got, err := decode(test.codec, test.damage(bytes.Clone(media[test.codec])))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if !slices.Equal(got, whole[test.codec][:len(got)]) {
				t.Error("what came before the damage is not what was encoded")
			}
		})
	}
}

func TestEachFlippedBitIsNoticedOrHarmless(t *testing.T) {
	for _, codec := range all {
		media, _ := join(encode(t, encoder.Config{Codec: codec, Rate: 8000, Channels: 1}, speech(8000, 3000)))
		for at := 0; at < len(media); at += 5 {
			media[at] ^= 1 << (at % 8)
			// Opus has a checksum over everything. MP3 and FLAC's heads have none: there it is enough not to panic.
			if _, _, err := decode(codec, media); err == nil && codec == "opus" {
				t.Errorf("%s: a bit of byte %d was turned over and nobody noticed", codec, at)
			}
			media[at] ^= 1 << (at % 8)
		}
	}
}

func TestEachCutDecodesOrIsAnError(t *testing.T) {
	for _, codec := range all {
		media, _ := join(encode(t, encoder.Config{Codec: codec, Rate: 8000, Channels: 1}, speech(8000, 12000)))
		_, whole := mustDecode(t, codec, media)
		for at := 0; at < len(media); at += 53 {
			_, got, _ := decode(codec, media[:at])
			if !slices.Equal(got, whole[:len(got)]) {
				t.Fatalf("%s cut at %d: other audio than in the whole", codec, at)
			}
		}
	}
}

func TestPagesThatContradictThemselves(t *testing.T) {
	media, _ := join(encode(t, encoder.Config{Codec: "opus", Rate: 8000, Channels: 1, Serial: 5}, speech(8000, 12000)))
	r := ogg.NewReader(bytes.NewReader(media))
	var heads [][]byte
	for range 2 {
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, bytes.Clone(p.Packets[0]))
	}
	packet := []byte{0x08} // SILK, 20 ms, nothing in it
	tests := []struct {
		name     string
		serial   uint32
		skipped  int
		flags    byte
		granule  int64
		packet   []byte
		want     string
		wantLong int
	}{
		{"right", 5, 0, 0, 960, packet, "", 108},
		{"right, the last", 5, 0, ogg.FlagLast, 712, packet, "", 66},
		{"another stream", 6, 0, 0, 960, packet, "want page 2 of stream 00000005", 0},
		{"five hours lost", 5, 5 * 3600, 0, 960, packet, "want page 2", 0},
		{"too long", 5, 0, 0, 961, packet, "by its packets at 960", 0},
		{"too short", 5, 0, 0, 959, packet, "by its packets at 960", 0},
		{"last too long", 5, 0, ogg.FlagLast, 961, packet, "last page ends at 961", 0},
		{"last before its beginning", 5, 0, ogg.FlagLast, 311, packet, "last page ends at 311", 0},
		{"negative", 5, 0, ogg.FlagLast, -1, packet, "last page ends at -1", 0},
		{"empty packet", 5, 0, 0, 960, nil, "ends too early", 0},
		{"packet of no frames", 5, 0, 0, 960, []byte{0x0b, 0}, "0 frames", 0},
		{"packet of a second", 5, 0, 0, 48000, []byte{0x0b, 50}, "50 frames", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := ogg.Stream{Serial: 5}
			b := s.AppendPage(nil, ogg.FlagFirst, 0, []int32{int32(len(heads[0]))}, heads[0])
			b = s.AppendPage(b, 0, 0, []int32{int32(len(heads[1]))}, heads[1])
			s.Serial = test.serial
			for range test.skipped {
				s.AppendPage(nil, 0, 0, nil, nil)
			}
			b = s.AppendPage(b, test.flags, test.granule, []int32{int32(len(test.packet))}, test.packet)
			_, got, err := decode("opus", b)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if len(got) != test.wantLong {
				t.Errorf("%d frames, want %d", len(got), test.wantLong)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("disk is gone")
	for _, codec := range all {
		media, _ := join(encode(t, encoder.Config{Codec: codec, Rate: 8000, Channels: 1}, speech(8000, 20000)))
		d, err := encoder.NewDecoder(codec, io.MultiReader(bytes.NewReader(media[:len(media)/2]), failing{broken}))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]int16, 1000)
		for err == nil {
			_, err = d.Read(buf)
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: got %v", codec, err)
		}
		if _, again := d.Read(buf); !errors.Is(again, err) {
			t.Errorf("%s: after that error: %v", codec, again)
		}
	}
	if _, err := encoder.NewDecoder("opuss", bytes.NewReader(nil)); err == nil || err.Error() != `unknown codec "opuss": want opus, mp3 or flac` {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
