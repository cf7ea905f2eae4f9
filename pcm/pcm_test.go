package pcm

import (
	"slices"
	"testing"
	"time"
)

func TestFramesAndDuration(t *testing.T) {
	for _, c := range []struct {
		rate   int
		d      time.Duration
		frames int64
	}{
		{8000, time.Second, 8000},
		{8000, 125 * time.Microsecond, 1},
		{8000, 124 * time.Microsecond, 0},
		{44100, time.Minute, 44100 * 60},
		{48000, 200 * time.Millisecond, 9600},
		{16000, 24 * time.Hour, 16000 * 86400},
	} {
		f := Format{Rate: c.rate, Channels: 2}
		if got := f.Frames(c.d); got != c.frames {
			t.Errorf("%v at %d Hz: %d frames, want %d", c.d, c.rate, got, c.frames)
		}
		if got := f.Duration(c.frames); got > c.d || c.d-got >= time.Second/time.Duration(c.rate) {
			t.Errorf("%d frames at %d Hz: %v, want %v", c.frames, c.rate, got, c.d)
		}
	}
	// A year at 48 kHz neither overflows nor loses a frame.
	f := Format{Rate: 48000, Channels: 1}
	if year := int64(48000) * 86400 * 366; f.Duration(year) != 366*24*time.Hour {
		t.Errorf("a year of frames lasts %v", f.Duration(year))
	}
}

func TestPeriodFrames(t *testing.T) {
	p := Period{Format: Format{Rate: 8000, Channels: 2}, Samples: make([]int16, 10)}
	if p.Frames() != 5 {
		t.Errorf("10 samples of 2 channels are %d frames", p.Frames())
	}
}

func TestPick(t *testing.T) {
	in := []int16{1, 2, 3, 4, 5, 6, 7} // two frames of three, and a rest that is no frame
	for _, c := range []struct {
		pick []int
		want []int16
	}{
		{[]int{0}, []int16{1, 4}},
		{[]int{2}, []int16{3, 6}},
		{[]int{2, 0}, []int16{3, 1, 6, 4}},
		{[]int{1, 1}, []int16{2, 2, 5, 5}},
	} {
		if got := Pick([]int16{9}, in, 3, c.pick...); !slices.Equal(got, append([]int16{9}, c.want...)) {
			t.Errorf("channels %v: %v", c.pick, got)
		}
	}
}

func TestMix(t *testing.T) {
	if got := Mix([]int16{9}, []int16{1, -3}, 1); !slices.Equal(got, []int16{9, 1, -3}) {
		t.Errorf("one channel: %v", got)
	}
	if got := Mix(nil, []int16{32767, 32767, -32768, -32768, 10, 20, 5}, 2); !slices.Equal(got, []int16{32767, -32768, 15}) {
		t.Errorf("two channels: %v", got)
	}
}
