package phone

import (
	"fmt"
	"math"
	"time"
)

// The levels of what a line carries, in dBFS, where a step is not given another.
const (
	SpeechLevel = -22.0
	ToneLevel   = -20.0
	DigitLevel  = -16.0
	RingLevel   = -15.0
)

// At is the step at another level, in dBFS.
func (s Step) At(level float64) Step {
	s.Level = level
	return s
}

// Pause is a time in which nobody is heard.
func Pause(d time.Duration) Step {
	return Step{Kind: KindPause, sound: func(rate int) []float64 { return quiet(rate, d.Seconds()) }}
}

// Say is a clip, spoken by a side.
func Say(side Side, c Clip) Step { return SayAt(side, c, 1) }

// SayAt is a clip spoken faster and higher (more than 1) or slower and deeper (less than 1), as by another person.
func SayAt(side Side, c Clip, speed float64) Step {
	return Step{Kind: KindSpeech, Value: c.Name, Side: side, Level: SpeechLevel, sound: func(rate int) []float64 {
		return resample(toFloat(c.Samples), float64(c.Rate)*speed, float64(rate))
	}}
}

// Ring is so many ring bursts of 2 s with 4 s between them, as a tap hears them: 25 Hz, clipped by the tap's
// transformer, which is far too small for it, to something like a bell's rattle.
func Ring(bursts int) Step { return cadence(KindRing, RingLevel, bursts, 2, 4, rattle) }

// ShortRing is one British ring: 0.4 s, 0.2 s of pause, 0.4 s.
func ShortRing() Step { return cadence(KindRing, RingLevel, 2, 0.4, 0.2, rattle) }

// DialTone is the exchange's invitation to dial: 425 Hz.
func DialTone(d time.Duration) Step {
	return cadence(KindDialTone, ToneLevel, 1, d.Seconds(), 0, sines(425))
}

// RingBack is so many bursts of 425 Hz of 1 s with 4 s between them: the other end rings.
func RingBack(bursts int) Step {
	return cadence(KindRingBack, ToneLevel, bursts, 1, 4, sines(425))
}

// Busy is so many bursts of 425 Hz of half a second with as much between them.
func Busy(bursts int) Step {
	return cadence(KindBusy, ToneLevel, bursts, 0.5, 0.5, sines(425))
}

// Digits are keyed by the agent: 100 ms each, with 100 ms between them. It panics on what is no DTMF digit.
func Digits(digits string) Step {
	for _, d := range digits {
		if _, _, ok := dtmf(d); !ok {
			panic(fmt.Sprintf("phone: %q is no DTMF digit", d))
		}
	}
	return Step{Kind: KindDigits, Value: digits, Side: Agent, Level: DigitLevel, sound: func(rate int) (out []float64) {
		for i, d := range digits {
			if i > 0 {
				out = append(out, quiet(rate, 0.1)...)
			}
			low, high, _ := dtmf(d)
			out = append(out, burst(rate, 0.1, sines(low, high))...)
		}
		return out
	}}
}

// dtmf are the two frequencies of a digit (ITU-T Q.23).
func dtmf(digit rune) (low, high float64, ok bool) {
	rows, columns := [...]float64{697, 770, 852, 941}, [...]float64{1209, 1336, 1477, 1633}
	for r, row := range [...]string{"123A", "456B", "789C", "*0#D"} {
		for c, d := range row {
			if d == digit {
				return rows[r], columns[c], true
			}
		}
	}
	return 0, 0, false
}

// waveform is the value of a sound at a time, in seconds.
type waveform func(t float64) float64

func sines(frequencies ...float64) waveform {
	return func(t float64) (v float64) {
		for _, f := range frequencies {
			v += math.Sin(2 * math.Pi * f * t)
		}
		return v
	}
}

// rattle is a ring current of 25 Hz as it comes out of a transformer that it drives deep into saturation: a spike at
// each change of direction, with some of the current itself.
func rattle(t float64) float64 {
	const ring = 25.0
	phase := math.Mod(t*ring, 0.5) * 2 // within a half cycle, 0 to 1
	spike := math.Exp(-phase*12) * math.Sin(2*math.Pi*phase*14)
	return spike + 0.3*math.Sin(2*math.Pi*ring*t)
}

// cadence is what the exchange sends: bursts of a waveform.
func cadence(kind Kind, level float64, bursts int, on, off float64, w waveform) Step {
	return Step{Kind: kind, Side: Caller, Level: level, sound: func(rate int) (out []float64) {
		for i := range bursts {
			if i > 0 {
				out = append(out, quiet(rate, off)...)
			}
			out = append(out, burst(rate, on, w)...)
		}
		return out
	}}
}

// burst is a waveform for some seconds, with flanks of 5 ms.
func burst(rate int, seconds float64, w waveform) []float64 {
	out := quiet(rate, seconds)
	const flank = 0.005
	for i := range out {
		t := float64(i) / float64(rate)
		out[i] = w(t) * min(1, t/flank, (seconds-t)/flank)
	}
	return out
}

func quiet(rate int, seconds float64) []float64 {
	return make([]float64, int(math.Round(seconds*float64(rate))))
}
