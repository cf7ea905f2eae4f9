//go:build lab

package devicetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// TestOffice is a day of an office in some minutes: calls on two lines; the network away for a minute; the cards pulled;
// the recorder killed in a call; the power cut in a call. The light shows each state that a recorder without sticks and pauses has, and at the end every call that the
// recorder spoke of is at headquarters, once, and sounds as it was played.
func TestOffice(t *testing.T) {
	o := openOffice(t)
	breathing, rest := context.WithCancel(t.Context())
	var breath sync.WaitGroup
	breath.Go(func() { o.breathe(breathing) })
	t.Cleanup(func() { rest(); breath.Wait() })
	o.await(0, 1, ready, 30*time.Second)
	o.awaitLight(lightIdle, 40*time.Second)

	steps := []struct {
		name string
		do   func(*office) day
	}{
		{"two lines", (*office).twoLines},
		{"card-data pause", (*office).pause},
		{"network away for a minute", (*office).networkAway},
		{"cards pulled", (*office).cardsPulled},
		{"recorder killed", (*office).recorderKilled},
		{"power cut", (*office).powerCut},
	}
	var days []day
	for _, step := range steps {
		begin := time.Now()
		d := step.do(o)
		d.name = step.name
		days = append(days, d)
		t.Logf("%s: %v", step.name, time.Since(begin).Round(time.Second))
		if t.Failed() {
			t.FailNow()
		}
	}
	o.shell(within(t, 40*time.Second), "systemctl stop linekeeper")
	o.awaitLight(lightDark, 10*time.Second)
	o.account(days)
}

// day is what was played in a step, and what the recorder said meanwhile.
type day struct {
	name       string
	played     []phone.Audio // by line
	paused     bool          // a part of it was not to be kept
	cut        bool          // the recorder or the power went away in the calls, cutAfter they began
	from, upTo int           // moments in the recorder's log
}

const (
	cutAfter = 6 * time.Second  // that a call was recorded before the recorder or the power went away in it
	longCall = 18 * time.Second // one that is still on then, also where it is known late that it began
)

// plan is some calls on each of two lines.
func (o *office) plan(seed uint64, calls int, shortest time.Duration) []phone.Audio {
	o.t.Helper()
	return must(phone.Plan(must(phone.FindVoices())(o.t), phone.PlanOptions{
		Lines: 2, Calls: calls, Rate: 8000, Pause: 6 * time.Second, Shortest: shortest, Longest: shortest + 2*time.Second, Seed: seed,
	}))(o.t)
}

// breathe has both lines rustle now and then while nothing is played on them, as a telephone line does: without any frame
// that is not zero they would be taken for dead, rightly. It ends with ctx.
func (o *office) breathe(ctx context.Context) {
	rustle := make([]int16, 4000)
	for i := range rustle {
		rustle[i] = int16(i*7919%7 - 3)
	}
	for tick := time.NewTicker(6 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		o.playing.Lock()
		var both sync.WaitGroup
		for card := 1; card <= 2; card++ {
			both.Go(func() { // a card that is pulled out, or a device without power, is no matter here
				_ = o.device.Play(ctx, device.Sound{Card: card, Rate: 8000, Channels: 1, Samples: rustle})
			})
		}
		both.Wait()
		o.playing.Unlock()
	}
}

// play plays on both lines at once; the function it gives waits for the end.
func (o *office) play(lines []phone.Audio) (wait func() error) {
	ctx := within(o.t, 2*time.Minute)
	o.playing.Lock()
	var all sync.WaitGroup
	failed := make([]error, len(lines))
	for i, l := range lines {
		all.Go(func() {
			failed[i] = o.device.Play(ctx, device.Sound{Card: i + 1, Rate: l.Format.Rate, Channels: 1, Samples: l.Samples})
		})
	}
	return func() error {
		defer o.playing.Unlock()
		all.Wait()
		return errors.Join(failed...)
	}
}

func (o *office) twoLines() day {
	d := day{from: o.moment(), played: o.plan(1, 2, 6*time.Second)}
	wait := o.play(d.played)
	o.await(d.from, 2, callBegan, 30*time.Second)
	o.awaitLight(lightRecording, 10*time.Second)
	if err := wait(); err != nil {
		o.t.Fatal(err)
	}
	o.await(d.from, 4, delivered, 60*time.Second)
	o.awaitLight(lightIdle, 20*time.Second)
	d.upTo = o.moment()
	return d
}

// pause has somebody press the button while a caller says the number of a card, and again when he has.
func (o *office) pause() day {
	d := day{from: o.moment(), played: o.plan(6, 1, 20*time.Second), paused: true}
	wait := o.play(d.played)
	o.await(d.from, 2, callBegan, 30*time.Second)
	press := func() {
		o.t.Helper()
		ctx := within(o.t, time.Minute)
		for _, high := range []bool{true, false} {
			if err := o.device.Pull(ctx, button, high); err != nil {
				o.t.Fatal(err)
			}
			o.shell(ctx, "sleep 0.3")
		}
	}
	press()
	o.awaitLight(lightPaused, 15*time.Second)
	press()
	o.awaitLight(lightRecording, 15*time.Second)
	if err := wait(); err != nil {
		o.t.Fatal(err)
	}
	o.await(d.from, 2, delivered, 60*time.Second)
	d.upTo = o.moment()
	return d
}

func (o *office) networkAway() day {
	d := day{from: o.moment(), played: o.plan(2, 1, 6*time.Second)}
	away := time.After(time.Minute)
	o.link(false)
	if err := o.play(d.played)(); err != nil {
		o.t.Fatal(err)
	}
	o.await(d.from, 2, callEnded, 30*time.Second)
	o.awaitLight(lightOffline, 90*time.Second)
	<-away
	if got := o.words()[d.from:]; slices.ContainsFunc(got, func(line string) bool { return bytes.Contains([]byte(line), []byte(delivered)) }) {
		o.t.Error("something was delivered without a network")
	}
	o.link(true)
	o.await(d.from, 2, delivered, 90*time.Second)
	o.awaitLight(lightIdle, 20*time.Second)
	d.upTo = o.moment()
	return d
}

func (o *office) link(up bool) {
	o.t.Helper()
	if err := o.device.SetLink(within(o.t, 10*time.Second), up); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) cardsPulled() day {
	d := day{from: o.moment(), played: o.plan(3, 1, 6*time.Second)}
	plug := func(card int, in bool) {
		o.t.Helper()
		if err := o.device.PlugCard(within(o.t, 20*time.Second), card, in); err != nil {
			o.t.Fatal(err)
		}
	}
	plug(2, false)
	o.awaitLight(lightAlarm, 30*time.Second)
	plug(1, false)
	o.awaitLight(lightFault, 20*time.Second)
	plug(1, true)
	plug(2, true)
	o.awaitLight(lightIdle, 30*time.Second)
	if err := o.play(d.played)(); err != nil {
		o.t.Fatal(err)
	}
	o.await(d.from, 2, delivered, 60*time.Second)
	d.upTo = o.moment()
	return d
}

func (o *office) recorderKilled() day {
	d := day{from: o.moment(), played: o.plan(4, 1, longCall), cut: true}
	wait := o.play(d.played)
	o.await(d.from, 2, callBegan, 30*time.Second)
	o.talk(cutAfter)
	o.shell(within(o.t, 10*time.Second), "systemctl kill --signal=KILL --kill-whom=main linekeeper")
	o.await(d.from, 1, ready, 30*time.Second)
	if err := wait(); err != nil {
		o.t.Fatal(err)
	}
	o.await(d.from, 2, delivered, 60*time.Second)
	o.awaitLight(lightIdle, 40*time.Second)
	d.upTo = o.moment()
	return d
}

func (o *office) powerCut() day {
	d := day{from: o.moment(), played: o.plan(5, 1, longCall), cut: true}
	wait := o.play(d.played)
	o.await(d.from, 2, callBegan, 30*time.Second)
	o.talk(cutAfter)
	o.device.PowerCut()
	if err := wait(); err == nil {
		o.t.Error("the sound was played to its end without power")
	}
	begin := time.Now()
	ctx := within(o.t, time.Minute)
	if err := o.device.PowerOn(ctx); err != nil {
		o.t.Fatal(err)
	}
	o.follow(ctx)
	o.await(d.from, 1, ready, time.Minute)
	o.t.Logf("the recorder was ready %v after power on", time.Since(begin).Round(100*time.Millisecond))
	o.await(d.from, 2, delivered, 60*time.Second)
	o.awaitLight(lightIdle, 40*time.Second)
	d.upTo = o.moment()
	return d
}

// talk lets the calls that are played go on for some time.
func (o *office) talk(d time.Duration) {
	o.t.Helper()
	select {
	case <-time.After(d):
	case <-o.device.Dead():
		o.t.Fatal("the guest is gone")
	}
}

// account holds what headquarters has against what was played and what the recorder spoke of.
func (o *office) account(days []day) {
	lib := must(library.Open(filepath.Join(o.head.Dir, "library.db"), time.Now))(o.t)
	defer lib.Close()
	all, _, err := lib.Calls(o.t.Context(), hq.Query{Limit: 500})
	if err != nil {
		o.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b hq.Call) int { return a.Began.Compare(b.Began) })
	at := map[string]hq.Call{}
	for _, c := range all {
		if c.Stage != hq.StageDurable {
			o.t.Errorf("headquarters has call %s only as %s", c.ID, c.Stage)
		}
		at[c.ID.String()] = c
	}
	spoken := 0
	for _, d := range days {
		ids := callsOf(o.words()[d.from:d.upTo])
		spoken += len(ids)
		for i, line := range []string{"line 1", "line 2"} {
			var calls []hq.Call
			for _, id := range ids {
				c, there := at[id]
				if !there {
					o.t.Errorf("%s: call %s is not at headquarters", d.name, id)
				} else if c.Line == line {
					calls = append(calls, c)
				}
			}
			if !d.paused {
				o.hear(d, d.played[i], calls)
			}
		}
	}
	if got := o.pauses(lib); got != 2 {
		o.t.Errorf("headquarters knows of %d pauses, want one on each line", got)
	}
	if spoken != len(all) {
		o.t.Errorf("the recorder spoke of %d calls, headquarters has %d", spoken, len(all))
	}
}

// pauses counts those that the ledger at headquarters tells of.
func (o *office) pauses(lib *library.Library) (count int) {
	o.t.Helper()
	for _, l := range must(lib.Ledgers(o.t.Context()))(o.t) {
		for from := uint64(1); from != 0; {
			page, next, err := lib.EntriesFrom(o.t.Context(), l, from, 100)
			if err != nil {
				o.t.Fatal(err)
			}
			for _, jws := range page {
				if e := must(ledger.Parse(jws))(o.t); e.Type == call.EntryPause && e.Gap.Frames >= 8000 {
					count++
				}
			}
			from = next
		}
	}
	return count
}

// hear compares a line's calls with what was played on it.
func (o *office) hear(d day, played phone.Audio, calls []hq.Call) {
	if len(calls) != len(played.Calls) && !d.cut || len(calls) == 0 {
		o.t.Errorf("%s: %d calls, played %d", d.name, len(calls), len(played.Calls))
		return
	}
	reference := map[int][]int16{} // by rate
	for i, c := range calls {
		file := must(os.ReadFile(filepath.Join(o.head.Dir, "calls", c.ID.String()[:2], c.ID.String()+".lkc")))(o.t)
		rate, got := o.decode(file)
		if reference[rate] == nil {
			reference[rate] = phone.Resample(played.Samples, played.Format.Rate, rate)
		}
		scale := func(frames int64) int { return int(frames * int64(rate) / int64(played.Format.Rate)) }
		// A call that was cut is in pieces, all of the one that was played.
		call := played.Calls[min(i, len(played.Calls)-1)]
		begin, end := scale(call.Begin), scale(call.End)
		upTo := begin + rate/2
		if d.cut && i > 0 {
			upTo = end
		}
		heard, err := phone.Compare(reference[rate], got, rate, begin-8*rate, upTo)
		o.t.Logf("%s, %s: %v, %s, offset %d, correlation %.3f, SNR %.1f dB, exact %t, gaps %v", d.name, c.Line, c.Duration, c.EndedBy, heard.Offset, heard.Correlation, heard.SNR, heard.Exact, c.Gaps)
		if err != nil || heard.Correlation < 0.97 || len(c.Gaps) > 0 {
			o.t.Errorf("%s, %s: sounds unlike what was played: %+v, gaps %v, %v", d.name, c.Line, heard, c.Gaps, err)
			continue
		}
		switch last := heard.Offset + len(got); {
		case i == 0 && heard.Offset > begin || !d.cut && (heard.Offset > begin || last < end):
			o.t.Errorf("%s, %s: recorded from %d to %d, played from %d to %d", d.name, c.Line, heard.Offset, last, begin, end)
		case d.cut && i == 0 && (!c.Recovered || last < begin+int((cutAfter-3*time.Second).Seconds())*rate):
			o.t.Errorf("%s, %s: recovered %t, only up to %d of a call that began at %d and was recorded for %v", d.name, c.Line, c.Recovered, last, begin, cutAfter)
		}
	}
}

// decode is the audio of a call file of one channel, and its rate.
func (o *office) decode(file []byte) (rate int, samples []int16) {
	o.t.Helper()
	header, media, err := seal.OpenMedia(bytes.NewReader(file), must(o.head.CallKeys())(o.t))
	if err != nil {
		o.t.Fatal(err)
	}
	d := must(encoder.NewDecoder(string(header.Codec), media))(o.t)
	f := d.Format()
	for buf := make([]int16, 8192*f.Channels); ; {
		n, err := d.Read(buf)
		samples = append(samples, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return f.Rate, pcm.Pick(nil, samples, f.Channels, 0)
		}
		if err != nil {
			o.t.Fatal(err)
		}
	}
}
