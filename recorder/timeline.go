package recorder

import (
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// timeline is the recent past of a line: its last samples, the period that is being heard, and the losses that are not
// accounted for yet. Positions are the line's.
type timeline struct {
	channels int64
	capacity int64   // frames of ring
	ring     []int16 // the frame at position p stands at p modulo capacity
	present  []int16 // the samples of the period that is being heard; borrowed

	begun     bool
	start     int64 // samples from here to presentAt are in the ring, but for gaps
	presentAt int64
	audio     int64 // end of the last sample: where an outage that goes on began
	end       int64 // of everything heard or lost

	gaps []call.Gap // lost frames that no one has claimed, in order, adjoining ones joined
}

func newTimeline(f pcm.Format, capacity int64) timeline {
	return timeline{channels: int64(f.Channels), capacity: capacity, ring: make([]int16, capacity*int64(f.Channels))}
}

// fit makes a period follow what was heard, so that no mistake of whoever delivers it can turn the timeline back: frames
// heard before are passed over, and missing ones are lost. Not ok is a period of which nothing is left. The first period
// says where the line begins.
func (t *timeline) fit(p pcm.Period) (fitted pcm.Period, ok bool) {
	if !t.begun {
		at := p.Position - max(0, p.LostFrames)
		t.begun, t.start, t.presentAt, t.audio, t.end = true, at, at, at, at
	}
	p.Samples = p.Samples[:int64(len(p.Samples))/t.channels*t.channels]
	if back := min(t.end-p.Position, int64(len(p.Samples))/t.channels); back > 0 {
		p.Samples = p.Samples[back*t.channels:]
		p.Position += back
	}
	p.LostFrames = p.Position - t.end
	if p.LostFrames > 0 && p.Cause == "" {
		p.Cause = call.CauseOverrun
	}
	return p, p.LostFrames >= 0
}

// hear adds a period that fits. It borrows the samples until settle.
func (t *timeline) hear(p pcm.Period) {
	if p.LostFrames > 0 {
		t.lose(p.LostFrames, p.Cause)
	}
	t.presentAt, t.present = t.end, p.Samples
	if frames := int64(len(p.Samples)) / t.channels; frames > 0 {
		t.end += frames
		t.audio = t.end
	}
}

func (t *timeline) lose(frames int64, cause string) {
	last := len(t.gaps) - 1
	if last >= 0 && t.gaps[last].Position+t.gaps[last].Frames == t.end && t.gaps[last].Cause == cause {
		t.gaps[last].Frames += frames
	} else {
		t.gaps = append(t.gaps, call.Gap{Position: t.end, Frames: frames, Cause: cause})
	}
	t.end += frames
}

// settle moves the present samples to the ring.
func (t *timeline) settle() {
	if over := int64(len(t.present))/t.channels - t.capacity; over > 0 {
		t.present = t.present[over*t.channels:]
		t.presentAt += over
	}
	at := t.offset(t.presentAt)
	n := copy(t.ring[at:], t.present)
	copy(t.ring, t.present[n:])
	t.present, t.presentAt = nil, t.end
	t.start = max(t.start, t.end-t.capacity)
}

// offset is where in the ring the frame at a position stands.
func (t *timeline) offset(position int64) int64 {
	return ((position%t.capacity + t.capacity) % t.capacity) * t.channels
}

// next says what stands at from, up to (not including) to: so many frames of audio, or, where cause is not empty, of
// loss. Audio that is not held any more is lost by overflow.
func (t *timeline) next(from, to int64) (frames int64, cause string) {
	for _, g := range t.gaps {
		if end := g.Position + g.Frames; end <= from {
			continue
		} else if g.Position <= from {
			return min(to, end) - from, g.Cause
		}
		to = min(to, g.Position)
		break
	}
	if from < t.start {
		return min(to, t.start) - from, call.CauseOverflow
	}
	return to - from, ""
}

// samples gives the audio from a position on, up to (not including) to, or the first part of it. It must be audio by
// next. The slice is valid until settle.
func (t *timeline) samples(from, to int64) []int16 {
	if from >= t.presentAt {
		return t.present[(from-t.presentAt)*t.channels : (to-t.presentAt)*t.channels]
	}
	at := t.offset(from)
	n := min((min(to, t.presentAt)-from)*t.channels, int64(len(t.ring))-at)
	return t.ring[at : at+n]
}

// claim takes out the losses before a position: they have been accounted for.
func (t *timeline) claim(before int64) {
	n := 0
	for n < len(t.gaps) && t.gaps[n].Position+t.gaps[n].Frames <= before {
		n++
	}
	t.gaps = slices.Delete(t.gaps, 0, n)
	if len(t.gaps) > 0 && t.gaps[0].Position < before {
		g := &t.gaps[0]
		g.Frames -= before - g.Position
		g.Position = before
	}
}

// over takes the first loss that ended at or before a position, so that nobody will claim it any more.
func (t *timeline) over(before int64) (g call.Gap, ok bool) {
	if len(t.gaps) == 0 || t.gaps[0].Position+t.gaps[0].Frames > before {
		return call.Gap{}, false
	}
	g = t.gaps[0]
	t.gaps = slices.Delete(t.gaps, 0, 1)
	return g, true
}
