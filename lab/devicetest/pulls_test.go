//go:build lab

package devicetest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/wire"
)

var (
	pulls = flag.Int("pulls", 100, "how often TestPulls pulls the card")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments at which it does")
)

const (
	pullTakes = 12 * time.Second // that a pull takes, with all around it, at most
	handling  = 2 * time.Second  // that a handset stays as it is, at least: less were a flash
)

// TestPulls has one of two equal USB cards pulled out and put back again and again, at random moments, in calls, between
// them, and while the handset is moved. Each time the line is recorded again within three seconds; every frame that was
// lost is a gap of its length, of a call or of the ledger; the other line's one call goes on untouched; and the recorder
// does not grow.
func TestPulls(t *testing.T) {
	o := openOffice(t)
	o.await(0, 1, ready, 30*time.Second)
	p := &pulling{office: o, random: rand.New(rand.NewPCG(*seed, 0))}
	t.Logf("%d pulls, seed %d", *pulls, *seed)
	p.prepare()
	before := usage{}
	for n := range *pulls {
		if n%10 == 0 { // as others use the processors, too, now more, now less
			p.slow = max(p.slow, o.slowness())
		}
		p.pull()
		if n == min(9, *pulls/2) { // what is made once has been made by then
			before = o.usage()
		}
	}
	after := o.usage()
	p.end()
	p.account()
	t.Logf("the recorder, after the first pulls and after all: %+v, %+v", before, after)
	if after.main != before.main || after.files > before.files+2 || after.threads > before.threads+2 || after.memory > before.memory+4096 {
		t.Error("the recorder has grown, or is another one")
	}
}

// pulling is the trial: line 1 is the one whose card is pulled, line 2 the other.
type pulling struct {
	*office
	random *rand.Rand
	slow   float64 // how much slower the board was than an idle one, at worst

	cards  map[int]device.USBCard
	sounds [2][]int16 // of the wires
	silent context.CancelFunc
	hooks  [2]hookOf
	lifted bool // line 1's handset
	moved  time.Time
	calls  int      // that line 1 has had, the one that goes on included
	lost   [2]int64 // frames of the lines since the trial began, by the recorder's count
}

// prepare has two lines on two equal cards, each with a hook, and each with a sound of its own as long as the trial; on
// line 2 the handset is lifted, for the whole of it.
func (p *pulling) prepare() {
	p.cards = map[int]device.USBCard{1: p.plugUSB(1), 2: p.plugUSB(2)}
	ctx := within(p.t, patience)
	key := must(p.device.HookKey(ctx, "KEY_PHONE"))(p.t)
	p.hooks = [2]hookOf{
		{"line 1", func(ctx context.Context, lifted bool) error { return p.device.Pull(ctx, hookPin, !lifted) }},
		{"line 2", func(ctx context.Context, lifted bool) error {
			if lifted {
				return key.Press(ctx)
			}
			return key.Release(ctx)
		}},
	}
	if err := p.hooks[0].set(ctx, false); err != nil {
		p.t.Fatal(err)
	}
	since := p.moment()
	p.shell(ctx, fmt.Sprintf(`sed -i -e 's/hw:CARD=Line1[^"]*/plughw:CARD=%s,DEV=0/' -e 's/hw:CARD=Line2[^"]*/plughw:CARD=%s,DEV=0/' \
		-e 's/^name = "line 1"/&\nhook = "GPIO%d"/' -e 's/^name = "line 2"/&\nhook = "input:Lab handset"/' \
		/etc/linekeeper/linekeeper.toml && systemctl restart linekeeper`, stableName(p.cards[1]), stableName(p.cards[2]), hookPin))
	p.await(since, 1, ready, time.Minute)
	p.await(since, 2, cardOpen, time.Minute)

	playing, stop := context.WithCancel(p.t.Context())
	p.silent = stop
	for i := range p.sounds {
		p.sounds[i] = phone.Noise(usbKind.Rate*int((time.Duration(*pulls)*pullTakes+3*time.Minute).Seconds()), 400, uint64(i+1))
		go func() {
			_ = p.device.PlayUSB(playing, i+1, device.Sound{Rate: usbKind.Rate, Channels: 1, Samples: p.sounds[i]}) // until stop
		}()
	}
	// Sounds are as long as they are: they have come when they are heard.
	must(p.device.Poll(ctx, `linekeeper status | awk '$1 == "line" && / -4[2-4] dBFS/ { n++ } END { exit n < 2 }'`))(p.t)
	p.talk(4 * time.Second) // of pre-roll
	p.lost = p.count()
	p.shell(ctx, "systemd-run --quiet --unit=lab-udev sh -c 'exec udevadm monitor --udev --subsystem-match=sound >"+udevLog+"'")
	p.lift(p.hooks[1], true)
}

// pull pulls the card and puts it back, and waits until it is open again. In every second round or so the handset is
// lifted or put back before, and now and then while the card is away.
func (p *pulling) pull() {
	p.t.Helper()
	p.pass(400*time.Millisecond, 1600*time.Millisecond)
	p.maybeMove(0.4)
	since := p.moment()
	p.pullUSB(1)
	p.pass(50*time.Millisecond, 1500*time.Millisecond)
	p.maybeMove(0.2)
	p.pass(50*time.Millisecond, 1500*time.Millisecond)
	if _, err := p.device.PlugUSBCard(within(p.t, 30*time.Second), 1, usbKind); err != nil {
		p.t.Fatal(err)
	}
	p.await(since, 1, cardOpen, time.Minute)
}

// pass lets some random time pass.
func (p *pulling) pass(least, most time.Duration) {
	p.t.Helper()
	p.talk(least + time.Duration(p.random.Int64N(int64(most-least))))
}

func (p *pulling) maybeMove(probability float64) {
	p.t.Helper()
	if p.random.Float64() < probability && time.Since(p.moved) > handling {
		p.setLifted(!p.lifted)
	}
}

func (p *pulling) setLifted(lifted bool) {
	p.t.Helper()
	p.lifted = lifted
	p.move(p.hooks[0], lifted)
	p.moved = time.Now()
	if lifted {
		p.calls++
	}
}

// end puts both handsets back, and waits until all calls are at headquarters, and what was lost outside them in the
// ledger, which a recorder that stops enters.
func (p *pulling) end() {
	p.t.Helper()
	p.pass(2*time.Second, 3*time.Second)
	if p.lifted {
		p.setLifted(false)
	}
	p.lift(p.hooks[1], false)
	p.silent()
	p.await(0, p.calls+1, delivered, 2*time.Minute)
	for i, n := range p.count() {
		p.lost[i] = n - p.lost[i]
	}
	p.shell(within(p.t, time.Minute), "systemctl stop linekeeper")
}

// count is how many frames the lines have lost, as the recorder counts.
func (p *pulling) count() (lost [2]int64) {
	p.t.Helper()
	var status wire.Status
	if err := json.Unmarshal([]byte(p.shell(within(p.t, time.Minute), "linekeeper status --json")), &status); err != nil {
		p.t.Fatal(err)
	}
	for i, l := range status.Lines {
		lost[i] = l.Lost
	}
	return lost
}

// usage is what the recorder takes.
type usage struct {
	main                   int64 // its process
	memory, files, threads int64 // KiB, open ones, and how many
}

func (o *office) usage() (u usage) {
	o.t.Helper()
	said := o.shell(within(o.t, time.Minute), `cd /proc/`+mainProcess+` && pwd -P | tr -dc 0-9 && echo &&
		awk '/^VmRSS|^Threads/ { print $2 }' status && ls fd | wc -l`)
	if _, err := fmt.Sscan(strings.TrimSpace(said), &u.main, &u.memory, &u.threads, &u.files); err != nil {
		o.t.Fatalf("%q: %v", said, err)
	}
	return u
}
