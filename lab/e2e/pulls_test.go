//go:build e2e

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/wire"
)

var (
	pulls     = flag.Int("pulls", 8, "how often TestPulls pulls the card")
	pullsSeed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments at which it does")
)

const pullTakes = 5 * time.Second // that one takes, at most, with all around it

// TestPulls has one of two equal cards pulled out and put back at random moments, in calls and between them: recorded
// again within three seconds, every lost frame in a gap of its length or in the ledger, the other card never disturbed,
// and a recorder that does not grow.
func TestPulls(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	sounds, sim := twoTalkingLines(t, dir, time.Duration(*pulls)*pullTakes+30*time.Second)
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, station.RecorderOptions{
		Lines:    []station.Line{{Name: "line 1", Device: "pulled"}, {Name: "line 2", Device: "other"}},
		HangOver: "3s", Codec: string(call.FLAC), Order: []string{"https"}, Env: []string{sim.Env()},
	})
	start(t, head.Start)
	running := start(t, office.Start)
	await(t, running, 2, "sound card open", 30*time.Second)

	random := rand.New(rand.NewPCG(*pullsSeed, 0))
	pass := func(least, most time.Duration) { waitFor(t, least+time.Duration(random.Int64N(int64(most-least)))) }
	var again []time.Duration
	var before, after usage
	for n := range *pulls {
		pass(300*time.Millisecond, 2500*time.Millisecond)
		if err := sim.Unplug("pulled"); err != nil {
			t.Fatal(err)
		}
		must(running.Await(within(t, 10*time.Second), n+1, isGone))(t) // a simulated card that is back before is not missed
		pass(0, 2500*time.Millisecond)
		if err := sim.Plug("pulled"); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		await(t, running, n+3, "sound card open", 30*time.Second)
		again = append(again, time.Since(back))
		if after = use(t, running.PID()); n == min(9, *pulls/2) {
			before = after // what is made once has been made by then
		}
	}
	lost := lostFrames(t, office)
	if err := running.Stop(); err != nil {
		t.Error(err)
	}
	slices.Sort(again)
	t.Logf("%d pulls, seed %d: open again after a median of %v, at most %v; the recorder %+v, then %+v", *pulls, *pullsSeed,
		again[len(again)/2].Round(time.Millisecond), again[len(again)-1].Round(time.Millisecond), before, after)
	if again[len(again)-1] > 3*time.Second {
		t.Error("the card was not open again in time")
	}
	if after.files > before.files+2 || after.threads > before.threads+2 || after.memory > before.memory+4096 {
		t.Error("the recorder has grown")
	}
	deliver(t, head, office)
	accountForPulls(t, head, sounds, lost, running)
}

func isGone(e station.Event) bool { return strings.Contains(e.Text("error"), "it is gone") }

// twoTalkingLines is two lines on which there is a call most of the time, each over a noise of its own in which nothing
// comes twice.
func twoTalkingLines(t *testing.T, dir string, length time.Duration) (sounds [2][]int16, sim *linesim.Sim) {
	t.Helper()
	lines := must(phone.Plan(must(phone.FindVoices())(t), phone.PlanOptions{
		Lines: 2, Calls: 4, Rate: lineRate, Shortest: 7 * time.Second, Longest: 9 * time.Second, Pause: 5 * time.Second, Seed: 21,
	}))(t)
	cards := [2]linesim.Card{{Name: "pulled"}, {Name: "other"}}
	for i, l := range lines {
		sounds[i] = phone.Noise(int(length.Seconds())*lineRate, 40, uint64(i+1))
		for at := range sounds[i] {
			sounds[i][at] += l.Samples[at%len(l.Samples)] / 2
		}
		cards[i].File, cards[i].Rate, cards[i].Channels, cards[i].Control = filepath.Join(dir, cards[i].Name+".raw"), lineRate, 1, true
		if err := linesim.WriteSamples(cards[i].File, sounds[i]); err != nil {
			t.Fatal(err)
		}
	}
	return sounds, must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), cards[:]...))(t)
}

// lostFrames is what the recorder says that each line has lost.
func lostFrames(t *testing.T, office *station.Recorder) map[string]int64 {
	t.Helper()
	var status wire.Status
	if err := json.Unmarshal([]byte(must(office.Command("status", "--json"))(t)), &status); err != nil {
		t.Fatal(err)
	}
	lost := map[string]int64{}
	for _, l := range status.Lines {
		lost[l.Line] = l.Lost
	}
	return lost
}

// deliver has a recorder that was stopped deliver what it still has.
func deliver(t *testing.T, head *station.Headquarters, office *station.Recorder) {
	t.Helper()
	again := start(t, office.Start)
	for within := time.Now().Add(time.Minute); time.Now().Before(within); waitFor(t, 300*time.Millisecond) {
		if said := must(office.Command("calls"))(t); !strings.Contains(said, "waiting") {
			break
		}
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

// accountForPulls holds what headquarters has against what was played, and what it tells of losses against the recorder's
// count.
func accountForPulls(t *testing.T, head *station.Headquarters, sounds [2][]int16, lost map[string]int64, running *station.Process) {
	t.Helper()
	told := map[string]int64{}
	for _, e := range must(running.Await(t.Context(), 0, station.Message("audio was lost")))(t) {
		if e.Text("in_call") == "false" { // an entry of the ledger
			told[e.Text("line")] += int64(e.Fields["frames"].(float64))
		}
	}
	places := map[string]*phone.Places{"line 1": phone.NewPlaces(sounds[0]), "line 2": phone.NewPlaces(sounds[1])}
	count, gaps, worst := map[string]int{}, 0, time.Duration(0)
	for _, c := range calls(t, head) {
		count[c.Line]++
		_, sides := decoded(t, head, callFile(t, head, c.ID))
		found, err := places[c.Line].Hear(sides[0], c.Gaps)
		if err != nil {
			t.Errorf("%s, a call of %v: %v", c.Line, c.Duration, err)
		}
		gaps += len(found)
		for _, g := range found {
			told[c.Line] += g.Says
			if off := (time.Duration(g.Says-g.Was) * time.Second / lineRate).Abs(); g.Measured {
				worst = max(worst, off)
			}
		}
	}
	t.Logf("calls %v, %d gaps in them, each right within %v; frames lost %v, told of %v", count, gaps, worst.Round(time.Millisecond), lost, told)
	if worst > 200*time.Millisecond {
		t.Error("a gap is longer or shorter than what was lost, by more than a period")
	}
	if lost["line 1"] == 0 || told["line 1"] != lost["line 1"] || lost["line 2"] != 0 || told["line 2"] != 0 {
		t.Error("frames were lost of which nothing tells, or of the other line")
	}
	if gaps == 0 || count["line 2"] == 0 {
		t.Error("too little happened")
	}
}

// usage is what a process takes.
type usage struct {
	memory, threads int64 // KiB, and how many
	files           int
}

func use(t *testing.T, pid int) (u usage) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	for line := range strings.Lines(string(must(os.ReadFile(proc + "status"))(t))) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d", &u.memory)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.threads)
	}
	u.files = len(must(os.ReadDir(proc + "fd"))(t))
	return u
}
