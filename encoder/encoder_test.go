package encoder_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
)

func TestNewNamesWhatIsAllowed(t *testing.T) {
	good := encoder.Config{Codec: "opus", Rate: 8000, Channels: 1}
	tests := []struct {
		name   string
		change func(*encoder.Config)
		want   string
	}{
		{"codec", func(c *encoder.Config) { c.Codec = "opuss" }, `unknown codec "opuss": want opus, mp3 or flac`},
		{"no codec", func(c *encoder.Config) { c.Codec = "" }, `unknown codec "": want opus, mp3 or flac`},
		{"channels", func(c *encoder.Config) { c.Channels = 3 }, "3 channels: want 1, or 2"},
		{"rate", func(c *encoder.Config) { c.Rate = 44100 }, "44100 Hz for Opus: want 8000, 12000, 16000, 24000 or 48000"},
		{"bits", func(c *encoder.Config) { c.BitsPerSecond = 16 }, "16 bits a second for Opus: want 6000 to 128000"},
		{"complexity", func(c *encoder.Config) { c.Complexity = 11 }, "complexity 11: want 1 to 10"},
		{"MP3 rate", func(c *encoder.Config) { c.Codec, c.Rate = "mp3", 4000 }, "4000 Hz for MP3: want 8000 to 48000"},
		{"MP3 bits", func(c *encoder.Config) { c.Codec, c.BitsPerSecond = "mp3", 20000 }, "20000 bits a second for each of 1 channels of MP3: want"},
		{"MP3 bits of two", func(c *encoder.Config) { c.Codec, c.Channels, c.BitsPerSecond = "mp3", 2, 160000 }, "for all channels together, one of [8 16 24 32"},
		{"FLAC rate", func(c *encoder.Config) { c.Codec, c.Rate = "flac", 96000 }, "96000 Hz for FLAC: want 8000 to 48000"},
		{"title", func(c *encoder.Config) { c.Title = strings.Repeat("x", 1001) }, "title of 1001 bytes: want at most 1000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			_, err := encoder.New(cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// all are the codecs that every promise is tested with.
var all = []string{"opus", "mp3", "flac"}

func TestAnErrorOfEmitEndsTheEncoding(t *testing.T) {
	full := errors.New("ring is full")
	for _, codec := range all {
		e, err := encoder.New(encoder.Config{Codec: codec, Rate: 8000, Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		fail := func(encoder.Chunk) error { return full }
		never := func(encoder.Chunk) error { t.Error(codec, "emitted after an error"); return nil }
		if err := e.Write(make([]int16, 32000), fail); !errors.Is(err, full) {
			t.Error(codec, "write:", err)
		}
		if err := e.Write(make([]int16, 32000), never); !errors.Is(err, full) {
			t.Error(codec, "write again:", err)
		}
		if err := e.Close(never); !errors.Is(err, full) {
			t.Error(codec, "close:", err)
		}
		if err := e.Write(make([]int16, 32000), never); err == nil {
			t.Error(codec, "write after close: no error")
		}
		if err := e.Close(never); err == nil {
			t.Error(codec, "close twice: no error")
		}
	}
}

func TestWriteWantsWholeFrames(t *testing.T) {
	for _, codec := range all {
		e, err := encoder.New(encoder.Config{Codec: codec, Rate: 8000, Channels: 2})
		if err != nil {
			t.Fatal(err)
		}
		emit := func(encoder.Chunk) error { return nil }
		if err := e.Write(make([]int16, 3), emit); err == nil {
			t.Error(codec, "3 samples of two channels: no error")
		}
		_ = e.Close(emit)
	}
}

// The largest packets there can be must still fit the pages and the length field between two sides.
func TestOpusAtItsHighestRate(t *testing.T) {
	for channels := 1; channels <= 2; channels++ {
		samples := noise(48000*2*channels, 1)
		media, _ := join(encode(t, encoder.Config{Codec: "opus", Rate: 48000, Channels: channels, BitsPerSecond: 128000, Complexity: 10}, samples))
		_, got := mustDecode(t, "opus", media)
		if len(got) != len(samples) {
			t.Errorf("%d channels: %d samples, want %d", channels, len(got), len(samples))
		}
		for c := range channels {
			want, got := everyNth(samples[c:], channels), everyNth(got[c:], channels)
			if q := snr(want, got); q < 6 { // full-scale white noise is the worst there is
				t.Errorf("channel %d of %d: SNR %.1f dB", c, channels, q)
			}
		}
	}
}
