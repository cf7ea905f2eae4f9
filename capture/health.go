package capture

import (
	"math"
	"slices"

	"github.com/linekeeper/linekeeper/pcm"
)

// Fault is what can be wrong with what is heard on a line.
type Fault string

// The faults, from the one that wins over all below it.
const (
	FaultNoFrames Fault = "no frames"       // for 2 s
	FaultSilence  Fault = "digital silence" // for 30 s each sample has been the same: a muted input, a dead card
	FaultHum50    Fault = "hum of 50 Hz"    // for 10 s nearly nothing but mains hum, of -50 dBFS or more: a loose plug or shield
	FaultHum60    Fault = "hum of 60 Hz"
	FaultClipping Fault = "clipping" // in 10 s more than 1.4 s of sound was cut off at full scale: the input's gain is too high
)

// Alarm is a fault of one channel of a line.
type Alarm struct {
	Fault   Fault
	Channel int // of the line's, from 0: its side, where it has two
}

// String says it for a person, in a line of one channel.
func (a Alarm) String() string { return string(a.Fault) }

const (
	healthBlocks = 5  // in a second
	healthWindow = 50 // blocks: what is wrong shows in most of a window
	humRate      = 1000
	humHarmonics = 8
	humFloor     = -50.0 // dBFS: less does no harm
	humShare     = 0.8   // of a block's power, for it to be hum
	humFirst     = 0.4   // the same, in the first three harmonics
	railSample   = 32700 // samples from here on are cut off, or as good as cut off
	loudEnough   = -40.0 // dBFS: a window with sound of this level and nothing cut off ends the alarm
	silentFor    = 3     // windows
	missingFor   = 2     // seconds
)

// Health judges what is heard on one line, whatever is said on it. It is pure: it knows no time but the frames', and the
// same periods give the same alarms.
//
//	h := capture.NewHealth(format)
//	err := card.Run(ctx, func(line int, p pcm.Period) {
//		if h.Hear(p) {
//			log.Warn("line", "alarms", h.Alarms())
//		}
//	})
//
// The ringing voltage, which many taps cut off, is no clipping; speech over a hum is no hum; a continuous dial tone is
// neither. It costs far less than encoding the line.
type Health struct {
	format   pcm.Format
	missing  int64 // frames lost since the last that was heard
	channels []channelHealth
	alarms   []Alarm
}

// NewHealth judges a line of a format, from now on.
func NewHealth(f pcm.Format) *Health {
	h := &Health{format: f, channels: make([]channelHealth, f.Channels)}
	for i := range h.channels {
		h.channels[i].block = make([]float64, 0, f.Rate/healthBlocks)
	}
	return h
}

// Alarms are those that hold now, at most one for each channel. The caller may keep them.
func (h *Health) Alarms() []Alarm { return slices.Clone(h.alarms) }

// Hear takes the line's next period, as Run gives it, and says whether the alarms have changed. It keeps nothing of it.
func (h *Health) Hear(p pcm.Period) (changed bool) {
	if p.LostFrames > 0 {
		h.missing += p.LostFrames
		for i := range h.channels {
			h.channels[i].block = h.channels[i].block[:0]
		}
	}
	if len(p.Samples) > 0 {
		h.missing = 0
	}
	var alarms []Alarm
	for i := range h.channels {
		c := &h.channels[i]
		for at := i; at < len(p.Samples); at += h.format.Channels {
			c.block = append(c.block, float64(p.Samples[at]))
			if len(c.block) == cap(c.block) {
				c.judge(h.format.Rate)
				c.block = c.block[:0]
			}
		}
		fault := c.fault
		if h.missing >= missingFor*int64(h.format.Rate) {
			fault = FaultNoFrames
		}
		if fault != "" {
			alarms = append(alarms, Alarm{fault, i})
		}
	}
	changed = !slices.Equal(alarms, h.alarms)
	h.alarms = alarms
	return changed
}

// channelHealth is one channel: the block that is filling, what the blocks of this window were, and the outcome.
type channelHealth struct {
	block []float64

	blocks, constant, loud, clipped, hum50, hum60 int

	silent int // windows of nothing but one value
	clips  bool
	fault  Fault
}

// judge judges a whole block, and at the end of a window the channel.
func (c *channelHealth) judge(rate int) {
	level := describe(c.block)
	c.blocks++
	switch {
	case level.power == 0:
		c.constant++
	case level.rails*1000 >= len(c.block) && level.crossings > 140/healthBlocks: // fewer: ringing, or a hum
		c.clipped++
	}
	if level.power > 0 && decibels(math.Sqrt(level.power)) > loudEnough {
		c.loud++
	}
	switch c.hum(rate, level) {
	case 50:
		c.hum50++
	case 60:
		c.hum60++
	}
	if c.constant == 0 {
		c.silent = 0
		if c.fault == FaultSilence {
			c.fault = ""
		}
	}
	if c.blocks == healthWindow {
		c.turnWindow()
	}
}

// hum is the mains' frequency, 50 or 60, whose hum is nearly all of the block; 0 where it is not.
func (c *channelHealth) hum(rate int, level blockLevel) (mains int) {
	if level.power == 0 || decibels(math.Sqrt(level.power)) < humFloor || level.crossings > 2*60*humHarmonics/healthBlocks {
		return 0
	}
	low := decimate(c.block, rate/humRate)
	best := humShare
	for _, m := range []int{50, 60} {
		if s := share(low, float64(m), level); s >= best {
			mains, best = m, s
		}
	}
	return mains
}

func (c *channelHealth) turnWindow() {
	most := healthWindow * 9 / 10
	if c.constant == healthWindow {
		c.silent++
	}
	if c.clipped*100 >= healthWindow*15 {
		c.clips = true
	} else if c.clipped == 0 && c.loud*100 >= healthWindow*15 {
		c.clips = false
	}
	switch {
	case c.silent >= silentFor:
		c.fault = FaultSilence
	case c.hum50 >= most:
		c.fault = FaultHum50
	case c.hum60 >= most:
		c.fault = FaultHum60
	case c.clips:
		c.fault = FaultClipping
	default:
		c.fault = ""
	}
	c.blocks, c.constant, c.loud, c.clipped, c.hum50, c.hum60 = 0, 0, 0, 0, 0, 0
}

// blockLevel is what a block is without its direct current.
type blockLevel struct {
	mean, power float64 // of the samples' squares
	rails       int     // samples that are cut off
	crossings   int     // of zero
}

func describe(block []float64) (l blockLevel) {
	for _, v := range block {
		l.mean += v
		if math.Abs(v) >= railSample {
			l.rails++
		}
	}
	l.mean /= float64(len(block))
	least, most := slices.Min(block), slices.Max(block)
	if least == most {
		return l
	}
	above := block[0] > l.mean
	for _, v := range block {
		l.power += (v - l.mean) * (v - l.mean)
		if (v > l.mean) != above {
			above = !above
			l.crossings++
		}
	}
	l.power /= float64(len(block))
	return l
}

// decimate averages each n samples.
func decimate(block []float64, n int) []float64 {
	low := make([]float64, 0, len(block)/n)
	for at := 0; at+n <= len(block); at += n {
		sum := 0.0
		for _, v := range block[at : at+n] {
			sum += v
		}
		low = append(low, sum/float64(n))
	}
	return low
}

// share is how much of a block's power is in the harmonics of mains of about so many Hz, which may be off by 2 Hz; 0 where
// the first three have not much of it, as with a tone that happens to be a multiple.
func share(low []float64, mains float64, l blockLevel) float64 {
	f, first := mains, 0.0
	for try := mains - 2; try <= mains+2; try += 0.5 {
		if s := harmonics(low, l, try, 1, 3); s > first {
			f, first = try, s
		}
	}
	if first < humFirst {
		return 0
	}
	return first + harmonics(low, l, f, 4, humHarmonics)
}

// harmonics is the share of some of a frequency's harmonics.
func harmonics(low []float64, l blockLevel, f float64, from, to int) (sum float64) {
	for k := from; k <= to; k++ {
		// What averaging took from this frequency is given back.
		x := math.Pi * float64(k) * f / humRate
		sum += tone(low, l.mean, float64(k)*f) * (x / math.Sin(x)) * (x / math.Sin(x))
	}
	return sum / l.power
}

// tone is the power of a frequency (Goertzel).
func tone(low []float64, mean, f float64) float64 {
	c := 2 * math.Cos(2*math.Pi*f/humRate)
	var a, b float64
	for _, v := range low {
		a, b = v-mean+c*a-b, a
	}
	n := float64(len(low))
	return 2 * (a*a + b*b - c*a*b) / (n * n)
}
