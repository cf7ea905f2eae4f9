package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/gpio"
)

// lights show the state: one for everything, or three apart, or none.
type lights struct {
	all, record, link, fault *gpio.Light // nil: not there
	about                    string      // for `linekeeper status`
}

// openLights opens the pins of the settings. A board without a pin records all the same: that is said once, and
// `linekeeper status` shows the state instead.
func openLights(c lightConfig, log *slog.Logger) *lights {
	l := &lights{}
	var about []string
	open := func(what, pin string) *gpio.Light {
		if pin == "" {
			return nil
		}
		out, err := gpio.Open(pin)
		if err != nil {
			log.Warn("no light: `linekeeper status` shows the state", "light", what, "pin", pin, "error", err)
			about = append(about, what+": "+err.Error())
			return nil
		}
		about = append(about, what+" on "+pin)
		return gpio.NewLight(out, log)
	}
	l.all = open("state", c.Pin)
	l.record, l.link, l.fault = open("record", c.Record), open("link", c.Link), open("fault", c.Fault)
	if l.about = strings.Join(about, "; "); l.about == "" {
		l.about = "none in the settings"
	}
	return l
}

// run drives the lights until ctx ends and they are off.
func (l *lights) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, one := range []*gpio.Light{l.all, l.record, l.link, l.fault} {
		if one != nil {
			all.Go(func() { one.Run(ctx) })
		}
	}
	all.Wait()
}

// patterns is the table of states and lights of docs/operator-guide.md.
var patterns = map[call.State]gpio.Pattern{
	call.StateFault:        gpio.FastBlink,
	call.StateProvisioning: gpio.DoubleBlink,
	call.StateRecording:    gpio.On,
	call.StatePaused:       gpio.OnWithDark,
	call.StateAlarm:        gpio.TwoBlinks,
	call.StateOffline:      gpio.SlowBlink,
	call.StateIdle:         gpio.Flash,
}

// show shows a state, and a sign, which wins over all but a fault.
func (l *lights) show(c call.Conditions, told sign) {
	c.Provisioning = told != ""
	set := func(one *gpio.Light, p gpio.Pattern) {
		if one != nil {
			one.Show(p)
		}
	}
	state := patterns[c.State()]
	if c.State() == call.StateProvisioning {
		state = signs[told].pattern
	}
	set(l.all, state)
	set(l.record, gpio.RecordLight(c.Recording, c.Paused))
	set(l.link, gpio.LinkLight(c.Offline, c.Waiting))
	set(l.fault, gpio.FaultLight(c.Fault, c.Alarm))
}
