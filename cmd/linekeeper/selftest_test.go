package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/selftest"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

func verdictOf(r selftest.Result) string { return string(r.Verdict) + " " + r.Says }

func TestSelftestClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC)
	for grade, want := range map[call.Grade]string{
		call.GradeNTP:  "PASS set by the network: 2026-11-23T19:00:00Z",
		call.GradeRTC:  "PASS kept by the real-time clock",
		call.GradeHQ:   "PASS taken from headquarters",
		call.GradeNone: "FAIL nothing sets it: it shows 2026-11-23T19:00:00Z",
	} {
		if got := verdictOf(judgeClock(grade, now)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", grade, got, want)
		}
	}
}

func TestSelftestSeal(t *testing.T) {
	key, _, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, recipients string
		clear            bool
		want             string
	}{
		{"named", key.Recipient().String(), false, "PASS calls are sealed to " + key.Recipient().String()[:16] + "..."},
		{"nobody", "", false, "FAIL nobody is named"},
		{"damaged", "age1nobody", false, "FAIL read whom calls are sealed to"},
		{"in clear", "", true, "SKIP the settings say that calls are not sealed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := selftester{cfg: newConfig()}
			s.cfg.Data, s.cfg.Seal.Clear = t.TempDir(), c.clear
			file := filepath.Join(s.cfg.identityDir(), fileRecipients)
			if c.recipients != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(c.recipients), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := verdictOf(s.seal()); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if _, err := os.Stat(filepath.Join(s.cfg.identityDir(), fileKey)); err == nil {
				t.Error("it has made a key, which belongs to whoever runs the test")
			}
		})
	}
}

func TestSelftestWithoutHeadquartersOrLight(t *testing.T) {
	s := selftester{cfg: newConfig()}
	for _, r := range append(s.headquarters(t.Context()), s.light(t.Context())) {
		if r.Verdict != selftest.Skip || !strings.Contains(r.Says, "the settings name n") {
			t.Errorf("%+v", r)
		}
	}
	s.cfg.Light.Pin = "no such pin"
	if r := s.light(t.Context()); r.Verdict != selftest.Fail || !strings.Contains(r.Do, "light.pin") {
		t.Errorf("%+v", r)
	}
	s.cfg.Data, s.cfg.Uplink.HTTPS = t.TempDir(), "https://127.0.0.1:1"
	results := s.headquarters(t.Context())
	if len(results) != 2 || results[0].Verdict != selftest.Fail || results[1].Verdict != selftest.Fail || !strings.Contains(results[1].Says, "linekeeper-hq recorder add") {
		t.Errorf("%+v", results)
	}
}

func TestSelftestHookOfALine(t *testing.T) {
	s := selftester{cfg: newConfig()}
	s.cfg.Lines = []lineConfig{{Name: "a"}, {Name: "b", Hook: "no such pin"}, {Name: "c", Hook: hookAuto, Port: "usb0099_1"}, {Name: "d", Hook: "usb0099_1_2"}}
	s.cfg.Lines[0].Country = "KE"
	if l := s.line(0); l.Country != "ke" {
		t.Errorf("the country of the line is %q", l.Country)
	}
	s.hooks = openHooks(s.cfg.Lines, discard)
	for i, want := range []struct{ hook, none, err bool }{{}, {err: true}, {none: true}, {hook: true}} {
		l := s.line(i)
		if (l.Hook != nil) != want.hook || (l.NoHook != "") != want.none || (l.HookErr != nil) != want.err {
			t.Errorf("line %s: %+v", l.Name, l)
		}
	}
}

// TestSelftestBesideARecorder: what the running recorder says of its lines is told, and nothing is opened; the exit code
// says that something failed.
func TestSelftestBesideARecorder(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "control.sock")
	report := statusReport{Status: wire.Status{State: call.StateAlarm, Lines: []wire.LineStatus{
		{Line: "a", LevelDB: -30, Alarm: "hum of 50 Hz"}, {Line: "b", LevelDB: -50}}}}
	full := report
	full.Lines = []wire.LineStatus{{Line: "b", LevelDB: -50, Alarm: recorder.AlarmNotStored}}
	mux := http.NewServeMux()
	mux.Handle("GET "+controlStatus, answerJSON(func() (statusReport, error) { return report, nil }))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveControl(ctx, socket, mux, discard) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	file := settingsFile(t, "data = \""+dir+"\"\ncontrol = \""+socket+"\"\n[seal]\nclear = true\n[ring]\nsize = \"64MiB\"\n[[line]]\nname = \"a\"\ndevice = \"x\"\n[[line]]\nname = \"b\"\ndevice = \"y\"\n")
	stored := selftester{cfg: newConfig(), status: &full}
	stored.cfg.Data, stored.cfg.Ring.Size = dir, 64<<20
	if r := stored.card(); r.Verdict != selftest.Fail || !strings.Contains(r.Says, "nothing can be stored") {
		t.Errorf("of a ring that is full: %+v", r)
	}
	for asked := errNotRunning; asked != nil; { // until it listens
		select {
		case err := <-served:
			t.Fatal(err)
		default:
			asked = askControl(ctx, socket, controlStatus, new(statusReport))
		}
	}
	code, out, errs := linekeeper(t, "selftest", "--unattended", "--json", "--config", file)
	var got selftest.Report
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || errs != "" {
		t.Fatalf("exit code %d, %v, %s: %s", code, err, errs, out)
	}
	if got.Passed || len(got.Results) != 18 || verdictOf(got.Results[1]) != "FAIL hum 50 Hz" || got.Results[7].Verdict != selftest.Pass || got.Results[3].Verdict != selftest.Skip {
		t.Errorf("%+v", got)
	}
	// The other line is well; whether this machine's clock is, is its own affair, and decides the exit code.
	code, out, _ = linekeeper(t, "selftest", "b", "--unattended", "--config", file)
	clock := clockGrade() != call.GradeNone
	if (code == 0) != clock || strings.Contains(out, "FAIL") == clock || strings.Contains(out, "50 Hz") || !strings.Contains(out, "PASS  level, b") {
		t.Errorf("one line was asked for: exit code %d, the clock is well: %t\n%s", code, clock, out)
	}
	if code, _, errs := linekeeper(t, "selftest", "z", "--config", file); code != 2 || !strings.Contains(errs, `no line "z"`) {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestSelftestLightOfARunningRecorder: its state is asked for, in the words of the operator guide.
func TestSelftestLightOfARunningRecorder(t *testing.T) {
	guide, err := os.ReadFile("../../docs/operator-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []call.State{call.StateFault, call.StateRecording, call.StatePaused, call.StateAlarm, call.StateOffline, call.StateIdle} {
		if words := lightWords[patterns[state]]; words == "" || !strings.Contains(string(guide), "| "+words+" |") {
			t.Errorf("state %s: %q is not how the guide has it", state, words)
		}
	}
	for typed, want := range map[string]string{"y\n": "PASS seen", "n\n": "FAIL it does not show", "\n": "SKIP there is one; nobody answered"} {
		var told strings.Builder
		s := selftester{cfg: newConfig(), status: &statusReport{Status: wire.Status{State: call.StateIdle}}, person: selftest.NewPerson(&told, strings.NewReader(typed))}
		s.cfg.Light.Pin = "GPIO17"
		if r := s.light(t.Context()); !strings.HasPrefix(verdictOf(r), want) || (r.Do != "") != (r.Verdict == selftest.Fail) {
			t.Errorf("%q: %+v, want %s", typed, r, want)
		}
		if !strings.Contains(told.String(), "The recorder is idle: a short flash every 5 s. Does the light show that?") {
			t.Errorf("it told %q", told.String())
		}
		if s.person = nil; s.light(t.Context()).Verdict != selftest.Skip {
			t.Error("nobody is there to look")
		}
	}
}
