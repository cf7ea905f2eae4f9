//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/wire"
)

// alarming is what is wrong with a line's card or sound, what the recorder must say of it, and after how long at most. No
// other line may have the same said of it.
type alarming struct {
	line, says string
	within     time.Duration
	sound      []float64
}

// statusOf is what `linekeeper status --json` prints.
type statusOf struct {
	wire.Status
	Cards []struct {
		Device, Error      string
		Reopened, Overruns int64
	}
}

// has says whether a reason is given of a line or its card, which has the same name here.
func (s statusOf) has(line, says string) bool {
	for _, r := range s.Reasons {
		if (strings.HasPrefix(r, "line "+line+": ") || strings.HasPrefix(r, "card "+line+": ")) && strings.Contains(r, says) {
			return true
		}
	}
	return false
}

// TestAlarms has a line for each thing that can be wrong with a card, or with what is heard, all at once: each is told, as
// what it is, of that line and no other, within its time; and no longer once it is mended. Then the program is held up for
// longer than the cards' buffers last, and a card goes to sleep: both are told, and the lines go on.
func TestAlarms(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	long := func(hz float64) []float64 {
		return signal.AddNoise(lineSignals.Sines(30*time.Second, []signal.Component{{Hz: hz, Level: -32}, {Hz: 3 * hz, Level: -45}}), -70, 3)
	}
	all := []alarming{
		{"zeros", "digital silence", 40 * time.Second, lineSignals.Quiet(30 * time.Second)},
		{"hum50", "hum of 50 Hz", 25 * time.Second, long(50)},
		{"hum60", "hum of 60 Hz", 25 * time.Second, long(60)},
		{"loud", "clipping", 30 * time.Second, signal.Gain(spoken(t, 20*time.Second), 30)},
		{"absent", "run `linekeeper inputs`", 5 * time.Second, noise(30 * time.Second)},
		{"busy", "another program has it", 5 * time.Second, noise(30 * time.Second)},
		{"idle", "", 0, noise(30 * time.Second)},
		{"lifted", "the handset is not put back", 60 * time.Second, signal.Join(spoken(t, 8*time.Second), lineSignals.Cadence(200, -20, []float64{425}, 500*time.Millisecond, 500*time.Millisecond))},
		{"slow", "its clock is off by -2.0 %", 90 * time.Second, noise(30 * time.Second)},
		{"well", "", 0, signal.Join(spoken(t, 8*time.Second), noise(10*time.Second))},
	}
	sim, settings := alarmingCards(t, dir, all)
	if err := sim.Unplug("absent"); err != nil {
		t.Fatal(err)
	}
	holder := exec.CommandContext(t.Context(), program(t, "linekeeper"), "meter", "busy")
	holder.Env = append(os.Environ(), sim.Env())
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, time.Second)
	office := recorder(t, dir, nil, settings)
	running := start(t, office.Start)

	awaitStatus(t, office, 10*time.Second, "the card of line well is open", func(s statusOf) bool { return !s.has("well", "") })
	awaitAlarms(t, office, all)
	if err := sim.Plug("absent"); err != nil {
		t.Fatal(err)
	}
	if err := holder.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	mended := time.Now()
	awaitStatus(t, office, 30*time.Second, "absent and busy are mended", func(s statusOf) bool { return !s.has("absent", "") && !s.has("busy", "") })
	t.Logf("the absent card and the busy one are open %v after they can be", time.Since(mended).Round(100*time.Millisecond))

	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(running.PID(), s); err != nil {
			t.Fatal(err)
		}
		waitFor(t, 4*time.Second)
	}
	if err := sim.Sleep("idle"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, office, 30*time.Second, "an overrun, and a card that slept opened again", func(s statusOf) bool {
		held, slept := false, false
		for _, c := range s.Cards {
			held = held || c.Device == "well" && c.Overruns == 1 && c.Error == ""
			slept = slept || c.Device == "idle" && c.Reopened == 1 && c.Error == ""
		}
		return held && slept
	})
	words := running.AllWords()
	contains(t, words, "cause:overrun", "cause:card lost")
	if err := running.Stop(); err != nil {
		t.Error(err)
	}
}

// alarmingCards makes a card and a line of each.
func alarmingCards(t *testing.T, dir string, all []alarming) (*linesim.Sim, station.RecorderOptions) {
	t.Helper()
	settings := station.RecorderOptions{HangOver: "5s", Codec: string(call.Opus), Extra: `country = "mz"
[alarms]
off_hook = "15s"`}
	var cards []linesim.Card
	for _, a := range all {
		file := filepath.Join(dir, a.line+".raw")
		if err := linesim.WriteSamples(file, signal.Samples(a.sound)); err != nil {
			t.Fatal(err)
		}
		card := linesim.Card{Name: a.line, File: file, Rate: lineRate, Channels: 1, Loop: true, Control: true}
		if a.line == "slow" {
			card.PPM = -20000
		}
		cards = append(cards, card)
		if a.line != "lifted" {
			settings.Lines = append(settings.Lines, station.Line{Name: a.line, Device: a.line})
		}
	}
	settings.Lines = append(settings.Lines, station.Line{Name: "lifted", Device: "lifted"}) // last: Extra begins with its country
	sim := must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), cards...))(t)
	settings.Env = []string{sim.Env()}
	return sim, settings
}

// spoken is some seconds of talk.
func spoken(t *testing.T, length time.Duration) (all []float64) {
	t.Helper()
	for _, clip := range must(phone.Clips(must(phone.FindVoices())(t)[:1], 2*time.Second, 6*time.Second))(t) {
		for _, v := range phone.Resample(clip.Samples, clip.Rate, lineRate) {
			all = append(all, float64(v)/32768)
		}
		if len(all) >= lineSignals.Frames(length) {
			break
		}
	}
	return signal.AddNoise(all, -65, 5)
}

func askStatus(t *testing.T, office *station.Recorder) (s statusOf) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(office.Command("status", "--json"))(t)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func awaitStatus(t *testing.T, office *station.Recorder, patience time.Duration, what string, is func(statusOf) bool) {
	t.Helper()
	for ctx := within(t, patience); ; waitFor(t, 300*time.Millisecond) {
		s := askStatus(t, office)
		if is(s) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("not so: %s; reasons %q, cards %+v", what, s.Reasons, s.Cards)
		}
	}
}

// awaitAlarms waits until each line has had its alarm.
func awaitAlarms(t *testing.T, office *station.Recorder, all []alarming) {
	t.Helper()
	begun, seen, want := time.Now(), map[string]bool{}, 0
	for _, a := range all {
		if a.says != "" {
			want++
		}
	}
	for ctx := within(t, 2*time.Minute); len(seen) < want; waitFor(t, 300*time.Millisecond) {
		s := askStatus(t, office)
		for _, a := range all {
			if a.says == "" || seen[a.line] || !s.has(a.line, a.says) {
				continue
			}
			seen[a.line] = true
			took := time.Since(begun)
			t.Logf("%s: %s, told after %v", a.line, a.says, took.Round(100*time.Millisecond))
			if took > a.within || s.State != call.StateAlarm && s.State != call.StateRecording {
				t.Errorf("%s: that took more than %v, or the state, %s, is neither alarm nor, in a call, recording", a.line, a.within, s.State)
			}
		}
		for _, one := range all {
			for _, other := range all {
				if one.line != other.line && other.says != "" && s.has(one.line, other.says) {
					t.Errorf("%s is told of %s: %q", other.says, one.line, s.Reasons)
				}
			}
		}
		if ctx.Err() != nil || t.Failed() {
			t.Fatalf("told were %v; now %s: %q", seen, s.State, s.Reasons)
		}
	}
}
