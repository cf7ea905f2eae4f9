package encoder_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/linekeeper/linekeeper/encoder"
)

// The signals that the tests encode. All are mono, of so many frames at a rate, and the same on each run.

func tone(rate, frames int, hz, level float64) []int16 {
	s := make([]int16, frames)
	for i := range s {
		s[i] = int16(math.Round(level * 32767 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return s
}

// chirp sweeps from 200 Hz to the top in the time given.
func chirp(rate, frames int, top float64) []int16 {
	s := make([]int16, frames)
	length := float64(frames) / float64(rate)
	for i := range s {
		t := float64(i) / float64(rate)
		s[i] = int16(10000 * math.Sin(2*math.Pi*(200*t+(top-200)*t*t/2/length)))
	}
	return s
}

func noise(frames int, level float64) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	s := make([]int16, frames)
	for i := range s {
		s[i] = int16(level * 32767 * (2*r.Float64() - 1))
	}
	return s
}

// speech is like speech to a codec: a glottal pulse train of wandering pitch through three formants that change each
// fifth of a second, with pauses and hiss between.
func speech(rate, frames int) []int16 {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([]int16, frames)
	var state [3][2]float64
	var formants [3]float64
	phase, pitch, gain := 0.0, 120.0, 0.0
	syllable := rate / 5
	for i := range out {
		if i%syllable == 0 {
			formants = [3]float64{300 + 500*r.Float64(), 900 + 1200*r.Float64(), 2300 + 600*r.Float64()}
			pitch = 90 + 80*r.Float64()
			gain = 0.25 + 0.75*r.Float64()
			if r.IntN(4) == 0 {
				gain = 0
			}
		}
		phase += pitch / float64(rate)
		x := 0.02 * (r.Float64() - 0.5)
		if phase >= 1 {
			phase--
			x += 1
		}
		y := 0.0
		for k, hz := range formants {
			bandwidth := math.Exp(-math.Pi * 90 / float64(rate))
			a, b := 2*bandwidth*math.Cos(2*math.Pi*hz/float64(rate)), bandwidth*bandwidth
			v := x + a*state[k][0] - b*state[k][1]
			state[k][0], state[k][1] = v, state[k][0]
			y += v / float64(k+1)
		}
		envelope := math.Sin(math.Pi * float64(i%syllable) / float64(syllable))
		out[i] = int16(max(-32000, min(32000, 4000*gain*envelope*y)))
	}
	return out
}

// sides puts two mono signals beside each other.
func sides(left, right []int16) []int16 {
	s := make([]int16, 0, 2*len(left))
	for i := range left {
		s = append(s, left[i], right[i])
	}
	return s
}

// side takes one channel out of two.
func side(samples []int16, channel int) []int16 {
	return everyNth(samples[min(channel, len(samples)):], 2)
}

func everyNth(samples []int16, n int) []int16 {
	out := make([]int16, 0, len(samples)/n+1)
	for i := 0; i < len(samples); i += n {
		out = append(out, samples[i])
	}
	return out
}

// power is the mean square.
func power(s []int16) float64 {
	sum := 0.0
	for _, v := range s {
		sum += float64(v) * float64(v)
	}
	return sum / float64(max(1, len(s)))
}

// snr compares got with want, in dB, after the gain that fits best. Both begin at the same moment.
func snr(want, got []int16) float64 {
	n := min(len(want), len(got))
	var cross, energy float64
	for i := range n {
		cross += float64(want[i]) * float64(got[i])
		energy += float64(got[i]) * float64(got[i])
	}
	gain := cross / max(energy, 1)
	var signal, rest float64
	for i := range n {
		d := float64(want[i]) - gain*float64(got[i])
		signal += float64(want[i]) * float64(want[i])
		rest += d * d
	}
	return 10 * math.Log10(signal/max(rest, 1e-9))
}

// lag finds by how many frames got is later than want, up to most either way.
func lag(want, got []int16, most int) int {
	best, at := math.Inf(-1), 0
	for d := -most; d <= most; d++ {
		sum := 0.0
		for i := most; i < min(len(want), len(got))-most; i++ {
			sum += float64(want[i]) * float64(got[i+d])
		}
		if sum > best {
			best, at = sum, d
		}
	}
	return at
}

// kept is a chunk with its bytes copied.
type kept struct {
	data   []byte
	frames int64
}

// encode runs samples through an encoder in periods of an odd size, and returns the chunks.
func encode(t testing.TB, cfg encoder.Config, samples []int16) []kept {
	t.Helper()
	e, err := encoder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var chunks []kept
	keep := func(c encoder.Chunk) error {
		chunks = append(chunks, kept{append([]byte(nil), c.Data...), c.Frames})
		return nil
	}
	period := 777 * cfg.Channels
	for len(samples) > 0 {
		n := min(period, len(samples))
		if err := e.Write(samples[:n], keep); err != nil {
			t.Fatal(err)
		}
		samples = samples[n:]
	}
	if err := e.Close(keep); err != nil {
		t.Fatal(err)
	}
	return chunks
}

// join puts chunks together and sums their frames.
func join(chunks []kept) (media []byte, frames int64) {
	for _, c := range chunks {
		media = append(media, c.data...)
		frames += c.frames
	}
	return media, frames
}
