package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
	"github.com/linekeeper/linekeeper/pcm"
)

// replay makes a case again: what happened, what was found, what was wrong with it, and the audio.
func (b *bench) replay(ctx context.Context, seed uint64) error {
	voices, err := b.voices(ctx)
	if err != nil {
		return err
	}
	e, err := newEar()
	if err != nil {
		return err
	}
	for i, l := range scene.Make(seed, voices).Lines {
		fmt.Printf("case %d, line %d: %s, %s long\n", seed, i, l.About, clock(l.Frames()))
		for _, c := range l.Calls {
			fmt.Printf("  happened: %s, from %s, off-hook %s, words %s to %s, on-hook %s; rings %d, number %q, waiting %q, digits %q; %q\n",
				c.Kind, clock(c.Begin), clock(c.OffHook), clock(c.FirstWord), clock(c.LastWord), clock(c.OnHook), c.Rings, c.Number, c.Waiting, c.Digits, c.Traits)
		}
		h, err := e.listen(l)
		if err != nil {
			return err
		}
		for _, f := range h.calls {
			fmt.Printf("  found: %s\n", describe([]found{f}))
			for _, m := range f.marks {
				printMark(m)
			}
		}
		for _, m := range h.missed {
			fmt.Printf("  missed: %d rings at %s\n", m.rings, clock(m.at))
		}
		fmt.Print(list(judge(seed, i, l, h).failures))
		if err := writeWAV(fmt.Sprintf("wholeline-%d-%d.wav", seed, i), pcm.Format{Rate: scene.Rate, Channels: l.Channels}, l.Samples); err != nil {
			return err
		}
	}
	return nil
}

func printMark(m call.Mark) {
	fmt.Printf("    %s %s, %.2f s: %s\n", clock(m.Position), m.Kind, float64(m.Frames)/scene.Rate, m.Value)
}

// replayTalk makes a piece of speech again, with what was taken for a signal.
func (b *bench) replayTalk(ctx context.Context, seed uint64) error {
	voices, err := b.voices(ctx)
	if err != nil {
		return err
	}
	every, err := everyForm()
	if err != nil {
		return err
	}
	samples := piece(seed, voices)
	for _, m := range hearPiece(samples, every) {
		printMark(m)
	}
	return writeWAV(fmt.Sprintf("wholeline-talk-%d.wav", seed), pcm.Format{Rate: scene.Rate, Channels: 1}, samples)
}

// writeWAV writes into the folder for what is thrown away.
func writeWAV(name string, f pcm.Format, samples []int16) (err error) {
	path := filepath.Join(os.TempDir(), name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the audio: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(append(pcm.WAVHeader(f, int64(len(samples)/f.Channels)), pcm.AppendBytes(nil, samples)...)); err != nil {
		return fmt.Errorf("write the audio: %w", err)
	}
	fmt.Println(" ", path)
	return nil
}
