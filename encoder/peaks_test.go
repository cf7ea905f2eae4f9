package encoder_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/pcm"
)

// played is a Decoder of samples that are there already.
type played struct {
	format  pcm.Format
	samples []int16
	err     error
}

func (p *played) Format() pcm.Format { return p.format }

func (p *played) Read(dst []int16) (int, error) {
	if len(p.samples) == 0 {
		return 0, p.err
	}
	n := copy(dst, p.samples[:min(len(p.samples), 600)])
	p.samples = p.samples[n:]
	return n, nil
}

func TestPeaksOfAShortRecordingAreTwentyASecond(t *testing.T) {
	left := make([]int16, 8000)
	right := make([]int16, 8000)
	left[0], left[399] = 16384, -32768 // one bucket is 400 frames
	left[400] = 32767
	right[7999] = -128
	got, err := encoder.ReadPeaks(&played{pcm.Format{Rate: 8000, Channels: 2}, sides(left, right), io.EOF}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{make([]byte, 20), make([]byte, 20)}
	want[0][0], want[0][1], want[1][19] = 255, 255, 1
	if got.Rate != 8000 || got.Frames != 8000 || got.PerBucket != 400 {
		t.Errorf("got %+v", got)
	}
	for c := range want {
		if !bytes.Equal(got.Channels[c], want[c]) {
			t.Errorf("channel %d: %v, want %v", c, got.Channels[c], want[c])
		}
	}
}

func TestPeaksOfALongRecordingFitTheRoom(t *testing.T) {
	const rate, seconds, most = 8000, 3700, 1000
	samples := make([]int16, rate*seconds)
	samples[rate*1000] = 12000
	samples[len(samples)-1] = 24000
	got, err := encoder.ReadPeaks(&played{pcm.Format{Rate: rate, Channels: 1}, samples, io.EOF}, most)
	if err != nil {
		t.Fatal(err)
	}
	b := got.Channels[0]
	if len(b) > most || len(b) <= most/2 {
		t.Errorf("%d buckets: want more than %d and at most %d", len(b), most/2, most)
	}
	if want := (int64(len(samples)) + got.PerBucket - 1) / got.PerBucket; int64(len(b)) != want {
		t.Errorf("%d buckets of %d frames for %d frames", len(b), got.PerBucket, len(samples))
	}
	if at := slices.Index(b, 93); int64(at) != rate*1000/got.PerBucket {
		t.Errorf("the click after 1000 s is in bucket %d", at)
	}
	if b[len(b)-1] != 187 {
		t.Errorf("last bucket has %d", b[len(b)-1])
	}
}

func TestPeaksUpToAnError(t *testing.T) {
	samples := tone(8000, 1600, 1000, 1)
	got, err := encoder.ReadPeaks(&played{pcm.Format{Rate: 8000, Channels: 1}, samples, io.ErrUnexpectedEOF}, 100)
	if err == nil || got.Frames != 1600 || len(got.Channels[0]) != 4 || got.Channels[0][3] < 250 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPeaksOfNothing(t *testing.T) {
	got, err := encoder.ReadPeaks(&played{pcm.Format{Rate: 8000, Channels: 2}, nil, io.EOF}, 100)
	if err != nil || got.Frames != 0 || len(got.Channels) != 2 || len(got.Channels[0]) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
