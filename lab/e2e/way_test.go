//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

// way is one run from ALSA to the web page.
type way struct {
	name      string
	via       string // https, mqtt
	mosquitto bool
	codec     call.Codec
	cardRate  int
	stereo    bool // one card whose channels are the two lines, in place of two cards
}

// TestWay plays ten calls of real speech on two lines at once through ALSA, and finds each of them once at headquarters,
// sounding as it was played.
func TestWay(t *testing.T) {
	for _, w := range []way{
		{name: "https, opus, one stereo card at 48 kHz", via: "https", codec: call.Opus, cardRate: 48000, stereo: true},
		{name: "mqtt embedded, flac, two cards at 8 kHz", via: "mqtt", codec: call.FLAC, cardRate: 8000},
		{name: "mqtt mosquitto, mp3, two cards at 44.1 kHz", via: "mqtt", mosquitto: true, codec: call.MP3, cardRate: 44100},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			w.walk(t)
		})
	}
}

const callsPerLine = 5

func (w way) walk(t *testing.T) {
	dir := folder(t)
	voices := must(phone.FindVoices())(t)
	lines := must(phone.Plan(voices, phone.PlanOptions{Lines: 2, Calls: callsPerLine, Rate: w.cardRate, Pause: 7 * time.Second, Seed: 1}))(t)
	sim, devices := w.cards(t, dir, lines)
	var broker *station.Broker
	if w.mosquitto {
		broker = &station.Broker{Address: must(station.FreeAddress(""))(t)}
	}
	head := headquarters(t, dir, broker)
	if w.mosquitto {
		startMosquitto(t, dir, head)
	}
	office := recorder(t, dir, head, station.RecorderOptions{Lines: devices, Codec: string(w.codec), HangOver: "3s", Order: []string{w.via}, Env: []string{sim.Env()}})

	start(t, head.Start)
	running := start(t, office.Start)
	length := time.Duration(len(lines[0].Samples)) * time.Second / time.Duration(w.cardRate)
	await(t, running, 2*callsPerLine, "delivered", length+60*time.Second)
	if err := running.Stop(); err != nil {
		t.Errorf("the recorder did not stop cleanly: %v", err)
	}

	found := calls(t, head)
	if len(found) != 2*callsPerLine {
		t.Fatalf("%d calls at headquarters, played %d", len(found), 2*callsPerLine)
	}
	for i, name := range []string{"line 1", "line 2"} {
		w.checkLine(t, head, lines[i], ofLine(found, name))
	}
	w.look(t, head, found[0])
}

// cards are the simulated ones, and the recorder's lines on them.
func (w way) cards(t *testing.T, dir string, lines []phone.Audio) (*linesim.Sim, []station.Line) {
	t.Helper()
	var cards []linesim.Card
	var devices []station.Line
	write := func(name string, samples []int16, channels int) {
		file := filepath.Join(dir, name+".raw")
		if err := linesim.WriteSamples(file, samples); err != nil {
			t.Fatal(err)
		}
		cards = append(cards, linesim.Card{Name: name, File: file, Rate: w.cardRate, Channels: channels})
	}
	if w.stereo {
		write("both", phone.Interleave(lines...), 2)
	}
	for i, l := range lines {
		name := fmt.Sprintf("line%d", i+1)
		device := station.Line{Name: fmt.Sprintf("line %d", i+1), Device: name}
		if w.stereo {
			device.Device, device.Channels = "both", []int{i}
		} else {
			write(name, l.Samples, 1)
		}
		devices = append(devices, device)
	}
	return must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), cards...))(t), devices
}

func ofLine(all []hq.Call, name string) (some []hq.Call) {
	for _, c := range all {
		if c.Line == name {
			some = append(some, c)
		}
	}
	return some
}

// checkLine compares a line's calls with what was played on it: each call once, in order, whole, unaltered.
func (w way) checkLine(t *testing.T, head *station.Headquarters, played phone.Audio, found []hq.Call) {
	t.Helper()
	if len(found) != len(played.Calls) {
		t.Fatalf("%d calls, played %d", len(found), len(played.Calls))
	}
	references := map[int][]int16{} // by rate
	for i, c := range found {
		if c.Stage != hq.StageDurable || c.Recovered || len(c.Gaps) != 0 || c.EndedBy != call.EndedSilence {
			t.Errorf("call %d: stage %s, recovered %t, gaps %v, ended by %s", i, c.Stage, c.Recovered, c.Gaps, c.EndedBy)
		}
		file := callFile(t, head, c.ID)
		sum := sha256.Sum256(file)
		if hex.EncodeToString(sum[:]) != c.SHA256 || int64(len(file)) != c.Size {
			t.Errorf("call %d: its file at headquarters is not the one that its manifest speaks of", i)
		}
		f, sides := decoded(t, head, file)
		reference, made := references[f.Rate]
		if !made {
			reference = side(played, 0, f.Rate)
			references[f.Rate] = reference
		}
		scale := func(frames int64) int { return int(frames * int64(f.Rate) / int64(played.Format.Rate)) }
		begin, end := scale(played.Calls[i].Begin), scale(played.Calls[i].End)
		got, err := phone.Compare(reference, sides[0], f.Rate, begin-12*f.Rate, begin+f.Rate/2)
		if err != nil {
			t.Errorf("call %d: %v", i, err)
			continue
		}
		t.Logf("call %d: %s, offset %d, correlation %.3f, SNR %.1f dB, spectral %.1f dB, exact %t", i, c.Duration, got.Offset, got.Correlation, got.SNR, got.Spectral, got.Exact)
		if got.Offset > begin || got.Offset+len(sides[0]) < end {
			t.Errorf("call %d: recorded %d to %d, and played %d to %d: it is cut", i, got.Offset, got.Offset+len(sides[0]), begin, end)
		}
		switch {
		case w.codec == call.FLAC && !got.Exact:
			t.Errorf("call %d: FLAC from a card at the line's rate is not exact", i)
		case got.Correlation < 0.93 || got.SNR < 8 || got.Spectral > 5:
			t.Errorf("call %d sounds unlike what was played: %+v", i, got)
		}
	}
}

// startMosquitto starts Debian's broker with certificates of headquarters' authority.
func startMosquitto(t *testing.T, dir string, head *station.Headquarters) {
	t.Helper()
	broker := must(must(station.NewMosquitto(filepath.Join(dir, "mosquitto"), head, head.MQTT))(t).Start(within(t, 10*time.Second)))(t)
	t.Cleanup(broker.Kill)
}

// look opens headquarters' pages in a browser, finds the call, plays it, and keeps pictures in dist/e2e.
func (w way) look(t *testing.T, head *station.Headquarters, c hq.Call) {
	t.Helper()
	pictures := filepath.Join(root(t), "dist", "e2e", strings.NewReplacer(" ", "-", ",", "").Replace(w.name))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(root(t), "lab/browser/page.mjs"), head.URL(), head.User, head.Password, pictures, c.ID.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	var said map[string]any
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("the browser said %s", out)
	}
	for _, picture := range []string{"list.png", "call.png"} {
		if s, err := os.Stat(filepath.Join(pictures, picture)); err != nil || s.Size() < 5000 {
			t.Errorf("no picture %s: %v", picture, err)
		}
	}
	t.Logf("the browser: %s", out)
}
