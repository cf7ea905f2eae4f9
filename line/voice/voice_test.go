package voice

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

const rate = 8000

// tone is so many seconds of one frequency at an RMS level in dBFS; 0 Hz is silence.
func tone(seconds, frequency, level float64) []int16 {
	out := make([]int16, int(seconds*rate))
	for i := range out {
		out[i] = int16(32767 * math.Sqrt2 * math.Pow(10, level/20) * math.Sin(2*math.Pi*frequency*float64(i)/rate))
	}
	return out
}

// level measures what the band lets through of a tone, in dB.
func response(rate, frequency float64) float64 {
	band := telephoneBand(rate)
	samples := make([]int16, int(rate))
	for i := range samples {
		samples[i] = int16(20000 * math.Sin(2*math.Pi*frequency*float64(i)/rate))
	}
	scratch := make([]float64, len(samples))
	energy(band, samples, scratch)
	return 10*math.Log10(energy(band, samples, scratch)/(rate/2)) - 20*math.Log10(20000./32768)
}

func TestBand(t *testing.T) {
	for _, tt := range []struct{ rate, frequency, least, most float64 }{
		{8000, 50, -80, -60}, {8000, 60, -80, -55}, {8000, 100, -45, -36}, {8000, 150, -26, -22},
		{8000, 300, -3.1, -2.9}, {8000, 400, -0.5, 0}, {8000, 1000, -.05, .05}, {8000, 3300, -.05, .05},
		{16000, 1000, -.05, .05}, {16000, 3400, -3.1, -2.9}, {16000, 6000, -50, -25}, {11025, 1000, -.05, .05},
	} {
		if got := response(tt.rate, tt.frequency); got < tt.least || got > tt.most {
			t.Errorf("at %v a second %v Hz come through at %.2f dB, want %v to %v", tt.rate, tt.frequency, got, tt.least, tt.most)
		}
	}
}

func TestSpans(t *testing.T) {
	for _, tt := range []struct {
		name      string
		frequency float64
		seconds   float64
		level     float64
		want      bool
	}{
		{"a short tone", 1000, 0.2, -20, true},
		{"a tone of 2 s", 1000, 2, -20, true},
		{"a tone of 5 s is noise", 1000, 5, -20, false},
		{"too faint", 1000, 1, -57, false},
		{"faint", 1000, 1, -53, true},
		{"a click", 1000, 0.02, -3, false},
		{"hum", 50, 1, -12, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(DefaultConfig(), rate)
			var spans []Span
			for _, part := range [][]int16{tone(6, 0, 0), tone(tt.seconds, tt.frequency, tt.level), tone(6, 0, 0)} {
				spans = append(spans, d.Feed(part)...)
			}
			if !tt.want {
				if len(spans) > 0 {
					t.Errorf("heard %v", spans)
				}
				return
			}
			if len(spans) == 0 {
				t.Fatal("heard nothing")
			}
			begin, end := float64(spans[0].Begin)/rate, float64(spans[len(spans)-1].End)/rate
			if math.Abs(begin-6) > .05 || math.Abs(end-6-tt.seconds) > .05 {
				t.Errorf("heard from %.2f to %.2f", begin, end)
			}
			if known := d.Known(); known < int64(float64(12)*rate) {
				t.Errorf("known up to %d", known)
			}
		})
	}
}

// TestKnown: what is undecided is not known, and all that is told lies before what is known.
func TestKnown(t *testing.T) {
	d := New(DefaultConfig(), rate)
	d.Feed(tone(6, 0, 0))
	if spans := d.Feed(tone(1, 1000, -20)); len(spans) > 1 {
		t.Errorf("a steady tone is told before it has ended: %v", spans)
	}
	if known := d.Known(); known > 6.1*rate {
		t.Errorf("in a steady tone, known up to %d", known)
	}
	if spans := d.Lost(rate); len(spans) != 1 || spans[0].End != 7*rate {
		t.Errorf("at a loss: %v", spans)
	}
	if spans := d.Feed(tone(1, 0, 0)); len(spans) > 0 {
		t.Errorf("after a loss: %v", spans)
	}
	if known := d.Known(); known < 8.9*rate || known > 9*rate {
		t.Errorf("after a loss, known up to %d", known)
	}
}

func ExampleDetector() {
	// In place of a line: somebody who speaks for a second, of which the end is a pause.
	line := inNoise(slices.Concat(tone(2, 0, 0), talk(1, -20, 4), tone(1, 0, 0)), -60)

	d := New(DefaultConfig(), rate)
	var begin, end int64
	for len(line) > 0 {
		n := min(len(line), rate/10) // a period of 100 ms
		for _, span := range d.Feed(line[:n]) {
			if end == 0 {
				begin = span.Begin
			}
			end = span.End
		}
		line = line[n:]
	}
	fmt.Printf("heard from %.1f s to %.1f s\n", float64(begin)/rate, float64(end)/rate)
	// Output:
	// heard from 2.0 s to 2.9 s
}
