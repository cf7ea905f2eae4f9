// Package scene makes whole telephone lines as a recorder's tap hears them for some minutes: idle with hum and noise,
// ringing, caller ID, lifted handsets, dial tone, dialling, ring-back, two people who talk, are silent, hold or hear
// music, another call that waits, and what the exchange sends after somebody has hung up. With the samples comes the
// truth of each call, against which what a recorder has found is scored.
//
//	c := scene.Make(42, scene.Synthetic{})
//	for _, line := range c.Lines {
//		// line.Samples, at scene.Rate; line.Calls and line.Hook are the truth
//	}
//
// Everything follows from the seed: country, tap, levels, what happens. The same seed, voices and version of this
// package give the same samples.
//
// It shares no code and no table with the detectors, so that one mistake cannot hide in both: digits and caller ID are
// lab/signal's, the rest is made here, and the countries' tones were written down from another source (country.go).
package scene

import (
	"fmt"
	"math/rand/v2"
)

// Rate is that of all samples, in frames a second.
const Rate = 8000

// Tap is where the recorder listens.
type Tap string

// The taps.
const (
	LineTap    Tap = "line tap"    // across the line: hears ringing, and caller ID before the call
	HandsetTap Tap = "handset tap" // between telephone and handset: dead while that is on its cradle
)

// Kind is what sort of call it is.
type Kind string

// The kinds.
const (
	Incoming Kind = "incoming"
	Outgoing Kind = "outgoing"
	Missed   Kind = "missed" // it rang, and nobody answered
)

// LongSilence is the trait of calls in which nothing is heard for longer than a recorder waits that has nothing but its
// ears: 20 s.
const LongSilence = "silence of 22 to 120 s"

// Call is what happened, in frames of its line; -1 stands for never.
type Call struct {
	Kind      Kind
	Begin     int64 // of its first sound: caller ID, ringing, or the handset that is lifted
	OffHook   int64
	FirstKey  int64 // of the number that is dialled
	LastKey   int64 // its end
	FirstWord int64
	LastWord  int64 // its end
	OnHook    int64
	End       int64 // of all that is heard of it; what the tap hears later is idle

	Rings   int      // that the tap heard, the one included in which the call was answered
	Number  string   // of who calls, as the tap hears it
	Waiting []string // numbers of others that called meanwhile
	Dialled string   // the number that was dialled
	Digits  string   // all that was keyed at this end, from off-hook on
	Tone    bool     // busy, reorder or dial tone was heard for 4 s or longer after the other end hung up

	Traits []string // what else is special, for tables
}

// Talk is the part of a call that one recording must hold, and no recording of another call: its words, or the number
// that was dialled where there are none. It is empty for a call that was missed.
func (c Call) Talk() (begin, end int64) {
	switch {
	case c.FirstWord >= 0:
		return c.FirstWord, c.LastWord
	case c.FirstKey >= 0:
		return c.FirstKey, c.LastKey
	default:
		return c.Begin, c.Begin
	}
}

func (c *Call) trait(t string) { c.Traits = append(c.Traits, t) }

// Move is what a hook contact tells.
type Move struct {
	At      int64 // frame
	OffHook bool
}

// Line is one line and its truth.
type Line struct {
	Country  string // as in ISO 3166, two small letters
	Tap      Tap
	Contact  bool    // it has a hook contact
	Channels int     // 1, or 2 where its sides are apart
	Samples  []int16 // interleaved
	Calls    []Call  // in order
	Moves    []Move  // of the contact
	About    string  // levels, in words
}

// Frames is how long it is.
func (l Line) Frames() int64 { return int64(len(l.Samples) / l.Channels) }

// Case is what one seed makes: a line, or the two lines of a stereo card.
type Case struct {
	Seed  uint64
	Lines []Line
}

// Voices are who speaks on the lines. Sounds may have any level; they must not be changed by who gets them.
type Voices interface {
	// Speaker chooses a person, who says another sentence each time.
	Speaker(r *rand.Rand) func() []float32
	// Music is so many frames of music on hold.
	Music(r *rand.Rand, frames int) []float32
}

// Countries are those that lines are in; consecutive seeds take them in turns.
func Countries() []string {
	var names []string
	for _, c := range countries {
		names = append(names, c.name)
	}
	return names
}

// Make makes the case of a seed, with three to five calls on each line.
func Make(seed uint64, v Voices) Case { return makeCase(seed, v, 3, 5) }

// Brief makes another case of a seed, with one call on each line.
func Brief(seed uint64, v Voices) Case { return makeCase(seed, v, 1, 1) }

func makeCase(seed uint64, v Voices, least, most int) Case {
	r := rand.New(rand.NewPCG(seed, 0x3c3e))
	country := countries[seed%uint64(len(countries))]
	c := Case{Seed: seed}
	if chance(r, 0.2) {
		c.Lines = makeCard(r, country, v, least, most)
		return c
	}
	d := newDirector(r, country, v, false)
	d.play(between(r, least, most))
	channels, line := d.finish(d.canvas.length())
	c.Lines = []Line{quantise(line, channels, d.params.clip)}
	return c
}

// makeCard makes two lines on one stereo card, each of which is heard faintly on the other.
func makeCard(r *rand.Rand, country country, v Voices, least, most int) []Line {
	var directors [2]*director
	frames := 0
	for i := range directors {
		directors[i] = newDirector(r, country, v, true)
		directors[i].play(between(r, least, most))
		frames = max(frames, directors[i].canvas.length())
	}
	var heard [2][][]float32
	var lines [2]Line
	for i, d := range directors {
		heard[i], lines[i] = d.finish(frames)
	}
	level := uniform(r, -70, -45) // cards have 60 dB and more; cables that lie beside each other have less
	for i := range lines {
		other := heard[1-i][0]
		mixed := make([]float32, frames)
		for n, v := range heard[i][0] {
			mixed[n] = v + float32(amplitude(level))*other[n]
		}
		lines[i].About += fmt.Sprintf(", crosstalk %.0f dB", level)
		for k := range lines[i].Calls {
			lines[i].Calls[k].trait("crosstalk of a stereo card")
		}
		lines[i] = quantise(lines[i], [][]float32{mixed}, directors[i].params.clip)
	}
	return lines[:]
}

// quantise cuts at the tap's limit and makes samples.
func quantise(l Line, channels [][]float32, limit float64) Line {
	l.Channels = len(channels)
	l.Samples = make([]int16, 0, len(channels)*len(channels[0]))
	top := float32(limit)
	for n := range channels[0] {
		for _, c := range channels {
			l.Samples = append(l.Samples, int16(32767*max(-top, min(top, c[n]))))
		}
	}
	return l
}
