package selftest

import (
	"math"
	"slices"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/pcm"
)

const (
	metersASecond = 50    // blocks of 20 ms: whole cycles of 50 Hz
	railSample    = 32700 // samples from here on are cut off, or as good as cut off
	aboveFloor    = 8.0   // dB by which speech is louder than the line
	floorOf       = 10    // the floor is the level below which one of so many blocks is
)

// meter measures how loud a line is, block by block; it keeps the levels, not what was said.
type meter struct {
	format   pcm.Format
	channels []channelMeter
}

type channelMeter struct {
	block  []float64
	levels []float64 // dBFS without direct current; capture.Silence where all samples are the same
	cut    []bool    // some samples of the block are cut off
}

func newMeter(f pcm.Format) *meter {
	m := &meter{format: f, channels: make([]channelMeter, f.Channels)}
	for i := range m.channels {
		m.channels[i].block = make([]float64, 0, f.Rate/metersASecond)
	}
	return m
}

func (m *meter) feed(p pcm.Period) {
	for i := range m.channels {
		c := &m.channels[i]
		if p.LostFrames > 0 {
			c.block = c.block[:0]
		}
		for at := i; at < len(p.Samples); at += m.format.Channels {
			if c.block = append(c.block, float64(p.Samples[at])); len(c.block) == cap(c.block) {
				c.measure()
			}
		}
	}
}

func (c *channelMeter) measure() {
	mean, power, rails := 0.0, 0.0, 0
	for _, v := range c.block {
		mean += v / float64(len(c.block))
		if math.Abs(v) >= railSample {
			rails++
		}
	}
	for _, v := range c.block {
		power += (v - mean) * (v - mean) / float64(len(c.block))
	}
	level := capture.Silence
	if power > 0 {
		level = max(level, 10*math.Log10(power/(32768*32768)))
	}
	c.levels, c.cut = append(c.levels, level), append(c.cut, rails > 1)
	c.block = c.block[:0]
}

// floor is the noise of the channel that has the most; constant says that one of them may deliver nothing but one value.
func (m *meter) floor() (level float64, constant bool) {
	level = capture.Silence
	for _, c := range m.channels {
		if len(c.levels) == 0 {
			return capture.Silence, true
		}
		sorted := slices.Sorted(slices.Values(c.levels))
		floor := sorted[len(sorted)/floorOf]
		level = max(level, floor)
		constant = constant || floor <= capture.Silence
	}
	return level, constant
}

// speech is the level of what is louder than the floor, on the channel where that is loudest, and the share of it that is
// cut off.
func (m *meter) speech(floor float64) (level, cut float64) {
	level = capture.Silence
	for _, c := range m.channels {
		power, blocks, cuts := 0.0, 0.0, 0.0
		for i, l := range c.levels {
			if l < floor+aboveFloor {
				continue
			}
			blocks++
			power += math.Pow(10, l/10)
			if c.cut[i] {
				cuts++
			}
		}
		if blocks > 0 {
			level, cut = max(level, 10*math.Log10(power/blocks)), max(cut, cuts/blocks)
		}
	}
	return level, cut
}
