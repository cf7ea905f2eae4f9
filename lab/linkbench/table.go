package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

// group is a row of the tables: some of the draws.
type group struct {
	name string
	has  func(draw) bool
}

var groups = []group{
	{"200 KB, no loss, no cut", func(d draw) bool { return d.Size == large && d.Cut == noCut && d.Loss == 0 }},
	{"40 KB, no loss, no cut", func(d draw) bool { return d.Size == small && d.Cut == noCut && d.Loss == 0 }},
	{"loss of 1 or 3 %, no cut", func(d draw) bool { return d.Cut == noCut && d.Loss > 0 }},
	{"200 KB, one cut", func(d draw) bool { return d.Size == large && d.Cut != noCut }},
	{"40 KB, one cut", func(d draw) bool { return d.Size == small && d.Cut != noCut }},
	{"- reset", func(d draw) bool { return d.Cut == reset }},
	{"- black hole", func(d draw) bool { return d.Cut == blackHole }},
	{"- address change", func(d draw) bool { return d.Cut == addressChange }},
	{"- sender killed", func(d draw) bool { return d.Cut == senderKilled }},
	{"- receiver killed at the end", func(d draw) bool { return d.Cut == finishKilled }},
}

// Targets of the bytes sent for each byte of the file.
const (
	mostClean = 1.03
	mostCut   = 1.10
)

// tabulate makes the two tables of bytes and time, and judges ours.
func (b *bench) tabulate(peers []peer, outcomes []outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	head := []string{"median / 95th percentile", "draws", "floor: restart", "floor: resume"}
	for _, p := range peers {
		head = append(head, p.name())
	}
	bytes, times := [][]string{head}, [][]string{slices.Delete(slices.Clone(head), 2, 4)}
	for _, g := range groups {
		var restart, resume []float64
		sent, took := map[string][]float64{}, map[string][]float64{}
		lost := map[string]int{}
		for _, o := range outcomes {
			if !g.has(o.draw) {
				continue
			}
			if o.err != nil {
				lost[o.peer]++
				continue
			}
			if o.peer == peers[0].name() {
				again, rest := o.floors()
				restart, resume = append(restart, again), append(resume, rest)
			}
			sent[o.peer] = append(sent[o.peer], float64(o.sent)/float64(o.Size))
			took[o.peer] = append(took[o.peer], o.took.Seconds()/o.ideal().Seconds())
		}
		row := []string{g.name, fmt.Sprint(len(restart)), both(restart), both(resume)}
		times = append(times, row[:2:2])
		for _, p := range peers {
			n := p.name()
			missing := ""
			if lost[n] > 0 {
				missing = fmt.Sprintf(" (%d never)", lost[n])
			}
			row = append(row, both(sent[n])+missing)
			times[len(times)-1] = append(times[len(times)-1], both(took[n])+missing)
			b.judge(g, p, sent[n], resume)
		}
		bytes = append(bytes, row)
	}
	b.texts = append(b.texts,
		"Bytes of TCP that the sender put on the link, for each byte of the file:\n\n"+figures.Markdown(bytes),
		"Time until the sender knew that the file had arrived, without the cut, for each second in which its bytes alone fill the link:\n\n"+figures.Markdown(times),
		controls(outcomes))
}

// judge holds our median against the target.
func (b *bench) judge(g group, p peer, sent, floor []float64) {
	if _, us := p.(ours); !us || len(sent) == 0 || strings.HasPrefix(g.name, "-") || strings.HasPrefix(g.name, "loss") {
		return
	}
	limit := mostCut
	if strings.Contains(g.name, "no cut") {
		limit = mostClean
	}
	at := quantile(sent, 0.5)
	b.rows = append(b.rows, figures.Row{
		What: fmt.Sprintf("%s: bytes sent / bytes of the call, %s", g.name, p.name()), Peer: fmt.Sprintf("resume %.3f", quantile(floor, 0.5)),
		Ours: fmt.Sprintf("%.3f", at), Ratio: at / quantile(floor, 0.5), Value: at, Unit: "x", Limit: limit,
	})
}

// controls says which congestion control was seen.
func controls(outcomes []outcome) string {
	seen := map[string]map[string]int{}
	for _, o := range outcomes {
		if o.control == "" {
			continue
		}
		if seen[o.peer] == nil {
			seen[o.peer] = map[string]int{}
		}
		seen[o.peer][o.control]++
	}
	var all []string
	for peer, counts := range seen {
		for control, n := range counts {
			all = append(all, fmt.Sprintf("%s %s (%d)", peer, control, n))
		}
	}
	slices.Sort(all)
	return "Congestion control, as the kernel said on the way: " + strings.Join(all, ", ") + ".\n"
}

func both(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f / %.2f", quantile(values, 0.5), quantile(values, 0.95))
}

// quantile is the value below which a part of them lies, by the nearest rank; of the median's two in the middle the mean.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if part == 0.5 {
		return (sorted[(n-1)/2] + sorted[n/2]) / 2
	}
	return sorted[min(n-1, int(math.Ceil(part*float64(n)))-1)]
}

// figures is what is printed and kept.
func (b *bench) figures(machine string, took time.Duration) string {
	command := "go run ./lab/linkbench"
	if len(os.Args) > 1 {
		command += " " + strings.Join(os.Args[1:], " ")
	}
	var t strings.Builder
	fmt.Fprintf(&t, "%s, by `%s`, in %v. %s. %s; %s; %s; %s; %s.\n\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), command, took.Round(time.Second), machine,
		figures.Words(b.bin+"/linekeeper", "--version"), figures.Words("curl", "--version"), figures.Words("rsync", "--version"),
		figures.Words("rclone", "--version"), figures.Words("dpkg-query", "-W", "-f", "mosquitto_pub ${Version}", "mosquitto-clients"))
	for _, text := range b.texts {
		fmt.Fprintf(&t, "%s\n", text)
	}
	if len(b.rows) > 0 {
		fmt.Fprintf(&t, "%s", figures.Table(b.rows))
	}
	return t.String()
}
