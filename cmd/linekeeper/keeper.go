package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/courier"
	"github.com/linekeeper/linekeeper/wire"
)

// keeper watches over the running recorder: it makes the one state of what the parts say, shows it on the light, to
// systemd and to headquarters, and feeds systemd's watchdog while everything goes forward.
type keeper struct {
	*device
	cards []card
	up    *uplink.Uplink // nil: delivers to nobody
	light *lights
	sign  signBoard
	given bundleWatch
	began time.Time
	clock gradeClock
	log   *slog.Logger

	tested atomic.Pointer[wire.Selftest] // the last self-test by the button; nil: none yet
	pumps  atomic.Int64                  // periods that were heard; those without samples, of a card that is away, too
	shown  call.State
}

// keeperEvery is how often the state is looked at: the light follows within this time.
const keeperEvery = 250 * time.Millisecond

// cardsOpen is how long a card may take to be opened when the recorder starts.
const cardsOpen = 10 * time.Second

func newKeeper(d *device, log *slog.Logger) (*keeper, error) {
	k := &keeper{device: d, log: log, cards: d.makeCards(log), light: openLights(d.cfg.Light, log), given: watchBundle(d.cfg.provisionedFile()), began: time.Now()}
	k.tested.Store(lastTest(d.ring))
	var err error
	k.up, err = newUplink(d, k.status, log)
	return k, err
}

func (k *keeper) pumped() { k.pumps.Add(1) }

// run keeps watch until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	dark := make(chan struct{})
	go func() { defer close(dark); k.light.run(ctx) }()
	pausing, testing := make(chan struct{}), make(chan struct{})
	go func() { defer close(pausing); k.watchPause(ctx) }()
	go func() { defer close(testing); k.watchService(ctx) }()
	tick := time.NewTicker(keeperEvery)
	defer tick.Stop()
	dog := newWatchdog()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	var last buffer.Status
	for {
		ring := k.ring.Status()
		if ring.WaitingCalls != last.WaitingCalls || ring.WaitingEntries != last.WaitingEntries || ring.Parked != last.Parked {
			k.wake()
		}
		k.time.look()
		k.show(ring)
		k.board.look(func() wire.Health { return *k.boardHealth(ring) })
		if card := k.stuck(); card != "" {
			return fmt.Errorf("the sound library does not let go of card %s: only a new process may get it", card)
		}
		if k.given.changed() && !k.inCall() && !k.sign.verdict(time.Now()) {
			return errNewSettings
		}
		dog.feed(time.Now(), k.pumps.Load(), ring)
		last = ring
		select {
		case <-ctx.Done():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
			k.board.stop(*k.boardHealth(ring))
			<-dark
			<-pausing
			<-testing
			return nil
		case <-tick.C:
		}
	}
}

// inCall says whether any line is in a call.
func (k *keeper) inCall() bool {
	return slices.ContainsFunc(k.recorder.Status(), func(l recorder.Status) bool { return l.Recording })
}

// stuck names a card that only a new process may get, while no line is in a call: then the program ends, and systemd starts
// it again.
func (k *keeper) stuck() string {
	if k.inCall() {
		return ""
	}
	for _, card := range k.cards {
		if s := card.Status(); s.Stuck > 0 && !s.Open {
			return card.device
		}
	}
	return ""
}

// show brings the state to the light and, when it has changed, to systemd and to headquarters.
func (k *keeper) show(ring buffer.Status) {
	conditions, reasons := k.conditions(ring)
	k.light.show(conditions, k.sign.shown(time.Now()))
	state := conditions.State()
	if state == k.shown {
		return
	}
	k.shown = state
	text := string(state)
	if len(reasons) > 0 {
		text += ": " + strings.Join(reasons, "; ")
	}
	_, _ = daemon.SdNotify(false, "STATUS="+text)
	k.wake()
}

func (k *keeper) wake() {
	if k.up != nil {
		k.up.Wake()
	}
}

// conditions asks every part how it is; reasons say in words what is not well.
func (k *keeper) conditions(ring buffer.Status) (c call.Conditions, reasons []string) {
	because := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	open, opening := 0, 0
	for _, card := range k.cards {
		if s := card.Status(); s.Open {
			open++
		} else if (s.Err == "" || s.Err == capture.BeingOpened) && time.Since(k.began) < cardsOpen { // to blink a fault meanwhile would tell of none
			opening++
		} else {
			c.Alarm = true
			because("card %s: %s", card.device, s.Err)
		}
		if s := card.Status(); s.Moved != "" {
			c.Alarm = true
			because("card %s has moved from USB port %s to %s: its lines may be swapped with another's", card.device, s.Moved, s.Port)
		}
		if off := card.Status().Off; off != 0 {
			c.Alarm = true
			because("card %s: its clock is off by %+.1f %%, and so is all it records: try another one", card.device, 100*off)
		}
		for i, l := range card.lines {
			for _, wrong := range card.health[i].wrong() {
				c.Alarm = true
				because("line %s: %s", l.Name, wrong)
			}
		}
	}
	if len(k.cards) > 0 && open+opening == 0 {
		c.Fault = true
		because("no line can record")
	}
	for _, l := range k.recorder.Status() {
		c.Recording = c.Recording || l.Recording
		c.Paused = c.Paused || l.Paused
		if l.Alarm != "" {
			c.Alarm = true
			because("line %s: %s", l.Line, l.Alarm)
		}
		if l.Fault {
			c.Fault = true
		}
	}
	if ring.Full {
		c.Fault = true
		because("the ring is full and nothing in it may be given up: headquarters must receive first")
	}
	if ring.HoldsExceeded {
		c.Alarm = true
		because("calls on hold take %s of the ring, more than a quarter: fetch them from headquarters, and let some go with `linekeeper hold --off`", bytesText(ring.HeldBytes))
	}
	if k.beside {
		c.Alarm = true
		because(ringBeside)
	}
	if ring.Err != "" {
		c.Fault = true
		because("the card cannot be written: %s", ring.Err)
	}
	if k.time.Grade(k.clock.Grade()) == call.GradeNone {
		c.Alarm = true
		because("the clock is not set")
	}
	c.Waiting = ring.WaitingCalls
	if shown := k.sign.shown(time.Now()); shown != "" {
		c.Provisioning = true
		because("%s", signs[shown].words)
	}
	if k.up != nil {
		s, p := k.up.Snapshot(), k.up.Permit()
		c.Offline = s.Link == ""
		switch {
		case !p.Calls:
			because("calls wait: %s", p.Why)
		case c.Offline:
			because("headquarters is not reached: %s", s.LastError)
		}
	}
	return c, reasons
}

// status is what headquarters and `linekeeper status` are told.
func (k *keeper) status() wire.Status {
	ring := k.ring.Status()
	conditions, reasons := k.conditions(ring)
	s := wire.Status{
		Device: k.id.device, Online: true, Time: k.time.Now().UTC(), Software: version,
		State: conditions.State(), Reasons: reasons, Clock: k.time.Grade(k.clock.Grade()),
		Lines:   []wire.LineStatus{},
		Waiting: k.waiting(ring),
		Ring:    wire.RingStatus{SizeBytes: ring.SizeBytes, FreeBytes: ring.FreeBytes, FreeHours: k.hours(ring.FreeBytes)},
		Health:  k.boardHealth(ring),

		Selftest: k.tested.Load(),
	}
	unwell := k.unwell()
	for _, l := range k.recorder.Status() {
		if wrong := unwell[l.Line]; len(wrong) > 0 {
			l.Alarm = strings.Join(append(wrong, l.Alarm), "; ")
			l.Alarm = strings.TrimSuffix(l.Alarm, "; ")
		}
		level := float64(-100)
		for _, side := range l.Levels {
			level = max(level, side)
		}
		s.Lines = append(s.Lines, wire.LineStatus{Line: l.Line, Recording: l.Recording, Alarm: l.Alarm, LevelDB: level, Lost: l.LostFrames, Calls: l.Calls})
	}
	return s
}

// waiting says what waits, and what it takes to deliver it.
func (k *keeper) waiting(ring buffer.Status) wire.Waiting {
	w := wire.Waiting{Calls: ring.WaitingCalls, Bytes: ring.WaitingBytes, Parked: ring.Parked, Entries: ring.WaitingEntries, Refused: k.refused(ring)}
	if k.up != nil {
		f := k.forecast(ring)
		w.Cost, w.Rate, w.Done = f.Bytes, int64(f.Rate), f.Done.UTC().Truncate(time.Minute)
	}
	return w
}

// refused gives the first of the calls that headquarters has refused, and why.
func (k *keeper) refused(ring buffer.Status) (first []wire.Refused) {
	if ring.Parked == 0 {
		return nil
	}
	var parked []call.Waiting
	k.ring.EachWaiting(func(w call.Waiting) bool {
		if w.Parked {
			parked = append(parked, w)
		}
		return true
	})
	slices.SortFunc(parked, func(a, b call.Waiting) int { return cmp.Compare(a.Number, b.Number) })
	for _, w := range parked[:min(len(parked), wire.MaxRefused)] {
		if c, err := k.ring.Call(w.Call); err == nil && c.Parked != "" { // else it was queued again meanwhile, or cannot be read
			first = append(first, wire.Refused{Call: w.Call, Reason: c.Parked})
		}
	}
	return first
}

// unwell says what is wrong with what is heard on each line.
func (k *keeper) unwell() map[string][]string {
	all := map[string][]string{}
	for _, card := range k.cards {
		for i, l := range card.lines {
			all[l.Name] = card.health[i].wrong()
		}
	}
	return all
}

// hours is how long one line can be recorded into so many bytes. Each sync begins on a fresh page, which is what bounds
// it for a single line.
func (k *keeper) hours(free int64) float64 {
	const page = 4096
	perSecond := 2000.0 // Opus at 16 kbit/s
	switch bits := k.cfg.Encoder.BitsPerSecond; {
	case k.cfg.Encoder.Codec == "flac":
		perSecond = 11000 // of telephone speech at 8 kHz, measured
	case bits > 0:
		perSecond = float64(bits) / 8
	case k.cfg.Encoder.Codec == "mp3":
		perSecond = 3000
	}
	return float64(free) / max(perSecond, page/time.Duration(k.cfg.Ring.SyncInterval).Seconds()) / 3600
}

// control answers `linekeeper status`, `calls` and the like.
func (k *keeper) control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+controlStatus, answerJSON(k.statusReport))
	mux.Handle("GET "+controlCalls, answerJSON(k.callReports))
	mux.HandleFunc("POST "+controlPause, k.answerPause)
	mux.HandleFunc("POST "+controlHold, k.answerHold)
	mux.HandleFunc("POST "+controlRequeue, k.answerRequeue)
	mux.HandleFunc("POST "+controlUplink, k.answerUplink)
	mux.HandleFunc("POST "+controlStick, k.sign.answer)
	mux.Handle(courier.Path, k.desk(k.log).Handler())
	return mux
}

func (k *keeper) statusReport() (statusReport, error) {
	r := statusReport{Status: k.status(), Light: k.light.about, Sync: k.ring.Status().LastSync, Uplink: "delivers to nobody: the settings name no headquarters", Cards: []cardReport{}}
	for _, c := range k.cards {
		s := c.Status()
		r.Cards = append(r.Cards, cardReport{Device: c.device, Port: s.Port, Open: s.Open, Rate: s.Rate, Buffer: s.Buffer, Reopened: s.Reopened, Overruns: s.Overruns, Error: s.Err})
	}
	if k.up != nil {
		s := k.up.Snapshot()
		r.Waiting.Link = s.Link
		r.Delivery = k.delivery()
		if s.Weak != "" {
			r.Receiver = fmt.Sprintf("%s, weaker receipts (%s): %d calls released on them since the start", k.cfg.Uplink.Receiver, s.Weak, s.Delivered)
		}
		switch {
		case s.Link == "":
			r.Uplink = "not connected: " + s.LastError
		case !s.Call.IsZero():
			r.Uplink = fmt.Sprintf("%s, sending %s: %s of %s", s.Link, s.Call, bytesText(s.Sent), bytesText(s.Size))
		default:
			r.Uplink = s.Link + ", nothing to send"
		}
	}
	return r, nil
}

func (k *keeper) callReports() ([]callReport, error) {
	calls, err := k.ring.Calls()
	reports := []callReport{}
	for _, c := range calls {
		r := callReport{Call: c.Header.Call, Line: c.Header.Line, Began: c.Header.Anchor.Wall, Size: c.Size, State: "recording", Hold: c.Hold}
		if c.Manifest != nil {
			r.Duration = time.Duration(c.Manifest.Duration * float64(time.Second))
			r.Ended = c.Manifest.Ended
			r.State = "waiting"
		}
		switch {
		case c.Weak != "":
			r.State = "delivered, weaker receipt: " + c.Weak
		case c.Receipt:
			r.State = "delivered"
		case c.Parked != "":
			r.State = "parked: " + c.Parked
		}
		reports = append(reports, r)
	}
	return reports, err
}

// watchdog tells systemd that the recorder is alive for as long as pump and sync go forward.
type watchdog struct {
	patience time.Duration // of systemd; 0: it does not watch
	pumps    int64
	sync     time.Time
	pumped   time.Time // when pumps last changed
	synced   time.Time
	fed      time.Time
}

func newWatchdog() *watchdog {
	patience, _ := daemon.SdWatchdogEnabled(false)
	now := time.Now()
	return &watchdog{patience: patience, pumped: now, synced: now}
}

// feed is called by the state loop, whose progress its coming is. A card that is away keeps the pump going, with periods
// without samples; a sync loop with nothing to sync is well.
func (w *watchdog) feed(now time.Time, pumps int64, ring buffer.Status) {
	if pumps != w.pumps {
		w.pumps, w.pumped = pumps, now
	}
	if !ring.LastSync.Equal(w.sync) || ring.QueuedBytes == 0 {
		w.sync, w.synced = ring.LastSync, now
	}
	if w.patience == 0 || now.Sub(w.fed) < w.patience/4 {
		return
	}
	if now.Sub(w.pumped) < w.patience/2 && now.Sub(w.synced) < w.patience/2 {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		w.fed = now
	}
}
