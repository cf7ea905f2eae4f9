package selftest

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/pcm"
)

// walksOf are the walks of lines with somebody there.
func walksOf(t *testing.T, names ...string) []*Walk {
	t.Helper()
	var walks []*Walk
	for _, name := range names {
		w := NewWalk(Line{Name: name, Format: format}, Plan{Attended: true}, builtIn(t))
		walks = append(walks, w)
	}
	return walks
}

// rounds gives all lines the same stretch of time, again and again, until ctx ends.
func rounds(ctx context.Context, lines int, heard chan<- Heard, sound func(line, at int) []float64) {
	for at := 0; ; at += 1600 {
		for i := range lines {
			p := pcm.Period{Format: format, Position: int64(at), Samples: signal.Samples(sound(i, at))}
			select {
			case heard <- Heard{Line: i, Period: p}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// TestKeysOnTheOtherLine: keys that are pressed on one telephone and heard on the other line mean swapped plugs. Nobody
// need do anything twice: both lines are quiet at once, and then it is one after the other.
func TestKeysOnTheOtherLine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	walks := walksOf(t, "desk", "back")
	heard := make(chan Heard)
	pressed := keys("1234567890*#")
	go rounds(ctx, 2, heard, func(i, at int) []float64 {
		sound := hiss(-65)(at, 1600)
		// The first line's quiet is over at 12 s, its lifting at 42 s at the latest: keys from 45 s on.
		if i == 1 {
			sound = signal.Mix(sound, 45*rate-at, pressed)
		}
		return sound
	})
	var told strings.Builder
	l := Listening{Walks: walks, Person: &Person{out: &told, lines: make(chan string)}}
	l.Run(ctx, heard)
	digits := walks[0].Results()[3]
	if digits.Verdict != Fail || !strings.Contains(digits.Says, "heard on line back instead") || !strings.Contains(digits.Do, "swapped") {
		t.Errorf("%+v", digits)
	}
	if other := walks[1].Results()[3]; other.Verdict != Fail || !strings.Contains(other.Says, "none of the keys") {
		t.Errorf("the other line: %+v", other)
	}
	for _, want := range []string{"desk: leave the handset", "back: leave the handset", "desk: lift", "back: lift", "20s left", "desk: press each key", "desk: say some"} {
		if strings.Count(told.String(), want) == 0 {
			t.Errorf("nobody was told %q:\n%s", want, told.String())
		}
	}
}

// TestOneLineAfterTheOther: also where one line takes longer to be found dead, the installer is at one telephone at a time.
func TestOneLineAfterTheOther(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan Heard)
	go rounds(ctx, 3, heard, func(i, at int) []float64 {
		if i == 1 {
			return nothing(at, 1600)
		}
		return hiss(-65)(at, 1600)
	})
	var told strings.Builder
	l := Listening{Walks: walksOf(t, "desk", "dead", "back"), Person: &Person{out: &told, lines: make(chan string)}}
	l.Run(ctx, heard)
	words := told.String()
	last, first := strings.Index(words, "desk: say some"), strings.Index(words, "back: lift")
	if last < 0 || first < last || strings.Contains(words, "dead: lift") {
		t.Errorf("it told:\n%s", words)
	}
}

// TestEnterLeavesAStepOut: each empty line skips what is asked at the time; other words do nothing.
func TestEnterLeavesAStepOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	walks := walksOf(t, "desk")
	heard := make(chan Heard)
	go rounds(ctx, 1, heard, func(_, at int) []float64 { return hiss(-65)(at, 1600) })
	lines, told := make(chan string), make(chan string)
	l := Listening{Walks: walks, Person: &Person{out: writer(told), lines: lines}}
	over := make(chan struct{})
	go func() { defer close(over); l.Run(ctx, heard); close(told) }()
	asked := 0
	for words := range told {
		if strings.Contains(words, "lift the") || strings.Contains(words, "press each") || strings.Contains(words, "say some") {
			asked++
			lines <- "hello"
			lines <- ""
		}
	}
	<-over
	if asked != 3 {
		t.Errorf("asked for %d steps, want 3", asked)
	}
	for _, r := range walks[0].Results() {
		if r.Check != CheckHum && r.Verdict != Skip {
			t.Errorf("what was left out: %+v", r)
		}
	}
	if w := walks[0]; w.found.heard > 13*time.Second || !w.Done() {
		t.Errorf("%v were heard, done: %t", w.found.heard, w.Done())
	}
}

type writer chan<- string

func (w writer) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// TestStoppedBefore: what was not tried is said to be so.
func TestStoppedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	walks := walksOf(t, "desk", "back")
	(&Listening{Walks: walks}).Run(ctx, nil)
	for _, w := range walks {
		for _, r := range w.Results() {
			if r.Verdict != Skip {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestAsk(t *testing.T) {
	for _, c := range []struct {
		typed         string
		yes, answered bool
	}{{"y\n", true, true}, {"No\n", false, true}, {"maybe\n YES \n", true, true}, {"\n", false, false}} {
		var told strings.Builder
		yes, answered := NewPerson(&told, strings.NewReader(c.typed)).Ask(t.Context(), "Does it?", time.Minute)
		if yes != c.yes || answered != c.answered {
			t.Errorf("%q: %t, %t", c.typed, yes, answered)
		}
		if !strings.HasPrefix(told.String(), "Does it? [y/n] (at most 1m0s)\n") {
			t.Errorf("told %q", told.String())
		}
	}
	if yes, answered := (*Person)(nil).Ask(t.Context(), "Does it?", time.Minute); yes || answered {
		t.Error("nobody has answered")
	}
	if _, answered := NewPerson(io.Discard, strings.NewReader("")).Ask(t.Context(), "Does it?", time.Millisecond); answered {
		t.Error("an input that has ended has answered")
	}
}
