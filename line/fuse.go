package line

import (
	"cmp"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// detect feeds the detectors that the site has beside the voice.
func (l *Line) detect(p pcm.Period) {
	had := len(l.found)
	for detector := range l.cfg.Detectors.each {
		l.found = append(l.found, detector.Feed(p)...)
	}
	if len(l.found) > had {
		slices.SortStableFunc(l.found, func(a, b call.Mark) int { return cmp.Compare(a.Position, b.Position) })
	}
}

// takeMarks takes the marks that the audio has reached.
func (l *Line) takeMarks() {
	n := 0
	for ; n < len(l.found) && l.found[n].Position <= l.position; n++ {
		l.take(l.found[n])
	}
	l.found = slices.Delete(l.found, 0, n)
	if !l.inCall && l.offHook && !l.lossGoesOn {
		l.begin(l.position, call.BeganOffHook) // the card is back and the handset still lifted
	}
	tooOld := l.position - l.lookBack
	l.held = slices.DeleteFunc(l.held, func(m call.Mark) bool { return m.Position < tooOld })
}

func (l *Line) take(m call.Mark) {
	lifted := m.Kind == call.MarkHook && m.Value == OffHook
	putBack := m.Kind == call.MarkHook && m.Value == OnHook
	if lifted {
		l.offHook = true
		if !l.inCall {
			l.begin(m.Position, call.BeganOffHook)
		}
	}
	if l.inCall {
		l.mark(m)
	} else if m.Kind != call.MarkHook {
		l.held = append(l.held, m)
	}
	if putBack {
		l.offHook = false
		if l.inCall {
			l.end(m.Position, call.EndedOnHook)
		}
	}
}

func (l *Line) mark(m call.Mark) {
	if m.Position >= l.began {
		l.events = append(l.events, call.Event{Kind: call.EventMark, Position: m.Position, Mark: m})
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
	l.voice, l.lost = latest, 0
	for i := range l.sides {
		if spans := l.sides[i].spans; len(spans) > 0 {
			l.voice = max(l.voice, spans[len(spans)-1].End)
		}
	}
	l.begin(first, call.BeganVoice)
}

// judge decides whether the call that goes on has ended, or is to go on as a new part.
func (l *Line) judge() {
	if !l.inCall {
		return
	}
	cut, silent := l.began+l.longest, false
	if l.cfg.Detectors.Hook == nil {
		known := l.known()
		silent = l.voice+l.tail < min(cut, known)
		if known-l.voice-l.lost >= l.hangOver {
			l.end(l.voice+l.tail, call.EndedSilence)
			return
		}
	}
	switch {
	case l.position < cut:
	case silent: // a part that holds nothing is not begun
		l.end(l.voice+l.tail, call.EndedSilence)
	default:
		l.end(cut, call.EndedLongest)
		l.inCall, l.began = true, cut
		l.voice = max(l.voice, cut)
		l.events = append(l.events, call.Event{Kind: call.EventBegan, Position: cut, Reason: call.BeganContinued})
	}
}

// begin begins a call that was triggered at a position: a pre-roll earlier, as far as there is audio that belongs to no
// other call.
func (l *Line) begin(trigger int64, reason call.Reason) {
	at := max(trigger-l.preRoll, l.position-l.lookBack, l.earliest)
	if at >= l.lossBegin && at < l.lossEnd {
		at = l.lossEnd
	}
	l.inCall, l.began = true, min(at, l.position)
	l.events = append(l.events, call.Event{Kind: call.EventBegan, Position: l.began, Reason: reason})
	for _, m := range l.held {
		l.mark(m)
	}
	l.forget()
}

func (l *Line) end(at int64, reason call.Reason) {
	at = min(max(at, l.began), l.position)
	l.inCall, l.earliest = false, at
	l.events = append(l.events, call.Event{Kind: call.EventEnded, Position: at, Reason: reason})
	l.forget()
}

// forget drops what was kept for the beginning of a call.
func (l *Line) forget() {
	l.held = l.held[:0]
	for i := range l.sides {
		l.sides[i].spans = l.sides[i].spans[:0]
	}
}
