package line

import (
	"math"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/voice"
)

// present is the call that goes on.
type present struct {
	reason     call.Reason
	began      int64 // its first frame
	trigger    int64 // where what began it was heard
	voice      int64 // end of the last that was heard
	lost       int64 // frames lost since then: neither voice nor silence
	dialTone   bool  // it has one: it is outgoing for certain
	incoming   bool  // it rang
	answered   bool
	answeredAt int64
	talk       int64   // frames heard since the last ring that are neither ring nor message
	talkFrom   int64   // what is heard before is none
	said       int64   // frames of what is as uneven as voices are
	loud       float64 // how loud the loudest of that was, in dBFS
	number     number
	handset    handsetState // of the silence that there is now
}

// number is what is dialled in an outgoing call.
type number struct {
	done   bool // what is keyed from now on is for whoever has answered
	digits []call.Mark
	talk   int64 // frames of voice since the last of them
}

// How long people take to dial, in seconds.
const (
	saidLeast     = 2  // of voice before the first digit: it is no number that is dialled
	betweenDigits = 8  // two digits of a number are no longer apart
	beforeDigits  = 15 // the first digit comes within this time
	afterDialTone = 60 // and where a dial tone is heard, within this
)

// heldFor is how many times as long a silence may last while the line for certain sounds as it did in the call.
const heldFor = 4

const mostDigits = 40 // of a number; with prefixes and codes it has 30

// over says whether so long after the last digit the number is complete.
func (n *number) over(position, second int64) bool {
	return len(n.digits) > 0 && position-n.end() > betweenDigits*second
}

func (n *number) end() int64 {
	last := n.digits[len(n.digits)-1]
	return last.Position + last.Frames
}

// add adds a digit that is of the number.
func (n *number) add(m call.Mark, c *present, second int64) {
	within := int64(beforeDigits)
	if c.dialTone {
		within = afterDialTone
	}
	switch {
	case n.done:
	case len(n.digits) == 0 && !c.dialTone && c.reason == call.BeganVoice && c.said >= saidLeast*second:
		n.done = true // somebody called, and was answered
	case len(n.digits) == 0 && (m.Position-c.trigger > within*second || c.reason == call.BeganContinued), len(n.digits) == mostDigits:
		n.done = true
	default:
		n.digits, n.talk = append(n.digits, m), 0
	}
}

// heard takes what is heard after a digit: a voice is the answer.
func (n *number) heard(s *side, span voice.Span, l *Line) {
	if n.done || len(n.digits) == 0 || s.run.Begin < n.end() || s.levels.even(s.run, int64(l.piece)) {
		return
	}
	if n.talk += span.End - span.Begin; n.talk >= l.minLength {
		l.dialled(span.End)
	}
}

// dialled marks the number that was dialled before a position.
func (l *Line) dialled(before int64) {
	n := &l.call.number
	if n.done {
		return
	}
	value := ""
	var end int64
	for _, m := range n.digits {
		if m.Position < before {
			value += m.Value
			end = m.Position + m.Frames
		}
	}
	if n.done = true; value != "" {
		first := n.digits[0].Position
		l.keep(call.Mark{Kind: call.MarkDialled, Position: first, Frames: end - first, Value: value})
	}
}

// judge decides whether the call that goes on has ended, or is to go on as a new part.
func (l *Line) judge() {
	l.watch()
	if n := len(l.keys); n > 0 && l.position-l.keys[n-1].Position > 2*l.second {
		l.releaseKeys()
	}
	if !l.inCall {
		if l.after.on && l.known()-l.after.last > aftermathTime*l.second {
			l.after.on = false
		}
		return
	}
	c := &l.call
	if l.position-l.undecided.Position > l.ringGap {
		l.decided()
	}
	if c.number.over(l.position, l.second) {
		l.dialled(l.position)
	}
	if l.hook.back != never && l.position-l.hook.back >= l.flash {
		l.putBack()
		return
	}
	if l.notAnswered() {
		l.missed()
		return
	}
	cut, silent := c.began+l.longest, false
	if !l.hook.is && (c.answered || !c.incoming) {
		known := l.known()
		silent = c.voice+l.tail < min(cut, known)
		quiet := known - c.voice - c.lost
		if quiet < l.putBackTime {
			c.handset = handsetUnknown
		} else if l.fresh(quiet) {
			c.handset = l.handsetNow()
		}
		if quiet >= l.patience() {
			l.end(c.voice+l.tail, c.voice, call.EndedSilence)
			return
		}
	}
	switch {
	case l.position < cut:
	case silent: // a part that holds nothing is not begun
		l.end(c.voice+l.tail, c.voice, call.EndedSilence)
	default:
		l.goOn(cut)
	}
}

// patience is how long a silence must last to end the call.
func (l *Line) patience() int64 {
	switch l.call.handset {
	case onCradle:
		return l.putBackTime
	case handsetLifted:
		return heldFor * l.hangOver
	default:
		return l.hangOver
	}
}

// fresh says whether a second of silence has just become full: it is not looked at all the time.
func (l *Line) fresh(quiet int64) bool { return quiet%l.second < int64(l.piece) }

// goOn ends the call at a position and goes on with it as a new part.
func (l *Line) goOn(cut int64) {
	l.dialled(l.position)
	was := l.call
	l.end(cut, cut, call.EndedLongest)
	l.inCall, l.call = true, was
	l.call.reason, l.call.began, l.call.trigger, l.call.voice = call.BeganContinued, cut, cut, max(was.voice, cut)
	l.events = append(l.events, call.Event{Kind: call.EventBegan, Position: cut, Reason: call.BeganContinued})
}

// begin begins a call that was triggered at a position: a pre-roll earlier, as far as there is audio that belongs to no
// other call.
func (l *Line) begin(trigger int64, reason call.Reason) {
	at := max(trigger-l.preRoll, l.position-l.lookBack, l.earliest)
	if at >= l.lossBegin && at < l.lossEnd {
		at = l.lossEnd
	}
	l.learnIdle(trigger)
	l.inCall, l.after.on, l.hook.over = true, false, false
	l.call = present{reason: reason, began: min(at, l.position), trigger: trigger, voice: trigger, loud: math.Inf(-1)}
	l.bell.count = 0
	l.events = append(l.events, call.Event{Kind: call.EventBegan, Position: l.call.began, Reason: reason})
	for _, m := range l.held {
		l.keep(m)
	}
	l.forget()
}

// next ends the call that goes on, since another begins.
func (l *Line) next(trigger int64, reason call.Reason) {
	l.end(min(l.call.voice+l.tail, trigger), min(l.call.voice, trigger), call.EndedNext)
	l.begin(trigger, reason)
	l.call.incoming = true
}

// end ends the call at a position. What happened in it happened before another, from its trigger on.
func (l *Line) end(at, happened int64, reason call.Reason) {
	l.dialled(l.position)
	l.decided()
	c := &l.call
	at = min(max(at, c.began), l.position)
	short := happened-c.trigger < l.shortest && c.reason != call.BeganContinued && reason != call.EndedMissed &&
		reason != call.EndedLongest && reason != call.EndedCardLost
	l.learnInUse()
	l.learnLoud()
	l.inCall, l.earliest = false, at
	l.events = append(l.events, call.Event{Kind: call.EventEnded, Position: at, Reason: reason, Short: short})
	l.forget()
}

// decided says that the caller ID of which that was not known was of a call that waited.
func (l *Line) decided() {
	if m := l.undecided; m.Position != never {
		l.undecided.Position = never
		l.keep(m)
	}
}

// forget drops what was kept for the beginning of a call.
func (l *Line) forget() {
	l.held = l.held[:0]
	for i := range l.sides {
		l.sides[i].spans = l.sides[i].spans[:0]
	}
}

// What EventAlarm says.
const (
	AlarmOffHook = "off-hook for long, and nobody speaks"
	AlarmTone    = "the exchange's tone for long: the handset is not put back"
)

// watch raises and clears the alarms that take time.
func (l *Line) watch() {
	alarm := ""
	switch {
	case l.offHook == 0:
	case l.after.on && !l.inCall:
		if l.position-l.after.since >= l.offHook {
			alarm = AlarmTone
		}
	case l.hook.off && l.position-max(l.hook.since, l.lastHeard) >= l.offHook:
		alarm = AlarmOffHook
	}
	if alarm != l.alarm {
		l.alarm = alarm
		l.events = append(l.events, call.Event{Kind: call.EventAlarm, Position: l.position, Alarm: alarm})
	}
}
