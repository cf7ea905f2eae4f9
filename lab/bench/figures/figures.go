// Package figures is what the benchmarks print and keep: a table of rows, judged by their targets, put between the marks
// of a page.
package figures

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Row is a line of the table: a figure of ours beside a floor or another's.
type Row struct {
	What, Peer, Ours string
	Ratio            float64 // ours to the peer's; 0: no peer
	Value            float64 // where the target is one of the figure itself; 0 without Unit: it is one of the ratio
	Unit             string  // of Value and Limit, such as "MiB"; empty: the target is one of the ratio
	Limit            float64 // at most; 0: no target
}

// Verdict says whether the target is met.
func (r Row) Verdict() string {
	judged := r.Ratio
	if r.Unit != "" {
		judged = r.Value
	}
	switch {
	case r.Limit == 0 || judged == 0 && r.Unit == "":
		return "-"
	case math.IsNaN(judged) || judged > r.Limit:
		return "missed"
	default:
		return "met"
	}
}

// Target is it in words.
func (r Row) Target() string {
	switch {
	case r.Limit == 0:
		return "-"
	case r.Unit != "":
		return fmt.Sprintf("%g %s", r.Limit, r.Unit)
	default:
		return fmt.Sprintf("%.4g x", r.Limit)
	}
}

func (r Row) cells() []string {
	ratio := "-"
	if r.Ratio != 0 {
		ratio = fmt.Sprintf("%.2f x", r.Ratio)
	}
	return []string{r.What, r.Peer, r.Ours, ratio, r.Target(), r.Verdict()}
}

// Table writes the rows as Markdown, in columns that can be read as they are.
func Table(rows []Row) string {
	lines := [][]string{{"what", "floor or peer", "ours", "ratio", "at most", ""}}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	return Markdown(lines)
}

// Markdown writes rows of cells as a table, in columns that can be read as they are; the first row is its head.
func Markdown(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], 3, utf8.RuneCountInString(cell))
		}
	}
	var rule []string
	for _, w := range width {
		rule = append(rule, strings.Repeat("-", w))
	}
	var t strings.Builder
	for _, row := range slices.Insert(slices.Clone(rows), 1, rule) {
		t.WriteString("|")
		for i, cell := range row {
			fmt.Fprintf(&t, " %s%s |", cell, strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		t.WriteString("\n")
	}
	return t.String()
}

var errNoMarks = errors.New("the page has no place for the figures: its two marks are missing")

// insert puts the figures of a make target between its marks in a page, and leaves the rest.
func insert(page, target, figures string) (string, error) {
	beginMark, endMark := fmt.Sprintf("<!-- make %s: begin -->\n", target), fmt.Sprintf("<!-- make %s: end -->\n", target)
	before, rest, ok := strings.Cut(page, beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return "", errNoMarks
	}
	return before + beginMark + "\n" + figures + "\n" + endMark + after, nil
}

// Write puts the figures of a make target into a page, between the lines "<!-- make TARGET: begin -->" and "<!-- make
// TARGET: end -->".
func Write(file, target, figures string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	text, err := insert(string(page), target, figures)
	if err != nil {
		return fmt.Errorf("write the figures to %s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// Median is of the two in the middle their mean. There must be at least one.
func Median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// PerHour is what an hour costs, if so much was spent in that time.
func PerHour(spent, in time.Duration) time.Duration {
	if in <= 0 {
		return 0
	}
	return time.Duration(float64(spent) * float64(time.Hour) / float64(in))
}

// Ratio is a to b.
func Ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

// PageFloor is how many bytes a second a ring must write at least, whose syncs each begin on a fresh page.
func PageFloor(bytesPerSecond float64, interval time.Duration) float64 {
	const page = 4096
	each := bytesPerSecond * interval.Seconds()
	return math.Ceil(each/page) * page / interval.Seconds()
}

// Seconds is a time in seconds, to a tenth.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// MiB is a number of bytes in MiB.
func MiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// KB is a number of bytes in thousands.
func KB(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1000) }

// MB is a number of bytes in millions.
func MB(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }

// Spread is the least and the most of some runs.
func Spread(times []time.Duration) string {
	return fmt.Sprintf("%s to %s", Seconds(slices.Min(times)), Seconds(slices.Max(times)))
}

// SectorsWritten reads a device's stat (the kernel's Documentation/block/stat.rst) and gives bytes.
func SectorsWritten(stat string) (int64, error) {
	const column, sector = 6, 512
	words := strings.Fields(stat)
	if len(words) <= column {
		return 0, fmt.Errorf("a block device's stat has only %d columns", len(words))
	}
	n, err := strconv.ParseInt(words[column], 10, 64)
	return n * sector, err
}
