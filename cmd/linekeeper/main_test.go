package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// linekeeper runs one command line as its user would.
func linekeeper(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = command.Execute(context.Background(), root, args)
	return code, stdout.String(), stderr.String()
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "linekeeper.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheckConfigNamesEveryMistake(t *testing.T) {
	line := "[[line]]\nname = \"a\"\ndevice = \"hw:0\"\n"
	for _, c := range []struct {
		name, text string
		code       int
		want       []string
	}{
		{"well", line, 0, []string{"is well: 1 lines, opus"}},
		{"unknown key", "[ring]\nsise = \"1GiB\"\n" + line, 2, []string{`:2: unknown key "ring.sise"; did you mean "ring.size"?`}},
		{"wrong codec", "[encoder]\ncodec = \"opsu\"\n" + line, 2, []string{`:2: key "encoder.codec": "opsu" is not one of: opus, mp3, flac; did you mean "opus"?`}},
		{"two mistakes", "[ring]\nsize = \"1MiB\"\nwhen_full = \"panic\"\n" + line, 2, []string{`:2: key "ring.size"`, `:3: key "ring.when_full"`}},
		{"two lines of one name", line + line, 2, []string{`:5: key "line.name": "a": each line needs a name of its own`}},
		{"one channel twice", line + "[[line]]\nname = \"b\"\ndevice = \"hw:0\"\n", 2, []string{`key "line.channels": hw:0 channel 0 is out of range, or another line's`}},
		{"sides without channels", line + "sides = [\"agent\", \"caller\"]\n", 2, []string{`key "line.channels"`}},
		{"odd priority", "[uplink]\npriority = [\"newest\", \"urgent\"]\n" + line, 2, []string{`:2: key "uplink.priority": "urgent" is none of asked, hold, flagged, newest`}},
		{"unknown receiver", "[uplink]\nreceiver = \"tuss\"\n" + line, 2, []string{`:2: key "uplink.receiver": "tuss" is not one of: headquarters, tus, emqx; did you mean "tus"?`}},
		{"tus without address", "[uplink]\nreceiver = \"tus\"\nmqtt = \"mqtts://hq.example\"\n" + line, 2, []string{`:2: key "uplink.receiver": a tus server is reached by uplink.https`}},
		{"emqx without address", "[uplink]\nreceiver = \"emqx\"\nhttps = \"https://hq.example\"\n" + line, 2, []string{`:2: key "uplink.receiver": an EMQX is reached by uplink.mqtt`}},
		{"odd address", "[uplink]\nhttps = \"http://hq\"\n" + line, 2, []string{`:2: key "uplink.https": "http://hq" is not an address such as https://headquarters.example:8444`}},
		{"country", line + "country = \"ZA\"\n", 0, []string{"is well"}},
		{"unknown country", line + "country = \"zz\"\n", 2, []string{`:4: key "line.country": no tones of "zz" are known; known are: `, "za"}},
		{"half a notice", "[detect]\nnotice_hz = [1400]\n" + line, 2, []string{`:2: key "detect.notice_hz": `, "two values each"}},
		{"a notice that cannot be heard", "[detect]\nnotice_hz = [400, 500]\n" + line, 2, []string{`:2: key "detect.notice_hz": a notice of 400 to 500 Hz`}},
		{"no file of tones", "[detect]\ntones = \"/nonexistent\"\n" + line, 2, []string{`:2: key "detect.tones": tones of /nonexistent`}},
		{"business hours", "[alarms]\nquiet = \"4h\"\ndays = [\"mon\"]\nhours = [\"07:30\", \"16:00\"]\ntime_zone = \"Africa/Maputo\"\n" + line, 0, []string{"is well"}},
		{"odd hours", "[alarms]\nhours = [\"17:00\", \"8:00\"]\n" + line, 2, []string{`:2: key "alarms.hours": 17:00 is not before 8:00`}},
		{"odd day", "[alarms]\ndays = [\"mo\"]\n" + line, 2, []string{`:2: key "alarms.days": "mo" is not one of: sun, mon`}},
		{"odd rate", "[capture]\nline_rate = 11025\n" + line, 2, []string{`:2: key "capture.line_rate": 11025 is neither 8000 nor 16000`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := linekeeper(t, "check-config", settingsFile(t, c.text))
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("got  %s%s\nwant %s", out, errs, want)
				}
			}
		})
	}
}

func TestUsageIsExitCode2(t *testing.T) {
	for _, args := range [][]string{{}, {"replai"}, {"replay"}, {"run", "--log", "xml"}, {"status", "--nope"}, {"check-config"},
		{"run", "--config", "/nonexistent/linekeeper.toml"}} {
		if code, _, errs := linekeeper(t, args...); code != 2 || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit code %d and %q, want 2 and one line", args, code, errs)
		}
	}
	if code, out, _ := linekeeper(t, "--help"); code != 0 || !strings.Contains(out, "replay") {
		t.Errorf("--help: exit code %d, %s", code, out)
	}
	if code, _, errs := linekeeper(t, "status", "--config", settingsFile(t, "control = \"/nonexistent/control.sock\"\n")); code != 1 || !strings.Contains(errs, "linekeeper run") {
		t.Errorf("status of no recorder: exit code %d, %s", code, errs)
	}
}

// talk is speech-like sound: a voiced tone whose strength goes up and down as syllables do.
func talk(rng *rand.Rand, rate int, d time.Duration) []int16 {
	samples := make([]int16, int(d.Seconds()*float64(rate)))
	for i := range samples {
		at := float64(i) / float64(rate)
		syllable := math.Max(0, math.Sin(2*math.Pi*3*at))
		v := 0.0
		for harmonic := 1; harmonic <= 8; harmonic++ {
			v += math.Sin(2*math.Pi*float64(harmonic)*(140+10*math.Sin(5*at))*at) / float64(harmonic)
		}
		samples[i] = int16(6000*syllable*v + 30*rng.NormFloat64())
	}
	return samples
}

// quiet is an idle line: it has less noise than a call.
func quiet(rng *rand.Rand, rate int, d time.Duration) []int16 {
	samples := make([]int16, int(d.Seconds()*float64(rate)))
	for i := range samples {
		samples[i] = int16(10 * rng.NormFloat64())
	}
	return samples
}

// wavFile is two calls, at 5 s and at 40 s, of 8 s each.
func wavFile(t *testing.T, rate, channels int) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var mono []int16
	for _, part := range [][]int16{quiet(rng, rate, 5*time.Second), talk(rng, rate, 8*time.Second), quiet(rng, rate, 27*time.Second), talk(rng, rate, 8*time.Second), quiet(rng, rate, 25*time.Second)} {
		mono = append(mono, part...)
	}
	var all []int16
	for _, s := range mono {
		for range channels {
			all = append(all, s)
		}
	}
	f := pcm.Format{Rate: rate, Channels: channels}
	file := filepath.Join(t.TempDir(), "calls.wav")
	if err := os.WriteFile(file, pcm.AppendBytes(pcm.WAVHeader(f, int64(len(mono))), all), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReplayFindsTheCalls(t *testing.T) {
	for _, c := range []struct {
		name           string
		rate, channels int
		flags          []string
		calls, sides   int
		media          string
	}{
		{"mono", 8000, 1, nil, 2, 1, ".opus"},
		{"two lines at 44.1 kHz", 44100, 2, nil, 4, 1, ".opus"},
		{"two sides at 48 kHz", 48000, 2, []string{"--sides"}, 2, 2, ".opus"},
		{"flac", 16000, 1, []string{"--codec", "flac"}, 2, 1, ".flac"},
		{"mp3", 8000, 1, []string{"--codec", "mp3"}, 2, 1, ".mp3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			media := t.TempDir()
			args := append([]string{"replay", wavFile(t, c.rate, c.channels), "--json", "--out", media}, c.flags...)
			code, out, errs := linekeeper(t, args...)
			var found []foundCall
			if err := json.Unmarshal([]byte(out), &found); code != 0 || err != nil {
				t.Fatalf("exit code %d, %v: %s", code, err, errs)
			}
			if len(found) != c.calls {
				t.Fatalf("found %d calls, want %d: %s", len(found), c.calls, out)
			}
			for i, f := range found {
				begins := []time.Duration{5 * time.Second, 40 * time.Second}[i*2/len(found)]
				if early := begins - f.Start; early < 1500*time.Millisecond || early > 2500*time.Millisecond {
					t.Errorf("call %d starts at %v, want 2 s before %v", i, f.Start, begins)
				}
				if f.Manifest.Ended != call.EndedSilence || f.Manifest.Channels != c.sides || f.Manifest.Duration < 9 || f.Manifest.Duration > 32 {
					t.Errorf("call %d: %+v", i, f.Manifest)
				}
				if s, err := os.Stat(f.Media); err != nil || s.Size() < 5000 || filepath.Ext(f.Media) != c.media {
					t.Errorf("call %d: media %s: %v", i, f.Media, err)
				}
			}
		})
	}
}

func TestReplayOfWhatIsNoWAV(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(file, []byte("this is no sound at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := linekeeper(t, "replay", file); code != 1 || !strings.Contains(errs, file) || !strings.Contains(errs, "not a WAV file") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := linekeeper(t, "replay", file, "--codec", "wma"); code != 2 || !strings.Contains(errs, "encoder.codec") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestReplayKeepsCallsInTheRing replays into a ring twice, and finds the calls of both runs there, numbered on.
func TestReplayKeepsCallsInTheRing(t *testing.T) {
	dir := t.TempDir()
	file := settingsFile(t, "data = \""+dir+"\"\n[ring]\nsize = \"64MiB\"\n")
	sound := wavFile(t, 8000, 1)
	if code, _, errs := linekeeper(t, "replay", sound, "--keep", "--config", file); code != 2 || !strings.Contains(errs, "recipients.txt") || !strings.Contains(errs, "clear = true") {
		t.Fatalf("with nobody to seal to: exit code %d: %s", code, errs)
	}
	key, _, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity", "recipients.txt"), []byte(key.Recipient().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, _, errs := linekeeper(t, "replay", sound, "--keep", "--config", file); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs)
		}
	}
	cfg, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	id, err := loadIdentity(cfg.identityDir(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	clock, err := newSystemClock()
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDevice(cfg, id, clock, observer{discard}, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer d.ring.Close()
	calls, err := d.ring.Calls()
	if err != nil || len(calls) != 4 {
		t.Fatalf("%d calls in the ring, %v; want 4", len(calls), err)
	}
	for _, c := range calls {
		if !c.Ended || c.Manifest == nil || c.Header.Device != id.device {
			t.Errorf("%+v", c)
		}
	}
	entries, err := d.ring.Entries(100)
	if err != nil || len(entries) != 9 { // the epoch, and a begin and an end for each call
		t.Fatalf("%d entries, %v; want 9", len(entries), err)
	}
	for i, e := range entries {
		if e.Number != uint64(i+1) {
			t.Errorf("entry %d has number %d", i, e.Number)
		}
	}
}
