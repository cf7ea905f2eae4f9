package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

const (
	retryInterval  = 500 * time.Millisecond // between two attempts at opening
	reportInterval = time.Second            // between two periods without samples while the card is away
	logInterval    = 10 * time.Second       // between two log lines about lost audio
	openPatience   = 5 * time.Second        // with an opening, before it is said that it hangs
)

// errStuck says that a device was not closed.
var errStuck = errors.New("the sound library does not let go of the card")

// Card is a sound card that is kept open.
type Card struct {
	cfg  Config
	log  *slog.Logger
	open func() (device, error)
	now  func() time.Duration // CLOCK_BOOTTIME

	mu     sync.Mutex
	status Status
}

// device is a sound card that is open and delivers.
type device interface {
	opened() opened
	queue() *queue

	// wait returns nil when there may be something in the queue, or after wake; os.ErrDeadlineExceeded at the time
	// given; and another error once the sound library says that the card is gone, which it may never do.
	wait(until time.Time) error
	wake()

	// close ends the delivery; what was delivered until then can still be read from the queue. It returns in a few
	// seconds even when the sound library does not; then it says so, with errStuck.
	close() error
}

// opened is what a device is found to be when it is open.
type opened struct {
	format pcm.Format
	buffer time.Duration // of the card; 0: not known
	port   string        // the USB port that it is in; empty: none, or not known
}

// New makes a card of a configuration; Run opens it.
func New(cfg Config, log *slog.Logger) *Card {
	cfg = cfg.withDefaults()
	opener := &alsaOpener{cfg: cfg}
	return &Card{cfg: cfg, log: log.With("device", cfg.Device), open: opener.open, now: bootTime}
}

// Status may be called at any time.
func (c *Card) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Run opens the card, and opens it again for ever, until ctx ends; it returns an error only where the configuration is
// wrong, at once. sink is called from one goroutine, for each line in turn (line counts Config.Lines); the samples are
// valid until it returns. A sink that falls behind by more than 30 s loses frames, which is reported like any overrun.
func (c *Card) Run(ctx context.Context, sink func(line int, p pcm.Period)) error {
	if err := c.cfg.validate(); err != nil {
		return fmt.Errorf("capture from %s: %w", c.cfg.Device, err)
	}
	c.update(func(s *Status) { s.Err = BeingOpened })
	r := &run{Card: c, sink: sink, timeline: timeline{rate: c.cfg.LineRate}, pace: pace{rate: c.cfg.LineRate}}
	for ctx.Err() == nil {
		err := r.record(ctx)
		if ctx.Err() == nil {
			r.failed(err)
			r.wait(ctx)
		}
	}
	c.update(func(s *Status) { s.Open = false })
	return nil
}

func (c *Card) update(change func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// run is the state of one Run.
type run struct {
	*Card
	sink     func(int, pcm.Period)
	timeline timeline
	pace     pace
	opened   bool   // the card has been open
	away     bool   // nothing was delivered since the card was lost, or since Run
	lastErr  string // the last that was logged
	port     string // the first USB port that the card was in

	reportedAt, loggedAt time.Duration // when lost frames were last reported, and logged
}

// record opens the card and listens until it is lost, or ctx ends. It returns why.
func (r *run) record(ctx context.Context) error {
	r.away = true
	dev, err := r.tryOpen(ctx)
	if err != nil {
		return err
	}
	is := dev.opened()
	split, err := newSplitter(is.format, r.cfg.Lines, r.cfg.LineRate)
	if err == nil {
		err = r.cfg.rightPort(is.port)
	}
	ours := err == nil
	if ours {
		r.isOpen(is)
		err = r.listen(ctx, dev, split)
	}
	closeErr := dev.close()
	if ours {
		r.drain(dev.queue(), split)
	}
	if closeErr != nil {
		r.log.Warn("sound card does not close, left to itself", "error", closeErr)
		r.update(func(s *Status) { s.Stuck++ })
	} else {
		dev.queue().free()
	}
	return err
}

// tryOpen opens the card. A driver may hold that up for ever; meanwhile the frames that go by are reported, and nobody
// else tries. Once ctx has ended it is given the time that closing is.
func (r *run) tryOpen(ctx context.Context) (device, error) {
	type result struct {
		dev device
		err error
	}
	done := make(chan result, 1)
	go func() {
		dev, err := r.open()
		done <- result{dev, err}
	}()
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	begun, ended, end := r.now(), ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case x := <-done:
			return x.dev, x.err
		case <-tick.C:
			r.report()
			if r.now()-begun >= openPatience {
				r.failed(fmt.Errorf("sound card %s: its driver has not finished opening it for more than %v: pull it out, or start the machine anew", r.cfg.Device, openPatience))
			}
		case <-ended:
			ended, end = nil, time.After(closeDeadline)
		case <-end:
			go func() {
				if x := <-done; x.dev != nil && x.dev.close() == nil {
					x.dev.queue().free()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// listen hands periods on until the card is lost or ctx ends.
func (r *run) listen(ctx context.Context, dev device, split *splitter) error {
	defer context.AfterFunc(ctx, dev.wake)()
	// The watchdog looks at whole intervals without audio, and only those that ended when they should: while the
	// machine is held up the card's buffer goes on filling, and its thread needs a moment to deliver it.
	end, heard := time.Now().Add(r.cfg.Watchdog), true
	for ctx.Err() == nil {
		err := dev.wait(end)
		if r.drain(dev.queue(), split) {
			heard = true
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			now := time.Now()
			punctual := now.Sub(end) < r.cfg.Period
			if punctual && !heard {
				return fmt.Errorf("sound card %s has delivered nothing for %v", r.cfg.Device, r.cfg.Watchdog)
			}
			end, heard = now.Add(r.cfg.Watchdog), !punctual
		} else if err != nil {
			return fmt.Errorf("sound card %s: %w", r.cfg.Device, err)
		}
	}
	return ctx.Err()
}

// drain hands on what was delivered until now, and says whether there was anything.
func (r *run) drain(q *queue, split *splitter) (heard bool) {
	for range q.waiting() { // not what comes meanwhile: a sink that cannot keep up must not keep Run from ending
		s, _ := q.next()
		cause := causeOverrun
		if r.away {
			cause = causeCardLost
		} else if s.loss {
			r.update(func(st *Status) {
				st.Overruns++
				if s.behind {
					st.Behind++
				}
			})
		}
		loss := s.loss || r.away && r.timeline.started
		if loss {
			split.reset()
		}
		frames := split.write(s.samples)
		lost := r.timeline.add(s.at, frames, loss)
		if r.pace.add(s.at, frames, loss) {
			r.offPace()
		}
		r.away = false
		r.deliver(split, frames, lost, cause, s.at)
		q.release()
		heard = true
	}
	return heard
}

// deliver gives each line what the splitter has for it.
func (r *run) deliver(split *splitter, frames int, lost int64, cause string, at time.Duration) {
	switch {
	case lost > 0:
		r.lost(lost, cause, at)
	case frames == 0:
		return // what was heard is still in the filters
	default:
		cause = ""
	}
	for i := range r.cfg.Lines {
		r.sink(i, pcm.Period{
			Format:     split.format(i),
			Position:   r.timeline.position - int64(frames),
			LostFrames: lost,
			Cause:      cause,
			At:         at,
			Samples:    split.samples(i),
		})
	}
}

// offPace tells that the card has lost its pace, or found it again.
func (r *run) offPace() {
	r.update(func(s *Status) { s.Off = r.pace.off })
	if r.pace.off == 0 {
		r.log.Info("the sound card's clock is right again")
		return
	}
	r.log.Warn("the sound card's clock is wrong", "faster_by", r.pace.off)
}

// lost counts frames that were lost before audio that is here now, and logs them, not more often than is of use.
func (r *run) lost(frames int64, cause string, at time.Duration) {
	var total int64
	r.update(func(s *Status) { s.LostFrames += frames; total = s.LostFrames })
	if r.loggedAt == 0 || at-r.loggedAt >= logInterval {
		r.loggedAt = at
		r.log.Warn("audio lost", "cause", cause, "since_start", pcm.Format{Rate: r.cfg.LineRate}.Duration(total))
	}
}

// wait lets some time pass before the next attempt, and reports the frames that go by.
func (r *run) wait(ctx context.Context) {
	r.report()
	timer := time.NewTimer(retryInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// report reports the frames that went by, not more often than is of use.
func (r *run) report() {
	if now := r.now(); now-r.reportedAt >= reportInterval {
		r.reportedAt = now
		r.reportLoss(now)
	}
}

func (r *run) reportLoss(now time.Duration) {
	if !r.timeline.started {
		r.timeline.begin(now)
	}
	lost := r.timeline.away(now)
	if lost == 0 {
		return
	}
	r.update(func(s *Status) { s.LostFrames += lost })
	for i, l := range r.cfg.Lines {
		r.sink(i, pcm.Period{
			Format:     pcm.Format{Rate: r.cfg.LineRate, Channels: len(l.Channels)},
			Position:   r.timeline.position,
			LostFrames: lost,
			Cause:      causeCardLost,
			At:         now,
		})
	}
}

func (r *run) isOpen(is opened) {
	r.log.Info("sound card open", "rate", is.format.Rate, "channels", is.format.Channels, "buffer", is.buffer, "usb_port", is.port)
	again := r.opened
	r.opened, r.lastErr = true, ""
	if r.port == "" {
		r.port = is.port
	}
	moved := ""
	if is.port != "" && is.port != r.port {
		moved = r.port
		r.log.Warn("the sound card is in another USB port: it may be another card", "was", moved, "is", is.port)
	}
	r.update(func(s *Status) {
		s.Open, s.Err, s.Rate, s.Channels = true, "", is.format.Rate, is.format.Channels
		s.Buffer, s.Port, s.Moved = is.buffer, is.port, moved
		if again {
			s.Reopened++
		}
	})
}

// failed notes why the card is not open. The log has each reason once, not each attempt.
func (r *run) failed(err error) {
	r.update(func(s *Status) {
		s.Open, s.Err = false, err.Error()
		if errors.Is(err, errStuck) { // while it was being opened
			s.Stuck++
		}
	})
	if err.Error() != r.lastErr {
		r.lastErr = err.Error()
		r.log.Warn("sound card not open, trying again", "error", err)
	}
}
