package scene

import (
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSameSeedSameLine: a case can be played again.
func TestSameSeedSameLine(t *testing.T) {
	a, b, other := Brief(3, Synthetic{}), Brief(3, Synthetic{}), Brief(4, Synthetic{})
	if !slices.Equal(a.Lines[0].Samples, b.Lines[0].Samples) || len(a.Lines[0].Calls) != len(b.Lines[0].Calls) {
		t.Error("the same seed makes another line")
	}
	if slices.Equal(a.Lines[0].Samples, other.Lines[0].Samples) {
		t.Error("another seed makes the same line")
	}
}

// TestTruth: what is said to happen lies on the line, in order, and can be heard there.
func TestTruth(t *testing.T) {
	kinds := map[Kind]int{}
	for seed := range uint64(5) {
		for _, l := range Brief(seed, Synthetic{}).Lines {
			last := int64(0)
			for _, c := range l.Calls {
				kinds[c.Kind]++
				order := []int64{last, c.Begin, c.OffHook, c.FirstKey, c.LastKey, c.FirstWord, c.LastWord, c.OnHook, c.End, l.Frames()}
				order = slices.DeleteFunc(order, func(at int64) bool { return at < 0 })
				if !slices.IsSorted(order) {
					t.Errorf("seed %d: %+v, after %d, on a line of %d frames", seed, c, last, l.Frames())
				}
				last = c.End
				if c.FirstWord < 0 {
					continue
				}
				idle := loudness(l, c.End+Rate, c.End+2*Rate)
				if words := loudness(l, c.FirstWord, c.LastWord); c.End+2*Rate < l.Frames() && !slices.Contains(c.Traits, "back to back") && words < 1.2*idle {
					t.Errorf("seed %d: words of %g in a line of %g", seed, words, idle)
				}
			}
			if l.Contact != (len(l.Moves) > 0) {
				t.Errorf("seed %d: contact %v, and it moves %d times", seed, l.Contact, len(l.Moves))
			}
		}
	}
	if kinds[Incoming] == 0 || kinds[Outgoing] == 0 {
		t.Errorf("calls: %v", kinds)
	}
}

// loudness is the mean of the samples' distances from the line's middle.
func loudness(l Line, from, to int64) (mean float64) {
	n := 0.0
	for at := from * int64(l.Channels); at < to*int64(l.Channels) && at < int64(len(l.Samples)); at++ {
		mean += max(float64(l.Samples[at]), -float64(l.Samples[at]))
		n++
	}
	return mean / n
}

func TestCountries(t *testing.T) {
	names := Countries()
	if len(names) < 20 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("countries: %q", names)
	}
	for _, wanted := range []string{"ke", "ng", "za", "mz", "in", "lk", "pk"} {
		if !slices.Contains(names, wanted) {
			t.Errorf("%s is missing", wanted)
		}
	}
}

func TestStretch(t *testing.T) {
	sound := Synthetic{}.Music(rng(1), 2*Rate)
	for _, speed := range []float64{0.8, 1, 1.25} {
		got := stretch(sound, speed)
		if want := float64(len(sound)) / speed; float64(len(got)) < want-2 || float64(len(got)) > want+2 {
			t.Errorf("at %g times the speed it is %d frames long, want %g", speed, len(got), want)
		}
		if a, b := crossings(sound)*float64(len(got)), crossings(got)*float64(len(sound)); a < 0.9*b || a > 1.1*b {
			t.Errorf("at %g times the speed its pitch is another: %g crossings, want %g", speed, b, a)
		}
	}
}

func crossings(sound []float32) (n float64) {
	for i := 1; i < len(sound); i++ {
		if (sound[i] < 0) != (sound[i-1] < 0) {
			n++
		}
	}
	return n
}

// TestSharesNothing: no code of the detectors makes the signals on which they are measured.
func TestSharesNothing(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range parsed.Imports {
			if strings.Contains(one.Path.Value, "linekeeper/linekeeper/line") {
				t.Errorf("%s imports %s", file, one.Path.Value)
			}
		}
	}
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
