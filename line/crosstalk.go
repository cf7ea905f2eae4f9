package line

import (
	"math"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/voice"
)

// What is heard of another line, whose cable lies beside this one's, or which is the other channel of the card.
const (
	tonesFainter  = 20.0 // dB below the line's own tones
	voicesFainter = 25.0 // dB below the voices of the line's own calls
	fading        = 1.0  // dB by which a tone or a call counts less than the next
	lately        = 5    // seconds in which the line must have been idle
	ofVoice       = 0.5  // of the time a voice is fainter than it is said to be
	ofTone        = 0.9  // and a tone, which comes in bursts
)

// faint says whether a tone is another line's.
func (l *Line) faint(m call.Mark) bool {
	loud := l.loud(m)
	if loud < max(l.cfg.Voice.Least, l.loudTone-tonesFainter) {
		return true
	}
	l.loudTone = max(loud, l.loudTone-fading)
	return false
}

// loud is how loud a mark was, on the louder side, in dBFS.
func (l *Line) loud(m call.Mark) float64 {
	loud := math.Inf(-1)
	for i := range l.sides {
		loud = max(loud, l.sides[i].levels.loud(m.Position, m.Position+m.Frames, ofTone))
	}
	return loud
}

// elsewhere says whether a stretch of voice is another line's: it is much fainter than the voices of this one's calls, and
// the noise says that this one is idle. Of a line that has had no call yet neither is known.
func (l *Line) elsewhere(s *side, span voice.Span) bool {
	n := &s.levels.noise
	loud := s.levels.loud(span.Begin, span.End, ofVoice)
	if !l.hook.is && loud < l.loudVoice-voicesFainter {
		recent := n.between(span.End-lately*l.second, span.End, l.second)
		idle := recent.known && math.Abs(recent.dB-n.idle.dB) <= gapWithin
		if !l.inCall { // the handset may have been lifted just now: the pre-roll is longer than these two blocks
			idle = l.idleAt(1) && l.idleAt(2)
		}
		if idle && n.usual >= gapApart {
			return true
		}
	}
	if l.inCall && (l.call.answered || !l.call.incoming) && !s.levels.even(s.run, int64(l.piece)) {
		l.call.loud = max(l.call.loud, loud)
	}
	return false
}

// learnLoud learns from a call how loud those of this line are.
func (l *Line) learnLoud() {
	if c := &l.call; c.said >= saidLeast*l.second {
		l.loudVoice = max(c.loud, l.loudVoice-fading)
	}
}

// loud is how loud it was between two positions, in dBFS: for the share of the time fainter.
func (v *levels) loud(from, to int64, share float64) float64 {
	v.scratch = v.scratch[:0]
	for _, p := range v.pieces {
		if p.end > from && p.end <= to {
			v.scratch = append(v.scratch, p.power)
		}
	}
	if len(v.scratch) == 0 {
		return math.Inf(1)
	}
	slices.Sort(v.scratch)
	return 10 * math.Log10(v.scratch[int(share*float64(len(v.scratch)-1))])
}
