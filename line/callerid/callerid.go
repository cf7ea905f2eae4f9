// Package callerid reads who calls: what the exchange sends before it rings or between the first two rings, and in a call
// when another is waiting.
//
//	r := callerid.NewReceiver(8000)
//	for samples := range periods {
//		for _, m := range r.Feed(samples) {
//			if m.Intact {
//				// m.Number, or m.NoNumber why there is none; m.Name; m.When
//			}
//		}
//	}
//
// A Detector is the same for periods of a line, and gives marks. Countries that send DTMF digits are read by Keyed, from
// the digits that line/dtmf hears.
//
// How it works. Bell 202 (Telcordia GR-30) and V.23 (ETSI EN 300 659-1) differ in two frequencies; both send steady mark
// bits before a message, which a trigger waits for (trigger.go), and which tell how fast the sender's clock is. From there
// on the line is brought to complex samples (modem.go), and whole bytes are compared with what was heard (reader.go).
//
// The checksum of a message finds one damaged byte for certain, and more with 255 of 256. One that is wrong is told with
// its raw bytes and nothing else: a wrong number is worse than none.
//
// Limits: rates that are multiples of 8000; frequencies and bit rate up to 1.5 % off; up to twenty mark bits between
// two bytes; at least 50 mark bits before the message; messages of the types 04, 06, 80, 82 and 86.
//
// It is pure: the same samples give the same messages whatever the sizes in which they are fed.
package callerid

import (
	"bytes"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// Detector reads the caller ID of a line, on each of its sides, and gives a mark for each (call.MarkCallerID, with
// Message.Value as its value). What crosses over to the other side is one. It fits line.Detectors.
type Detector struct {
	format   pcm.Format
	sides    []*Receiver
	scratch  []int16
	started  bool
	origin   int64
	position int64
	heard    []Message
	marks    []call.Mark
	last     Message
}

// NewDetector makes a detector for periods of a format.
func NewDetector(f pcm.Format) *Detector {
	d := &Detector{format: f}
	for range f.Channels {
		d.sides = append(d.sides, NewReceiver(f.Rate))
	}
	return d
}

// Feed takes the line's next period and returns the messages that it ended, in order; the marks' positions are in the
// scale of Period.Position. They are valid until the next call.
func (d *Detector) Feed(p pcm.Period) []call.Mark {
	d.heard, d.marks = d.heard[:0], d.marks[:0]
	if !d.started {
		d.started, d.origin, d.position = true, p.Position, p.Position
	}
	lost := p.Position - d.position
	for i, side := range d.sides {
		if lost > 0 {
			d.heard = append(d.heard, side.Lost(lost)...)
		}
		samples := p.Samples
		if len(d.sides) > 1 {
			d.scratch = pcm.Pick(d.scratch[:0], samples, len(d.sides), i)
			samples = d.scratch
		}
		d.heard = append(d.heard, side.Feed(samples)...)
	}
	d.position = p.Position + int64(p.Frames())
	if len(d.heard) > 1 {
		slices.SortStableFunc(d.heard, func(a, b Message) int { return int(a.Position - b.Position) })
	}
	for _, m := range d.heard {
		if bytes.Equal(m.Raw, d.last.Raw) && m.Position < d.last.Position+d.last.Frames {
			continue // heard on the other side
		}
		d.last = m
		d.marks = append(d.marks, call.Mark{
			Kind:     call.MarkCallerID,
			Position: d.origin + m.Position,
			Frames:   m.Frames,
			Value:    m.Value(),
		})
	}
	return d.marks
}
