package capture

import "math"

// Silence is the level of digital silence: what Level says of samples that are all 0. One bit of 16 is -90 dB.
const Silence = -100.0

// Level is how loud one channel of interleaved samples is, in dB below full scale (dBFS): the root mean square, and the
// highest peak. A full-scale sine has -3 and 0, digital silence has Silence twice.
func Level(samples []int16, channel, channels int) (rms, peak float64) {
	var sum, top float64
	count := 0
	for i := channel; i < len(samples); i += channels {
		v := math.Abs(float64(samples[i]))
		sum += v * v
		top = max(top, v)
		count++
	}
	if top == 0 {
		return Silence, Silence
	}
	return decibels(math.Sqrt(sum / float64(count))), decibels(top)
}

func decibels(amplitude float64) float64 { return 20 * math.Log10(amplitude/32768) }
