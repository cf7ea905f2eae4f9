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
	DefaultHistory = 10 * time.Second
	DefaultMaxLoss = 30 * time.Second
	DefaultMaxWait = 30 * time.Second

	DefaultMaxPause = 10 * time.Minute
)

// maxGaps is how many gaps a call may have before it goes on as a new one: end record, manifest and entry are bounded.
const maxGaps = 512

// maxHeld bounds the marks that wait for a call to begin.
const maxHeld = 64

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
	History time.Duration
	MaxLoss time.Duration // a longer loss ends a call
	MaxWait time.Duration // for the ring: so much of a call may wait in memory

	MaxPause time.Duration // a longer card-data pause is over

	Hours Hours         // business hours of the line
	Quiet time.Duration // of them: if the line gives no call for so long it is an alarm; 0: none
}

// Line records the calls of one telephone line. Heard is for one goroutine, Status for all.
type Line struct {
	LineConfig
	cfg     *Config
	maxLoss int64   // frames
	maxWait int64   // frames
	silence []int16 // a second

	maxPause int64 // frames
	pause    pause

	stopped       bool
	time          timeline
	at            int64         // of the present call: how far it has been encoded; of the last one: its end
	heardAt       time.Duration // when the end of the timeline was delivered
	wanted        wanted
	rec           *recording   // nil: no call is recorded
	last          *recording   // the one before
	over          *call.ID     // of the call that the detector has ended last, where it was recorded
	due           []call.Entry // that the ledger does not have yet: pauses, missed calls
	clear         int64        // up to here nothing waited for the ring
	held          []call.Mark
	spare         Encoder // made for a call that could not begin yet
	spareID       call.ID
	idle          idle
	detectorAlarm string
	out           outbox
	losses        losses
	levels        *levels
	lost          int64
	calls         int64

	mu     sync.Mutex // guards status
	status Status     // without levels
}

// wanted is the call that the detector says is going on, whether it is recorded or not.
type wanted struct {
	on     bool
	from   int64 // its first frame that is in no call yet
	reason call.Reason
}

func newLine(shared Config, cfg LineConfig) *Line {
	if cfg.History == 0 {
		cfg.History = DefaultHistory
	}
	if cfg.MaxLoss == 0 {
		cfg.MaxLoss = DefaultMaxLoss
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = DefaultMaxWait
	}
	if cfg.MaxPause == 0 {
		cfg.MaxPause = DefaultMaxPause
	}
	l := &Line{
		LineConfig: cfg,
		maxPause:   max(1, cfg.Format.Frames(cfg.MaxPause)),
		cfg:        &shared,
		maxLoss:    max(1, cfg.Format.Frames(cfg.MaxLoss)),
		maxWait:    max(1, cfg.Format.Frames(cfg.MaxWait)),
		silence:    make([]int16, cfg.Format.Rate*cfg.Format.Channels),
		time:       newTimeline(cfg.Format, max(1, cfg.Format.Frames(cfg.History))),
		levels:     newLevels(cfg.Format.Rate, cfg.Format.Channels),
		status:     Status{Line: cfg.Name},
	}
	l.out = outbox{cfg: l.cfg, line: cfg.Name}
	l.losses = losses{cfg: l.cfg, line: cfg.Name, interval: cfg.Format.Frames(lossInterval)}
	return l
}

// Heard takes the line's next period, of the line's Format. It keeps nothing of p.
func (l *Line) Heard(p pcm.Period) {
	if l.stopped {
		return
	}
	first := !l.time.begun
	p, ok := l.time.fit(p)
	if !ok {
		l.cfg.Log.Warn("a period was passed over: all of it lies in the past", "line", l.Name, "position", p.Position)
		return
	}
	if first {
		l.at, l.clear, l.losses.due = l.time.end, l.time.end, l.time.end
	}
	l.lost += p.LostFrames
	l.heardAt = p.At
	l.offer()
	l.levels.hear(p.Samples)
	l.time.hear(l.mute(p))
	for _, e := range l.Detector.Feed(p) {
		l.take(e)
	}
	l.record()
	l.time.settle()
	l.idle.hear(l)
	l.enterDue()
	l.account()
	l.publish()
}

// offer offers the ring what waits, and gives up what has waited too long.
func (l *Line) offer() {
	l.out.drain()
	if l.out.empty() {
		l.clear = l.time.end
	} else if l.time.end-l.clear > l.maxWait && (l.rec != nil || l.out.open()) {
		l.abandon()
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
		if l.pause.hides(e) {
			return // of a card
		}
		e.Mark.Position = e.Position
		if l.rec != nil {
			l.rec.mark(e.Mark, &l.out)
		} else if l.wanted.on && len(l.held) < maxHeld {
			l.held = append(l.held, e.Mark)
		}
	case call.EventEnded:
		l.over = nil
		l.endPause(l.time.end)
		if l.pump(e.Position); l.rec != nil {
			l.finish(e.Reason, e.Short)
			l.over = &l.last.header.Call
		} else if l.wanted.on {
			l.miss(e.Position)
		}
		l.wanted.on, l.held = false, l.held[:0]
	case call.EventMissed:
		l.due = append(l.due, call.Entry{Type: call.EntryMissed, Anchor: l.anchor(e.Position), Line: l.Name, Call: l.over, Missed: &e.Missed})
	case call.EventAlarm:
		l.detectorAlarm = e.Alarm
	}
}

// record gives the call that goes on what has been heard. While the card is away it waits: only when the loss is over,
// its length is known.
func (l *Line) record() {
	l.pump(l.time.audio)
	if l.rec != nil && l.time.end-l.at > l.maxLoss {
		l.finish(call.EndedCardLost, false)
	}
}

// miss gives up what was wanted before a position: it is lost. What the card lost of it is accounted for with the rest
// of the card's losses.
func (l *Line) miss(before int64) {
	for l.wanted.from < before {
		n, cause := l.time.next(l.wanted.from, before)
		if cause == "" || cause == call.CauseOverflow {
			l.losses.add(call.Gap{Position: l.wanted.from, Frames: n, Cause: call.CauseOverflow})
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
		l.losses.add(g)
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
	if l.time.end >= l.losses.due {
		l.losses.enter(l.time.end, &l.out)
	}
}

// stop ends the call that goes on, and accounts for all that is left.
func (l *Line) stop() error {
	if l.stopped {
		return nil
	}
	l.stopped = true
	l.out.drain()
	l.endPause(l.time.end)
	if l.pump(l.time.audio); l.rec != nil {
		l.finish(call.EndedStopped, false)
	} else if l.wanted.on {
		l.miss(l.time.end)
	}
	l.wanted.on = false
	if l.out.open() { // there is no later; room may be kept for the end
		l.abandon()
	}
	l.enterDue()
	l.giveUp(l.time.end)
	l.losses.enter(l.time.end, &l.out)
	if l.spare != nil {
		_ = l.spare.Close(discard) // it was given nothing
		l.spare = nil
	}
	l.publish()
	if !l.out.empty() || len(l.losses.gaps) > 0 {
		return fmt.Errorf("stop line %q: %d records and entries could not be stored: %w", l.Name, len(l.out.items)+len(l.losses.gaps), l.out.err)
	}
	return nil
}
