package selftest

import (
	"context"
	"strings"

	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/pcm"
)

// Heard is a period of a line, as a card gave it.
type Heard struct {
	Line   int        // which of the walks
	Period pcm.Period // its samples are the receiver's
	Away   string     // why the card is not open; empty: it is
}

// Listening leads an installer through the walks of all lines: the quiet of all of them at once, then line by line.
type Listening struct {
	Walks  []*Walk
	Person *Person // nil: there is none
}

// Run takes what is heard until all walks are over, or ctx ends.
func (l *Listening) Run(ctx context.Context, heard <-chan Heard) {
	beside := newBeside(l.Walks)
	for !l.done() {
		select {
		case h := <-heard:
			l.hear(h, beside)
		case line, open := <-l.Person.Lines():
			if open && strings.TrimSpace(line) == "" {
				l.skip()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *Listening) hear(h Heard, beside *beside) {
	walk := l.Walks[h.Line]
	walk.Away(h.Away)
	turn := l.turn()
	switch {
	case turn == h.Line || !walk.Quieted():
		for _, words := range walk.Feed(h.Period) {
			l.Person.Tell(words)
		}
	case turn >= 0 && l.Walks[turn].AwaitsKeys() && beside.hear(turn, h):
		l.Walks[turn].HeardElsewhere(walk.line.Name)
	}
}

// turn is whose line the installer is led through; negative: some are still to be quiet.
func (l *Listening) turn() int {
	for _, w := range l.Walks {
		if !w.Quieted() {
			return -1
		}
	}
	for i, w := range l.Walks {
		if !w.Done() {
			return i
		}
	}
	return -1
}

func (l *Listening) done() bool {
	for _, w := range l.Walks {
		if !w.Done() {
			return false
		}
	}
	return true
}

// skip leaves the step that the installer is asked to do.
func (l *Listening) skip() {
	if turn := l.turn(); turn >= 0 {
		l.Walks[turn].Skip()
	}
}

// beside hears keys on the lines whose turn it is not.
type beside struct {
	turn int
	ears []*dtmf.Detector
	keys []int
}

func newBeside(walks []*Walk) *beside {
	b := &beside{turn: -1, ears: make([]*dtmf.Detector, len(walks)), keys: make([]int, len(walks))}
	return b
}

// hear says whether so many keys were heard on a line beside the one whose turn it is that it is no crosstalk of one.
func (b *beside) hear(turn int, h Heard) bool {
	if b.turn != turn {
		b.turn = turn
		clear(b.ears)
		clear(b.keys)
	}
	if b.ears[h.Line] == nil {
		b.ears[h.Line] = dtmf.NewDetector(h.Period.Format)
	}
	b.keys[h.Line] += len(b.ears[h.Line].Feed(h.Period))
	const sure = 3
	return b.keys[h.Line] >= sure
}
