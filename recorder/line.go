package recorder

import (
	"fmt"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// What a LineConfig stands for where it says 0.
const (
	DefaultHistory    = 10 * time.Second
	DefaultMaxLoss    = 30 * time.Second
	DefaultQueueBytes = 1 << 20 // eight minutes of Opus, a minute and a half of FLAC
)

// maxGaps is how many gaps a call may have before it goes on as a new one: end record, manifest and entry are bounded.
const maxGaps = 512

// maxHeld bounds the marks that wait for a call to begin.
const maxHeld = 64

// lossInterval is how often losses outside calls are entered into the ledger at most.
const lossInterval = time.Minute

// LineConfig is one telephone line. The fields from History on may be left 0.
type LineConfig struct {
	Name       string
	Format     pcm.Format // of its periods
	Codec      call.Codec // of its encoders
	Sides      []string   // what its channels are, where it has two
	Detector   Detector
	NewEncoder func(call.ID) (Encoder, error) // for one call; for channels and rate of Format

	// History is how much of the past is kept for calls whose beginning is found late: pre-roll and the time that
	// detection takes. It also bridges the time between two calls while nothing can be stored.
	History    time.Duration
	MaxLoss    time.Duration // a longer loss ends a call
	QueueBytes int           // so much may wait for the ring before the encoder is given nothing more
}

// Line records the calls of one telephone line. Heard is for one goroutine, Status for all.
type Line struct {
	LineConfig
	cfg      *Config
	observer Observer
	maxLoss  int64
	silence  []int16 // a second

	started bool
	stopped bool
	time    timeline
	at      int64         // of the present call: how far it has been encoded; of the last one: its end
	heardAt time.Duration // when the end of the timeline was delivered
	wanted  wanted
	rec     *recording // nil: no call is recorded
	held    []call.Mark
	spare   Encoder // made for a call that could not begin yet
	spareID call.ID
	emit    func(Chunk) error
	out     outbox

	losses   []call.Gap // outside calls, not yet in the ledger: one a cause
	nextLoss int64      // when they may be entered
	lost     int64
	calls    int64

	mu                 sync.Mutex // guards status and levels.last
	status             Status
	levels             levels
	noAudio, notStored bool // as the status says
}

// wanted is the call that the detector says is going on, whether it is recorded or not.
type wanted struct {
	on     bool
	from   int64 // its first frame that is in no call yet
	reason call.Reason
}

// recording is a call that is being recorded.
type recording struct {
	header  call.Header
	file    File
	encoder Encoder
	start   int64 // position of its first frame
	stored  int64 // frames that its chunks cover
	gaps    []call.Gap
}

func newLine(shared Config, cfg LineConfig) *Line {
	if cfg.History == 0 {
		cfg.History = DefaultHistory
	}
	if cfg.MaxLoss == 0 {
		cfg.MaxLoss = DefaultMaxLoss
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = DefaultQueueBytes
	}
	l := &Line{
		LineConfig: cfg,
		cfg:        &shared,
		observer:   shared.Observer,
		maxLoss:    max(1, cfg.Format.Frames(cfg.MaxLoss)),
		silence:    make([]int16, cfg.Format.Rate*cfg.Format.Channels),
		time:       newTimeline(cfg.Format, max(1, cfg.Format.Frames(cfg.History))),
		levels:     newLevels(cfg.Format.Rate, cfg.Format.Channels),
		status:     Status{Line: cfg.Name},
	}
	l.emit = l.chunk
	l.out = outbox{store: l.store, limit: cfg.QueueBytes}
	return l
}

// Heard takes the line's next period, of the line's Format. It keeps nothing of p.
func (l *Line) Heard(p pcm.Period) {
	p, ok := l.fit(p)
	if !ok {
		return
	}
	l.out.drain()
	l.measure(p)
	cause := p.Cause
	if cause == "" {
		cause = call.CauseOverrun
	}
	l.time.hear(p.LostFrames, cause, p.Samples)
	for _, e := range l.Detector.Feed(p) {
		l.take(e)
	}
	l.record()
	l.time.settle()
	l.account()
	l.publish()
}

// fit makes sure that the period follows the one before, so that no mistake of whoever delivers it can turn the
// timeline back: frames heard before are passed over, and missing ones are lost.
func (l *Line) fit(p pcm.Period) (pcm.Period, bool) {
	if l.stopped {
		return p, false
	}
	if !l.started {
		l.started = true
		l.time.begin(p.Position - max(0, p.LostFrames))
		l.at, l.nextLoss = l.time.end, l.time.end
	}
	channels := int64(l.Format.Channels)
	p.Samples = p.Samples[:int64(len(p.Samples))/channels*channels]
	if back := l.time.end - p.Position; back > 0 {
		l.cfg.Log.Warn("period begins in the past: its beginning is passed over", "line", l.Name, "frames", back)
		back = min(back, int64(len(p.Samples))/channels)
		p.Samples = p.Samples[back*channels:]
		p.Position += back
		if p.Position < l.time.end {
			return p, false
		}
	}
	p.LostFrames = p.Position - l.time.end
	l.lost += p.LostFrames
	l.heardAt = p.At
	return p, true
}

func (l *Line) measure(p pcm.Period) {
	full := l.levels.hear(p.Samples)
	if !full && len(p.Samples) > 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if full {
		l.levels.take()
	} else {
		l.levels.silence() // the card is away
	}
}

// take does what the detector says.
func (l *Line) take(e call.Event) {
	e.Position = min(e.Position, l.time.end)
	switch e.Kind {
	case call.EventBegan:
		if !l.wanted.on {
			l.wanted = wanted{on: true, from: max(e.Position, l.at), reason: e.Reason}
			l.begin(l.time.audio)
		}
	case call.EventMark:
		e.Mark.Position = e.Position
		if l.rec != nil {
			l.mark(e.Mark)
		} else if l.wanted.on && len(l.held) < maxHeld {
			l.held = append(l.held, e.Mark)
		}
	case call.EventEnded:
		if l.pump(e.Position); l.rec != nil {
			l.finish(e.Reason)
		} else if l.wanted.on {
			l.miss(e.Position)
		}
		l.wanted.on, l.held = false, l.held[:0]
	}
}

// record gives the call that goes on what has been heard, and begins it where it is not recorded yet. While the card is
// away it waits: only when the loss is over, its length is known.
func (l *Line) record() {
	if !l.out.full() {
		l.pump(l.time.audio)
	}
	if l.rec != nil && l.time.end-l.at > l.maxLoss {
		l.finish(l.whyLost())
	}
}

// whyLost is the reason to end a call that has not been given anything for too long.
func (l *Line) whyLost() call.Reason {
	if _, cause := l.time.next(l.at, l.time.end); cause == "" || cause == call.CauseOverflow {
		return call.EndedRingFull
	}
	return call.EndedCardLost
}

// miss gives up what was wanted before a position: it is lost. What the card lost of it is accounted for with the rest
// of the card's losses.
func (l *Line) miss(before int64) {
	for l.wanted.from < before {
		n, cause := l.time.next(l.wanted.from, before)
		if cause == "" || cause == call.CauseOverflow {
			l.lose(call.Gap{Position: l.wanted.from, Frames: n, Cause: call.CauseOverflow})
		}
		l.wanted.from += n
	}
	if l.rec == nil {
		l.at = max(l.at, l.wanted.from)
	}
}

// giveUp accounts for the losses that ended before a position and that no call will claim any more.
func (l *Line) giveUp(before int64) {
	for g, ok := l.time.over(before); ok; g, ok = l.time.over(before) {
		l.lose(g)
	}
}

// account gives up the past that is not held any more: losses that no call has claimed are entered into the ledger.
func (l *Line) account() {
	before := l.time.start
	if l.rec != nil {
		before = min(before, l.at)
	} else if l.wanted.on {
		l.miss(before)
	}
	l.giveUp(before)
	if l.time.end >= l.nextLoss {
		l.enterLosses()
	}
}

// lose notes a loss outside calls.
func (l *Line) lose(g call.Gap) {
	for i := range l.losses {
		if l.losses[i].Cause == g.Cause {
			l.losses[i].Frames += g.Frames
			return
		}
	}
	l.losses = append(l.losses, g)
}

// enterLosses enters into the ledger what was lost outside calls. It does not push past what waits for the ring.
func (l *Line) enterLosses() {
	for len(l.losses) > 0 && l.out.empty() {
		g := l.losses[0]
		_, err := l.cfg.add(call.Entry{Type: call.EntryGap, Anchor: l.cfg.Clock.Anchor(), Line: l.Name, Gap: &g})
		if l.out.err = err; err != nil {
			return
		}
		l.observer.Gap(l.Name, false, g)
		l.losses = l.losses[:copy(l.losses, l.losses[1:])]
		l.nextLoss = l.time.end + l.Format.Frames(lossInterval)
	}
}

// stop ends the call that goes on, and accounts for all that is left.
func (l *Line) stop() error {
	if l.stopped {
		return nil
	}
	l.stopped = true
	l.out.drain()
	if l.pump(l.time.audio); l.rec != nil {
		l.finish(call.EndedStopped)
	} else if l.wanted.on {
		l.miss(l.time.end)
	}
	l.wanted.on = false
	l.giveUp(l.time.end)
	l.enterLosses()
	if l.spare != nil {
		_ = l.spare.Close(discard) // it was given nothing
		l.spare = nil
	}
	l.publish()
	if !l.out.empty() || len(l.losses) > 0 {
		return fmt.Errorf("stop line %q: %d records and entries could not be stored: %w", l.Name, len(l.out.items)+len(l.losses), l.out.err)
	}
	return nil
}
