//go:build lab

package devicetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/device/usbip"
	"github.com/linekeeper/linekeeper/lab/phone"
)

// usbKind is the card of both lines: two that nobody can tell apart but by their ports.
var usbKind = usbip.Kind{Rate: 16000, Channels: 1}

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
		-e 's/hang_over = .*/hang_over = "6s"/' /etc/linekeeper/linekeeper.toml && systemctl restart linekeeper`, stableName(cards[1]), stableName(cards[2])))
	o.await(since, 1, ready, 30*time.Second)
	o.await(since, 2, cardOpen, 30*time.Second)

	unplugged := o.unpluggedInACall()
	swapped := o.putBackSwapped(cards)
	o.shell(within(t, 40*time.Second), "systemctl stop linekeeper")
	o.hearUSB(unplugged, true)
	o.hearUSB(swapped, false)
}

// stableName is the ALSA name that systemd/linekeeper.rules gives to the card in a port.
func stableName(c device.USBCard) string { return fmt.Sprintf("usb%d_%d", c.Bus, c.Port) }

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

// planUSB is a call on each of two lines.
func (o *office) planUSB(seed uint64, shortest time.Duration) []phone.Audio {
	o.t.Helper()
	return must(phone.Plan(must(phone.FindVoices())(o.t), phone.PlanOptions{
		Lines: 2, Calls: 1, Rate: usbKind.Rate, Pause: time.Second, Shortest: shortest, Longest: shortest + 2*time.Second, Seed: seed,
	}))(o.t)
}

// playUSB plays into both ports at once; the channel gives an error for each.
func (o *office) playUSB(lines []phone.Audio) <-chan error {
	ctx := within(o.t, time.Minute)
	played := make(chan error, len(lines))
	for i, l := range lines {
		go func() {
			played <- o.device.PlayUSB(ctx, i+1, device.Sound{Rate: l.Format.Rate, Channels: 1, Samples: l.Samples})
		}()
	}
	return played
}

func (o *office) awaitPlayed(played <-chan error) {
	o.t.Helper()
	for range cap(played) {
		if err := <-played; err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *office) unpluggedInACall() day {
	d := day{name: "unplugged in a call", from: o.moment(), played: o.planUSB(11, 16*time.Second)}
	played := o.playUSB(d.played)
	o.await(d.from, 2, callBegan, 30*time.Second)
	o.talk(3 * time.Second)
	o.pullUSB(1)
	limit := time.Duration(3 * o.slowness() * float64(time.Second))
	back := o.moment()
	o.plugUSB(1)
	begin := time.Now()
	o.await(back, 1, cardOpen, 3*limit)
	took := time.Since(begin)
	o.t.Logf("the card was open again %v after it was back; it may take %v", took.Round(time.Millisecond), limit.Round(time.Millisecond))
	if took > limit {
		o.t.Error("the card was not open again in time")
	}
	o.awaitPlayed(played)
	o.await(d.from, 2, delivered, 60*time.Second)
	d.upTo = o.moment()
	return d
}

// slowness is how much longer than on a machine with nothing else to do it takes the guest to open a sound card and to
// record a second: 1 where it takes no more than 300 ms beyond that second.
func (o *office) slowness() float64 {
	o.t.Helper()
	begin := time.Now()
	o.shell(within(o.t, 20*time.Second), "arecord -q -D hw:CARD=Line1,DEV=1 -f S16_LE -r 16000 -c 1 -d 1 --buffer-time=2000000 /dev/null")
	return max(1, float64(time.Since(begin)-time.Second)/float64(300*time.Millisecond))
}

func (o *office) putBackSwapped(before map[int]device.USBCard) day {
	d := day{name: "put back swapped", from: o.moment(), played: o.planUSB(12, 6*time.Second)}
	o.pullUSB(1)
	o.pullUSB(2)
	second, first := o.plugUSB(2), o.plugUSB(1)
	if first.Index < second.Index || first.Path() != before[1].Path() || second.Path() != before[2].Path() {
		o.t.Errorf("the cards are not swapped: %+v, %+v, before %+v", first, second, before)
	}
	o.await(d.from, 2, cardOpen, 20*time.Second)
	o.awaitPlayed(o.playUSB(d.played))
	o.await(d.from, 2, delivered, 60*time.Second)
	d.upTo = o.moment()
	return d
}

// hearUSB holds the calls of a day against what was played: one on each line, each with its own sound, and a gap in that
// of the first line where its card was away.
func (o *office) hearUSB(d day, gap bool) {
	lib := must(library.Open(filepath.Join(o.head.Dir, "library.db"), time.Now))(o.t)
	defer lib.Close()
	all, _, err := lib.Calls(o.t.Context(), hq.Query{Limit: 500})
	if err != nil {
		o.t.Fatal(err)
	}
	spoken := map[string]bool{}
	for _, id := range callsOf(o.words()[d.from:d.upTo]) {
		spoken[id] = true
	}
	for i, line := range []string{"line 1", "line 2"} {
		var calls []hq.Call
		for _, c := range all {
			if c.Line == line && spoken[c.ID.String()] {
				calls = append(calls, c)
			}
		}
		if len(calls) != 1 {
			o.t.Errorf("%s, %s: %d calls", d.name, line, len(calls))
			continue
		}
		o.hearCall(d, i, calls[0], gap && i == 0)
	}
}

func (o *office) hearCall(d day, line int, c hq.Call, gap bool) {
	rate, got := decode(o.t, must(os.ReadFile(filepath.Join(o.head.Dir, "calls", c.ID.String()[:2], c.ID.String()+".lkc")))(o.t))
	parts := [][]int16{got}
	switch {
	case gap && (len(c.Gaps) != 1 || c.Gaps[0].Cause != call.CauseCardLost):
		o.t.Errorf("%s, %s: gaps %+v, not one of a lost card", d.name, c.Line, c.Gaps)
		return
	case gap:
		g := c.Gaps[0]
		parts = [][]int16{got[:g.Position], got[g.Position+g.Frames:]}
	case len(c.Gaps) != 0:
		o.t.Errorf("%s, %s: gaps %+v", d.name, c.Line, c.Gaps)
	}
	for n, part := range parts {
		for other, played := range d.played {
			reference := phone.Resample(played.Samples, played.Format.Rate, rate)
			heard, err := phone.Compare(reference, part, rate, -8*rate, len(reference))
			o.t.Logf("%s, %s, part %d (%.1f s) beside what was played at port %d: correlation %.3f, offset %d, SNR %.1f dB, exact %t, gaps %v",
				d.name, c.Line, n+1, float64(len(part))/float64(rate), other+1, heard.Correlation, heard.Offset, heard.SNR, heard.Exact, c.Gaps)
			if own := other == line; err != nil || own && heard.Correlation < 0.97 || !own && heard.Correlation > 0.5 {
				o.t.Errorf("%s, %s, part %d is wrong: %+v, %v", d.name, c.Line, n+1, heard, err)
			}
		}
	}
}
