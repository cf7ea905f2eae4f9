package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// row is a line of the table: a figure of ours beside a floor or another's.
type row struct {
	what, peer, ours string
	ratio            float64 // ours to the peer's; 0: no peer
	size             float64 // MiB, where the target is one; 0: it is one of the ratio
	limit            float64 // at most; 0: no target
}

// verdict says whether the target is met.
func (r row) verdict() string {
	judged := r.ratio
	if r.size > 0 {
		judged = r.size
	}
	switch {
	case r.limit == 0 || judged == 0:
		return "-"
	case math.IsNaN(judged) || judged > r.limit:
		return "missed"
	default:
		return "met"
	}
}

func (r row) target() string {
	switch {
	case r.limit == 0:
		return "-"
	case r.size > 0:
		return fmt.Sprintf("%g MiB", r.limit)
	default:
		return fmt.Sprintf("%.4g x", r.limit)
	}
}

func (r row) cells() []string {
	ratio := "-"
	if r.ratio != 0 {
		ratio = fmt.Sprintf("%.2f x", r.ratio)
	}
	return []string{r.what, r.peer, r.ours, ratio, r.target(), r.verdict()}
}

// table writes the rows as Markdown, in columns that can be read as they are.
func table(rows []row) string {
	lines := [][]string{{"what", "floor or peer", "ours", "ratio", "at most", ""}, nil}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	width := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, c := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, w := range width {
		lines[1] = append(lines[1], strings.Repeat("-", max(3, w)))
	}
	var t strings.Builder
	for _, cells := range lines {
		t.WriteString("|")
		for i, c := range cells {
			fmt.Fprintf(&t, " %s%s |", c, strings.Repeat(" ", max(0, max(3, width[i])-utf8.RuneCountInString(c))))
		}
		t.WriteString("\n")
	}
	return t.String()
}

// The generated part of a page stands between these.
const (
	beginMark = "<!-- make bench: begin -->\n"
	endMark   = "<!-- make bench: end -->\n"
)

var errNoMarks = errors.New("the page has no place for the figures: its two marks are missing")

// insert puts the figures between a page's marks, and leaves the rest.
func insert(page, figures string) (string, error) {
	before, rest, ok := strings.Cut(page, beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return "", errNoMarks
	}
	return before + beginMark + "\n" + figures + "\n" + endMark + after, nil
}

func writePage(file, figures string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	text, err := insert(string(page), figures)
	if err != nil {
		return fmt.Errorf("write the figures to %s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// median is of the two in the middle their mean. There must be at least one.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// perHour is what an hour costs, if so much was spent in that time.
func perHour(spent, in time.Duration) time.Duration {
	if in <= 0 {
		return 0
	}
	return time.Duration(float64(spent) * float64(time.Hour) / float64(in))
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

// pageFloor is how many bytes a second a ring must write at least, whose syncs each begin on a fresh page.
func pageFloor(bytesPerSecond float64, interval time.Duration) float64 {
	const page = 4096
	each := bytesPerSecond * interval.Seconds()
	return math.Ceil(each/page) * page / interval.Seconds()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
func mib(bytes int64) string         { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
func kb(bytes float64) string        { return fmt.Sprintf("%.1f KB", bytes/1000) }

// spread is the least and the most of some runs.
func spread(times []time.Duration) string {
	return fmt.Sprintf("%s to %s", seconds(slices.Min(times)), seconds(slices.Max(times)))
}
