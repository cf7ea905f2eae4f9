//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/delivery/clock"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/verify"
	"github.com/linekeeper/linekeeper/wire"
)

// TestWakesIn1970 has a recorder whose board has no clock begin in 1970, where no time server answers. It records a call,
// connects when headquarters is there, takes the time from it, and signs by how much it was wrong: headquarters lists the
// call as of today, and so does whoever verifies it elsewhere.
func TestWakesIn1970(t *testing.T) {
	if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
		t.Skip("systemd-timesyncd says here that the clock is synchronised, which the recorder believes")
	}
	for _, via := range []string{"https", "mqtt"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			wakesIn1970(t, via)
		})
	}
}

func wakesIn1970(t *testing.T, via string) {
	dir := folder(t)
	_, settings := oneLine(t, dir, phone.PlanOptions{Calls: 1, Shortest: 4 * time.Second, Longest: 6 * time.Second, Pause: 5 * time.Second}, call.Opus, via)
	wrong := must(clock.New(dir))(t)
	settings.Env = append(settings.Env, wrong.Env()...)
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, settings)
	off := time.Since(time.Unix(0, 0).Add(time.Minute)) // by so much it is behind
	if err := wrong.Shift(-off); err != nil {
		t.Fatal(err)
	}
	running := start(t, office.Start)
	await(t, running, 1, "call began", 40*time.Second)
	began := time.Now()
	await(t, running, 1, "call ended", 40*time.Second)
	if s := recorderStatus(t, office); s.Clock == call.GradeHQ || s.Clock == call.GradeNTP {
		t.Errorf("before headquarters is there its clock is %s", s.Clock)
	}

	start(t, head.Start)
	await(t, running, 1, "the time is headquarters'", 60*time.Second)
	await(t, running, 1, "delivered", 60*time.Second)
	s := recorderStatus(t, office)
	if s.Clock != call.GradeHQ || time.Since(s.Time).Abs() > 5*time.Second {
		t.Errorf("its clock is %s, %s", s.Clock, s.Time)
	}
	said := must(office.Command("status"))(t)
	contains(t, said, "clock     hq")

	c := settled(t, head)
	// It began at its pre-roll, 2 s before it was known.
	if c.Grade != call.GradeHQ || c.Began.Sub(began.Add(-2*time.Second)).Abs() > 5*time.Second {
		t.Errorf("headquarters lists it at %s (%s), it began about %s", c.Began, c.Grade, began)
	}
	if c.Believed.Year() != 1970 || (c.Began.Sub(c.Believed)-off).Abs() > 5*time.Second {
		t.Errorf("the recorder believed %s; it was %s behind", c.Believed, off)
	}
	page(t, head, "calls/"+c.ID.String(), "set by headquarters", c.Began.Local().Format("2 Jan 2006, 15:04:05"), "By the clock then", "1 Jan 1970", "the recorder has signed by how much")
	exported(t, dir, head, office, c)
}

func recorderStatus(t *testing.T, office *station.Recorder) (s wire.Status) {
	t.Helper()
	said := must(office.Command("status", "--json"))(t)
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		t.Fatalf("status said %s: %v", said, err)
	}
	return s
}

// settled is the one call of headquarters, when its audio and the correction of its clock are there.
func settled(t *testing.T, head *station.Headquarters) hq.Call {
	t.Helper()
	for begin := time.Now(); ; waitFor(t, 100*time.Millisecond) {
		if found := calls(t, head); len(found) == 1 && found[0].Stage == hq.StageDurable && found[0].Grade == call.GradeHQ {
			return found[0]
		} else if time.Since(begin) > 40*time.Second {
			t.Fatalf("at headquarters: %+v", found)
		}
	}
}

// exported has headquarters export the call, and whoever gets it see when it was; and that somebody has taken away what
// says so.
func exported(t *testing.T, dir string, head *station.Headquarters, office *station.Recorder, c hq.Call) {
	t.Helper()
	out := filepath.Join(dir, "outside")
	must(head.Command("export", c.ID.String(), "--out", out))(t)
	file := filepath.Join(out, c.ID.String()+".lkc")
	then, believed := c.Began.UTC().Format(time.DateTime), c.Believed.UTC().Format(time.DateTime)
	said := must(head.Command("verify", file))(t)
	t.Log(said)
	contains(t, said, "green", "began at "+then+" UTC (hq), by entry ", "believed "+believed+" UTC (")

	var report verify.Report
	said = must(office.Command("verify", file, "--json", "--authority", filepath.Join(office.Dir, "identity", "hq-ca.crt")))(t)
	if err := json.Unmarshal([]byte(said), &report); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if report.Colour != verify.Green || len(report.Times) != 1 || !report.Times[0].Began.Equal(c.Began) || !report.Times[0].Believed.Equal(c.Believed) || report.Times[0].Entry == 0 {
		t.Errorf("the recorder's program says %s: %+v", report, report.Times)
	}

	entries := strings.TrimSuffix(file, ".lkc") + ".jws"
	lines := bytes.SplitAfter(must(os.ReadFile(entries))(t), []byte("\n"))
	if err := os.WriteFile(entries, lines[0], 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := head.Command("verify", file)
	if said, code := ended(t, said, err); code != verify.ExitAmber {
		t.Errorf("without the correction: %d, %s", code, said)
	} else {
		contains(t, said, "began at "+believed, "nothing here corrects that")
	}
}
