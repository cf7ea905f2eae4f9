package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/gpio"
	"github.com/linekeeper/linekeeper/gpio/handset"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/usbport"
)

// hookPlace is what the key "hook" of a line says: a pin, or a handset.
type hookPlace struct {
	pin     string
	handset handset.Place
}

// A sound card's name, which may be that of its USB port.
var cardName = regexp.MustCompile(`\bCARD=([^,\s]+)`)

// hookPlace reads the key. Nothing is the zero value.
func (l lineConfig) hookPlace() (p hookPlace, err error) {
	text := l.Hook
	if text == hookAuto && l.Port != "" {
		p.handset.Port = l.Port
		return p, nil
	}
	if text == hookAuto {
		m := cardName.FindStringSubmatch(l.Device)
		if m == nil || !usbport.Valid(m[1]) {
			return p, fmt.Errorf("%q is the handset in the port of the line's sound card, and %s is not named after its port, and the line has no key \"port\": name the port, such as \"usbe23b_1_2\"", text, l.Device)
		}
		text = m[1]
	}
	if name, ok := strings.CutPrefix(text, "input:"); ok {
		if p.handset.Name = strings.TrimSpace(name); p.handset.Name == "" {
			return p, fmt.Errorf("%q names no input device; /proc/bus/input/devices lists them", text)
		}
		return p, nil
	}
	if usbport.Valid(text) {
		p.handset.Port = text
		return p, nil
	}
	if strings.HasPrefix(text, "usb") {
		return p, fmt.Errorf("%q is no USB port: controller, then port by port, such as \"usbe23b_1_2\"", text)
	}
	p.pin = text
	return p, nil
}

// hookAuto is the handset that a line's sound card belongs to.
const hookAuto = "auto"

// checkHooks finds hooks that cannot be, and those of more lines than one.
func (c *config) checkHooks() (all []error) {
	taken := map[hookPlace]string{}
	for i, l := range c.Lines {
		place, err := l.hookPlace()
		if err != nil {
			all = append(all, c.wrong("line.hook", i, "%s", err))
			continue
		}
		place.pin = strings.TrimPrefix(place.pin, "!")
		if other, is := taken[place]; is && l.Hook != "" {
			all = append(all, c.wrong("line.hook", i, "%q is the hook of line %q already", l.Hook, other))
		}
		taken[place] = l.Name
	}
	return all
}

// openHooks opens the hooks of the lines that have one, by the lines' names. Where a hook cannot be had that is said, and
// the line is recorded by what else is known of it.
func openHooks(lines []lineConfig, log *slog.Logger) map[string]*hook {
	hooks := map[string]*hook{}
	for _, l := range lines {
		place, err := l.hookPlace()
		if err != nil || l.Hook == "" {
			continue // check has refused it
		}
		log := log.With("line", l.Name)
		if place.pin != "" {
			contact, err := gpio.OpenContact(place.pin, log)
			if err != nil {
				log.Error("no hook: calls begin and end by what is heard", "pin", place.pin, "error", err)
				continue
			}
			hooks[l.Name] = &hook{run: func(ctx context.Context, told func(bool, time.Duration)) { contact.Watch(ctx, bootTime, told) }}
			continue
		}
		if l.Hook == hookAuto && !handset.HasHook(place.handset) {
			log.Info("the line's sound card has no hook: calls begin and end by what is heard", "at", place.handset.String())
			continue
		}
		h := handset.New(place.handset, bootTime, log)
		hooks[l.Name] = &hook{present: h.Present, run: func(ctx context.Context, told func(bool, time.Duration)) {
			h.Run(ctx, func(c handset.Change) { told(c.Lifted, c.At) })
		}}
	}
	return hooks
}

// hook is a line.Detector that answers with what a contact or a handset did.
type hook struct {
	run     func(ctx context.Context, told func(lifted bool, at time.Duration))
	present func() bool // nil: always

	mu      sync.Mutex
	waiting []edge // for the audio of their time; they alternate

	begun bool // what follows is Feed's alone
	last  int64
	lag   lag
	marks []call.Mark
}

// edge is a change of a hook.
type edge struct {
	lifted bool
	at     time.Duration // CLOCK_BOOTTIME
}

// mostEdges bounds what a hook can tell between two periods.
const mostEdges = 32

// Known says whether the hook can tell now whether the handset is lifted: a handset that is away cannot.
func (h *hook) Known() bool { return h.present == nil || h.present() }

// hookAlarm says what is wrong with the hook of a line, if anything is.
func (d *device) hookAlarm(line string) func() string {
	i := slices.IndexFunc(d.cfg.Lines, func(l lineConfig) bool { return l.Name == line })
	return func() string {
		switch h, is := d.hooks[line], d.cfg.Lines[i].Hook; {
		case h == nil && is != "" && is != hookAuto:
			return fmt.Sprintf("its hook, %s, cannot be had: see the log, and correct the settings", is)
		case h != nil && !h.Known():
			return fmt.Sprintf("its hook, %s, is away: plug the handset in, or correct the settings", is)
		}
		return ""
	}
}

// watchHooks runs hooks until the function that it gives is called.
func watchHooks(ctx context.Context, hooks []*hook) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, h := range hooks {
		all.Go(func() { h.run(ctx, h.set) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// set takes a change.
func (h *hook) set(lifted bool, at time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.waiting); n == mostEdges {
		h.waiting = h.waiting[:n-1] // it takes the one before back, so that the last state is right
		return
	}
	h.waiting = append(h.waiting, edge{lifted, at})
}

// Feed answers with the changes of the time that the line has reached, where on its timeline they were.
func (h *hook) Feed(p pcm.Period) []call.Mark {
	if !h.begun {
		h.begun, h.last = true, p.Position
	}
	end := p.Position + int64(p.Frames())
	lag := h.lag.least(p.At, p.At-p.Format.Duration(end))
	h.marks = h.marks[:0]
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for ; n < len(h.waiting); n++ {
		e := h.waiting[n]
		position := p.Format.Frames(e.at - lag)
		if position > end {
			break
		}
		h.last = max(h.last, position) // of what was before the first period, or has changed since
		h.marks = append(h.marks, call.Mark{Kind: call.MarkHook, Position: h.last, Value: map[bool]string{true: line.OffHook, false: line.OnHook}[e.lifted]})
	}
	h.waiting = append(h.waiting[:0], h.waiting[n:]...)
	return h.marks
}

// lagWindow is how long the delivery of periods is watched for the one that came soonest.
const lagWindow = 5 * time.Second

// lag is how far the delivery of a line's frames is behind the clock: the least of this window and the one before. On a
// busy machine a period may come late by any time; nothing comes early.
type lag struct {
	begun       bool
	now, before time.Duration
	turn        time.Duration // when this window ends
}

func (l *lag) least(at, lag time.Duration) time.Duration {
	switch {
	case !l.begun:
		l.begun, l.now, l.before, l.turn = true, lag, lag, at+lagWindow
	case at >= l.turn:
		l.before, l.now, l.turn = l.now, lag, at+lagWindow
	}
	l.now = min(l.now, lag)
	return min(l.now, l.before)
}
