package encoder_test

import (
	"bytes"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/encoder/ogg"
)

func fuzzDecoder(f *testing.F, codec string) {
	for channels := 1; channels <= 2; channels++ {
		media, _ := join(encode(f, encoder.Config{Codec: codec, Rate: 8000, Channels: channels, Title: "t"}, speech(8000, 800*channels)))
		f.Add(media)
	}
	f.Fuzz(func(t *testing.T, media []byte) {
		_, samples, err := decode(codec, media)
		if err == nil && len(samples) > 0 && len(media) == 0 {
			t.Error("audio from nothing")
		}
	})
}

func FuzzMP3(f *testing.F)  { fuzzDecoder(f, "mp3") }
func FuzzFLAC(f *testing.F) { fuzzDecoder(f, "flac") }
func FuzzOpus(f *testing.F) { fuzzDecoder(f, "opus") }

// FuzzOpusPackets goes past the pages' checksums: what is fuzzed is the packets, which stand in a page that is right.
func FuzzOpusPackets(f *testing.F) {
	var heads [2][][]byte
	for i := range heads {
		samples := speech(8000, 800*(i+1))
		media, _ := join(encode(f, encoder.Config{Codec: "opus", Rate: 8000, Channels: i + 1}, samples))
		r := ogg.NewReader(bytes.NewReader(media))
		for range 2 {
			p, err := r.Next()
			if err != nil {
				f.Fatal(err)
			}
			heads[i] = append(heads[i], bytes.Clone(p.Packets[0]))
		}
		p, err := r.Next()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i == 1, int64(800*6+312), bytes.Clone(p.Packets[0]), bytes.Clone(p.Packets[1]))
	}
	f.Fuzz(func(t *testing.T, two bool, granule int64, first, second []byte) {
		head := heads[0]
		if two {
			head = heads[1]
		}
		if len(first) > 20000 || len(second) > 20000 {
			return // would not fit the page
		}
		var s ogg.Stream
		media := s.AppendPage(nil, ogg.FlagFirst, 0, []int32{int32(len(head[0]))}, head[0])
		media = s.AppendPage(media, 0, 0, []int32{int32(len(head[1]))}, head[1])
		body := append(bytes.Clone(first), second...)
		media = s.AppendPage(media, ogg.FlagLast, granule, []int32{int32(len(first)), int32(len(second))}, body)
		_, samples, err := decode("opus", media)
		if longest := 2 * 5760 / 6 * 2; len(samples) > longest {
			t.Errorf("%d samples from two packets, %v", len(samples), err)
		}
	})
}
