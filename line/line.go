// Package line knows what happens on a telephone line: that a call began, that something is to be marked on its
// timeline, and that it ended, and why. It fuses what the detectors of the line find.
//
//	l := line.New(line.DefaultConfig(), pcm.Format{Rate: 8000, Channels: 1})
//	for p := range periods {
//		for _, event := range l.Feed(p) {
//			...
//		}
//	}
//
// Where nothing but the voice is known, a call begins when enough of it was heard within a short time, so that a click
// or a cough makes none, and ends when none was heard for the hang-over. Ring bursts and dialled digits are heard as
// voice is. Where a hook tells that the handset was lifted, a call lasts from then until it is put back.
//
// Events come late, since it takes a while to be certain: the beginning of a call lies up to Config.LookBack before the
// end of the period that told it, and its end up to the hang-over. Events are in order of position, but for marks that
// are told when their call has begun.
//
// A line is pure: it has no clock, starts nothing, and gives the same events for the same audio whatever the sizes of
// the periods. It is for one goroutine.
package line

import (
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/voice"
	"github.com/linekeeper/linekeeper/pcm"
)

// Config is when a call begins and ends.
type Config struct {
	PreRoll   time.Duration // kept from before the first voice, or before the handset was lifted
	HangOver  time.Duration // silence that ends a call where only the voice is known
	Tail      time.Duration // kept after the last voice; at most HangOver
	MinLength time.Duration // of voice, pauses not counted, that must be heard Within this time for a call to begin
	Within    time.Duration
	Longest   time.Duration // a longer call goes on as a new part
	MaxLoss   time.Duration // a card away for longer ends the call

	Voice     voice.Config
	Detectors Detectors
}

// DefaultConfig is for a line of which only the voice is known.
func DefaultConfig() Config {
	return Config{
		PreRoll:   2 * time.Second,
		HangOver:  20 * time.Second,
		Tail:      time.Second,
		MinLength: 500 * time.Millisecond,
		Within:    3 * time.Second,
		Longest:   2 * time.Hour,
		MaxLoss:   30 * time.Second,
		Voice:     voice.DefaultConfig(),
	}
}

// LookBack is how far before the end of the period that tells it a call's beginning can lie, and so how much audio must
// be kept for no first word to be cut; the length of a period comes on top.
func (c Config) LookBack() time.Duration {
	const decision = 5 * voice.FrameLength
	return c.PreRoll + c.Within + c.Voice.Steady + decision
}

// Line fuses what the detectors of one telephone line find. See New.
type Line struct {
	cfg    Config
	format pcm.Format

	preRoll, hangOver, tail, minLength, within, longest, maxLoss, lookBack int64 // frames

	sides    []side
	piece    int // frames between two looks at the detectors; a multiple of theirs
	fed      int // frames of the present piece
	scratch  []int16
	started  bool
	origin   int64 // position of the first frame
	position int64 // of the next frame
	earliest int64 // where the next call may begin: where the last one ended

	lossBegin, lossEnd int64 // the last loss
	lossGoesOn         bool  // nothing has been heard since

	offHook bool
	found   []call.Mark // not yet reached, in order
	held    []call.Mark // of the time before a call, in case it begins before them

	inCall bool
	began  int64
	voice  int64 // end of the last voice of the call
	lost   int64 // frames lost since then: neither voice nor silence

	events []call.Event
}

// side is one of the sides of a line whose sides are apart; a mono line has one.
type side struct {
	voice *voice.Detector
	spans []voice.Span // heard lately, while there is no call; in the line's positions
}

// New makes the line whose periods have the format f. With two channels they are the two sides of the line, and voice
// on either counts.
func New(cfg Config, f pcm.Format) *Line {
	l := &Line{
		cfg:       cfg,
		format:    f,
		preRoll:   f.Frames(cfg.PreRoll),
		hangOver:  f.Frames(cfg.HangOver),
		tail:      f.Frames(min(cfg.Tail, cfg.HangOver)),
		minLength: f.Frames(cfg.MinLength),
		within:    f.Frames(cfg.Within),
		longest:   max(1, f.Frames(cfg.Longest)),
		maxLoss:   max(1, f.Frames(cfg.MaxLoss)),
		lookBack:  f.Frames(cfg.LookBack()),
		sides:     make([]side, f.Channels),
	}
	for i := range l.sides {
		l.sides[i].voice = voice.New(cfg.Voice, f.Rate)
	}
	l.piece = l.sides[0].voice.FrameLength()
	return l
}

// Feed takes the line's next period and returns what it made known. Positions are in the scale of Period.Position, none
// after the end of the period. The events are valid until the next call.
func (l *Line) Feed(p pcm.Period) []call.Event {
	l.events = l.events[:0]
	if !l.started {
		l.started, l.origin, l.position, l.earliest = true, p.Position, p.Position, p.Position
	}
	if lost := p.Position - l.position; lost > 0 {
		l.skip(lost)
	}
	l.detect(p)
	channels := l.format.Channels
	for samples := p.Samples; len(samples) >= channels; {
		n := min(l.piece-l.fed, len(samples)/channels)
		l.hear(samples[:n*channels])
		samples = samples[n*channels:]
		l.position += int64(n)
		l.lossGoesOn = false
		if l.fed = (l.fed + n) % l.piece; l.fed == 0 {
			l.takeMarks()
			l.judge()
		}
	}
	l.takeMarks() // a handset that was lifted begins its call at once
	return l.events
}

// hear feeds the voice detectors.
func (l *Line) hear(samples []int16) {
	if l.cfg.Detectors.Hook != nil {
		return // the hook decides alone
	}
	for i := range l.sides {
		s, one := &l.sides[i], samples
		if len(l.sides) > 1 {
			l.scratch = pcm.Pick(l.scratch[:0], samples, len(l.sides), i)
			one = l.scratch
		}
		l.heard(s, s.voice.Feed(one))
	}
}

// heard takes over what a side's detector has decided; its positions count from the line's origin.
func (l *Line) heard(s *side, spans []voice.Span) {
	for _, span := range spans {
		span.Begin += l.origin
		span.End += l.origin
		if !l.inCall {
			s.spans = append(s.spans, span)
			l.beginByVoice(s)
		} else if span.End > l.voice {
			l.voice, l.lost = span.End, 0
		}
	}
}

// known is the position up to which it is certain where voice was heard.
func (l *Line) known() int64 {
	known := l.position
	for i := range l.sides {
		known = min(known, l.origin+l.sides[i].voice.Known())
	}
	return known
}

// skip passes over frames that were lost. The voice detectors first tell what they heard before.
func (l *Line) skip(lost int64) {
	for i := range l.sides {
		l.heard(&l.sides[i], l.sides[i].voice.Lost(lost))
	}
	if !l.lossGoesOn {
		l.lossGoesOn, l.lossBegin = true, l.position
	}
	l.position += lost
	l.lossEnd = l.position
	l.lost += lost
	l.fed = 0
	if l.inCall && l.lossEnd-l.lossBegin >= l.maxLoss {
		last := l.lossBegin
		if l.cfg.Detectors.Hook == nil {
			last = min(last, l.voice+l.tail)
		}
		l.end(last, call.EndedCardLost)
	}
}
