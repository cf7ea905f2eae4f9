package line

import "github.com/linekeeper/linekeeper/call"

const (
	messageTime = 2  // seconds that caller ID lasts at most
	gapToRing   = 4  // seconds from the last of the idle line to a ring: in it there may be caller ID
	saidHello   = 30 // seconds from the last ring in which somebody who has said a word may say more
	ringLeast   = 7  // tenths of a second that it must have rung for a call to be missed: a thump may ring for a moment
)

// bell is what is known of the telephone's ringing.
type bell struct {
	on         bool  // it sounds
	counts     bool  // and it is a call that rings
	begin, end int64 // of the last burst, or so far
	first      int64 // beginning of the call's first burst
	count      int   // of the call's rings: two bursts that follow each other at once are one
}

// listenToBell takes what the sides have heard of it.
func (l *Line) listenToBell() {
	b := &l.bell
	begin, end, sounds := l.position, int64(never), false
	for i := range l.sides {
		s := &l.sides[i]
		for _, burst := range s.bursts {
			end = max(end, burst.End)
		}
		s.bursts = s.bursts[:0]
		if at, ringing := s.bell.Ringing(); ringing {
			sounds, begin = true, min(begin, s.origin+at)
		}
	}
	switch {
	case sounds && !b.on:
		l.another(begin)
		before := b.end
		b.on, b.begin, b.end = true, begin, l.position
		l.rang(before)
	case sounds:
		b.end = l.position
	case b.on:
		b.on, b.end = false, max(end, b.begin)
		if l.inCall && b.counts {
			l.keep(call.Mark{Kind: call.MarkRing, Position: b.begin, Frames: b.end - b.begin})
		}
	}
}

// rang takes that it rings now; before is where the last burst ended.
func (l *Line) rang(before int64) {
	b, c := &l.bell, &l.call
	b.counts = false
	if l.hook.off {
		return // it cannot ring: that is another line's, or no bell
	}
	if l.hook.back != never {
		l.putBack()
	}
	switch {
	case !l.inCall:
		l.begin(b.begin, call.BeganRing)
		l.bellBegan()
	case c.incoming && b.begin-max(before, c.trigger) < l.ringGap:
		if b.count == 0 {
			b.first = b.begin
		}
		if b.count == 0 || b.begin-before > l.second {
			b.count++
		}
	case !c.incoming && c.reason == call.BeganVoice && min(c.voice, b.begin)-c.trigger < messageTime*l.second && b.begin-c.voice < l.ringGap:
		// what was heard as voice was this ring, or a message before it that was damaged
		l.bellBegan()
	case l.undecided.Position != never:
		id := l.undecided
		l.undecided.Position = never
		c.voice = min(c.voice, l.voiceBefore)
		l.next(id.Position, call.BeganCallerID)
		l.bellBegan()
		l.keep(id)
	case l.idleBefore(b.begin, gapToRing):
		l.next(b.begin, call.BeganRing)
		l.bellBegan()
	case b.begin-c.voice < l.second || l.known() < b.begin-l.second/2:
		return // in the middle of voices or music
	case l.liftedBefore(b.begin):
		return // in the middle of music
	case b.begin-l.lastID.Position < l.ringGap && l.lastID.Position > c.trigger: // it was this call's, though it came as a waiting one's
		l.next(l.lastID.Position, call.BeganCallerID)
		l.bellBegan()
		l.keep(l.lastID)
	default:
		l.next(b.begin, call.BeganRing)
		l.bellBegan()
	}
	b.counts, c.talk, c.answered = true, 0, false
}

// bellBegan says that a call begins with this ring.
func (l *Line) bellBegan() {
	l.call.incoming = true
	l.bell.first, l.bell.count = l.bell.begin, 1
}

// notAnswered says whether nobody has answered in time. Somebody who said a word may be listening.
func (l *Line) notAnswered() bool {
	c := &l.call
	patience := l.ringGap
	if c.talk > 0 {
		patience = max(patience, saidHello*l.second)
	}
	return c.incoming && !c.answered && !l.bell.on && l.known()-max(l.bell.end, c.trigger) >= patience
}

// another says that something happens that is not of a call that has stopped ringing.
func (l *Line) another(at int64) {
	c := &l.call
	if l.inCall && c.incoming && !c.answered && !l.bell.on && at-max(l.bell.end, c.trigger) >= l.ringGap {
		l.missed()
	}
}

// missed ends a call that nobody has answered, with whatever was heard after the last ring.
func (l *Line) missed() {
	b, c := &l.bell, &l.call
	last := max(b.end, c.trigger)
	if c.talk > 0 {
		last = max(last, c.voice)
	}
	if b.count == 0 || b.count == 1 && b.end-b.begin < ringLeast*l.second/10 && c.reason == call.BeganRing {
		l.end(last+l.tail, last, call.EndedSilence) // caller ID, and then no ring; or hardly a ring
		return
	}
	missed := call.Missed{Rings: b.count, Waited: float64(b.end-b.first) / float64(l.format.Rate)}
	l.end(last+l.tail, last, call.EndedMissed)
	l.events = append(l.events, call.Event{Kind: call.EventMissed, Position: b.first, Missed: missed})
}
