//go:build lab

package devicetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/line"
)

// hookPin is the pin of line 1's hook; line 2 has the hook of the lab's handset.
const hookPin = 5

// TestHooks has a contact on a pin (gpio-sim) and the key of a handset (uinput) begin and end calls, on lines on which
// nothing is heard; and pulls a line's sound card out in a call, and puts it back.
func TestHooks(t *testing.T) {
	o := openBoard(t)
	ctx := within(t, patience)
	key := must(o.device.HookKey(ctx, "KEY_PHONE"))(t)
	o.shell(ctx, "systemctl stop linekeeper")
	since := o.moment()
	o.shell(ctx, fmt.Sprintf(`sed -i -e 's/^name = "line 1"/&\nhook = "GPIO%d"/' -e 's/^name = "line 2"/&\nhook = "input:Lab handset"/' \
		/etc/linekeeper/linekeeper.toml && systemctl start linekeeper`, hookPin))
	o.await(since, 2, `msg="first audio"`, patience)
	o.await(since, 1, `msg="the hook of the handset is read"`, patience)
	o.talk(4 * time.Second) // so that there is a pre-roll

	pin := hookOf{"line 1", func(ctx context.Context, lifted bool) error { return o.device.Pull(ctx, hookPin, !lifted) }}
	handset := hookOf{"line 2", func(ctx context.Context, lifted bool) error {
		if lifted {
			return key.Press(ctx)
		}
		return key.Release(ctx)
	}}
	for _, hook := range []hookOf{pin, handset} {
		o.oneCall(hook)
	}
	o.cardAwayInACall(pin)
	o.putBackWhileTheCardIsAway(pin)
	o.oneCall(pin)
}

// hookOf is the hook of a line.
type hookOf struct {
	line string
	set  func(ctx context.Context, lifted bool) error
}

// moved is when the handset was lifted or put back: what is asked of a board takes its time.
type moved struct{ after, before time.Time }

// until is how long it was from one movement to the next, at least and at most.
func (m moved) until(next moved) (least, most time.Duration) {
	return next.after.Sub(m.before), next.before.Sub(m.after)
}

// move lifts the handset, or puts it back.
func (o *office) move(h hookOf, lifted bool) moved {
	o.t.Helper()
	m := moved{after: time.Now()}
	if err := h.set(within(o.t, patience), lifted); err != nil {
		o.t.Fatal(err)
	}
	m.before = time.Now()
	return m
}

// lift is move, and waits until the recorder has said so.
func (o *office) lift(h hookOf, lifted bool) moved {
	o.t.Helper()
	since := o.moment()
	m := o.move(h, lifted)
	o.awaitHook(since, h, lifted)
	o.t.Logf("%s, lifted %t: told after %v", h.line, lifted, time.Since(m.before).Round(time.Millisecond))
	return m
}

func (o *office) awaitHook(since int, h hookOf, lifted bool) {
	o.t.Helper()
	o.await(since, 1, fmt.Sprintf("line=%q reason=%s", h.line, map[bool]string{true: "off-hook", false: "on-hook"}[lifted]), patience)
}

// oneCall is a call of three seconds without a sound.
func (o *office) oneCall(h hookOf) {
	o.t.Helper()
	since := o.moment()
	begin := o.lift(h, true)
	o.talk(3 * time.Second)
	end := o.lift(h, false)
	o.holds(since, h.line, begin, end)
}

// holds compares the one call of a line since a moment with how long the handset was lifted. The pre-roll comes on top, and,
// but where a loss ended it, what was recorded until it was clear that it was no flash.
func (o *office) holds(since int, name string, begin, end moved) {
	o.t.Helper()
	const preRoll, exact = 2 * time.Second, 500 * time.Millisecond // of an emulated board
	calls := o.calls(since)
	for range 10 { // the list shows what is synced, which is said a second before
		if len(calls) != 1 || calls[0].Ended != "" {
			break
		}
		o.shell(within(o.t, patience), "sleep 0.5")
		calls = o.calls(since)
	}
	if len(calls) != 1 || calls[0].Line != name || calls[0].Ended != "on-hook" {
		o.t.Fatalf("%d calls", len(calls))
	}
	least, most := begin.until(end)
	if kept := calls[0].Duration - preRoll; kept < least-exact || kept > most+exact+line.DefaultConfig().Flash {
		o.t.Errorf("%s: a call of %v, the handset was lifted for %v to %v", name, calls[0].Duration, least, most)
	}
}

// plug puts the first card in, or pulls it out, and waits for the recorder to say so.
func (o *office) plug(in bool) {
	o.t.Helper()
	since := o.moment()
	if err := o.device.PlugCard(within(o.t, patience), 1, in); err != nil {
		o.t.Fatal(err)
	}
	o.await(since, 1, map[bool]string{true: cardOpen, false: `msg="sound card not open, trying again"`}[in], patience)
}

// cardAwayInACall: the call goes on when the card is back, with a gap.
func (o *office) cardAwayInACall(h hookOf) {
	since := o.moment()
	begin := o.lift(h, true)
	o.talk(2 * time.Second)
	o.plug(false)
	o.plug(true)
	o.talk(2 * time.Second)
	end := o.lift(h, false)
	o.holds(since, h.line, begin, end)
}

// putBackWhileTheCardIsAway: the call ended then, not when the card was back.
func (o *office) putBackWhileTheCardIsAway(h hookOf) {
	since := o.moment()
	begin := o.lift(h, true)
	o.talk(2 * time.Second)
	o.plug(false)
	end := o.move(h, false)
	o.plug(true)
	o.awaitHook(since, h, false)
	o.holds(since, h.line, begin, end)
}
