package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
)

// What a recorder may not have synced yet when it is killed: an interval, and as much again for the sync itself and for the
// time between what it says and our reading it on a busy machine.
const unsynced = 3 * time.Second

// finding is what the account gave.
type finding struct {
	begun, cut, buried int // calls
	verified           string
	lost               []float64 // seconds that cut calls have lost
	broken             []string
}

func (f *finding) breaks(format string, args ...any) {
	f.broken = append(f.broken, fmt.Sprintf(format, args...))
}

func (f *finding) print(kills int64, took time.Duration) {
	worst := 0.0
	for _, s := range f.lost {
		worst = max(worst, s)
	}
	fmt.Printf("%d kills in %v: %d calls begun, %d cut short, %d of which only the beginning was stored; the most that a cut call has lost: %.1f s\n",
		kills, took.Round(time.Second), f.begun, f.cut, f.buried, worst)
	fmt.Printf("linekeeper-hq verify: %s\n", f.verified)
	for _, b := range f.broken {
		fmt.Println("BROKEN:", b)
	}
	fmt.Printf("%d promises broken\n", len(f.broken))
}

// account holds what headquarters has against what the recorders said.
func (f *fault) account(ctx context.Context, offices []*office) (*finding, error) {
	lib, err := library.Open(filepath.Join(f.head.Dir, "library.db"), time.Now)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lib.Close() }() // only read
	var found finding
	for i, o := range offices {
		for id, c := range o.calls {
			if err := found.check(ctx, lib, fmt.Sprintf("recorder %d, call %s", i, id), id, c); err != nil {
				return nil, err
			}
		}
	}
	return &found, found.verify(ctx, f)
}

func (f *finding) check(ctx context.Context, lib *library.Library, name, id string, c *said) error {
	parsed, err := call.ParseID(id)
	if err != nil {
		return err
	}
	f.begun++
	at, err := lib.Call(ctx, parsed)
	early := !c.died.IsZero() && c.died.Sub(c.began) < unsynced
	switch {
	case errors.Is(err, hq.ErrNotFound) && early:
		return nil // not even its begin entry was synced: it leaves no trace, and takes no number
	case errors.Is(err, hq.ErrNotFound):
		f.breaks("%s: headquarters knows nothing of it", name)
		return nil
	case err != nil:
		return err
	case at.Stage == hq.StageBegan && at.EndedBy == call.EndedPowerLost && early:
		f.buried++
		return nil
	case at.Stage != hq.StageDurable:
		f.breaks("%s: at headquarters only as %q, ended by %q", name, at.Stage, at.EndedBy)
		return nil
	}
	if c.sha256 != "" && c.died.IsZero() && at.SHA256 != c.sha256 && !at.Recovered {
		f.breaks("%s: it was said to have SHA-256 %s, headquarters has %s", name, c.sha256, at.SHA256)
	}
	if !c.died.IsZero() {
		f.cut++
		lost := max(0, (c.died.Sub(c.began) - at.Duration).Seconds())
		f.lost = append(f.lost, lost)
		if lost > unsynced.Seconds() {
			f.breaks("%s: it went on for %v before the kill, and %v of it are there", name, c.died.Sub(c.began), at.Duration)
		}
	}
	return nil
}

// verify asks headquarters' own verify.
func (f *finding) verify(ctx context.Context, of *fault) error {
	out, err := exec.CommandContext(ctx, of.head.Program, "verify", "--json", "--config", of.head.Config).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	var report struct {
		Colour   string
		Findings []struct{ Colour, Code, Text string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("read what verify says: %w: %s", err, out)
	}
	count := map[string]int{}
	for _, x := range report.Findings {
		count[x.Code]++
		if x.Colour == "red" {
			f.breaks("verify: %s", x.Text)
		}
	}
	f.verified = fmt.Sprintf("%s %v", report.Colour, count)
	return nil
}
