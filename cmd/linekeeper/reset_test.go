package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holding is for how long the button is held (positive) and let go (negative), in turns, from the start, in seconds.
type holding []float64

func (h holding) held(at time.Duration) bool {
	var from time.Duration
	for _, s := range h {
		lasts := time.Duration(s * float64(time.Second))
		if at < from+lasts.Abs() {
			return lasts > 0
		}
		from += lasts.Abs()
	}
	return false
}

func TestResetDialog(t *testing.T) {
	for _, tt := range []struct {
		name string
		hold holding
		lose bool // something would be lost
		want []resetStep
	}{
		{"not held", nil, false, []resetStep{resetOff}},
		{"let go before it asks", holding{4.8}, true, []resetStep{resetOff}},
		{"asked, and let go", holding{6}, false, []resetStep{resetAsks, resetOff}},
		{"held for ever", holding{3600}, false, []resetStep{resetAsks, resetOff}},
		{"confirmed", holding{6, -2, 4}, false, []resetStep{resetAsks, resetGiven}},
		{"confirmed, not long enough", holding{6, -2, 2.5, -1, 2.5, -1, 2.5}, false, []resetStep{resetAsks, resetOff}},
		{"confirmed at the second try", holding{6, -2, 1, -1, 3.5}, false, []resetStep{resetAsks, resetGiven}},
		{"confirmed too late", holding{6, -20, 9}, false, []resetStep{resetAsks, resetOff}},
		{"begun in time, and confirmed too late", holding{6, -18, 9}, false, []resetStep{resetAsks, resetOff}},
		{"once confirmed, with calls", holding{6, -2, 60}, true, []resetStep{resetAsks, resetAsksAgain, resetOff}},
		{"confirmed, with calls, and let go", holding{6, -2, 4}, true, []resetStep{resetAsks, resetAsksAgain, resetOff}},
		{"confirmed twice, the second time not for long enough", holding{6, -2, 4, -2, 9}, true, []resetStep{resetAsks, resetAsksAgain, resetOff}},
		{"confirmed twice", holding{6, -2, 4, -2, 11}, true, []resetStep{resetAsks, resetAsksAgain, resetGiven}},
		{"confirmed twice, the second time too late", holding{6, -2, 4, -30, 20}, true, []resetStep{resetAsks, resetAsksAgain, resetOff}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			d := resetDialog{wouldLose: func() bool { asked++; return tt.lose }}
			var steps []resetStep
			before := resetBegins
			for at := time.Duration(0); at < 5*time.Minute; at += resetLook {
				if step := d.look(at, tt.hold.held(at)); step != before {
					steps, before = append(steps, step), step
				}
			}
			if len(steps) != len(tt.want) {
				t.Fatalf("%v, want %v", steps, tt.want)
			}
			for i := range steps {
				if steps[i] != tt.want[i] {
					t.Errorf("%v, want %v", steps, tt.want)
				}
			}
			if asked > 1 || asked == 1 != (len(steps) > 1 && steps[1] != resetOff) {
				t.Errorf("what would be lost was asked %d times", asked)
			}
		})
	}
}

// TestReset: after a reset the recorder's folder holds nothing of it, and a reset that was cut short is finished at the next start.
func TestReset(t *testing.T) {
	i := newInstaller(t)
	i.bundle(nil)
	i.apply()
	check(t, os.MkdirAll(filepath.Join(i.data, "ring"), 0o700))
	check(t, os.MkdirAll(filepath.Join(i.data, "ring", "lost+found"), 0o700))
	for _, name := range []string{"ring/0001.seg", "index.db", "index.db-wal", "stick-report.json"} {
		check(t, os.WriteFile(filepath.Join(i.data, name), []byte("x"), 0o600))
	}
	log := slog.New(slog.DiscardHandler)
	check(t, resetIfAsked(t.Context(), i.config, log)) // no button, no reset
	if got := i.state(); !strings.Contains(got, "device.key") || !strings.Contains(got, "0001.seg") {
		t.Fatalf("reset by nobody: %s", got)
	}
	// Cut after the mark was made, and after a part was removed.
	for range 2 {
		check(t, os.WriteFile(filepath.Join(i.data, "reset"), nil, 0o600))
		check(t, resetIfAsked(t.Context(), i.config, log))
		if got := i.state(); got != "" {
			t.Errorf("left: %s", got)
		}
		if _, err := os.Stat(filepath.Join(i.data, "ring", "lost+found")); err != nil {
			t.Errorf("a file system may be mounted there, whose folders these are: %v", err)
		}
	}
	if c, err := loadConfig(i.config); err != nil || !c.isNew() {
		t.Errorf("it is not new: %v", err)
	}
	i.bundle(nil)
	if code, _, errs := i.run("provision", i.stick); code != 0 {
		t.Errorf("it takes no bundle: %s", errs)
	}
}
