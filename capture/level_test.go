package capture

import (
	"math"
	"testing"
)

func TestLevel(t *testing.T) {
	half := sine(8000, 1000, 8000)
	stereo := make([]int16, 0, 2*len(half))
	for _, v := range half {
		stereo = append(stereo, 0, v)
	}
	for _, c := range []struct {
		name              string
		samples           []int16
		channel, channels int
		rms, peak         float64
	}{
		{"half of full scale", half, 0, 1, -9.03, -6.02},
		{"one side", stereo, 1, 2, -9.03, -6.02},
		{"the silent side", stereo, 0, 2, Silence, Silence},
		{"nothing", nil, 0, 1, Silence, Silence},
		{"the lowest sample", []int16{math.MinInt16}, 0, 1, 0, 0},
		{"one bit", []int16{1, -1}, 0, 1, -90.31, -90.31},
	} {
		rms, peak := Level(c.samples, c.channel, c.channels)
		if math.Abs(rms-c.rms) > 0.01 || math.Abs(peak-c.peak) > 0.01 {
			t.Errorf("%s: %.2f and %.2f dB, want %.2f and %.2f", c.name, rms, peak, c.rms, c.peak)
		}
	}
}
