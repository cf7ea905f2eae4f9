package tone

import (
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// Detector hears the tones of a line, on each of its sides, and gives a mark for each (call.MarkTone, with its kind as the
// value; its length is what was heard when it was certain). What crosses over to the other side is one. It fits
// line.Detectors.
type Detector struct {
	format   pcm.Format
	sides    []*Receiver
	scratch  []int16
	started  bool
	origin   int64
	position int64
	marks    []call.Mark
	last     call.Mark
}

// NewDetector makes a detector for a country's tones and periods of a format.
func NewDetector(forms []Form, f pcm.Format) *Detector {
	d := &Detector{format: f}
	for range f.Channels {
		d.sides = append(d.sides, NewReceiver(forms, f.Rate))
	}
	return d
}

// SetNotice says what is taken for a notice, where that is not DefaultNotice. It is called before Feed.
func (d *Detector) SetNotice(n NoticeForm) {
	for _, side := range d.sides {
		side.SetNotice(n)
	}
}

// Feed takes the line's next period and returns the tones that it made certain, in order of where they began; the marks'
// positions are in the scale of Period.Position. They are valid until the next call.
func (d *Detector) Feed(p pcm.Period) []call.Mark {
	d.marks = d.marks[:0]
	if !d.started {
		d.started, d.origin, d.position = true, p.Position, p.Position
	}
	lost := p.Position - d.position
	for i, side := range d.sides {
		if lost > 0 {
			side.Lost(lost)
		}
		samples := p.Samples
		if len(d.sides) > 1 {
			d.scratch = pcm.Pick(d.scratch[:0], samples, len(d.sides), i)
			samples = d.scratch
		}
		for _, t := range side.Feed(samples) {
			d.marks = append(d.marks, call.Mark{Kind: call.MarkTone, Position: d.origin + t.Begin, Frames: t.Frames, Value: string(t.Kind)})
		}
	}
	d.position = p.Position + int64(p.Frames())
	if len(d.marks) > 1 {
		slices.SortStableFunc(d.marks, func(a, b call.Mark) int { return int(a.Position - b.Position) })
	}
	if len(d.marks) > 0 && len(d.sides) > 1 {
		d.marks = slices.DeleteFunc(d.marks, d.again)
	}
	return d.marks
}

// again says whether a mark is the last one, heard on the other side.
func (d *Detector) again(m call.Mark) bool {
	if m.Value == d.last.Value && m.Position < d.last.Position+d.last.Frames && d.last.Position < m.Position+m.Frames {
		return true
	}
	d.last = m
	return false
}
