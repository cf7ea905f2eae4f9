package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// countInstructions compares replay with bare libopus by instructions, which no other program on the machine disturbs.
// Callgrind is some fifty times slower, so that only the first call is heard.
func (b *bench) countInstructions(ctx context.Context, line []int16, calls []found) error {
	first := calls[0]
	end := min(int64(len(line)), mono.Frames(first.Start)+first.Manifest.Frames)
	file, err := writeWAV(b.dir, "first.wav", line[:end])
	if err != nil {
		return err
	}
	raw := filepath.Join(b.dir, "first.raw")
	if err := cut(raw, line, calls[:1]); err != nil {
		return err
	}
	nothing, err := writeWAV(b.dir, "nothing.wav", idle(time.Second))
	if err != nil {
		return err
	}
	var counts [3]float64
	for i, args := range [][]string{{b.program(), "replay", "--json", file}, {b.program(), "replay", "--json", nothing}, b.bare.command(raw)} {
		b.say("counting instructions, %d of 3", i+1)
		if counts[i], err = b.count(ctx, args); err != nil {
			return err
		}
	}
	b.note("Instructions counted by %s over one call of %.0f s; start-up taken off.", b.instructions, first.Manifest.Duration)
	b.row(row{what: "replay: instructions in user space, millions", peer: fmt.Sprintf("bare libopus %.0f", counts[2]/1e6),
		ours: fmt.Sprintf("%.0f", (counts[0]-counts[1])/1e6), ratio: (counts[0] - counts[1]) / counts[2]})
	return nil
}

var counted = map[string]*regexp.Regexp{
	"perf":      regexp.MustCompile(`(?m)^(\d+),.*instructions`),
	"callgrind": regexp.MustCompile(`Collected : (\d+)`),
}

func (b *bench) count(ctx context.Context, args []string) (float64, error) {
	words := filepath.Join(b.dir, "instructions")
	under := map[string][]string{
		"perf":      {"perf", "stat", "-x,", "-e", "instructions:u", "-o", words},
		"callgrind": {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + words},
	}[b.instructions]
	if under == nil {
		return 0, fmt.Errorf("-instructions %q is neither perf nor callgrind", b.instructions)
	}
	if _, err := run(ctx, append(under, args...)...); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(words)
	if err != nil {
		return 0, err
	}
	found := counted[b.instructions].FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s counts no instructions on this machine: %s", b.instructions, strings.TrimSpace(string(text)))
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
