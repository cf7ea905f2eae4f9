//go:build lab

package devicetest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/wire"
)

// TestServiceButton presses the button of a recorder that runs, which tests itself, shows on its light what came of it, and tells
// headquarters; and holds it while the recorder starts, which resets it: never with calls that headquarters lacks, unless
// that is confirmed a second time.
func TestServiceButton(t *testing.T) {
	o := openNew(t)
	ctx := within(t, time.Minute)
	// The board's button, and a start that waits until the test has its finger on it.
	o.shell(ctx, fmt.Sprintf(`sed -i 's/^# button = ""  *# pin of a button, pressed.*/button = "!GPIO%d"/' /etc/linekeeper/linekeeper.toml && grep -q 'GPIO%[1]d' /etc/linekeeper/linekeeper.toml
		mkdir -p /etc/systemd/system/linekeeper.service.d
		printf '[Service]\nExecStartPre=+/bin/sh -c "until test -e /run/lab-finger; do sleep 0.2; done"\n' >/etc/systemd/system/linekeeper.service.d/finger.conf
		touch /run/lab-finger && systemctl daemon-reload && systemctl restart linekeeper && sync`, servicePin))
	s := newStick(t)
	first := o.becomes(s)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a press", o.pressed},
		{"held, with calls that headquarters lacks, and not confirmed twice", func() { o.notConfirmed(first) }},
		{"held, with nothing to lose", func() { o.resetOnce(s, first) }},
		{"held, with calls, and confirmed twice", o.resetTwice},
	} {
		begin := time.Now()
		step.do()
		t.Logf("%s: %v", step.name, time.Since(begin).Round(time.Second))
		if t.Failed() {
			t.FailNow()
		}
	}
}

const servicePin = 22

// becomes sets a new recorder up from a stick, and gives its ID.
func (o *office) becomes(s usbStick) string {
	o.t.Helper()
	known := o.recorders()
	s.format()
	s.put(wire.BundleAtTop, o.bundleByPage(url.Values{"site": {siteName}, "days": {"30"}, "settings": {siteSettings}}))
	since := o.moment()
	o.visit(s, signAccepted)
	o.await(since, 1, "msg=enrolled", time.Minute)
	o.await(since, 1, cardOpen, time.Minute)
	for _, r := range o.recorders() {
		if !slices.ContainsFunc(known, func(k listed) bool { return k.Device == r.Device }) {
			return r.Device
		}
	}
	o.t.Fatal("headquarters lists no new recorder")
	return ""
}

func (o *office) hold(held bool) {
	o.t.Helper()
	if err := o.device.Pull(within(o.t, time.Minute), servicePin, held); err != nil {
		o.t.Fatal(err)
	}
}

// noise has the line sound as one on which nobody speaks, until the function that it gives is called.
func (o *office) noise() (quiet func()) {
	ctx, cancel := context.WithCancel(o.t.Context())
	var over sync.WaitGroup
	over.Go(func() { // until then
		_ = o.device.PlayUSB(ctx, 1, device.Sound{Rate: usbKind.Rate, Channels: 1, Samples: phone.Noise(usbKind.Rate*600, 12, 3)})
	})
	return func() { cancel(); over.Wait() }
}

// pressed presses the button while the line is dead, and again while it sounds as it should.
func (o *office) pressed() {
	o.t.Helper()
	press := func() []string {
		since := o.moment()
		signs := o.watchSigns(func() {
			o.hold(true)
			o.talk(500 * time.Millisecond)
			o.hold(false)
		}, func(signs []string) bool {
			return slices.Contains(signs, signAccepted) || slices.Contains(signs, signRefused)
		}, 40*time.Second)
		o.await(since, 1, "the self-test is over", time.Minute)
		return signs
	}
	for _, passes := range []bool{false, true} {
		want, quiet, alarm := signRefused, func() {}, ""
		if passes {
			want, quiet, alarm = signAccepted, o.noise(), "! "
		}
		must(o.device.Poll(within(o.t, time.Minute), alarm+`linekeeper status --json | grep -q '"alarm"'`))(o.t) // which takes a while to come, and to go
		signs := press()
		quiet()
		var told *wire.Selftest
		for ctx := within(o.t, time.Minute); ctx.Err() == nil; o.talk(time.Second) {
			if all := o.recorders(); all[0].Status != nil {
				if told = all[0].Status.Selftest; told != nil && told.Passed == passes {
					break
				}
			}
		}
		o.t.Logf("the light said %v; headquarters is told %+v", signs, told)
		if !slices.Contains(signs, want) || told == nil || told.Passed != passes || passes == (len(told.Failed) > 0) {
			o.t.Errorf("wanted %s", want)
		}
	}
}

// startHeld takes the power away and puts it in with the button held.
func (o *office) startHeld() (since int) {
	o.t.Helper()
	since = o.moment()
	o.device.PowerCut()
	ctx := within(o.t, time.Minute)
	if err := o.device.PowerOn(ctx); err != nil {
		o.t.Fatal(err)
	}
	// The simulated pin forgets who holds it when a program asks for a pull of its own, which no real contact does: it is held again
	// and again until the recorder has seen it.
	must(o.device.Poll(ctx, fmt.Sprintf(`systemd-run --quiet --unit=lab-hold sh -c 'cd /sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio%d && while :; do echo pull-up >pull; done'`, servicePin)))(o.t)
	o.follow(ctx)
	if _, err := o.device.PlugUSBCard(ctx, 1, usbKind); err != nil {
		o.t.Fatal(err)
	}
	return since
}

// asked waits until the recorder asks, and looks whether the light does.
func (o *office) asked(since int, words, want string) {
	o.t.Helper()
	o.await(since, 1, words, time.Minute)
	signs := readSigns(must(o.device.Watch(within(o.t, time.Minute), pin, 7*time.Second))(o.t))
	o.t.Logf("the light said %v", signs)
	if !slices.Contains(signs, want) {
		o.t.Errorf("the light said %v, wanted %s", signs, want)
	}
}

// What the log says of a reset.
const (
	resetAsks      = "asked: let go, and hold again"
	resetAsksAgain = "asked again, as calls would be lost"
)

// finger has the recorder start, with a finger on its button.
func (o *office) finger(since int) {
	o.t.Helper()
	o.shell(within(o.t, time.Minute), "touch /run/lab-finger")
	o.await(since, 1, "the service button is held", time.Minute)
	o.shell(within(o.t, time.Minute), "systemctl stop lab-hold")
}

// again lets the button go, and holds it for some time.
func (o *office) again(d time.Duration) {
	o.t.Helper()
	o.hold(false)
	o.talk(time.Second)
	o.hold(true)
	o.talk(d)
}

func (o *office) notConfirmed(id string) {
	o.t.Helper()
	o.link(false)
	o.speak(31)
	since := o.startHeld()
	o.link(false)
	o.finger(since)
	o.asked(since, resetAsks, signAsks)
	o.again(resetAgain)
	o.asked(since, resetAsksAgain, signAsksAgain)
	o.again(3 * time.Second)
	o.hold(false)
	o.await(since, 1, "not confirmed: nothing is reset", time.Minute)
	o.await(since, 1, ready+" device="+id, time.Minute)
	o.link(true)
	o.await(since, 1, delivered, time.Minute)
}

// resetAgain is longer than a confirmation has to be held, by what an emulated board is late.
const resetAgain = 6 * time.Second

func (o *office) resetOnce(s usbStick, id string) {
	o.t.Helper()
	o.talk(2 * time.Second) // for the receipt to be synced
	since := o.startHeld()
	o.finger(since)
	o.asked(since, resetAsks, signAsks)
	o.again(resetAgain)
	o.await(since, 1, "this recorder was reset", time.Minute)
	o.await(since, 1, "waiting for a stick with a bundle", time.Minute)
	o.hold(false)
	if slices.ContainsFunc(o.words()[since:], func(line string) bool { return strings.Contains(line, resetAsksAgain) }) {
		o.t.Error("it was asked twice, with nothing to lose")
	}
	o.says("", "find /var/lib/linekeeper/identity* /var/lib/linekeeper/ring -mindepth 1 2>/dev/null; true")
	if second := o.becomes(s); second == id {
		o.t.Errorf("it is recorder %s again", id)
	}
}

func (o *office) resetTwice() {
	o.t.Helper()
	o.link(false)
	o.speak(32)
	since := o.startHeld()
	o.link(false)
	o.finger(since)
	o.asked(since, resetAsks, signAsks)
	o.again(resetAgain)
	o.await(since, 1, resetAsksAgain, time.Minute)
	o.again(14 * time.Second)
	o.await(since, 1, "this recorder was reset", time.Minute)
	o.hold(false)
	o.await(since, 1, "waiting for a stick with a bundle", time.Minute)
}
