package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

const replayPeriod = 200 * time.Millisecond

// Replay is a WAV file that is heard as if it came from a card.
type Replay struct {
	wav   *pcm.WAVReader
	lines []LineConfig
	rate  int
	paced bool
}

// NewReplay makes a replay of what r reads: at the speed of the sound if paced, otherwise as fast as the sink takes it.
// lines and lineRate are as in Config.
func NewReplay(r *pcm.WAVReader, lines []LineConfig, lineRate int, paced bool) *Replay {
	return &Replay{wav: r, lines: lines, rate: lineRate, paced: paced}
}

// Run gives the sink the periods of the whole file, for each line in turn, and returns nil at its end. A period's time
// (At) is that of the start of Run and of the sound until then, whether paced or not. When ctx ends before, it returns
// why.
func (r *Replay) Run(ctx context.Context, sink func(line int, p pcm.Period)) error {
	if err := validateLines(r.lines, r.rate); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	split, err := newSplitter(r.wav.Format, r.lines, r.rate)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	begun, bootBegun := time.Now(), bootTime()
	buf := make([]int16, int(r.wav.Format.Frames(replayPeriod))*r.wav.Format.Channels)
	var position, read int64
	for {
		n, err := r.wav.Read(buf)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return fmt.Errorf("replay: read the file after %v: %w", r.wav.Format.Duration(read), err)
		}
		read += int64(n / r.wav.Format.Channels)
		sound := r.wav.Format.Duration(read)
		if r.paced {
			sleepUntil(ctx, begun.Add(sound))
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("replay: stopped after %v: %w", sound, err)
		}
		yield := func() int { return split.write(buf[:n]) }
		if end {
			yield = split.flush
		}
		frames := yield()
		for i := 0; i < len(r.lines) && frames > 0; i++ {
			sink(i, pcm.Period{Format: split.format(i), Position: position, At: bootBegun + sound, Samples: split.samples(i)})
		}
		position += int64(frames)
		if end {
			return nil
		}
	}
}

func sleepUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
