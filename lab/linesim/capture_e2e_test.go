//go:build e2e

package linesim_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/pcm"
)

const period = 1600 // frames at 8 kHz, the default period

var (
	sim    *linesim.Sim
	audio8 = noise(8000 * 60) // of every card at 8 kHz
)

func noise(n int) []int16 {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(rng.IntN(40000) - 20000)
	}
	return s
}

// TestMain makes all cards at once: ALSA's configuration comes from one file, which a variable of the process names.
func TestMain(m *testing.M) {
	if device := os.Getenv("LINESIM_TEST_OPEN"); device != "" {
		_ = listen(context.Background(), device, 1500*time.Millisecond)
		os.Exit(0)
	}
	if device := os.Getenv(childDevice); device != "" {
		os.Exit(beChild(device))
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // they wait, they do not compute
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "linesim")
		if err == nil {
			defer os.RemoveAll(dir)
			err = makeCards(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func makeCards(dir string) error {
	mono, stereo, odd := filepath.Join(dir, "mono8k.raw"), filepath.Join(dir, "stereo48k.raw"), filepath.Join(dir, "mono44k.raw")
	for file, samples := range map[string][]int16{mono: audio8, stereo: noise(48000 * 2 * 10), odd: noise(44100 * 10)} {
		if err := linesim.WriteSamples(file, samples); err != nil {
			return err
		}
	}
	var err error
	sim, err = linesim.Install(context.Background(), dir,
		linesim.Card{Name: "exact", File: mono, Rate: 8000, Channels: 1},
		linesim.Card{Name: "fast", File: mono, Rate: 8000, Channels: 1, PPM: 150},
		linesim.Card{Name: "pulled", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "scripted", File: mono, Rate: 8000, Channels: 1, UnplugAt: 12345, ReplugAt: 24000, Control: true},
		linesim.Card{Name: "absent", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "stalled", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "held", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "frozen", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "refused", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "asleep", File: mono, Rate: 8000, Channels: 1, Control: true},
		linesim.Card{Name: "small", File: mono, Rate: 8000, Channels: 1, Most: 4800},
		linesim.Card{Name: "stereo48k", File: stereo, Rate: 48000, Channels: 2},
		linesim.Card{Name: "mono44k", File: odd, Rate: 44100, Channels: 1},
		linesim.Card{Name: "looped", File: odd, Rate: 44100, Channels: 1, Loop: true},
	)
	if err != nil {
		return err
	}
	name, value, _ := strings.Cut(sim.Env(), "=")
	return os.Setenv(name, value)
}

// heard is what one line of a card delivered.
type heard struct {
	mu      sync.Mutex
	periods []pcm.Period // with samples of their own
	arrived []time.Time
}

func (h *heard) add(p pcm.Period) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.Samples = slices.Clone(p.Samples)
	h.periods = append(h.periods, p)
	h.arrived = append(h.arrived, time.Now())
}

// checkTimeline holds each period against the one before.
func (h *heard) checkTimeline(t *testing.T) (frames, lost int64) {
	t.Helper()
	var next int64
	for i, p := range h.periods {
		if p.Position != next+p.LostFrames || (p.LostFrames > 0) != (p.Cause != "") {
			t.Errorf("period %d: position %d after %d, %d lost (%q)", i, p.Position, next, p.LostFrames, p.Cause)
		}
		next = p.Position + int64(p.Frames())
		frames += int64(p.Frames())
		lost += p.LostFrames
	}
	return frames, lost
}

// exact says that each period is what the file has at its position, up to some error of the position, which is the
// same from one loss to the next, and returns how many losses there were.
func (h *heard) exact(t *testing.T, tolerance int64) {
	t.Helper()
	var off int64
	for i, p := range h.periods {
		if len(p.Samples) == 0 {
			continue
		}
		if p.LostFrames > 0 {
			off = find(p, tolerance)
		}
		at := p.Position + off
		if at < 0 || !slices.Equal(p.Samples, audio8[at:at+int64(len(p.Samples))]) {
			t.Fatalf("period %d at %d (lost before: %d) is not what was played within %d frames", i, p.Position, p.LostFrames, tolerance)
		}
		if p.LostFrames > 0 {
			t.Logf("after a loss of %d frames (%s) the position %d is off by %d", p.LostFrames, p.Cause, p.Position, off)
		}
	}
}

// find is by how much a period's position is off.
func find(p pcm.Period, tolerance int64) int64 {
	for off := range tolerance + 1 {
		for _, o := range []int64{off, -off} {
			at := p.Position + o
			if at >= 0 && at+int64(len(p.Samples)) <= int64(len(audio8)) && slices.Equal(p.Samples, audio8[at:at+int64(len(p.Samples))]) {
				return o
			}
		}
	}
	return 0
}

func listen(ctx context.Context, device string, d time.Duration) []*heard {
	h, _ := listenWith(ctx, capture.Config{Device: device, Lines: []capture.LineConfig{{Name: "a", Channels: []int{0}}}}, d, nil)
	return h
}

func listenWith(ctx context.Context, cfg capture.Config, d time.Duration, during func()) ([]*heard, capture.Status) {
	card := capture.New(cfg, slog.New(slog.DiscardHandler))
	h := make([]*heard, len(cfg.Lines))
	for i := range h {
		h[i] = &heard{}
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if during != nil {
			during()
		}
	}()
	err := card.Run(ctx, func(line int, p pcm.Period) { h[line].add(p) })
	<-done
	s := card.Status()
	if err != nil {
		s.Err = err.Error()
	}
	return h, s
}

func TestCaptureIsBitExact(t *testing.T) {
	t.Parallel()
	h := listen(t.Context(), "exact", 5*time.Second)[0]
	frames, lost := h.checkTimeline(t)
	if lost != 0 || frames < 4*8000 {
		t.Errorf("%d frames, %d lost", frames, lost)
	}
	h.exact(t, 0)
}

func TestCaptureTakesDriftForWhatItIs(t *testing.T) {
	t.Parallel()
	h := listen(t.Context(), "fast", 20*time.Second)[0]
	frames, lost := h.checkTimeline(t)
	if lost != 0 || frames < 19*8000 {
		t.Errorf("%d frames, %d lost", frames, lost)
	}
	h.exact(t, 0)
}

// replay is what the same audio gives as a WAV file: the resampler knows nothing of where its input comes from.
func replay(t *testing.T, f pcm.Format, lines []capture.LineConfig) [][]int16 {
	t.Helper()
	samples := noise(f.Rate * f.Channels * 10)
	r, err := pcm.NewWAVReader(bytes.NewReader(pcm.AppendBytes(pcm.WAVHeader(f, int64(len(samples)/f.Channels)), samples)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([][]int16, len(lines))
	err = capture.NewReplay(r, lines, 8000, false).Run(t.Context(), func(line int, p pcm.Period) {
		got[line] = append(got[line], p.Samples...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCaptureBringsCardsToTheLinesRate(t *testing.T) {
	for device, f := range map[string]pcm.Format{
		"stereo48k": {Rate: 48000, Channels: 2},
		"mono44k":   {Rate: 44100, Channels: 1},
	} {
		t.Run(device, func(t *testing.T) {
			t.Parallel()
			lines := []capture.LineConfig{{Name: "a", Channels: []int{0}}}
			if f.Channels == 2 {
				lines = append(lines, capture.LineConfig{Name: "b", Channels: []int{1}}, capture.LineConfig{Name: "sides", Channels: []int{0, 1}})
			}
			want := replay(t, f, lines)
			hs, status := listenWith(t.Context(), capture.Config{Device: device, Lines: lines}, 5*time.Second, nil)
			if status.Rate != f.Rate || status.Channels != f.Channels {
				t.Errorf("%+v", status)
			}
			for i, h := range hs {
				frames, lost := h.checkTimeline(t)
				if lost != 0 || frames < 4*8000 {
					t.Errorf("%d frames, %d lost", frames, lost)
				}
				var got []int16
				for _, p := range h.periods {
					got = append(got, p.Samples...)
				}
				if !slices.Equal(got, want[i][:len(got)]) {
					t.Errorf("line %s is not what was played", lines[i].Name)
				}
			}
		})
	}
}

func TestCaptureAtARateThatTheCardDoesNotHave(t *testing.T) {
	t.Parallel()
	lines := []capture.LineConfig{{Name: "a", Channels: []int{0}}}
	h, status := listenWith(t.Context(), capture.Config{Device: "looped", Rate: 16000, Lines: lines}, 3*time.Second, nil)
	if status.Rate != 44100 {
		t.Errorf("a card of 44.1 kHz was asked for 16 kHz, and runs at %d Hz", status.Rate)
	}
	if frames, lost := h[0].checkTimeline(t); lost != 0 || frames < 2*8000 {
		t.Errorf("%d frames, %d lost", frames, lost)
	}
}

func TestCaptureOfACardThatIsPulledOutAndPutBack(t *testing.T) {
	t.Parallel()
	var back time.Time
	cfg := capture.Config{Device: "pulled", Lines: []capture.LineConfig{{Name: "a", Channels: []int{0}}}}
	hs, status := listenWith(t.Context(), cfg, 12*time.Second, func() {
		for range 2 {
			time.Sleep(2500 * time.Millisecond)
			if err := sim.Unplug("pulled"); err != nil {
				t.Error(err)
			}
			time.Sleep(2300 * time.Millisecond)
			if err := sim.Plug("pulled"); err != nil {
				t.Error(err)
			}
			back = time.Now()
		}
	})
	h := hs[0]
	_, lost := h.checkTimeline(t)
	h.exact(t, period)
	if lost < 2*2*8000 || lost > 2*4*8000 || status.LostFrames != lost || status.Reopened != 2 || status.Overruns != 0 {
		t.Errorf("%d frames lost, %+v", lost, status)
	}
	h.heardWithin(t, 3*time.Second, back)
}

// heardWithin says that there was sound so soon after something.
func (h *heard) heardWithin(t *testing.T, patience time.Duration, after time.Time) {
	t.Helper()
	for i, p := range h.periods {
		if len(p.Samples) > 0 && h.arrived[i].After(after) {
			d := h.arrived[i].Sub(after)
			t.Logf("heard again after %v", d.Round(time.Millisecond))
			if d > patience {
				t.Errorf("heard again only after %v", d)
			}
			return
		}
	}
	t.Error("never heard again")
}

func TestCaptureAcrossAnUnplugAtAFrame(t *testing.T) {
	t.Parallel()
	h := listen(t.Context(), "scripted", 7*time.Second)[0]
	_, lost := h.checkTimeline(t)
	h.exact(t, period)
	if lost < 24000-12345 {
		t.Errorf("%d frames lost", lost)
	}
}

func TestCaptureOfACardThatIsAbsentAtFirst(t *testing.T) {
	t.Parallel()
	if err := sim.Unplug("absent"); err != nil {
		t.Fatal(err)
	}
	cfg := capture.Config{Device: "absent", Lines: []capture.LineConfig{{Name: "a", Channels: []int{0}}}}
	hs, status := listenWith(t.Context(), cfg, 6*time.Second, func() {
		time.Sleep(2500 * time.Millisecond)
		if err := sim.Plug("absent"); err != nil {
			t.Error(err)
		}
	})
	h := hs[0]
	frames, lost := h.checkTimeline(t)
	if frames < 2*8000 || lost < 2*8000 || lost > 4*8000 || status.Reopened != 0 {
		t.Errorf("%d frames heard, %d lost, %+v", frames, lost, status)
	}
	var got []int16
	for _, p := range h.periods {
		got = append(got, p.Samples...)
	}
	if !slices.Equal(got, audio8[:len(got)]) { // the line starts when the card is first started
		t.Error("what was heard is not what was played")
	}
}

func TestCaptureCountsOverruns(t *testing.T) {
	t.Parallel()
	cfg := capture.Config{
		Device: "stalled", Buffer: time.Second, Watchdog: 8 * time.Second,
		Lines: []capture.LineConfig{{Name: "a", Channels: []int{0}}},
	}
	hs, status := listenWith(t.Context(), cfg, 9*time.Second, func() {
		time.Sleep(2500 * time.Millisecond)
		if err := sim.Stall("stalled", 700*time.Millisecond); err != nil { // the card's buffer bridges it
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if err := sim.Stall("stalled", 2*time.Second); err != nil { // and cannot bridge this
			t.Error(err)
		}
	})
	_, lost := hs[0].checkTimeline(t)
	hs[0].exact(t, period)
	if status.Overruns != 1 || status.Reopened != 0 || lost < 8000 || lost > 3*8000 {
		t.Errorf("%d frames lost, %+v", lost, status)
	}
}

func TestMissingCardSaysWhatToDoAndKeepsStandardErrorClean(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]string{
		"no_such_card":               "Unknown PCM no_such_card",
		"plughw:CARD=Nosuch,DEV=0":   "Nosuch",
		"hw:CARD=Nosuch":             "Nosuch",
		"file:":                      "open sound card file:",
		"plug:SLAVE=\"hw:Nosuch,0\"": "Nosuch",
	} {
		lines := []capture.LineConfig{{Name: "a", Channels: []int{0}}}
		_, status := listenWith(t.Context(), capture.Config{Device: device, Lines: lines}, 300*time.Millisecond, nil)
		if status.Open || !strings.Contains(status.Err, want) || !strings.Contains(status.Err, "linekeeper inputs") {
			t.Errorf("%s: %+v", device, status)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "LINESIM_TEST_OPEN="+device)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v, printed:\n%s", device, err, out)
		}
	}
}
