package line

import (
	"math"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/line/ring"
	"github.com/linekeeper/linekeeper/line/voice"
	"github.com/linekeeper/linekeeper/pcm"
)

// side is one of the sides of a line whose sides are apart; a mono line has one. Its positions are the line's.
type side struct {
	origin int64 // of the line: the detectors count from there
	voice  *voice.Detector
	bell   *ring.Detector
	fresh  []voice.Span // not yet looked at
	bursts []ring.Burst // the same
	spans  []voice.Span // heard lately, while there is no call
	run    voice.Span   // of spans that adjoin: a voice's level changes, and so it is told in parts
	levels levels
}

func newSide(cfg voice.Config, f pcm.Format) side {
	return side{voice: voice.New(cfg, f.Rate), bell: ring.New(f.Rate), levels: newLevels(f.Rate)}
}

// hear takes the next samples, the first of which stands at a position.
func (s *side) hear(samples []int16) {
	s.take(s.voice.Feed(samples), s.bell.Feed(samples))
	s.levels.hear(samples)
}

func (s *side) lost(frames int64) {
	s.take(s.voice.Lost(frames), s.bell.Lost(frames))
	s.levels.noise.lost()
}

func (s *side) take(spans []voice.Span, bursts []ring.Burst) {
	for _, span := range spans {
		s.fresh = append(s.fresh, voice.Span{Begin: s.origin + span.Begin, End: s.origin + span.End})
	}
	for _, b := range bursts {
		s.bursts = append(s.bursts, ring.Burst{Begin: s.origin + b.Begin, End: s.origin + b.End})
	}
}

// known is the position up to which it is certain where voice was heard.
func (s *side) known() int64 { return s.origin + s.voice.Known() }

// levels are the last levels of a side, by which tones are told from voices (a tone is as loud all the time), and the line's
// noise. The noise is of the fourth differences of the samples, in which neither voices nor hum with its harmonics count for
// much; they are taken over an eighth of a millisecond, so that it is the same band at every rate.
type levels struct {
	differences []differences // of each of the places in an eighth of a millisecond
	place       int
	high        float64 // sum of the squares of the piece that is being filled
	frames      int
	pieces      []pieceLevel // a ring
	next        int
	scratch     []float64
	noise       noiseFloor
}

// differences are the last sample, its difference from the one before, and so on.
type differences [4]int

type pieceLevel struct {
	end   int64
	power float64
}

const (
	levelsKept = int(6 * time.Second / voice.FrameLength) // a span is told when its level changes, or is steady for 3 s
	evenWithin = 1.0                                      // dB around the median
	evenShare  = 0.8                                      // of the pieces
	evenLeast  = 3                                        // pieces; fewer say nothing
)

func newLevels(rate int) levels {
	return levels{
		differences: make([]differences, max(1, rate/8000)), pieces: make([]pieceLevel, levelsKept), scratch: make([]float64, 0, levelsKept),
	}
}

// hear takes the next samples.
func (v *levels) hear(samples []int16) {
	for _, s := range samples {
		d := &v.differences[v.place]
		if v.place++; v.place == len(v.differences) {
			v.place = 0
		}
		first := int(s) - d[0]
		second := first - d[1]
		third := second - d[2]
		fourth := third - d[3]
		*d = differences{int(s), first, second, third}
		v.high += float64(fourth * fourth)
	}
	v.frames += len(samples)
}

// end ends the piece, at a position; it was so loud, in dBFS of the telephone band.
func (v *levels) end(position int64, level float64) {
	if v.frames == 0 {
		return
	}
	v.pieces[v.next%levelsKept] = pieceLevel{end: position, power: math.Pow(10, level/10)}
	v.next++
	v.noise.hear(v.high/float64(v.frames), position)
	v.high, v.frames = 0, 0
}

// steadyBefore is since when it was as loud as it is just before a position, and by how many dB louder than the least that
// was heard lately, not before another position.
func (v *levels) steadyBefore(position, after int64) (from int64, above float64) {
	sum, n, least := 0.0, 0.0, math.Inf(1)
	from = position
	steady := true
	for i := 1; i < levelsKept; i++ {
		p := v.pieces[(v.next-i+2*levelsKept)%levelsKept]
		before := v.pieces[(v.next-i-1+2*levelsKept)%levelsKept]
		if p.end > position || p.end == 0 || before.end <= after {
			continue
		}
		two := (p.power + before.power) / 2
		least = min(least, two)
		if steady = steady && (n == 0 || math.Abs(10*math.Log10(two*n/sum)) <= evenWithin); steady {
			sum, n, from = sum+two, n+1, before.end
		}
	}
	return from, 10 * math.Log10(sum/max(n, 1)/least)
}

// even says whether a span is as loud all the time, but for its edges, as tones are and voices are not.
func (v *levels) even(span voice.Span, piece int64) bool {
	v.scratch = v.scratch[:0]
	for i := range levelsKept {
		p, before := v.pieces[(v.next+i)%levelsKept], v.pieces[(v.next+i+levelsKept-1)%levelsKept]
		if i > 0 && p.end > span.Begin+2*piece && p.end <= span.End-2*piece {
			v.scratch = append(v.scratch, 10*math.Log10((p.power+before.power)/2)) // two, since many tones beat
		}
	}
	if len(v.scratch) < evenLeast {
		return true
	}
	slices.Sort(v.scratch)
	median, within := v.scratch[len(v.scratch)/2], 0
	for _, dB := range v.scratch {
		if math.Abs(dB-median) <= evenWithin {
			within++
		}
	}
	return float64(within) >= evenShare*float64(len(v.scratch))
}
