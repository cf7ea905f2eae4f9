package phone

import "math"

// Resample brings samples of one channel from a rate to another, with a band limit just below the lower one's half.
func Resample(samples []int16, from, to int) []int16 {
	if from == to {
		return samples
	}
	out := resample(toFloat(samples), float64(from), float64(to))
	ints := make([]int16, len(out))
	for i, v := range out {
		ints[i] = int16(math.Round(32767 * max(-1, min(1, v))))
	}
	return ints
}

// resample is a windowed sinc for any ratio; sample 0 stays where it is.
func resample(in []float64, from, to float64) []float64 {
	if from == to {
		return in
	}
	const crossings = 24
	scale := min(1, to/from) * 0.94 // of the band that is kept, in from's
	reach := crossings / scale
	out := make([]float64, int(float64(len(in))*to/from))
	for i := range out {
		at := float64(i) * from / to
		sum := 0.0
		for k := max(0, int(math.Ceil(at-reach))); k <= min(len(in)-1, int(at+reach)); k++ {
			d := float64(k) - at
			sum += in[k] * scale * sinc(d*scale) * (0.5 + 0.5*math.Cos(math.Pi*d/reach))
		}
		out[i] = sum
	}
	return out
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

func toFloat(samples []int16) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = float64(s) / 32767
	}
	return out
}
