package signal

import (
	"math"
	"testing"
	"time"
)

var g = Generator{Rate: 8000}

// level is the RMS of a sound, in dBFS.
func level(sound []float64) float64 {
	sum := 0.0
	for _, v := range sound {
		sum += v * v
	}
	return 10 * math.Log10(sum/float64(len(sound)))
}

// cycles counts the rises through nothing.
func cycles(sound []float64) (n int) {
	for i := 1; i < len(sound); i++ {
		if sound[i-1] < 0 && sound[i] >= 0 {
			n++
		}
	}
	return n
}

func TestLevelsAndFrequencies(t *testing.T) {
	second := time.Second
	for _, tt := range []struct {
		name   string
		sound  []float64
		level  float64
		cycles int // -1: of more than one frequency
	}{
		{"a sine", g.Sines(second, []Component{{Hz: 425, Level: -20}}), -20, 425},
		{"a cadence of two", g.Cadence(1, -20, []float64{440, 480}, second), -20, -1},
		{"a digit", g.Digit('5', second, Shape{}), DefaultLevel, -1},
		{"a digit's low tone", g.Digit('5', second, Shape{Level: -20, Twist: -60, Low: 0.1}), -20, 847},
		{"a digit's high tone", g.Digit('5', second, Shape{Level: -20, Twist: 60}), -20, 1336},
		{"marks", g.FSK(Transmission{Modem: Bell202(), Level: -20, Marks: 1200}, nil), -20, 1200},
		{"marks of V.23, 1 % fast", g.FSK(Transmission{Modem: V23().Scaled(.01), Level: -20, Marks: 1212}, nil), -20, 1313},
		{"noise", AddNoise(g.Quiet(second), NoiseFor(-20, 10), 1), -30, -1},
	} {
		if n := len(tt.sound); max(n-8000, 8000-n) > 1 {
			t.Errorf("%s: %d frames", tt.name, n)
		}
		if got := level(tt.sound); math.Abs(got-tt.level) > 0.25 {
			t.Errorf("%s: %.2f dBFS, want %v", tt.name, got, tt.level)
		}
		if got := cycles(tt.sound); tt.cycles >= 0 && max(got-tt.cycles, tt.cycles-got) > 1 {
			t.Errorf("%s: %d Hz, want %d", tt.name, got, tt.cycles)
		}
	}
}

func TestTwist(t *testing.T) {
	low := Component{Hz: 770, Level: DefaultLevel - 10*math.Log10(1+math.Pow(10, .6))}
	high := Component{Hz: 1336, Level: low.Level + 6}
	want := g.Sines(50*time.Millisecond, []Component{low, high})
	for i, v := range g.Digit('5', 50*time.Millisecond, Shape{Twist: 6}) {
		if math.Abs(v-want[i]) > 1e-12 {
			t.Fatalf("frame %d: %v, want %v", i, v, want[i])
		}
	}
}

// TestPhaseGoesOn: over all changes of frequency, no two neighbours differ by more than the highest frequency's do.
func TestPhaseGoesOn(t *testing.T) {
	sound := g.FSK(Transmission{Modem: Bell202(), Level: -3.0103, Seizure: 300, Marks: 10}, MDMF(Field{2, "0123456789"}))
	most := 2 * math.Sin(math.Pi*2200/8000)
	for i := 1; i < len(sound); i++ {
		if d := math.Abs(sound[i] - sound[i-1]); d > most+1e-9 {
			t.Fatalf("frames %d and %d differ by %.3f, at most %.3f is possible", i-1, i, d, most)
		}
	}
}

func TestMessagesAddUp(t *testing.T) {
	for _, m := range [][]byte{SDMF("09301224", "6095551212"), MDMF(Field{1, "11231752"}, Field{7, "A"})} {
		sum := byte(0)
		for _, b := range m {
			sum += b
		}
		if sum != 0 || int(m[1]) != len(m)-3 {
			t.Errorf("% x: the sum is %d, the length %d of %d", m, sum, m[1], len(m)-3)
		}
	}
	if m := SDMF("09301224", "6095551212"); m[len(m)-1] != 0x51 { // of melabs.com
		t.Errorf("checksum %x, want 51", m[len(m)-1])
	}
}
