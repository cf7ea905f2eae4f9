package line

import (
	"encoding/json"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/line/voice"
)

// handset is what the hook tells.
type handset struct {
	is     bool // there is a hook
	off    bool
	since  int64 // of off
	back   int64 // where it was put back, as long as that may be a flash; never: it was not
	recall int64 // where the last flash ended
	over   bool  // a tone ended the call, and the handset is still off
}

// aftermath is what follows the tone that ended a call: until the line is silent the tone may go on.
type aftermath struct {
	on    bool
	since int64
	last  int64 // when it was last heard
}

// Some of what a person may take his time for, in seconds.
const (
	recallTime    = 10 // from a flash to the dial tone that answers it
	firstTime     = 5  // from a call's beginning to its dial tone
	aftermathTime = 30 // of silence after a tone
)

// takeMarks takes the marks that the audio has reached.
func (l *Line) takeMarks() {
	for m, ok := l.found.next(l.position); ok; m, ok = l.found.next(l.position) {
		switch m.Kind {
		case call.MarkHook:
			l.hooked(m)
		case call.MarkTone:
			l.toned(m)
		case call.MarkDigits:
			l.another(m.Position)
			l.keyed(m)
		case call.MarkCallerID:
			if l.loud(m) > l.cfg.Voice.Least { // or it is the line beside, which is read even below the noise
				l.another(m.Position)
				l.identified(m)
			}
		default:
			l.keep(m)
		}
	}
	if !l.inCall && l.hook.off && !l.hook.over && !l.lossGoesOn {
		l.begin(l.position, call.BeganOffHook) // the card is back and the handset still lifted
	}
	tooOld := l.position - l.lookBack
	l.held = slices.DeleteFunc(l.held, func(m call.Mark) bool { return m.Position < tooOld })
}

// keep marks the call, or one that may begin.
func (l *Line) keep(m call.Mark) {
	if !l.inCall {
		l.held = append(l.held, m)
	} else if m.Position >= l.call.began {
		l.events = append(l.events, call.Event{Kind: call.EventMark, Position: m.Position, Mark: m})
	}
}

// hooked takes what the hook tells.
func (l *Line) hooked(m call.Mark) {
	h := &l.hook
	switch {
	case m.Value == OffHook && !h.off:
		if m.Position-h.back >= l.flash {
			l.putBack()
		}
		if h.back != never && l.inCall {
			h.recall = m.Position
		} else if h.since = m.Position; !l.inCall {
			l.begin(m.Position, call.BeganOffHook)
		}
		h.off, h.back = true, never
		l.call.answered = true
	case m.Value == OnHook && h.off:
		h.off, h.over, l.after.on = false, false, false
		if l.inCall {
			h.back = m.Position
		}
	}
	if l.inCall {
		l.keep(m)
	}
}

// putBack ends the call if the handset was put back, which was no flash.
func (l *Line) putBack() {
	at := l.hook.back
	l.hook.back = never
	if at != never && l.inCall {
		l.end(at, at, call.EndedOnHook)
	}
}

// toned takes a tone of the exchange.
func (l *Line) toned(m call.Mark) {
	if l.faint(m) {
		return
	}
	c := &l.call
	kind := tone.Kind(m.Value)
	if kind != tone.Notice { // which is heard of whoever is listening
		l.another(m.Position)
	}
	if kind == tone.Dial && !l.inCall && !l.hook.is && !l.after.on {
		l.begin(m.Position, call.BeganDialTone)
		c.voice = max(c.voice, m.Position+m.Frames)
	}
	l.keep(m)
	if kind == tone.Dial {
		l.dialTone, l.dialKnown = m.Position, true
	}
	if !l.inCall || kind == tone.Notice || c.incoming && !c.answered {
		return
	}
	first := m.Position-c.trigger < firstTime*l.second && c.reason != call.BeganContinued
	recall := m.Position-l.hook.recall < recallTime*l.second
	switch {
	case kind == tone.RingBack:
		before := m.Position
		if n := c.number.digits; len(n) > 0 && n[0].Position >= before {
			before += m.Frames // of one frequency with the dial tone, which was taken for its first burst
		}
		l.dialled(before)
	case kind == tone.Dial && (first || recall):
		c.dialTone = c.dialTone || first
	default:
		l.dialled(m.Position)
		l.after = aftermath{on: true, since: m.Position, last: l.position}
		l.hook.over = l.hook.off
		at := m.Position + l.tail
		if kind == tone.Dial {
			at = min(c.voice+l.tail, m.Position) // what follows may be another call's
		}
		l.end(at, m.Position, call.EndedTone)
	}
}

// identified takes caller ID.
func (l *Line) identified(m call.Mark) {
	var message struct{ Intact, Waiting bool }
	if json.Unmarshal([]byte(m.Value), &message) != nil || !message.Intact {
		l.keep(m)
		return
	}
	c := &l.call
	switch {
	case !l.inCall && !l.hook.off:
		l.begin(m.Position, call.BeganCallerID)
		c.incoming = true
	case !l.inCall, l.hook.off, message.Waiting:
		// in the call, or what is left of it
	case c.incoming && !c.answered:
	case m.Position-c.trigger < l.second && c.reason != call.BeganContinued: // what was heard first was the message
		c.incoming = true
	case l.idleBefore(m.Position, gapToRing):
		l.next(m.Position, call.BeganCallerID)
	case !l.liftedBefore(m.Position): // if it rings soon, it is the next call's
		l.undecided, l.lastID, l.voiceBefore = m, m, c.voice
		return
	}
	if !c.answered {
		l.silent(m)
	}
	l.lastID = m
	l.keep(m)
}

// silent says that nobody spoke up to the end of a mark: what was heard was the exchange.
func (l *Line) silent(m call.Mark) {
	l.call.talk, l.call.talkFrom = 0, m.Position+m.Frames+l.second/10
}

// heard takes a stretch of voice.
func (l *Line) heard(s *side, span voice.Span) {
	if l.elsewhere(s, span) {
		return
	}
	l.lastHeard = max(l.lastHeard, span.End)
	if span.Begin > s.run.End {
		s.run.Begin = span.Begin
	}
	s.run.End = span.End
	if l.inCall {
		if span.End > l.call.voice {
			l.call.voice, l.call.lost = span.End, 0
		}
		l.talked(span)
		if !s.levels.even(s.run, int64(l.piece)) {
			l.call.said += span.End - span.Begin
		}
		l.call.number.heard(s, span, l)
		return
	}
	if l.hook.is && !l.hook.off {
		return // the hook decides alone
	}
	if l.after.on && s.levels.even(s.run, int64(l.piece)) {
		l.after.last = span.End
		return
	}
	if l.after.on { // of a voice that was taken for the tone at first
		span.Begin, s.run.Begin = s.run.Begin, span.End
	}
	s.spans = append(s.spans, span)
	l.beginByVoice(s)
}

// talked sees whether somebody has answered.
func (l *Line) talked(span voice.Span) {
	c := &l.call
	if !c.incoming || c.answered || l.hook.is || l.bell.on {
		return
	}
	c.talk += max(0, span.End-max(span.Begin, c.talkFrom, l.bell.end+l.second/10))
	if c.answered = c.talk >= l.minLength; c.answered {
		c.answeredAt = span.Begin
	}
}

// beginByVoice begins a call when a side has heard enough voice within the time.
func (l *Line) beginByVoice(s *side) {
	latest := s.spans[len(s.spans)-1].End
	from := latest - l.within
	first, length := latest, int64(0)
	for i := range l.sides {
		other := &l.sides[i]
		drop := 0
		for drop < len(other.spans) && other.spans[drop].End <= from {
			drop++
		}
		other.spans = slices.Delete(other.spans, 0, drop)
		if len(other.spans) > 0 {
			first = min(first, other.spans[0].Begin)
		}
	}
	for _, span := range s.spans {
		length += span.End - max(span.Begin, from)
	}
	if length < l.minLength {
		return
	}
	for i := range l.sides {
		if spans := l.sides[i].spans; len(spans) > 0 {
			latest = max(latest, spans[len(spans)-1].End)
		}
	}
	spoken := !s.levels.even(s.run, int64(l.piece))
	l.begin(first, call.BeganVoice)
	l.call.voice = latest
	if spoken {
		l.call.said = latest - first
	}
}
