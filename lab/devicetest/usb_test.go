//go:build lab

package devicetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/device/usbip"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/usbport"
)

// usbKind is the card of both lines: two that nobody can tell apart but by their ports. Their rate is that of the calls,
// so that what was played is recorded to the sample.
var usbKind = usbip.Kind{Rate: 8000, Channels: 1}

const cardOpen = `msg="sound card open"`

// TestUSBCards is two lines on two equal USB cards, which the packaged udev rule names after their ports: both are
// recorded and told apart; one is unplugged in a call, which has a gap then and goes on within three seconds of its
// return; and both are put back in the other order, after which each line is still what is at its port.
func TestUSBCards(t *testing.T) {
	o := openOffice(t)
	o.await(0, 1, ready, 30*time.Second)
	cards := map[int]device.USBCard{1: o.plugUSB(1), 2: o.plugUSB(2)}
	since := o.moment()
	o.shell(within(t, time.Minute), fmt.Sprintf(`sed -i -e 's/hw:CARD=Line1[^"]*/plughw:CARD=%s,DEV=0/' -e 's/hw:CARD=Line2[^"]*/plughw:CARD=%s,DEV=0/' \
		-e 's/hang_over = .*/hang_over = "8s"/' /etc/linekeeper/linekeeper.toml && systemctl restart linekeeper`, stableName(cards[1]), stableName(cards[2])))
	o.await(since, 1, ready, 30*time.Second)
	o.await(since, 2, cardOpen, 30*time.Second)

	unplugged := o.unpluggedInACall()
	swapped := o.putBackSwapped(cards)
	o.shell(within(t, 40*time.Second), "systemctl stop linekeeper")
	for _, s := range []usbStep{unplugged, swapped} {
		o.hearUSB(s)
	}
}

// usbStep is a step of the test: the recorder's words of it, and what each line's call must hold, part by part; between
// two parts the card was away.
type usbStep struct {
	name       string
	from, upTo int // moments in the recorder's log
	want       [2][]phone.Audio
}

// stableName is the ALSA name that systemd/linekeeper.rules gives to the card in a port.
func stableName(c device.USBCard) string {
	return usbport.Of(fmt.Sprintf("/devices/platform/vhci_hcd.0/usb%d/%s", c.Bus, c.Path()))
}

// plugUSB puts a card in, and waits until it has its name.
func (o *office) plugUSB(port int) device.USBCard {
	o.t.Helper()
	ctx := within(o.t, 30*time.Second)
	card := must(o.device.PlugUSBCard(ctx, port, usbKind))(o.t)
	if _, err := o.device.Poll(ctx, fmt.Sprintf("test /proc/asound/%s -ef /proc/asound/card%d", stableName(card), card.Index)); err != nil {
		o.t.Fatalf("the card in port %d has no name that stays: %v", port, err)
	}
	return card
}

func (o *office) pullUSB(port int) {
	o.t.Helper()
	if err := o.device.PullUSBCard(within(o.t, 20*time.Second), port); err != nil {
		o.t.Fatal(err)
	}
}

// planUSB is a call on each of some lines.
func (o *office) planUSB(seed uint64, lines int, shortest time.Duration) []phone.Audio {
	o.t.Helper()
	return must(phone.Plan(must(phone.FindVoices())(o.t), phone.PlanOptions{
		Lines: lines, Calls: 1, Rate: usbKind.Rate, Pause: time.Second, Shortest: shortest, Longest: shortest + 2*time.Second, Seed: seed,
	}))(o.t)
}

// playUSB plays into the ports from 1 on at once; the function it gives waits for the end.
func (o *office) playUSB(lines ...phone.Audio) (wait func()) {
	ctx := within(o.t, 2*time.Minute)
	played := make(chan error, len(lines))
	for i, l := range lines {
		go func() {
			played <- o.device.PlayUSB(ctx, i+1, device.Sound{Rate: l.Format.Rate, Channels: 1, Samples: l.Samples})
		}()
	}
	return func() {
		o.t.Helper()
		for range lines {
			if err := <-played; err != nil {
				o.t.Fatal(err)
			}
		}
	}
}

func (o *office) unpluggedInACall() usbStep {
	limit := time.Duration(3 * o.slowness() * float64(time.Second))
	first, after := o.planUSB(11, 2, 8*time.Second), o.planUSB(13, 1, 5*time.Second)[0]
	s := usbStep{name: "unplugged in a call", from: o.moment(), want: [2][]phone.Audio{{first[0], after}, {first[1]}}}
	wait := o.playUSB(first...)
	o.await(s.from, 2, callBegan, 30*time.Second)
	o.talk(2 * time.Second)
	o.pullUSB(1)
	back := o.moment()
	o.plugUSB(1)
	begin := time.Now()
	o.await(back, 1, cardOpen, 3*limit)
	took := time.Since(begin)
	o.t.Logf("the card was open again %v after it was back; it may take %v", took.Round(time.Millisecond), limit.Round(time.Millisecond))
	if took > limit {
		o.t.Error("the card was not open again in time")
	}
	o.playUSB(after)()
	wait()
	o.await(s.from, 2, delivered, 60*time.Second)
	s.upTo = o.moment()
	return s
}

// slowness is how much longer than on a machine with nothing else to do it takes the guest to open a sound card and to
// record a second: 1 where it takes no more than 300 ms beyond that second.
func (o *office) slowness() float64 {
	o.t.Helper()
	begin := time.Now()
	o.shell(within(o.t, 20*time.Second), "arecord -q -D hw:CARD=Line1,DEV=1 -f S16_LE -r 16000 -c 1 -d 1 --buffer-time=2000000 /dev/null")
	return max(1, float64(time.Since(begin)-time.Second)/float64(300*time.Millisecond))
}

func (o *office) putBackSwapped(before map[int]device.USBCard) usbStep {
	lines := o.planUSB(12, 2, 6*time.Second)
	s := usbStep{name: "put back swapped", from: o.moment(), want: [2][]phone.Audio{lines[:1], lines[1:]}}
	o.pullUSB(1)
	o.pullUSB(2)
	second, first := o.plugUSB(2), o.plugUSB(1)
	if first.Index < second.Index || first.Path() != before[1].Path() || second.Path() != before[2].Path() {
		o.t.Errorf("the cards are not swapped: %+v, %+v, before %+v", first, second, before)
	}
	o.await(s.from, 2, cardOpen, time.Minute)
	o.playUSB(lines...)()
	o.await(s.from, 2, delivered, 60*time.Second)
	s.upTo = o.moment()
	return s
}

// hearUSB holds the calls of a step against what was played: one on each line, each with its own sound.
func (o *office) hearUSB(s usbStep) {
	lib := must(library.Open(filepath.Join(o.head.Dir, "library.db"), time.Now))(o.t)
	defer lib.Close()
	all, _, err := lib.Calls(o.t.Context(), hq.Query{Limit: 500})
	if err != nil {
		o.t.Fatal(err)
	}
	spoken := callsOf(o.words()[s.from:s.upTo])
	for i, line := range []string{"line 1", "line 2"} {
		var calls []hq.Call
		for _, c := range all {
			if c.Line == line && slices.Contains(spoken, c.ID.String()) {
				calls = append(calls, c)
			}
		}
		if len(calls) != 1 {
			o.t.Errorf("%s, %s: %d calls", s.name, line, len(calls))
			continue
		}
		o.hearParts(s.name, calls[0], s.want[i], s.want[1-i][0])
	}
}

// hearParts compares what a call holds before and after its gaps with what was played on its line, and with what was
// played on the other one.
func (o *office) hearParts(step string, c hq.Call, want []phone.Audio, other phone.Audio) {
	rate, got := o.decode(must(os.ReadFile(filepath.Join(o.head.Dir, "calls", c.ID.String()[:2], c.ID.String()+".lkc")))(o.t))
	if rate != usbKind.Rate {
		o.t.Errorf("%s, %s: %d frames a second", step, c.Line, rate)
		return
	}
	var parts [][]int16
	from := 0
	for _, g := range c.Gaps {
		if g.Cause != call.CauseCardLost {
			o.t.Errorf("%s, %s: a gap by %s", step, c.Line, g.Cause)
		}
		parts = append(parts, got[from:g.Position])
		// The end of the sound before may still be heard after the gap, in the quiet that the next one begins with.
		from = int(g.Position+g.Frames) + 2*rate
	}
	parts = append(parts, got[min(from, len(got)):])
	if len(parts) != len(want) {
		o.t.Errorf("%s, %s: gaps %+v, want %d", step, c.Line, c.Gaps, len(want)-1)
		return
	}
	for n, part := range parts {
		own, err := phone.Compare(want[n].Samples, part, rate, -8*rate, len(want[n].Samples))
		foreign, err2 := phone.Compare(other.Samples, part, rate, -8*rate, len(other.Samples))
		o.t.Logf("%s, %s, part %d, %.1f s: as played from %.1f s, SNR %.1f dB, correlation %.3f; with the other line's %.3f",
			step, c.Line, n+1, float64(len(part))/float64(rate), float64(own.Offset)/float64(rate), own.SNR, own.Correlation, foreign.Correlation)
		if err != nil || err2 != nil || own.SNR < 40 || foreign.Correlation > 0.5 {
			o.t.Errorf("%s, %s, part %d is not what was played: %+v, %v, %v", step, c.Line, n+1, own, err, err2)
		}
	}
}
