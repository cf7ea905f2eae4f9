package encoder_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/pcm"
)

// decode reads media to its end.
func decode(codec string, media []byte) (pcm.Format, []int16, error) {
	d, err := encoder.NewDecoder(codec, bytes.NewReader(media))
	if err != nil {
		return pcm.Format{}, nil, err
	}
	var all []int16
	buf := make([]int16, 1001)
	for {
		n, err := d.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return d.Format(), all, nil
		}
		if err != nil {
			return d.Format(), all, err
		}
	}
}

func mustDecode(t testing.TB, codec string, media []byte) (pcm.Format, []int16) {
	t.Helper()
	f, samples, err := decode(codec, media)
	if err != nil {
		t.Fatalf("decode %s: %v", codec, err)
	}
	return f, samples
}

func TestOpusComesBackAsLongAndAsItWas(t *testing.T) {
	for _, rate := range []int{8000, 12000, 16000, 24000, 48000} {
		for channels := 1; channels <= 2; channels++ {
			for _, frames := range []int{0, 1, rate - 20, rate, 3*rate + 123} {
				t.Run(fmt.Sprintf("%d Hz, %d channels, %d frames", rate, channels, frames), func(t *testing.T) {
					samples := speech(rate, frames)
					if channels == 2 {
						samples = sides(samples, chirp(rate, frames, 3000))
					}
					cfg := encoder.Config{Codec: "opus", Rate: rate, Channels: channels, BitsPerSecond: 32000}
					media, covered := join(encode(t, cfg, samples))
					if covered != int64(frames) {
						t.Errorf("chunks cover %d frames", covered)
					}
					format, got := mustDecode(t, "opus", media)
					if want := (pcm.Format{Rate: rate, Channels: channels}); format != want {
						t.Errorf("format %v, want %v", format, want)
					}
					if len(got) != len(samples) {
						t.Fatalf("%d samples, want %d", len(got), len(samples))
					}
					if frames < rate {
						return
					}
					for c := range channels {
						want, got := samples, got
						if channels == 2 {
							want, got = side(samples, c), side(got, c)
						}
						t.Logf("channel %d: lag %d, SNR %.1f dB", c, lag(want, got, 100), snr(want, got))
					}
				})
			}
		}
	}
}
