package recorder

import (
	"slices"
	"sync/atomic"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// What the marks of a pause say.
const (
	pauseBegins = "begin"
	pauseEnds   = "end"
)

// pause is the card-data pause of a line: while somebody says the number of a card, nothing that is heard is kept. It
// lasts no longer than the call, and than LineConfig.MaxPause: a forgotten one must not swallow what follows.
type pause struct {
	wanted  atomic.Bool
	on      bool
	from    int64 // position
	to      int64 // end of the last one
	silence []int16
}

// Pause begins or ends a card-data pause: the audio of the call that goes on is silence meanwhile, and digits are not
// noted. Without a call it does nothing. It is safe for concurrent use.
func (l *Line) Pause(on bool) { l.pause.wanted.Store(on) }

// hides says whether a mark is of digits that were keyed in the pause, or in the one before and are told now.
func (w *pause) hides(e call.Event) bool {
	if e.Mark.Kind != call.MarkDigits && e.Mark.Kind != call.MarkDialled {
		return false
	}
	return w.on || w.to > w.from && e.Position < w.to && e.Position+max(1, e.Mark.Frames) > w.from
}

// mute gives the period as it is to be kept.
func (l *Line) mute(p pcm.Period) pcm.Period {
	w := &l.pause
	switch wanted := w.wanted.Load(); {
	case w.on && (!wanted || p.Position-w.from >= l.maxPause):
		l.endPause(p.Position)
	case wanted && !w.on && !l.wanted.on:
		w.wanted.Store(false) // there is no call
	case wanted && !w.on:
		w.on, w.from = true, p.Position
		l.notePause(pauseBegins, p.Position)
	}
	if w.on {
		w.silence = slices.Grow(w.silence[:0], len(p.Samples))[:len(p.Samples)]
		p.Samples = w.silence // never written to
	}
	return p
}

func (l *Line) notePause(what string, position int64) {
	l.take(call.Event{Kind: call.EventMark, Position: position, Mark: call.Mark{Kind: call.MarkPause, Value: what}})
}

// endPause ends the pause at a position, if there is one.
func (l *Line) endPause(position int64) {
	w := &l.pause
	w.wanted.Store(false)
	if !w.on {
		return
	}
	w.on, w.to = false, position
	l.notePause(pauseEnds, position)
	e := call.Entry{Type: call.EntryPause, Anchor: l.anchor(w.from), Line: l.Name, Gap: &call.Gap{Position: w.from, Frames: max(1, position-w.from), Cause: call.CausePause}}
	if l.rec != nil {
		e.Call = &l.rec.header.Call
		e.Gap.Position = max(0, w.from-l.rec.start)
	}
	l.due = append(l.due, e)
}

// enterDue enters pauses that are over and missed calls into the ledger. It does not push past what waits for the ring.
func (l *Line) enterDue() {
	for len(l.due) > 0 && l.out.empty() {
		if _, err := l.cfg.add(l.due[0]); err != nil {
			l.out.err = err
			return
		}
		l.due = slices.Delete(l.due, 0, 1)
	}
}
