// Package line knows what happens on a telephone line: that a call began, that something is to be marked on its
// timeline, and that it ended, and why. It fuses what the detectors of the line find.
//
//	cfg := line.DefaultConfig()
//	cfg.Detectors.Digits = dtmf.NewDetector(format)
//	l := line.New(cfg, format)
//	for p := range periods {
//		for _, event := range l.Feed(p) {
//			...
//		}
//	}
//
// # When a call begins
//
// With whatever shows first that the line is in use: the handset is lifted, the telephone rings, caller ID comes, a dial
// tone is heard, a digit is keyed, or enough voice is heard within a short time, so that a click or a cough makes none. It
// then has the pre-roll from before. Where there is a hook, only it and the bell begin calls.
//
// # When it ends
//
// With a hook, when the handset is put back; for no longer than Config.Flash that is a flash, which does not end a call.
// Otherwise when nothing was heard for a while, be it voices, music or beeps. How long depends on the line's noise, which
// mostly is another while the handset is lifted: Config.PutBack where it is that of the idle line again; four times the
// hang-over where it is as it was in the call, which then is on hold; the hang-over where it tells nothing.
//
// Either way a busy, reorder or dial tone in a call ends it where the tone began, but a dial tone that comes before anything
// else, or after a flash, does not. What goes on of the tone afterwards begins no new call, for it is as loud all the time;
// the first voice does.
//
// The call before is over, and the next begins, when it rings, or caller ID comes that was not announced by the tone of a
// waiting call, but for where the noise says that the handset is lifted; and when the first digit after a while is keyed into
// a dial tone, of whatever country, or after a moment in which the line was idle.
//
// A call that rang and was not answered, which is to say that the handset was not lifted or no voice heard, ends so much
// after the last ring, and is followed by an event that says how often it rang. Of calls in which hardly anything
// happened, Event.Short says so.
//
// # What it promises
//
// Events come late, since it takes a while to be certain: the beginning of a call lies up to Config.LookBack before the
// end of the period that told it, and its end up to the hang-over. Events are in order of position, but for marks, which
// may be told late, and missed calls.
//
// A line is pure: it has no clock, starts nothing, and gives the same events for the same audio whatever the sizes of
// the periods. It is for one goroutine.
package line

import (
	"math"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/voice"
	"github.com/linekeeper/linekeeper/pcm"
)

// Config is when a call begins and ends.
type Config struct {
	PreRoll   time.Duration // kept from before what began the call
	HangOver  time.Duration // silence that ends a call where there is no hook, and nobody knows whether the handset is lifted
	PutBack   time.Duration // the same, where the line sounds as it does when it is idle
	Tail      time.Duration // kept after the last voice, ring, or beginning of a tone; at most HangOver
	MinLength time.Duration // of voice, pauses not counted, that must be heard Within this time for a call to begin
	Within    time.Duration
	Shortest  time.Duration // a call in which less happened is short: pre-roll and tail do not count
	Longest   time.Duration // a longer call goes on as a new part
	MaxLoss   time.Duration // a card away for longer ends the call

	Flash   time.Duration // a handset that is back for less was not put back
	RingGap time.Duration // without a ring for so long it has stopped ringing
	OffHook time.Duration // a handset that is off for so long, and nothing heard, is an alarm; 0: none

	Voice     voice.Config
	Detectors Detectors
}

// DefaultConfig is for a line of which only the voice and the bell are known.
func DefaultConfig() Config {
	return Config{
		PreRoll:   2 * time.Second,
		HangOver:  150 * time.Second,
		PutBack:   15 * time.Second,
		Tail:      time.Second,
		MinLength: 500 * time.Millisecond,
		Within:    3 * time.Second,
		Shortest:  3 * time.Second,
		Longest:   2 * time.Hour,
		MaxLoss:   30 * time.Second,
		Flash:     900 * time.Millisecond,
		RingGap:   8 * time.Second,
		OffHook:   15 * time.Minute,
		Voice:     voice.DefaultConfig(),
	}
}

// LookBack is how far before the end of the period that tells it a call's beginning can lie, and so how much audio must
// be kept for no first word to be cut; the length of a period comes on top.
func (c Config) LookBack() time.Duration {
	const decision = 5 * voice.FrameLength
	return c.PreRoll + c.Within + c.Voice.Steady + decision
}

// limits are the times of a Config, in frames.
type limits struct {
	preRoll, hangOver, putBackTime, tail, minLength, within, shortest, longest, maxLoss, lookBack, flash, ringGap, offHook int64
	second                                                                                                                 int64
}

func (c Config) limits(f pcm.Format) limits {
	return limits{
		preRoll:     f.Frames(c.PreRoll),
		hangOver:    f.Frames(c.HangOver),
		putBackTime: f.Frames(min(c.PutBack, c.HangOver)),
		tail:        f.Frames(min(c.Tail, c.HangOver)),
		minLength:   f.Frames(c.MinLength),
		within:      f.Frames(c.Within),
		shortest:    f.Frames(c.Shortest),
		longest:     max(1, f.Frames(c.Longest)),
		maxLoss:     max(1, f.Frames(c.MaxLoss)),
		lookBack:    f.Frames(c.LookBack()),
		flash:       f.Frames(c.Flash),
		ringGap:     f.Frames(c.RingGap),
		offHook:     f.Frames(c.OffHook),
		second:      int64(f.Rate),
	}
}

// Line fuses what the detectors of one telephone line find. See New.
type Line struct {
	cfg    Config
	format pcm.Format
	limits

	sides    []side
	piece    int // frames between two looks at the detectors
	fed      int // frames of the present piece
	scratch  []int16
	started  bool
	position int64 // of the next frame
	earliest int64 // where the next call may begin: where the last one ended

	lossBegin, lossEnd int64 // the last loss
	lossGoesOn         bool  // nothing has been heard since

	hook        handset
	bell        bell
	after       aftermath
	dialTone    int64     // where the last one began
	lastDigit   int64     // where it was keyed
	dialKnown   bool      // the tones have told one
	lastID      call.Mark // the last intact caller ID
	undecided   call.Mark // caller ID of which it is not known yet whether it is the next call's; Position never: none
	voiceBefore int64     // the end of the voice before it
	lastHeard   int64
	loudTone    float64 // how loud the line's own tones are, in dBFS
	loudVoice   float64 // and the voices of its calls; -Inf: nobody knows
	alarm       string
	found       marks
	keyedIDs    callerid.Keyed
	keys        []call.Mark // that the exchange may have keyed
	held        []call.Mark // of the time before a call, in case it begins before them

	inCall bool
	call   present

	events []call.Event
}

// New makes the line whose periods have the format f. With two channels they are the two sides of the line, and what is
// heard on either counts.
func New(cfg Config, f pcm.Format) *Line {
	l := &Line{cfg: cfg, format: f, limits: cfg.limits(f), keyedIDs: callerid.Keyed{Gap: int64(f.Rate)}, hook: handset{is: cfg.Detectors.Hook != nil, back: never}}
	for range f.Channels {
		l.sides = append(l.sides, newSide(cfg.Voice, f))
	}
	l.piece = l.sides[0].voice.FrameLength()
	return l
}

// never is where nothing is.
const never = -1 << 62

// Feed takes the line's next period and returns the events that it made known. Positions are in the scale of
// Period.Position, none after the end of the period. The events are valid until the next call.
func (l *Line) Feed(p pcm.Period) []call.Event {
	l.events = l.events[:0]
	if !l.started {
		l.start(p.Position)
	}
	if lost := p.Position - l.position; lost > 0 {
		l.skip(lost)
	}
	if l.hook.is {
		l.found.add(l.cfg.Detectors.Hook.Feed(p))
	}
	channels := l.format.Channels
	for samples := p.Samples; len(samples) >= channels; {
		n := min(l.piece-l.fed, len(samples)/channels)
		l.hear(samples[:n*channels])
		samples = samples[n*channels:]
		l.position += int64(n)
		l.lossGoesOn = false
		if l.fed = (l.fed + n) % l.piece; l.fed == 0 {
			l.look()
		}
	}
	if len(p.Samples) < channels {
		l.takeMarks() // a handset may be put back while the card is away
	}
	return l.events
}

func (l *Line) start(at int64) {
	l.started, l.position, l.earliest, l.dialTone, l.lastHeard = true, at, at, never, at
	l.loudTone, l.loudVoice = l.cfg.Voice.Least, math.Inf(-1)
	l.bell.end, l.hook.recall, l.lastID.Position = never, never, never
	l.undecided.Position = never
	l.lastDigit = never
	for i := range l.sides {
		l.sides[i].origin = at
	}
}

// hear feeds what listens.
func (l *Line) hear(samples []int16) {
	piece := pcm.Period{Format: l.format, Position: l.position, Samples: samples}
	for detector := range l.cfg.Detectors.listening {
		l.found.add(detector.Feed(piece))
	}
	for i := range l.sides {
		one := samples
		if len(l.sides) > 1 {
			l.scratch = pcm.Pick(l.scratch[:0], samples, len(l.sides), i)
			one = l.scratch
		}
		l.sides[i].hear(one)
	}
}

// look looks at what the detectors have found, after each piece and before a loss.
func (l *Line) look() {
	for i := range l.sides {
		l.sides[i].levels.end(l.position, l.sides[i].voice.Level())
	}
	l.listenToBell()
	l.takeMarks()
	for i := range l.sides {
		s := &l.sides[i]
		for _, span := range s.fresh {
			l.heard(s, span)
		}
		s.fresh = s.fresh[:0]
	}
	l.judge()
}

// skip passes over frames that were lost. The detectors first tell what they heard before.
func (l *Line) skip(lost int64) {
	for detector := range l.cfg.Detectors.listening {
		l.found.add(detector.Feed(pcm.Period{Format: l.format, Position: l.position + lost, LostFrames: lost}))
	}
	for i := range l.sides {
		l.sides[i].lost(lost)
	}
	if !l.lossGoesOn { // a loss may be told in parts, which must make no difference
		l.look()
		l.lossGoesOn, l.lossBegin = true, l.position
	}
	l.position += lost
	l.lossEnd = l.position
	l.call.lost += lost
	l.fed = 0
	if l.inCall && l.lossEnd-l.lossBegin >= l.maxLoss {
		last := l.lossBegin
		if !l.hook.is {
			last = min(last, l.call.voice+l.tail)
		}
		l.end(last, l.call.voice, call.EndedCardLost)
	}
}

// known is the position up to which it is certain where voice was heard.
func (l *Line) known() int64 {
	known := l.position
	for i := range l.sides {
		known = min(known, l.sides[i].known())
	}
	return known
}
