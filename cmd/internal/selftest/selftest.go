// Package selftest finds out whether a recorder that has just been installed will hear, know, keep and deliver calls, and
// says in words what is wrong and what to do.
//
//	walk := selftest.NewWalk(selftest.Line{Name: "front desk", Format: format, Country: "ke"}, selftest.Plan{Attended: true}, tones)
//	for p := range periods {
//		for _, words := range walk.Feed(p) {
//			fmt.Println(words)
//		}
//	}
//	report := selftest.NewReport(walk.Results())
//
// A Walk leads the installer through one line: be quiet, lift the handset, press the keys, speak, put it back, and call the
// line from elsewhere. It is pure: it knows time by the frames that it is fed, lost ones included, so that it ends also
// where a card gives none, and gives the same report for the same periods. What is heard goes through the detectors that
// the recorder itself uses, and is kept no longer than they need it: the outcome has levels, and which of the keys that
// were asked for were heard, and no more. Listening feeds walks from cards, one after the other.
//
// The rest needs no line: Card writes to where calls are kept, Link and Headquarters go where they are delivered.
//
// Limits: a caller ID that was sent in a form unknown to line/callerid counts as none; a light can be judged by a person
// only; and that a line is quiet does not say that anything is connected to it, which a person's voice does.
package selftest

import (
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// Line is a line of the settings.
type Line struct {
	Name    string
	Format  pcm.Format
	Sides   []string      // what two channels are
	Country string        // whose tones are expected; empty: the settings name none
	Hook    line.Detector // nil: there is none
	NoHook  string        // why that is as it should be; empty: the settings name none
	HookErr error         // why it is not
	Reads   func() bool   // says whether the hook can be read now; nil: always
}

// Plan is what of a line is tried.
type Plan struct {
	Attended bool // there is somebody who lifts the handset, presses keys and speaks
	Call     bool // and calls the line from another telephone
}

// Walk leads through the tests of one line. It is for one goroutine.
type Walk struct {
	line  Line
	plan  Plan
	steps []step
	left  int64 // frames of the step's limit
	told  int64 // what was left when that was last said
	begun bool
	found findings
}

// step is one thing that is listened for.
type step interface {
	ask() string // what to do, in words; empty: nothing
	limit() time.Duration
	feed(p pcm.Period) (progress string)
	done() bool
	leave() // the installer leaves it out: it is as if it had not been asked for
}

// NewWalk makes the walk through a line. The tones are those of all countries that are known.
func NewWalk(l Line, plan Plan, tones tone.Table) *Walk {
	w := &Walk{line: l, plan: plan}
	w.found = findings{line: l, plan: plan, keys: map[byte]bool{}}
	w.steps = []step{newQuietStep(l, &w.found)}
	if plan.Attended {
		w.steps = append(w.steps, newLiftStep(l, tones, &w.found), newKeysStep(l, &w.found), newSpeakStep(l, tones, &w.found))
		if l.Hook != nil {
			w.steps = append(w.steps, &putBackStep{found: &w.found})
		}
		if plan.Call {
			w.steps = append(w.steps, newCallStep(l, &w.found))
		}
	}
	return w
}

// Feed takes the line's next period and returns what to tell the installer, line by line.
func (w *Walk) Feed(p pcm.Period) (say []string) {
	if w.Done() {
		return nil
	}
	now := w.steps[0]
	if !w.begun {
		w.begun = true
		w.left = w.line.Format.Frames(now.limit())
		w.told = w.left
		if words := now.ask(); words != "" {
			say = append(say, fmt.Sprintf("%s: %s (at most %v)", w.line.Name, words, now.limit()))
		}
	}
	if w.found.quieted {
		w.found.lost += w.line.Format.Duration(p.LostFrames)
	}
	if w.line.Hook != nil {
		w.found.hookAway = w.line.Reads != nil && !w.line.Reads()
		for _, m := range w.line.Hook.Feed(p) {
			w.found.hooked(m.Value == line.OffHook)
		}
	}
	if progress := now.feed(p); progress != "" {
		say = append(say, "  "+progress)
	}
	w.left -= p.LostFrames + int64(p.Frames())
	switch {
	case now.done() || w.left <= 0:
		w.next()
	case now.ask() != "" && w.told-w.left >= w.line.Format.Frames(tellEvery):
		w.told = w.left
		say = append(say, fmt.Sprintf("  %s: %v left", w.line.Name, w.line.Format.Duration(w.left).Round(time.Second)))
	}
	return say
}

// tellEvery is how often the installer hears how much time is left.
const tellEvery = 10 * time.Second

// Skip leaves the step that goes on out. The first one, on which all else depends, cannot be.
func (w *Walk) Skip() {
	if !w.Done() && w.Quieted() {
		w.steps[0].leave()
		w.next()
	}
}

func (w *Walk) next() {
	w.steps, w.begun = w.steps[1:], false
	w.found.quieted = true
	if w.found.deaf() {
		w.steps = nil // nobody need press keys on a line that is not heard
	}
}

// Done says whether all steps are over.
func (w *Walk) Done() bool { return len(w.steps) == 0 }

// Quieted says whether the first step, for which nobody needs to do anything, is over.
func (w *Walk) Quieted() bool { return w.found.quieted }

// AwaitsKeys says whether keys are listened for now: a line beside this one that hears them then is another's.
func (w *Walk) AwaitsKeys() bool {
	if w.Done() {
		return false
	}
	_, is := w.steps[0].(*keysStep)
	return is
}

// HeardElsewhere says that the keys which were pressed on this line were heard on another.
func (w *Walk) HeardElsewhere(name string) { w.found.elsewhere = name }

// Away says why the line's card is not open; empty: it is.
func (w *Walk) Away(why string) { w.found.away = why }

// Results are the line's. They may be asked for before all steps are over.
func (w *Walk) Results() []Result {
	f := &w.found
	return []Result{f.level(), f.hum(), f.hook(), f.digits(), f.callerID(), f.tone()}
}
