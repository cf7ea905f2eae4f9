package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/selftest"
	"github.com/linekeeper/linekeeper/gpio"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

// The checks of `linekeeper selftest` that are of the recorder and not of a line.

// lookFor is how long a person may look at the light.
const lookFor = 30 * time.Second

// light blinks, and asks whether that is seen.
func (t *selftester) light(ctx context.Context) selftest.Result {
	r := selftest.Result{Check: selftest.CheckLight, Verdict: selftest.Skip}
	if t.cfg.Light == (lightConfig{}) {
		r.Says = "the settings name none: `linekeeper status` shows the state"
		return r
	}
	question := "The light blinks fast now. Does it?"
	if t.status != nil {
		question = fmt.Sprintf("The recorder is %s: %s. Does the light show that?", t.status.State, lightWords[patterns[t.status.State]])
	} else {
		lights := openLights(t.cfg.Light, slog.New(slog.DiscardHandler))
		if missing := lights.missing(t.cfg.Light); missing != "" {
			r.Verdict, r.Says, r.Do = selftest.Fail, lights.about, "correct the pin in the settings, or the rights to it, of: "+missing
			return r
		}
		lighting, dark := context.WithCancel(ctx)
		over := make(chan struct{})
		go func() { defer close(over); lights.run(lighting) }()
		defer func() { dark(); <-over }()
		lights.each(func(one *gpio.Light) { one.Show(gpio.FastBlink) })
	}
	if t.person == nil {
		r.Says = "there is one; whether it is seen needs somebody who looks"
		return r
	}
	switch yes, answered := t.person.Ask(ctx, question, lookFor); {
	case !answered:
		r.Says = "there is one; nobody answered whether it is seen"
	case yes:
		r.Verdict, r.Says = selftest.Pass, "seen"
	default:
		r.Verdict, r.Says = selftest.Fail, "it does not show what it should"
		r.Do = "see whether the LED is the right way round, has its resistor, and is on the pin that the settings name; ! before the pin is for one that lights when it is low"
	}
	return r
}

// missing names the settings whose light is not there.
func (l *lights) missing(c lightConfig) string {
	var names []string
	for _, one := range []struct {
		name, pin string
		light     *gpio.Light
	}{{"light.pin", c.Pin, l.all}, {"light.record", c.Record, l.record}, {"light.link", c.Link, l.link}, {"light.fault", c.Fault, l.fault}} {
		if one.pin != "" && one.light == nil {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, ", ")
}

func (l *lights) each(do func(*gpio.Light)) {
	for _, one := range []*gpio.Light{l.all, l.record, l.link, l.fault} {
		if one != nil {
			do(one)
		}
	}
}

// lightWords is how a pattern looks, in the words of docs/operator-guide.md.
var lightWords = map[gpio.Pattern]string{
	gpio.FastBlink:   "fast blink",
	gpio.DoubleBlink: "two short blinks each second",
	gpio.On:          "steadily on",
	gpio.OnWithDark:  "on, with a short dark moment each second",
	gpio.TwoBlinks:   "two blinks, long pause",
	gpio.SlowBlink:   "slow blink",
	gpio.Flash:       "a short flash every 5 s",
}

// clock says how far this machine's clock can be believed; by the recorder that runs, where one does.
func (t *selftester) clock() selftest.Result {
	if t.status != nil {
		return judgeClock(t.status.Clock, t.status.Time)
	}
	return judgeClock(clockGrade(), time.Now())
}

func judgeClock(grade call.Grade, now time.Time) selftest.Result {
	r := selftest.Result{Check: selftest.CheckClock, Verdict: selftest.Pass}
	at := now.UTC().Format(time.RFC3339)
	switch grade {
	case call.GradeNTP:
		r.Says = "set by the network: " + at
	case call.GradeRTC:
		r.Says = "kept by the real-time clock, not set by the network now: " + at
	case call.GradeHQ:
		r.Says = "taken from headquarters: " + at
	default:
		r.Verdict, r.Says = selftest.Fail, "nothing sets it: it shows "+at
		r.Do = "let the network set it (`timedatectl set-ntp true`, and see `timedatectl`), or fit a real-time clock"
	}
	return r
}

// headquarters goes every way that the settings name.
func (t *selftester) headquarters(ctx context.Context) (results []selftest.Result) {
	if !t.cfg.hasUplink() {
		for _, c := range []selftest.Check{selftest.CheckLink, selftest.CheckHeadquarters} {
			results = append(results, selftest.Result{Check: c, Verdict: selftest.Skip, Says: "the settings name no headquarters: calls stay here"})
		}
		return results
	}
	id, wrong := loadIdentity(t.cfg.identityDir(), true, t.cfg.Uplink.HTTPS)
	for _, w := range t.ways(id) {
		link := selftest.Link(ctx, w)
		results = append(results, link)
		switch {
		case wrong != nil:
			results = append(results, selftest.Result{Check: selftest.CheckHeadquarters, Of: w.Name, Verdict: selftest.Fail, Says: wrong.Error(),
				Do: "copy the whole identity folder that headquarters made, owned by the recorder's user; run this as root or as that user"})
		case link.Verdict == selftest.Fail:
			results = append(results, selftest.Result{Check: selftest.CheckHeadquarters, Of: w.Name, Verdict: selftest.Skip, Says: "it is not reached"})
		default:
			results = append(results, selftest.Headquarters(ctx, w))
		}
	}
	return results
}

// stall is how long a link may be silent here; the recorder is more patient.
const stall = 20 * time.Second

func (t *selftester) ways(id identity) (ways []selftest.Way) {
	if r := t.cfg.Uplink.Receiver; r != receiverHeadquarters {
		return []selftest.Way{{Name: r, Address: t.cfg.Uplink.HTTPS + t.cfg.Uplink.MQTT, TLS: id.tls, SkipAsk: "the receiver is no headquarters"}}
	}
	for _, name := range t.cfg.Uplink.Order {
		switch {
		case name == tus.Name && t.cfg.Uplink.HTTPS != "":
			ways = append(ways, selftest.Way{Name: name, Address: t.cfg.Uplink.HTTPS, TLS: id.tls, Ask: func(ctx context.Context) (wire.HaveAnswer, error) {
				transport, err := tus.New(t.cfg.Uplink.HTTPS, id.tls, tus.Options{Stall: stall})
				if err != nil {
					return wire.HaveAnswer{}, err
				}
				defer transport.Close()
				return transport.Have(ctx, nothingAsked)
			}})
		case name == mqtt.Name && t.cfg.Uplink.MQTT != "":
			w := selftest.Way{Name: name, Address: t.cfg.Uplink.MQTT, TLS: id.tls}
			// A broker that sees a second client of the recorder's name throws the first out.
			if w.SkipAsk = "more cannot be tried beside the recorder that runs"; t.status == nil {
				w.Ask = func(ctx context.Context) (wire.HaveAnswer, error) { return t.askBroker(ctx, id) }
			}
			ways = append(ways, w)
		}
	}
	return ways
}

// nothingAsked is a question whose answer is headquarters' time.
var nothingAsked = wire.HaveQuestion{Calls: []call.ID{}}

// askBroker asks headquarters through the broker: as the recorder, which says that it does not record, and takes leave.
func (t *selftester) askBroker(ctx context.Context, id identity) (a wire.HaveAnswer, err error) {
	transport, err := mqtt.New(t.cfg.Uplink.MQTT, id.tls, id.device, mqtt.Options{Stall: stall})
	if err != nil {
		return a, err
	}
	defer transport.Close()
	s := wire.Status{Device: id.device, Online: true, Time: time.Now().UTC(), Software: version, State: call.StateAlarm,
		Lines: []wire.LineStatus{}, Clock: clockGrade(), Reasons: []string{"a self-test goes on: nothing is recorded"}}
	if err := transport.Status(ctx, s); err != nil {
		return a, err
	}
	if a, err = transport.Have(ctx, nothingAsked); err != nil {
		return a, err
	}
	s.Online = false
	return a, transport.Status(ctx, s)
}

// card writes to where the calls are kept: into the ring's folder; beside it, where it is not made yet, or is not for this
// process to see (linekeeper-stick@.service): whether a ring that runs has room then is the recorder's word.
func (t *selftester) card() selftest.Result {
	dir, room := t.cfg.ringDir(), int64(0)
	_, err := os.ReadDir(dir)
	if err != nil {
		dir = t.cfg.Data
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		size, err := t.cfg.ringBytes()
		if err != nil {
			return selftest.Result{Check: selftest.CheckCard, Verdict: selftest.Fail, Says: err.Error(), Do: "see whether the card is mounted, and `dmesg`"}
		}
		room = max(0, size-selftest.Used(t.cfg.ringDir()))
	}
	r := selftest.Card(&selftest.Folder{Dir: dir}, dir, room)
	if r.Verdict == selftest.Pass && (t.cfg.ringIsBeside() || t.status != nil && slices.Contains(t.status.Reasons, ringBeside)) {
		r.Verdict, r.Says, r.Do = selftest.Fail, "the ring's own file system is not mounted", "see `linekeeper status`, and take another card if it stays so"
	}
	if r.Verdict == selftest.Pass && t.status != nil {
		for _, l := range t.status.Lines {
			if strings.Contains(l.Alarm, recorder.AlarmNotStored) {
				r.Verdict, r.Says, r.Do = selftest.Fail, recorder.AlarmNotStored, "see `linekeeper status`: headquarters has to receive first, or ring.when_full has to allow old calls to be given up"
			}
		}
	}
	return r
}

// seal says whom calls are sealed to.
func (t *selftester) seal() selftest.Result {
	r := selftest.Result{Check: selftest.CheckSeal, Verdict: selftest.Skip}
	if t.cfg.Seal.Clear {
		r.Says = "the settings say that calls are not sealed: whoever takes the card can hear them"
		return r
	}
	dir := t.cfg.identityDir()
	id := identity{} // where there is none yet, what was put there counts
	if t.cfg.hasUplink() {
		if loaded, err := loadIdentity(dir, true, ""); err == nil {
			id = loaded
		}
	}
	to, err := loadRecipients(dir, id)
	r.Verdict = selftest.Fail
	switch {
	case err != nil:
		r.Says, r.Do = err.Error(), "put back the file that headquarters made"
	case len(to.current()) == 0:
		r.Says, r.Do = "nobody is named whom calls are sealed to: the recorder will not run",
			"put headquarters' recipient (`linekeeper-hq call-key`) into "+filepath.Join(dir, fileRecipients)
	default:
		var names []string
		for _, one := range to.current() {
			names = append(names, shortened(one.String()))
		}
		r.Verdict, r.Says = selftest.Pass, fmt.Sprintf("calls are sealed to %s", strings.Join(names, ", "))
	}
	return r
}
