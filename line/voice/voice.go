// Package voice tells where on one channel of a telephone line somebody, or something that belongs to a call, is heard:
// speech, ring bursts, dialled digits, ring-back. It is the detector that every line has.
//
//	d := voice.New(voice.DefaultConfig(), 8000)
//	for samples := range periods {
//		for _, span := range d.Feed(samples) {
//			// heard from frame span.Begin up to span.End
//		}
//	}
//
// How it works. The channel is brought to the telephone band by filters, which takes away mains hum, its first
// harmonics and what a card adds above the band. Each 20 ms give one level; a median over 100 ms passes syllables and
// drops clicks. A level well above the noise floor is activity. The floor is the least level of the last 5 s, so that
// it follows a line's noise and is not raised by speech, which always pauses.
//
// What is steady is not activity, however loud: a level that stays within 3 dB for 3 s (a fan, hum with harmonics, a
// dial tone) becomes the floor. Until then it is undecided, and Known says from where; when it stops in time, as a ring
// burst does, it was activity all along.
//
// It is pure: the same samples give the same spans whatever the sizes in which they are fed.
package voice

import (
	"math"
	"slices"
	"time"
)

// Config is how sensitive a detector is. Levels are those of the telephone band.
type Config struct {
	Above  float64       // dB above the noise floor from which a level is activity
	Hold   float64       // dB above the noise floor below which activity ends; less than Above
	Least  float64       // dBFS below which nothing is activity
	Steady time.Duration // how long a steady level lasts until it is noise
}

// DefaultConfig suits desk phones: speech 7 dB above the noise is heard (at 5 dB, 19 of 20 sentences), and so is a far party at -45 dBFS.
func DefaultConfig() Config {
	return Config{Above: 5, Hold: 3, Least: -55, Steady: 3 * time.Second}
}

// FrameLength is how long one level lasts. A whole number of cycles of 50 Hz, and of the beats of most countries'
// tones, so that neither makes the level waver.
const FrameLength = 20 * time.Millisecond

const (
	medianOf    = 5   // levels: 100 ms
	lag         = 2   // levels by which the median is late
	shortest    = 4   // levels that activity lasts at least; a crackling contact gives less
	steadyRange = 3.0 // dB around its mean in which a level is steady; noise of the telephone band stays within 2
	steadyPull  = 1. / 16
	blocks      = 10 // of which the noise floor is the least
	blockLevels = 25 // levels in a block: 0.5 s
	lowest      = -120.0
)

// Span is a stretch in which something is heard, in frames since the detector was made, lost ones included.
type Span struct{ Begin, End int64 }

// Detector listens to one channel. Its zero value is not usable; see New.
type Detector struct {
	cfg         Config
	band        []section
	scratch     []float64 // one frame
	frameLength int
	steadyTime  int // Steady, in levels

	sum      float64 // of the squares of the frame being filled
	filled   int
	position int64   // of the end of the last whole frame
	last     float64 // level of the last whole frame
	settling bool    // the filters have just been reset: the next frame is their transient

	recent [medianOf]float64 // the last levels
	have   int               // how many of them there are

	block   [blocks]float64 // least level in each; the one being filled is at current
	current int
	inBlock int

	active bool
	begin  int64   // of what is active and not yet told
	length int     // levels since activity began
	steady float64 // mean level since it last changed
	heard  int     // levels since then

	spans []Span
}

// New makes a detector for samples at rate frames a second.
func New(cfg Config, rate int) *Detector {
	d := &Detector{
		cfg:         cfg,
		band:        telephoneBand(float64(rate)),
		frameLength: max(1, int(int64(rate)*int64(FrameLength)/int64(time.Second))),
		steadyTime:  int(cfg.Steady / FrameLength),
		settling:    true,
	}
	d.scratch = make([]float64, d.frameLength)
	for i := range d.block {
		d.block[i] = math.Inf(1)
	}
	return d
}

// FrameLength is how many frames one level lasts: spans begin and end at multiples of it, counted from the start or
// from the last loss.
func (d *Detector) FrameLength() int { return d.frameLength }

// Level is how loud the last whole frame was, in dBFS.
func (d *Detector) Level() float64 { return d.last }

// Known is the position up to which all activity has been told: what follows is not yet decided.
func (d *Detector) Known() int64 {
	if d.active {
		return d.begin
	}
	return d.position - lag*int64(d.frameLength)
}

// Feed takes the next samples and returns the spans that they decided, in order. The spans are valid until the next
// call.
func (d *Detector) Feed(samples []int16) []Span {
	d.spans = d.spans[:0]
	for len(samples) > 0 {
		n := min(len(samples), d.frameLength-d.filled)
		d.sum += energy(d.band, samples[:n], d.scratch)
		d.filled += n
		samples = samples[n:]
		if d.filled == d.frameLength {
			level := lowest
			if d.sum > 0 {
				level = max(lowest, 10*math.Log10(d.sum/float64(d.frameLength)))
			}
			d.sum, d.filled, d.last = 0, 0, level
			d.position += int64(d.frameLength)
			d.level(level)
		}
	}
	return d.spans
}

// Lost says that frames are missing before the samples that Feed is given next. What was undecided is told: a loss is
// neither voice nor silence. The noise floor stays.
func (d *Detector) Lost(frames int64) []Span {
	d.spans = d.spans[:0]
	d.tell(d.position)
	d.active = false
	d.position += int64(d.filled) + frames
	d.sum, d.filled, d.have = 0, 0, 0
	d.settling = true
	for i := range d.band {
		d.band[i].reset()
	}
	return d.spans
}

// level takes the level of one frame.
func (d *Detector) level(raw float64) {
	if d.settling {
		d.settling = false
		return
	}
	copy(d.recent[1:], d.recent[:])
	d.recent[0] = raw
	if d.have++; d.have < medianOf {
		return
	}
	d.have = medianOf
	sorted := d.recent
	slices.Sort(sorted[:])
	level := sorted[lag]
	end := d.position - lag*int64(d.frameLength)

	d.activity(level, end)
	d.block[d.current] = min(d.block[d.current], level)
	if d.inBlock++; d.inBlock == blockLevels {
		d.inBlock = 0
		d.current = (d.current + 1) % blocks
		d.block[d.current] = level
	}
}

// activity decides about the frame that ends at end.
func (d *Detector) activity(level float64, end int64) {
	floor := min(level, slices.Min(d.block[:]))
	begin := end - int64(d.frameLength)
	switch {
	case !d.active && level > max(floor+d.cfg.Above, d.cfg.Least):
		d.active, d.begin, d.length = true, begin, 1
		d.steady, d.heard = level, 1
		return
	case !d.active:
		return
	case level < max(floor+d.cfg.Hold, d.cfg.Least-(d.cfg.Above-d.cfg.Hold)):
		d.tell(begin)
		d.active = false
		return
	case math.Abs(level-d.steady) > steadyRange:
		d.tell(begin)
		d.steady, d.heard = level, 0
	}
	d.length++
	d.steady += (level - d.steady) * steadyPull
	if d.heard++; d.heard >= d.steadyTime {
		// It has been steady for too long to be of a call: from here on it is the line's noise.
		d.active = false
		for i := range d.block {
			d.block[i] = d.steady
		}
	}
}

// tell makes what is undecided a span that ends at end.
func (d *Detector) tell(end int64) {
	if d.active && d.length >= shortest && end > d.begin {
		d.spans = append(d.spans, Span{Begin: d.begin, End: end})
		d.begin = end
	}
}
