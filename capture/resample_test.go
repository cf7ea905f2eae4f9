package capture

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var cardRates = []int{8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000}

// sine is n samples of a tone, at half of full scale.
func sine(rate int, hz float64, n int) []int16 {
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(math.Round(16384 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return s
}

// resample brings samples from one rate to another in one piece.
func resample(t testing.TB, samples []int16, in, out int) []int16 {
	t.Helper()
	r, err := newResampler(in, out)
	if err != nil {
		t.Fatal(err)
	}
	return r.flush(r.write(nil, samples, 1))
}

// gain is the level, in dB, of what is left of a tone of half of full scale, without the transients at both ends.
func gain(t testing.TB, hz float64, in, out int) float64 {
	t.Helper()
	got := resample(t, sine(in, hz, in/4), in, out)
	rms, _ := Level(got[out/20:len(got)-out/20], 0, 1)
	return rms - 20*math.Log10(0.5/math.Sqrt2)
}

func TestResamplerIsFlatWhereSpeechIs(t *testing.T) {
	for _, in := range cardRates {
		for _, out := range []int{8000, 16000} {
			edge := 0.85 * float64(min(in, out)) / 2
			for _, part := range []float64{0.05, 0.3, 0.5, 0.7, 0.9, 1} {
				if g := gain(t, edge*part, in, out); math.Abs(g) > 0.2 {
					t.Errorf("%d to %d Hz: %.0f Hz comes out at %+.2f dB", in, out, edge*part, g)
				}
			}
		}
	}
}

func TestResamplerStopsWhatWouldFoldBack(t *testing.T) {
	for _, in := range cardRates {
		for _, out := range []int{8000, 16000} {
			for hz := float64(out)/2 + 1; hz < float64(in)/2; hz += float64(out) / 9.7 {
				if g := gain(t, hz, in, out); g > -70 {
					t.Errorf("%d to %d Hz: %.0f Hz is folded back at %.1f dB", in, out, hz, g)
				}
			}
		}
	}
}

func TestResamplerMakesNoImages(t *testing.T) {
	for _, in := range []int{8000, 11025} {
		got := resample(t, sine(in, 3000, in), in, 16000)
		n := len(got) - 3200
		// What is left after the tone itself was taken out, by fitting it.
		var a, b float64
		for i, v := range got[1600 : 1600+n] {
			x := 2 * math.Pi * 3000 * float64(i) / 16000
			a += float64(v) * math.Sin(x) * 2 / float64(n)
			b += float64(v) * math.Cos(x) * 2 / float64(n)
		}
		rest := 0.0
		for i, v := range got[1600 : 1600+n] {
			x := 2 * math.Pi * 3000 * float64(i) / 16000
			d := float64(v) - a*math.Sin(x) - b*math.Cos(x)
			rest += d * d
		}
		ratio := 10 * math.Log10(rest/float64(n)/((a*a+b*b)/2))
		if ratio > -70 {
			t.Errorf("%d Hz to 16 kHz: images and distortion at %.1f dB", in, ratio)
		}
	}
}

func TestResamplerKeepsTime(t *testing.T) {
	for _, in := range cardRates {
		for _, out := range []int{8000, 16000} {
			samples := sine(in, 997, in+in/3)
			got := resample(t, samples, in, out)
			if want := (len(samples)*out + in - 1) / in; len(got) != want {
				t.Errorf("%d to %d Hz: %d samples, want %d", in, out, len(got), want)
			}
			want := sine(out, 997, len(got))
			for i := out / 10; i < out; i++ {
				if d := int(got[i]) - int(want[i]); d < -8 || d > 8 {
					t.Errorf("%d to %d Hz: sample %d is %d, want %d", in, out, i, got[i], want[i])
					break
				}
			}
		}
	}
}

func noise(n int) []int16 {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(rng.IntN(1 << 16))
	}
	return s
}

func TestResamplerLeavesEqualRatesAlone(t *testing.T) {
	s := noise(5000)
	if got := resample(t, s, 16000, 16000); !slices.Equal(got, s) {
		t.Error("samples changed on their way from 16 kHz to 16 kHz")
	}
}

func TestResamplerDoesNotDependOnChunks(t *testing.T) {
	s := noise(30000)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, in := range cardRates {
		want := resample(t, s, in, 8000)
		r, err := newResampler(in, 8000)
		if err != nil {
			t.Fatal(err)
		}
		var got []int16
		for rest := s; len(rest) > 0; {
			n := min(len(rest), rng.IntN(700))
			got = r.write(got, rest[:n], 1)
			rest = rest[n:]
		}
		got = r.flush(got)
		if !slices.Equal(got, want) {
			t.Errorf("from %d Hz: the result depends on how the input was cut", in)
		}
		r.reset()
		if again := r.flush(r.write(nil, s, 1)); !slices.Equal(again, want) {
			t.Errorf("from %d Hz: something was left after reset", in)
		}
	}
}

func TestResamplerClips(t *testing.T) {
	square := make([]int16, 4800)
	for i := range square {
		square[i] = math.MaxInt16
		if i/48%2 == 1 {
			square[i] = math.MinInt16
		}
	}
	for i, v := range resample(t, square, 48000, 8000)[20:700] {
		if (i+20)/8%2 == 0 && v < 0 && (i+20)%8 > 1 && (i+20)%8 < 7 {
			t.Fatalf("sample %d wrapped around: %d", i+20, v)
		}
	}
}

func TestResamplerRefusesOddRatios(t *testing.T) {
	if _, err := newResampler(44101, 8000); err == nil {
		t.Error("44 101 Hz was taken")
	}
}

func BenchmarkResample(b *testing.B) {
	for _, rate := range []int{16000, 44100, 48000, 96000} {
		b.Run(map[int]string{16000: "16k", 44100: "44k1", 48000: "48k", 96000: "96k"}[rate]+"StereoTo8k", func(b *testing.B) {
			s, err := newSplitter(pcmFormat(rate, 2), []LineConfig{{Channels: []int{0}}, {Channels: []int{1}}}, 8000)
			if err != nil {
				b.Fatal(err)
			}
			in := noise(rate / 5 * 2)
			b.ReportAllocs()
			for b.Loop() {
				s.write(in)
			}
			// Each operation is 200 ms of audio.
			b.ReportMetric(100*b.Elapsed().Seconds()/(0.2*float64(b.N)), "%core")
		})
	}
}
