// Package phone makes what a telephone line sounds like to the tap of a recorder: rings, dial tone, digits, ring-back,
// voices, busy tone, over the line's noise and hum. Simulated lines and end-to-end tests play it. It shares no code with
// the detectors, so that one mistake cannot hide in both.
//
//	voices, err := phone.FindVoices()
//	clips, err := phone.Clips(voices, time.Second, 4*time.Second)
//	script := phone.Script{
//		Calls: []phone.Call{{
//			Before:   3 * time.Second,
//			Incoming: true,
//			Steps: []phone.Step{
//				phone.Ring(2), phone.Pause(time.Second),
//				phone.Say(phone.Agent, clips[0]), phone.Say(phone.Caller, clips[1]),
//			},
//		}},
//		After: 10 * time.Second,
//	}
//	audio := script.Render(phone.Options{Rate: 8000})
//
// What was placed where comes with the audio: audio.Calls. The same script, options and seed give the same samples.
//
// Levels are RMS over the time that something sounds, in dB below full scale (0 is a square wave at full scale).
package phone

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

// Side is who is heard. The exchange (rings, dial tone, ring-back, busy) is heard on the caller's side.
type Side int

// The sides; as channel numbers where the sides are apart.
const (
	Agent  Side = 0 // at the desk phone
	Caller Side = 1 // at the other end of the line
)

// Script is what happens on a line.
type Script struct {
	Calls []Call
	After time.Duration // quiet after the last call
}

// Call is one call of a script: what is heard, one after the other.
type Call struct {
	Before   time.Duration // quiet before it
	Incoming bool
	Steps    []Step
}

// Step is something that is heard in a call, or a pause. See Say, Ring, DialTone, Digits, RingBack, Busy, Pause.
type Step struct {
	Kind  Kind
	Value string // of speech the clip's name, of digits the digits
	Side  Side
	Level float64 // dBFS

	sound func(rate int) []float64 // at any level; Level is given to it by Render
}

// Kind is what a step is.
type Kind string

// The kinds of steps.
const (
	KindSpeech   Kind = "speech"
	KindRing     Kind = "ring"
	KindDialTone Kind = "dial tone"
	KindDigits   Kind = "digits"
	KindRingBack Kind = "ring-back"
	KindBusy     Kind = "busy"
	KindPause    Kind = "pause"
)

// Options is how a script becomes audio.
type Options struct {
	Rate   int     // frames a second
	Apart  bool    // the sides are two channels; otherwise both are heard on one
	Noise  float64 // dBFS of the line's noise on each channel; 0 stands for -66
	Hum    float64 // dBFS of the mains hum on each channel; 0 stands for -62
	HumHz  float64 // 0 stands for 50
	Silent bool    // neither noise nor hum
	Seed   uint64  // of the noise
}

// Audio is a rendered script.
type Audio struct {
	Format  pcm.Format
	Samples []int16 // interleaved where the sides are apart
	Calls   []PlacedCall
}

// PlacedCall is where a call was placed, in frames: from the beginning of its first sound to the end of its last.
type PlacedCall struct {
	Begin, End int64
	Incoming   bool
	Digits     string // that were dialled
	Heard      []Placed
}

// Placed is where a step was placed, in frames.
type Placed struct {
	Kind       Kind
	Value      string
	Side       Side
	Begin, End int64
}

// Render makes the audio. Steps are brought to their levels, sides are added up where they are not apart, and noise and
// hum lie over all of it.
func (s Script) Render(o Options) Audio {
	f := pcm.Format{Rate: o.Rate, Channels: 1}
	if o.Apart {
		f.Channels = 2
	}
	audio := Audio{Format: f}
	var sides [2][]float64
	for _, c := range s.Calls {
		sides = appendQuiet(sides, f.Frames(c.Before))
		placed := PlacedCall{Begin: -1, Incoming: c.Incoming}
		for _, step := range c.Steps {
			sound := step.sound(o.Rate)
			begin := int64(len(sides[0]))
			sides = appendQuiet(sides, int64(len(sound)))
			end := int64(len(sides[0]))
			if step.Kind == KindPause {
				continue
			}
			mixAt(sides[step.Side][begin:], sound, step.Level)
			if placed.Begin < 0 {
				placed.Begin = begin
			}
			placed.End = end
			if step.Kind == KindDigits {
				placed.Digits += step.Value
			}
			placed.Heard = append(placed.Heard, Placed{step.Kind, step.Value, step.Side, begin, end})
		}
		if placed.Begin >= 0 {
			audio.Calls = append(audio.Calls, placed)
		}
	}
	sides = appendQuiet(sides, f.Frames(s.After))
	audio.Samples = o.join(sides)
	return audio
}

func appendQuiet(sides [2][]float64, frames int64) [2][]float64 {
	for i := range sides {
		sides[i] = append(sides[i], make([]float64, frames)...)
	}
	return sides
}

// mixAt adds sound, brought to a level, to the beginning of dst.
func mixAt(dst, sound []float64, level float64) {
	gain := gainTo(sound, level)
	for i, v := range sound {
		dst[i] += v * gain
	}
}

// gainTo is what brings sound to a level, measured where it is not silent: within 30 dB of its loudest 20 ms or so.
func gainTo(sound []float64, level float64) float64 {
	const block = 160
	var powers []float64
	loudest := 0.0
	for at := 0; at < len(sound); at += block {
		power := meanSquare(sound[at:min(len(sound), at+block)])
		powers = append(powers, power)
		loudest = max(loudest, power)
	}
	sum, n := 0.0, 0.0
	for _, p := range powers {
		if p > loudest/1000 {
			sum, n = sum+p, n+1
		}
	}
	if sum == 0 {
		return 0
	}
	return amplitude(level) / math.Sqrt(sum/n)
}

func meanSquare(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return sum / float64(len(v))
}

func amplitude(level float64) float64 { return math.Pow(10, level/20) }

// join adds noise and hum and makes samples.
func (o Options) join(sides [2][]float64) []int16 {
	channels := [][]float64{sides[0], sides[1]}
	if !o.Apart {
		for i, v := range sides[1] {
			sides[0][i] += v
		}
		channels = channels[:1]
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x11e))
	noise, hum, humHz := amplitude(orElse(o.Noise, -66)), amplitude(orElse(o.Hum, -62)), orElse(o.HumHz, 50)
	if o.Silent {
		noise, hum = 0, 0
	}
	samples := make([]int16, 0, len(sides[0])*len(channels))
	for i := range sides[0] {
		phase := 2 * math.Pi * humHz * float64(i) / float64(o.Rate)
		mains := hum * (math.Sin(phase) + 0.5*math.Sin(3*phase+1) + 0.3*math.Sin(5*phase+2) + 0.15*math.Sin(9*phase+3)) * 1.2
		for _, c := range channels {
			v := c[i] + mains + noise*random.NormFloat64()
			samples = append(samples, int16(math.Round(32767*max(-1, min(1, v)))))
		}
	}
	return samples
}

func orElse(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}
