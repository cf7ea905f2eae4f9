package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
)

// lines scores cases until there are enough calls, some at a time, in order of their seeds.
func (b *bench) lines(ctx context.Context, v scene.Voices, e *ear, text *strings.Builder) error {
	total := newScore()
	for first := b.seed * casesASeed; total.calls < b.calls; first += uint64(b.workers) {
		scores, errs := make([]*score, b.workers), make([]error, b.workers)
		var workers sync.WaitGroup
		for i := range b.workers {
			workers.Go(func() { scores[i], errs[i] = e.scoreCase(first+uint64(i), v) })
		}
		workers.Wait()
		for i := range b.workers {
			if errs[i] != nil {
				return errs[i]
			}
			if total.calls < b.calls {
				total.add(scores[i])
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "\r%d calls, %d whole", total.calls, total.whole)
	}
	fmt.Fprintln(os.Stderr)
	slices.SortStableFunc(total.failures, func(a, b failure) int { return int(a.fault) - int(b.fault) })
	if b.all != "" {
		if err := os.WriteFile(b.all, []byte(list(total.failures)), 0o644); err != nil {
			return fmt.Errorf("write the failures: %w", err)
		}
	}
	total.print(text, b.worst)
	return nil
}

// scoreCase makes a case, listens to it and scores what was heard.
func (e *ear) scoreCase(seed uint64, v scene.Voices) (*score, error) {
	sum := newScore()
	for i, l := range scene.Make(seed, v).Lines {
		h, err := e.listen(l)
		if err != nil {
			return nil, fmt.Errorf("case %d, line %d: %w", seed, i, err)
		}
		sum.add(judge(seed, i, l, h))
	}
	return sum, nil
}

func list(failures []failure) string {
	var s strings.Builder
	for _, f := range failures {
		fmt.Fprintln(&s, f)
	}
	return s.String()
}

// print is the tables, and the worst failures.
func (s *score) print(text *strings.Builder, worst int) {
	fmt.Fprintf(text, "\n%d lines in %d countries, %.1f hours, %d calls.\n\n%s\n", s.lines, len(s.countries), float64(s.frames)/scene.Rate/3600, s.calls, figures.Markdown(s.rows()))
	rows := [][]string{{"calls by what is special about them", "whole", "of", ""}}
	for _, name := range slices.Sorted(maps.Keys(s.traits)) {
		t := s.traits[name]
		rows = append(rows, []string{name, fmt.Sprint(t.whole), fmt.Sprint(t.calls), percent(t.whole, t.calls)})
	}
	text.WriteString(figures.Markdown(rows))
	if len(s.failures) == 0 {
		return
	}
	fmt.Fprintf(text, "\nThe worst of %d failures:\n", len(s.failures))
	shown := map[fault]int{}
	for _, f := range s.failures {
		if shown[f.fault]++; shown[f.fault] <= max(1, worst/int(faults)) || int(f.fault) <= int(endCut) && shown[f.fault] <= worst {
			fmt.Fprintf(text, "  %s\n", f)
		}
	}
}

func percent(part, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(of))
}

// rows is the table with its targets.
func (s *score) rows() [][]string {
	rows := [][]string{{"what", "Linekeeper", "of", "", "to reach", ""}}
	add := func(what string, part, of int, target, verdict string) {
		rows = append(rows, []string{what, fmt.Sprint(part), fmt.Sprint(of), percent(part, of), target, verdict})
	}
	sound := s.calls - s.count[lost] - s.both()
	add("calls found, neither split nor joined wrongly", sound, s.calls, "at least 99 %", met(float64(sound) >= 0.99*float64(s.calls)))
	add("the same, those left out that are silent for over 20 s on a line without contact", s.easy.whole, s.easy.calls, "-", "-")
	none := func(f fault, what string) { add(what, s.count[f], s.of[f], "0", met(s.count[f] == 0)) }
	free := func(f fault, what string) { add(what, s.of[f]-s.count[f], s.of[f], "-", "-") }
	add("calls not found", s.count[lost], s.calls, "-", "-")
	add("calls split", s.count[split], s.calls, "-", "-")
	add("calls joined with another", s.count[joined], s.calls, "-", "-")
	none(startCut, "calls whose first word is cut")
	none(keyCut, "calls whose first dialled digit is cut")
	none(endCut, "calls whose last word is cut")
	free(dialledWrong, "calls with the dialled number right, and none where none was dialled")
	free(digitsWrong, "calls with all digits right, and none where there was none")
	free(numberLost, "callers' numbers known")
	free(waitingLost, "waiting callers' numbers known")
	none(wrongNumber, "wrong numbers shown, of those shown")
	free(missedLost, "missed calls told")
	free(missedRings, "missed calls told, with their rings counted right")
	free(missedNumber, "numbers of callers that were missed known")
	free(reasonWrong, "calls that began for the right reason")
	free(toneIgnored, "ended by busy, reorder or dial tone, where one was heard for 4 s")
	hours := float64(s.frames) / scene.Rate / 3600
	count := func(what string, n int, target, verdict string) {
		rows = append(rows, []string{what, fmt.Sprint(n), fmt.Sprintf("%.1f h", hours), "", target, verdict})
	}
	count("false calls on idle lines", s.falseIdle, "0", met(s.falseIdle == 0))
	count("false calls made of ringing that was missed", s.falseRing, "0", met(s.falseRing == 0))
	count("false calls made of what is heard before or after one", s.count[falseCall]-s.falseIdle-s.falseRing, "0", met(s.count[falseCall] == s.falseIdle+s.falseRing))
	count("false calls that are kept out of lists as too short", s.falseShort, "-", "-")
	count("calls said to be missed that were not", s.count[missedFalse], "0", met(s.count[missedFalse] == 0))
	count("calls with words that are kept out of lists as too short", s.count[keptOut], "0", met(s.count[keptOut] == 0))
	if len(s.late) > 0 {
		slices.Sort(s.late)
		rows = append(rows, []string{"recorded after the last word: median, 95th percentile",
			fmt.Sprintf("%.1f s, %.1f s", s.late[len(s.late)/2], s.late[len(s.late)*95/100]), "", "", "-", "-"})
	}
	return rows
}

func met(is bool) string {
	if is {
		return "met"
	}
	return "missed"
}

// both is how many calls were split or joined, each counted once.
func (s *score) both() int {
	calls := map[string]bool{}
	for _, f := range s.failures {
		if f.fault == split || f.fault == joined {
			calls[fmt.Sprint(f.seed, f.line, f.at)] = true
		}
	}
	return len(calls)
}
