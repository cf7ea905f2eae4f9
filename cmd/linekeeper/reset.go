package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/gpio"
)

// A recorder is reset, to what it was as it came, by its button: held while it starts, until the light asks; let go, and held
// again, which confirms. Where headquarters lacks anything, or something is on hold, the light asks a second time, since that
// would be lost, and the button has to be let go and held once more, for longer. Whatever else happens, nothing is done, and
// the recorder starts.

// Times of a reset.
const (
	resetHold   = 5 * time.Second  // to be asked
	resetAgain  = 3 * time.Second  // to confirm
	resetWithin = 20 * time.Second // from being asked to having confirmed
	loseHold    = 10 * time.Second // to confirm that calls are lost
	loseWithin  = 30 * time.Second
)

// resetStep is how far a reset is.
type resetStep int

const (
	resetBegins    resetStep = iota // the button is held since the start
	resetAsks                       // the light asks
	resetAsksAgain                  // it asks a second time
	resetGiven                      // all is confirmed
	resetOff                        // nothing is to be done
)

// resetDialog is what whoever holds the button is asked. It has no clock: look tells it the time.
type resetDialog struct {
	wouldLose func() bool // asked once, after the first confirmation: would something be lost?

	step    resetStep
	began   time.Duration // when the step did
	letGo   bool          // in this step
	pressed time.Duration // since when the button is held again, once it was let go; -1: it is not
}

// look says how far it is, by a clock that began when the recorder started, and whether the button is held now. It is to be
// called some ten times a second.
func (d *resetDialog) look(now time.Duration, held bool) resetStep {
	switch d.step {
	case resetBegins:
		switch {
		case !held:
			d.enter(resetOff, now)
		case now-d.began >= resetHold:
			d.enter(resetAsks, now)
		}
	case resetAsks:
		if d.confirmed(now, held, resetAgain, resetWithin) {
			if d.wouldLose() {
				d.enter(resetAsksAgain, now)
			} else {
				d.enter(resetGiven, now)
			}
		}
	case resetAsksAgain:
		if d.confirmed(now, held, loseHold, loseWithin) {
			d.enter(resetGiven, now)
		}
	}
	return d.step
}

func (d *resetDialog) enter(step resetStep, now time.Duration) {
	d.step, d.began, d.letGo, d.pressed = step, now, false, -1
}

// confirmed says whether the button was let go in this step and has been held since for long enough; too late, it ends all.
func (d *resetDialog) confirmed(now time.Duration, held bool, enough, within time.Duration) bool {
	switch {
	case !held:
		d.letGo, d.pressed = true, -1
	case d.letGo && d.pressed < 0:
		d.pressed = now
	}
	if d.pressed >= 0 && now-d.pressed >= enough {
		return true
	}
	if now-d.began >= within {
		d.enter(resetOff, now)
	}
	return false
}

// resetPatterns is what the light shows of it.
var resetPatterns = map[resetStep]gpio.Pattern{
	resetAsks:      gpio.ThreeBlinks,
	resetAsksAgain: gpio.FiveBlinks,
	resetGiven:     gpio.LongOn,
	resetOff:       gpio.TenBlinks,
}

// resetLook is how often the button is looked at.
const resetLook = 50 * time.Millisecond

// resetIfAsked finishes a reset that was cut short, and asks whoever holds the button now whether to reset.
func resetIfAsked(ctx context.Context, file string, log *slog.Logger) error {
	machine, err := loadMachine(file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(machine.resetMark()); err == nil {
		log.Warn("a reset was cut short; it is finished now")
		return machine.reset(log)
	}
	c, err := loadConfig(file)
	if err != nil { // a reset mends that too
		c = machine
	}
	if c.Service.Button == "" || !machine.isBare() || machine.isNew() {
		return nil
	}
	button, err := gpio.OpenContact(c.Service.Button, log)
	if err != nil {
		log.Warn("no service button: nobody can reset this recorder by it", "pin", c.Service.Button, "error", err)
		return nil
	}
	if pause(ctx, resetLook); !button.Closed() { // by then the pin has settled, which was pulled up or down only now
		return nil
	}
	log.Warn("the service button is held: it would reset this recorder")
	return c.askReset(ctx, button, func() error { return machine.reset(log) }, log)
}

// askReset leads through the dialog, on the light, which says that all was done when it was.
func (c config) askReset(ctx context.Context, button *gpio.Contact, reset func() error, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	lights, dark := openLights(c.Light, log), make(chan struct{})
	go func() { defer close(dark); lights.run(ctx) }()
	defer func() { cancel(); <-dark }()
	began := time.Now()
	d := resetDialog{wouldLose: func() bool { return c.ringIsBeside() || c.wouldLose(log) }}
	tick := time.NewTicker(resetLook)
	defer tick.Stop()
	for before := resetBegins; ; {
		step := d.look(time.Since(began), button.Closed())
		if step != before {
			log.Warn("reset", "step", step.String())
			if step == resetGiven {
				if err := reset(); err != nil {
					return err
				}
			}
			if before != resetBegins || step != resetOff { // who only pressed it is asked nothing
				lights.each(func(one *gpio.Light) { one.Show(resetPatterns[step]) })
			}
		}
		if step == resetGiven || step == resetOff {
			if before != resetBegins {
				pause(ctx, signs[stickAccepted].shown) // for the light to be seen
			}
			return nil
		}
		before = step
		select {
		case <-ctx.Done(): // whoever ends the program ends all that follows, too
			return nil
		case <-tick.C:
		}
	}
}

func (s resetStep) String() string {
	return [...]string{"the button is held", "asked: let go, and hold again", "asked again, as calls would be lost: let go, and hold again", "confirmed", "not confirmed: nothing is reset"}[s]
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// wouldLose says whether the ring holds what headquarters lacks, or what is on hold. What cannot be read may be just that.
func (c config) wouldLose(log *slog.Logger) bool {
	if _, err := os.Stat(c.ringDir()); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	id, err := loadIdentity(c.identityDir(), c.hasUplink(), c.Uplink.HTTPS)
	if err != nil {
		log.Warn("what is in the ring cannot be read", "error", err)
		return true
	}
	clock, err := newSystemClock()
	if err != nil {
		return true
	}
	c.Lines = nil // nothing is heard
	d, err := openDevice(c, id, clock, observer{log}, log)
	if err != nil {
		log.Warn("what is in the ring cannot be read", "error", err)
		return true
	}
	s := d.ring.Status()
	if err := errors.Join(d.recorder.Stop(), d.ring.Close()); err != nil {
		log.Warn("close the ring", "error", err)
	}
	log.Warn("a reset would take from headquarters", "calls", s.WaitingCalls, "on_hold", s.HeldCalls, "entries", s.WaitingEntries)
	return s.WaitingCalls > 0 || s.HeldCalls > 0 || s.WaitingEntries > 0
}

// resetMark stands while a reset goes on, which is finished at the next start then.
func (c *config) resetMark() string { return filepath.Join(c.Data, "reset") }

// reset makes the recorder what it was as it came: without a key, a headquarters, or calls. A cut leaves the mark, and with it
// all the rest to be done again.
func (c config) reset(log *slog.Logger) error {
	if err := writeDurably(c.resetMark(), nil); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	// The identity goes at once, and not file by file: linekeeper-networks.path looks, and nothing is to be left for it to find.
	next := c.identityDir() + ".new"
	all := []error{c.emptyRing(), os.RemoveAll(next)}
	if err := os.Rename(c.identityDir(), next); !errors.Is(err, fs.ErrNotExist) {
		all = append(all, err)
	}
	for _, name := range []string{c.identityDir(), next, c.indexFile(), c.indexFile() + "-wal", c.indexFile() + "-shm", c.handedOver()} {
		all = append(all, os.RemoveAll(name))
	}
	if err := errors.Join(append(all, syncFolder(c.Data))...); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := errors.Join(os.Remove(c.resetMark()), syncFolder(c.Data)); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	log.Warn("this recorder was reset: it has no key, no headquarters and no calls any more")
	return nil
}

// emptyRing leaves the folder, which a file system may be mounted on, and what is of that.
func (c *config) emptyRing() error {
	entries, err := os.ReadDir(c.ringDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	all := []error{err}
	for _, e := range entries {
		if name := e.Name(); name != notMounted && name != "lost+found" {
			all = append(all, os.RemoveAll(filepath.Join(c.ringDir(), name)))
		}
	}
	return errors.Join(append(all, syncFolder(c.ringDir()))...)
}
