//go:build lab

package devicetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/signal"
)

// lines is what is played: a telephone line over its own noise.
var lines = signal.Generator{Rate: 8000}

// TestSelftest has an installer, who reads at a terminal what `linekeeper selftest` tells, at a board with two lines, the
// contact of one telephone's hook and a handset with a key, and a light; a second one for whom everything is wrong, and who
// reads nothing (--json); and nobody at all (--unattended).
func TestSelftest(t *testing.T) {
	o := openOffice(t)
	o.await(0, 1, ready, 30*time.Second)
	ctx := within(t, patience)
	key := must(o.device.HookKey(ctx, "KEY_PHONE"))(t)
	o.shell(ctx, fmt.Sprintf(`systemctl stop linekeeper && sed -i -e 's/^name = "line 1"/&\ncountry = "mz"\nhook = "GPIO%d"/' \
		-e 's/^name = "line 2"/&\ncountry = "mz"\nhook = "input:Lab handset"/' /etc/linekeeper/linekeeper.toml`, hookPin))
	desk := installer{office: o, hooks: [2]hookOf{
		{"line 1", func(ctx context.Context, lifted bool) error { return o.device.Pull(ctx, hookPin, !lifted) }},
		{"line 2", func(ctx context.Context, lifted bool) error {
			if lifted {
				return key.Press(ctx)
			}
			return key.Release(ctx)
		}},
	}}
	for _, h := range desk.hooks {
		if err := h.set(ctx, false); err != nil {
			t.Fatal(err)
		}
	}
	desk.speech = speech(t)
	for _, v := range (phone.Script{Calls: []phone.Call{{Steps: []phone.Step{phone.Ring(1)}}}}).Render(phone.Options{Rate: lines.Rate, Silent: true}).Samples {
		desk.ring = append(desk.ring, float64(v)/32768)
	}
	desk.allIsWell()
	desk.nobody()
	desk.allIsWrong()
}

// installer is at the board, and does what the self-test says.
type installer struct {
	*office
	hooks        [2]hookOf // of the lines
	speech, ring []float64
}

// speech is some sentences.
func speech(t *testing.T) (all []float64) {
	t.Helper()
	voices := must(phone.FindVoices())(t)
	for _, clip := range must(phone.Clips(voices[:1], 2*time.Second, 6*time.Second))(t)[:5] {
		for _, v := range phone.Resample(clip.Samples, clip.Rate, lines.Rate) {
			all = append(all, float64(v)/32768)
		}
		all = append(all, lines.Quiet(300*time.Millisecond)...)
	}
	return all
}

// Where the self-test reads and writes.
const (
	answers = "/run/selftest.answers"
	told    = "/run/selftest.told"
	printed = "/run/selftest.printed"
	code    = "/run/selftest.code"
)

// begin runs a command whose answers come one by one.
func (d installer) begin(command string) {
	d.t.Helper()
	d.shell(within(d.t, time.Minute), "rm -f /run/selftest.* && mkfifo "+answers+" && systemctl reset-failed && systemd-run --quiet --collect --unit=lab-selftest sh -c '"+
		"exec 3<>"+answers+"; "+command+" <&3; echo $? >"+code+".new; mv "+code+".new "+code+"'")
}

// until waits until the self-test has told something, and does something over and over meanwhile.
func (d installer) until(words string, meanwhile func()) {
	d.t.Helper()
	for ctx := within(d.t, 2*time.Minute); !strings.Contains(d.said(told), words); {
		if ctx.Err() != nil {
			d.t.Fatalf("it does not tell %q, but: %s", words, d.said(told))
		}
		meanwhile()
	}
}

// said is what stands in a file; nothing where there is none yet.
func (d installer) said(file string) string {
	text, _ := d.device.ReadFile(within(d.t, time.Minute), file)
	return string(text)
}

func (d installer) wait() { d.shell(within(d.t, time.Minute), "sleep 0.3") }

// play plays a sound over the noise of a line.
func (d installer) play(card int, sound []float64) {
	d.t.Helper()
	samples := signal.Samples(signal.AddNoise(sound, -65, 7))
	if err := d.device.Play(within(d.t, 2*time.Minute), device.Sound{Card: card, Rate: lines.Rate, Channels: 1, Samples: samples}); err != nil {
		d.t.Log(err) // of a board that is held up: the self-test says what it has heard
	}
}

// playOn plays sounds on the lines from the first on, each over and over in one piece, as a board that is held up would
// leave holes between two, until stop.
func (d installer) playOn(sounds ...[]float64) (stop func()) {
	ctx, cancel := context.WithCancel(within(d.t, 2*time.Minute))
	var all sync.WaitGroup
	for i, sound := range sounds {
		long := lines.Quiet(0)
		for len(long) < lines.Frames(90*time.Second) {
			long = append(long, sound...)
		}
		samples := signal.Samples(signal.AddNoise(long, -65, 7))
		all.Go(func() { // until stop
			_ = d.device.Play(ctx, device.Sound{Card: i + 1, Rate: lines.Rate, Channels: 1, Samples: samples})
		})
	}
	d.talk(8 * time.Second) // which a board that is held up takes to begin
	return func() { cancel(); all.Wait() }
}

// rest plays a sound on both lines on which nobody speaks.
func (d installer) rest(sound []float64) {
	var both sync.WaitGroup
	for card := 1; card <= 2; card++ {
		both.Go(func() { d.play(card, sound) })
	}
	both.Wait()
}

func (d installer) answer(line string) {
	d.t.Helper()
	d.shell(within(d.t, time.Minute), "echo '"+line+"' >"+answers)
}

// end waits for the end of the self-test, and gives its exit code.
func (d installer) end() string {
	d.t.Helper()
	for ctx := within(d.t, 2*time.Minute); ; d.wait() {
		if exit := d.said(code); exit != "" {
			return strings.TrimSpace(exit)
		}
		if ctx.Err() != nil {
			d.t.Fatalf("it does not end; it told: %s", d.said(told))
		}
	}
}

// allIsWell is the whole of it at a terminal, which is what script(1) gives it.
func (d installer) allIsWell() {
	d.begin(`script -qefc "linekeeper selftest --call" ` + told + " >/dev/null")
	d.until("line 1: lift the handset", func() { d.rest(lines.Quiet(8 * time.Second)) })
	for i, h := range d.hooks {
		card := i + 1
		d.until(h.line+": lift the handset", d.wait)
		d.move(h, true)
		d.play(card, lines.Cadence(1, -18, []float64{425}, 5*time.Second))
		d.until(h.line+": press each key once", d.wait)
		d.play(card, signal.Join(lines.Digits("1234567890*#", 100*time.Millisecond, 150*time.Millisecond, signal.Shape{}), lines.Quiet(time.Second)))
		d.until(h.line+": say some sentences", d.wait)
		d.play(card, d.speech)
		d.until(h.line+": put the handset back", d.wait)
		d.move(h, false)
		d.until(h.line+": call this line", d.wait)
		message := lines.FSK(signal.Transmission{Modem: signal.Bell202(), Level: -20, Seizure: 300, Marks: 180, Tail: 10}, signal.SDMF("11271400", "0841234567"))
		d.play(card, signal.Join(d.ring, lines.Quiet(700*time.Millisecond), message, lines.Quiet(2*time.Second), d.ring, lines.Quiet(time.Second)))
	}
	d.until("The light blinks fast now. Does it?", d.wait)
	d.awaitLight(lightFault, 20*time.Second)
	d.answer("y")
	exit, words := d.end(), d.said(told)
	d.t.Logf("exit code %s; at the terminal:\n%s", exit, words)
	want := []string{"link, https", "link, mqtt", "headquarters, https", "headquarters, mqtt", "light", "clock", "card", "seal"}
	for _, line := range []string{"line 1", "line 2"} {
		for _, check := range []string{"level", "hum", "hook", "digits", "caller ID", "tone country"} {
			want = append(want, check+", "+line)
		}
	}
	for _, check := range want {
		d.verdict(words, "PASS", check)
	}
	if exit != "0" || strings.Contains(words, "0841234567") {
		d.t.Errorf("exit code %s, or it shows the number", exit)
	}
}

// verdict looks for the line of a check in what was printed.
func (d installer) verdict(words, verdict, check string) {
	d.t.Helper()
	for line := range strings.Lines(words) {
		if rest, ok := strings.CutPrefix(line, verdict+"  "+check+" "); ok && strings.HasPrefix(rest, " ") || strings.TrimSpace(line) == verdict+"  "+check {
			return
		}
	}
	d.t.Errorf("it does not say %s of %s", verdict, check)
}

type selftestReport struct {
	Passed          bool
	Failed, Skipped int
	Results         []struct{ Check, Of, Verdict, Says, Do string }
}

// report reads what --json printed, and holds it against what is wanted, by check and what it is of: what each result
// begins with. One that fails must say what to do.
func (d installer) report(want map[string]string) {
	d.t.Helper()
	var r selftestReport
	if err := json.Unmarshal([]byte(d.said(printed)), &r); err != nil {
		d.t.Fatalf("%v: %s; it told: %s", err, d.said(printed), d.said(told))
	}
	for _, one := range r.Results {
		name := strings.TrimSuffix(one.Check+", "+one.Of, ", ")
		d.t.Logf("%s %s: %s -> %s", one.Verdict, name, one.Says, one.Do)
		if begins, ok := want[name]; ok && !strings.HasPrefix(one.Verdict+" "+one.Says, begins) || one.Verdict == "FAIL" && one.Do == "" {
			d.t.Errorf("%s: wanted %s", name, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		d.t.Errorf("nothing is said of %v", want)
	}
}

// nobody is there: line 1's contact can be read, line 2's handset too, and line 2 hums.
func (d installer) nobody() {
	hum := lines.Sines(8*time.Second, []signal.Component{{Hz: 60, Level: -32}, {Hz: 180, Level: -45}})
	stop := d.playOn(lines.Quiet(8*time.Second), hum)
	d.begin("linekeeper selftest --unattended --json >" + printed + " 2>" + told)
	if exit := d.end(); exit != "1" {
		d.t.Errorf("exit code %s", exit)
	}
	stop()
	d.report(map[string]string{
		"level, line 1": "PASS -6", "hum, line 1": "PASS none", "hook, line 1": "SKIP it can be read", "digits, line 1": "SKIP needs somebody",
		"caller ID, line 1": "SKIP needs somebody", "tone country, line 1": "SKIP needs somebody", "hum, line 2": "FAIL hum 60 Hz", "hook, line 2": "SKIP it can be read",
		"light": "SKIP there is one", "clock": "PASS ", "link, https": "PASS ", "headquarters, https": "PASS ", "link, mqtt": "PASS ", "headquarters, mqtt": "PASS ",
	})
}

// allIsWrong is line 1 with a contact that does not follow, the exchange of another country, a key that is worn, a voice
// that is hardly heard, and no caller ID; a light that nobody sees, a clock that nothing sets, and no network.
func (d installer) allIsWrong() {
	d.link(false)
	d.shell(within(d.t, time.Minute), "rm -f /dev/rtc0 /run/systemd/timesync/synchronized && systemctl stop systemd-timesyncd")
	stop := d.playOn(lines.Sines(8*time.Second, []signal.Component{{Hz: 50, Level: -32}, {Hz: 150, Level: -45}}))
	d.begin(`linekeeper selftest "line 1" --call --json >` + printed + " 2>" + told)
	d.until("lift the handset", d.wait)
	stop()
	d.play(1, lines.Cadence(1, -18, []float64{350, 440}, 5*time.Second))
	d.until("press each key once", d.wait)
	d.play(1, signal.Join(lines.Digits("12346789*#", 100*time.Millisecond, 150*time.Millisecond, signal.Shape{}), lines.Quiet(time.Second)))
	d.until("say some sentences", d.wait)
	d.play(1, signal.Gain(d.speech, -40))
	d.until("call this line", d.wait) // a contact that says "put back" all the time leaves nothing to wait for before
	d.play(1, d.ring)
	d.until("it rings", d.wait)
	d.until("Does it?", d.wait)
	d.answer("n")
	if exit := d.end(); exit != "1" {
		d.t.Errorf("exit code %s", exit)
	}
	d.t.Logf("told:\n%s", d.said(told))
	d.report(map[string]string{
		"hum, line 1": "FAIL hum 50 Hz", "hook, line 1": "FAIL it did not follow", "tone country, line 1": "FAIL the dial tone is not that of mz",
		"digits, line 1": "FAIL heard: 1 2 3 4 6 7 8 9 * #; not heard: 5 0", "level, line 1": "FAIL ", "caller ID, line 1": "FAIL it rang, and no caller ID",
		"light": "FAIL it does not show", "clock": "FAIL nothing sets it", "link, https": "FAIL ", "link, mqtt": "FAIL ",
		"headquarters, https": "SKIP it is not reached",
	})
}
