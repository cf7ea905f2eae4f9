package phone

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	const rate = 8000
	var reference []int16
	for seed := range uint64(12) {
		reference = append(reference, murmur(seed, rate, 3).Samples...)
	}
	exact := reference[10*rate+123 : 18*rate]
	louder, noisy := make([]int16, len(exact)), make([]int16, len(exact))
	noise := murmur(99, rate, 8).Samples
	for i, s := range exact {
		louder[i] = s / 2
		noisy[i] = s + noise[i]/4
	}
	for _, tt := range []struct {
		name         string
		decoded      []int16
		offset       int
		exact        bool
		least, most  float64 // SNR
		distanceMost float64
	}{
		{"the same", exact, 10*rate + 123, true, 90, 101, 0},
		{"half as loud", louder, 10*rate + 123, false, 40, 100, 1},
		{"with noise", noisy, 10*rate + 123, false, 10, 14, 8},
		{"beginning before the reference", append(make([]int16, 500), reference[:4*rate]...), -500, false, 90, 101, 0},
		{"ending after the reference", append(append([]int16{}, reference[30*rate:]...), make([]int16, 500)...), 30 * rate, false, 90, 101, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Compare(reference, tt.decoded, rate, -rate, len(reference))
			if err != nil {
				t.Fatal(err)
			}
			if c.Offset != tt.offset || c.Exact != tt.exact || c.SNR < tt.least || c.SNR > tt.most || c.Spectral > tt.distanceMost {
				t.Errorf("%+v", c)
			}
		})
	}
	t.Run("other audio", func(t *testing.T) {
		c, err := Compare(reference, murmur(50, rate, 5).Samples, rate, 0, len(reference))
		if err != nil || c.Correlation > 0.3 || c.SNR > 1 || c.Spectral < 5 {
			t.Errorf("%+v, %v", c, err)
		}
	})
	if _, err := Compare(nil, exact, rate, 0, 1); err == nil {
		t.Error("nothing was compared")
	}
}

func TestResample(t *testing.T) {
	const seconds = 1
	for _, tt := range []struct {
		from, to  int
		frequency float64
		want      float64 // dB
	}{{8000, 16000, 1000, 0}, {16000, 8000, 1000, 0}, {44100, 8000, 3000, 0}, {16000, 8000, 5000, -60}, {48000, 8000, 6000, -60}} {
		in := make([]int16, tt.from*seconds)
		for i := range in {
			in[i] = int16(16000 * math.Sin(2*math.Pi*tt.frequency*float64(i)/float64(tt.from)))
		}
		out := Resample(in, tt.from, tt.to)
		middle := out[len(out)/4 : len(out)*3/4]
		got := rms(middle) - rms(in)
		if tt.want == 0 && math.Abs(got) > 0.05 || tt.want < 0 && got > tt.want {
			t.Errorf("%v Hz from %d to %d: %.2f dB, want %v", tt.frequency, tt.from, tt.to, got, tt.want)
		}
	}
}

func ExampleScript() {
	script := Script{
		Calls: []Call{{Before: 3 * time.Second, Steps: []Step{DialTone(time.Second), Digits("112"), RingBack(2)}}},
		After: time.Second,
	}
	audio := script.Render(Options{Rate: 8000})
	c := audio.Calls[0]
	fmt.Println(audio.Format.Duration(c.Begin), audio.Format.Duration(c.End), c.Digits)
	// Output: 3s 10.5s 112
}
