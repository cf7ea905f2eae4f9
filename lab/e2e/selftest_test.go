//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/lab/station"
)

// selftestReport is what `linekeeper selftest --json` prints.
type selftestReport struct {
	Passed          bool
	Failed, Skipped int
	Results         []struct{ Check, Of, Verdict, Says, Do string }
}

// said is a check's verdict and words.
func (r selftestReport) said(check, of string) string {
	for _, one := range r.Results {
		if one.Check == check && one.Of == of {
			return one.Verdict + " " + one.Says
		}
	}
	return "nothing"
}

func (r selftestReport) want(t *testing.T, check, of, begins string) {
	t.Helper()
	if got := r.said(check, of); !strings.HasPrefix(got, begins) {
		t.Errorf("%s of %q: %s, want %s", check, of, got, begins)
	}
}

// selftest runs `linekeeper selftest` without a terminal, and gives what it prints on each output. Its exit code has to be
// 1 where something failed, and 0 where nothing did.
func selftest(t *testing.T, r *station.Recorder, in io.Reader, args ...string) (out, told string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(within(t, 3*time.Minute), r.Program, append([]string{"selftest", "--config", r.Config}, args...)...)
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("selftest %v: %v: %s", args, err, stderr.String())
	}
	failed := strings.Contains(stdout.String(), "FAIL")
	if failed != (err != nil) {
		t.Errorf("selftest %v ended with %v, and printed:\n%s", args, err, stdout.String())
	}
	return stdout.String(), stderr.String()
}

func selftestJSON(t *testing.T, r *station.Recorder, args ...string) (report selftestReport) {
	t.Helper()
	out, told := selftest(t, r, nil, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, told)
	}
	return report
}

var lineSignals = signal.Generator{Rate: lineRate}

// noise is a line on which nobody speaks.
func noise(d time.Duration) []float64 { return signal.AddNoise(lineSignals.Quiet(d), -65, 5) }

// soundCards are simulated cards of a name and a sound each, played again and again, and a line of a recorder on each.
func soundCards(t *testing.T, dir string, loop bool, names []string, sounds ...[]float64) (*linesim.Sim, []station.Line) {
	t.Helper()
	var cards []linesim.Card
	var lines []station.Line
	for i, name := range names {
		file := filepath.Join(dir, name+".raw")
		if err := linesim.WriteSamples(file, signal.Samples(sounds[i])); err != nil {
			t.Fatal(err)
		}
		cards = append(cards, linesim.Card{Name: name, File: file, Rate: lineRate, Channels: 1, Loop: loop})
		lines = append(lines, station.Line{Name: name, Device: name})
	}
	return must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), cards...))(t), lines
}

// TestSelftestUnattended: a good line passes, one that hums and one that is dead fail with the reason, and so does a card
// that is not there; both ways to a headquarters that runs are tried. A headquarters that is not ours is told from it.
func TestSelftestUnattended(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	hum := lineSignals.Sines(10*time.Second, []signal.Component{{Hz: 50, Level: -32}, {Hz: 150, Level: -45}})
	sim, lines := soundCards(t, dir, true, []string{"good", "humming", "dead"},
		noise(10*time.Second), signal.AddNoise(hum, -70, 6), lineSignals.Quiet(10*time.Second))
	lines = append(lines, station.Line{Name: "gone", Device: "plughw:CARD=Gone,DEV=0"})
	head := headquarters(t, dir, nil)
	start(t, head.Start)
	office := recorder(t, dir, head, station.RecorderOptions{Lines: lines, Order: []string{"https", "mqtt"}, Env: []string{sim.Env()}})

	begun := time.Now()
	r := selftestJSON(t, office, "--unattended")
	t.Logf("in %v: %+v", time.Since(begun).Round(time.Second), r)
	r.want(t, "level", "good", "PASS -6")
	r.want(t, "hum", "good", "PASS")
	r.want(t, "digits", "good", "SKIP needs somebody")
	r.want(t, "hum", "humming", "FAIL hum 50 Hz")
	r.want(t, "level", "dead", "FAIL digital silence")
	r.want(t, "level", "gone", "FAIL no frames: ")
	for _, way := range []string{"https", "mqtt"} {
		r.want(t, "link", way, "PASS")
		r.want(t, "headquarters", way, "PASS it is ours, knows this recorder")
	}
	r.want(t, "light", "", "SKIP the settings name none")
	r.want(t, "card", "", "PASS writes")
	r.want(t, "seal", "", "PASS calls are sealed to age1")
	if clock := r.said("clock", ""); r.Passed || r.Failed < 3 || !strings.HasPrefix(clock, "PASS") && !strings.HasPrefix(clock, "FAIL nothing sets it") {
		t.Errorf("%+v", r)
	}
	if left := must(filepath.Glob(filepath.Join(office.Dir, ".selftest-*")))(t); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if _, err := os.Stat(filepath.Join(office.Dir, "ring")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made a ring, or what it heard is kept: %v", err)
	}

	stranger := headquarters(t, filepath.Join(dir, "other"), nil)
	other := must(station.NewRecorder(program(t, "linekeeper"), filepath.Join(dir, "stranger"), "Elsewhere", stranger, station.RecorderOptions{
		Lines: lines[:1], Order: []string{"https"}, Env: []string{sim.Env()}}))(t)
	settings := string(must(os.ReadFile(other.Config))(t))
	settings = strings.Replace(settings, stranger.Recorders, head.Recorders, 1)
	if err := os.WriteFile(other.Config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	r = selftestJSON(t, other, "--unattended")
	r.want(t, "link", "https", "PASS")
	r.want(t, "headquarters", "https", "FAIL ")
	for _, one := range r.Results {
		if one.Check == "headquarters" {
			t.Logf("%+v", one)
			contains(t, one.Do, "not our headquarters")
		}
	}
}

// TestSelftestAttended: an installer at a good line, without a terminal: the dial tone, the keys and the voice are heard
// when they are asked for. Which number was keyed nobody reads.
func TestSelftestAttended(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	voices := must(phone.FindVoices())(t)
	speech := lineSignals.Quiet(0)
	for _, clip := range must(phone.Clips(voices[:1], 2*time.Second, 6*time.Second))(t)[:4] {
		for _, v := range phone.Resample(clip.Samples, clip.Rate, lineRate) {
			speech = append(speech, float64(v)/32768)
		}
		speech = append(speech, lineSignals.Quiet(300*time.Millisecond)...)
	}
	tone := lineSignals.Cadence(1, -18, []float64{425}, 4*time.Second)
	keys := lineSignals.Digits("1234567890*#", 100*time.Millisecond, 150*time.Millisecond, signal.Shape{})
	sound := signal.Join(lineSignals.Quiet(14*time.Second), tone, lineSignals.Quiet(time.Second), keys, lineSignals.Quiet(2*time.Second), speech, lineSignals.Quiet(30*time.Second))
	sim, lines := soundCards(t, dir, false, []string{"desk"}, signal.AddNoise(sound, -65, 7))
	office := recorder(t, dir, nil, station.RecorderOptions{Lines: lines, Env: []string{sim.Env()}, Extra: `country = "mz"`})

	out, told := selftest(t, office, strings.NewReader(""))
	t.Logf("it told:\n%s\nand printed:\n%s", told, out)
	for _, want := range []string{"PASS  level, desk", "PASS  hum, desk", "SKIP  hook, desk", "PASS  digits, desk", "SKIP  caller ID, desk", "the dial tone is that of mz: 425 Hz", "SKIP  light", "SKIP  headquarters", "PASS  card", "PASS  seal"} {
		contains(t, out, want)
	}
	for _, want := range []string{"desk: leave the handset on its hook", "desk: lift the handset", "desk: press each key once", "heard: 1 2 3", "desk: say some sentences"} {
		contains(t, told, want)
	}
}

// TestSelftestBesideARecorder: the lines are the recorder's; the rest is tried, and the recorder stays connected.
func TestSelftestBesideARecorder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	sim, lines := soundCards(t, dir, true, []string{"desk"}, noise(10*time.Second))
	head := headquarters(t, dir, nil)
	start(t, head.Start)
	office := recorder(t, dir, head, station.RecorderOptions{Lines: lines, Order: []string{"mqtt", "https"}, Env: []string{sim.Env()}})
	running := start(t, office.Start)
	await(t, running, 1, "connected", 30*time.Second)
	await(t, running, 1, "first audio", 30*time.Second)
	for ctx := within(t, 10*time.Second); strings.Contains(must(office.Command("status"))(t), "-100 dBFS"); {
		if ctx.Err() != nil {
			t.Fatal("the recorder tells no level of what it hears")
		}
	}

	r := selftestJSON(t, office, "--unattended")
	t.Logf("%+v", r)
	r.want(t, "level", "desk", "PASS")
	r.want(t, "digits", "desk", "SKIP the recorder runs and has the line: `systemctl stop linekeeper`")
	r.want(t, "headquarters", "https", "PASS it is ours, knows this recorder")
	r.want(t, "headquarters", "mqtt", "PASS it is ours, and takes this recorder's certificate")
	r.want(t, "card", "", "PASS")
	_, told := selftest(t, office, strings.NewReader(""))
	contains(t, told, "The recorder runs")
	if words := running.AllWords(); strings.Contains(words, "disconnected") {
		t.Errorf("the recorder was thrown out:\n%s", words)
	}
}
