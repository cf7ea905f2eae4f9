package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/linesim"
)

// found is what `linekeeper replay --json` says of a call.
type found struct {
	Start    time.Duration `json:"start_ns"` // from the beginning of the file
	Manifest call.Manifest `json:"manifest"`
}

// replayed is a replay that ran to its end.
type replayed struct {
	ran
	calls  []found
	frames int64 // recorded
	size   int64 // of the call files
}

// replay runs `linekeeper replay` with all detectors: of a line whose country is known, since the tones of none are not
// listened for.
func (b *bench) replay(ctx context.Context, file string, flags ...string) (replayed, error) {
	r, err := run(ctx, append([]string{b.program(), "replay", "--json", "--country", "za", file}, flags...)...)
	if err != nil {
		return replayed{}, err
	}
	out := replayed{ran: r}
	if err := json.Unmarshal(r.out, &out.calls); err != nil {
		return out, fmt.Errorf("read what replay prints: %w", err)
	}
	for _, c := range out.calls {
		out.frames += c.Manifest.Frames
		out.size += c.Manifest.Size
		if len(c.Manifest.Gaps) > 0 || c.Manifest.Rate != rate {
			return out, fmt.Errorf("replay lost audio, or changed its rate: %+v", c.Manifest)
		}
	}
	return out, nil
}

// measureReplay is a line's hours, replayed beside bare libopus, in turns. What libopus is given is what was recorded:
// the stretches of the calls that the first replay found, cut out of the file and joined.
func (b *bench) measureReplay(ctx context.Context) error {
	length := time.Duration(b.hours * float64(time.Hour))
	b.say("making %v of calls", length)
	line := b.calls(length)
	file, err := writeWAV(b.dir, "calls.wav", line)
	if err != nil {
		return err
	}
	stretches := filepath.Join(b.dir, "recorded.raw")
	var ours, floor []time.Duration
	var first replayed
	var peak int64
	for i := range b.runs {
		b.say("replay and bare libopus in turns, %d of %d", i+1, b.runs)
		r, err := b.replay(ctx, file)
		if err != nil {
			return err
		}
		if i == 0 {
			first = r
			if err := cut(stretches, line, r.calls); err != nil {
				return err
			}
		} else if r.frames != first.frames {
			return fmt.Errorf("replay recorded %d frames, and %d of the same file before", r.frames, first.frames)
		}
		alone, err := b.bare.encode(ctx, stretches, r.frames)
		if err != nil {
			return err
		}
		ours = append(ours, figures.PerHour(r.cpu, mono.Duration(r.frames)))
		floor = append(floor, alone)
		peak = max(peak, r.peak)
	}
	b.floor = figures.Median(floor)
	recorded := mono.Duration(first.frames)
	b.note("Replay: %v of a line, of which %d calls with %v were recorded. CPU seconds an hour of recorded audio, start-up included; "+
		"bare libopus encoded just the frames that were recorded (less than one packet left out). %d runs of each in turns, medians; "+
		"ours %s, bare %s. At most %s resident.", length, len(first.calls), recorded.Round(time.Second), b.runs,
		figures.Spread(ours), figures.Spread(floor), figures.MiB(peak))
	b.row(figures.Row{What: "replay of calls, everything on: CPU s an hour recorded", Peer: "bare libopus " + figures.Seconds(b.floor),
		Ours: figures.Seconds(figures.Median(ours)), Ratio: figures.Ratio(figures.Median(ours), b.floor), Limit: 1.4})
	return nil
}

// cut writes the stretches that were recorded, joined, without a head.
func cut(file string, line []int16, calls []found) error {
	var out []int16
	for _, c := range calls {
		// Replay's start is late by what opening the ring took, some milliseconds.
		begin := min(mono.Frames(c.Start), int64(len(line))-c.Manifest.Frames)
		if begin < 0 {
			return fmt.Errorf("a call of %d frames does not lie in the file of %d", c.Manifest.Frames, len(line))
		}
		out = append(out, line[begin:begin+c.Manifest.Frames]...)
	}
	if len(out) == 0 {
		return errors.New("replay found no call")
	}
	return linesim.WriteSamples(file, out)
}

// measureIdle is what it costs to listen to a line on which nobody speaks, beside what encoding it would.
func (b *bench) measureIdle(ctx context.Context) error {
	length := time.Duration(b.hours * float64(time.Hour))
	nothing, err := writeWAV(b.dir, "second.wav", idle(time.Second))
	if err != nil {
		return err
	}
	samples := idle(length)
	file, err := writeWAV(b.dir, "idle.wav", samples)
	if err != nil {
		return err
	}
	raw := filepath.Join(b.dir, "idle.raw")
	if err := linesim.WriteSamples(raw, samples); err != nil {
		return err
	}
	var starts, costs, floor []time.Duration
	for i := range b.runs {
		b.say("an idle line, %d of %d", i+1, b.runs)
		start, err := b.replay(ctx, nothing)
		if err != nil {
			return err
		}
		r, err := b.replay(ctx, file)
		if err != nil {
			return err
		}
		if len(start.calls)+len(r.calls) > 0 {
			return errors.New("replay found a call on an idle line")
		}
		alone, err := b.bare.encode(ctx, raw, int64(len(samples)))
		if err != nil {
			return err
		}
		starts, costs, floor = append(starts, start.cpu), append(costs, r.cpu), append(floor, alone)
	}
	b.note("Idle line: %v of a line's noise and hum, replayed; start-up (%.2f s) taken off. Bare libopus encodes the same.", length, figures.Median(starts).Seconds())
	cost := figures.PerHour(figures.Median(costs)-figures.Median(starts), length)
	b.row(figures.Row{What: "an idle line, detectors: CPU s an hour", Peer: "bare libopus, encoding it " + figures.Seconds(figures.Median(floor)),
		Ours: figures.Seconds(cost), Ratio: figures.Ratio(cost, figures.Median(floor))})
	return nil
}
