// Command wholeline lets the recorder's ear, package line with all its detectors, listen to whole synthetic lines, and
// scores what it makes of them: calls found, split, joined, cut at the start or the end; digits, numbers, missed calls;
// calls that never were. Then it lets the detectors hear speech, in which nothing is a signal.
//
//	go run ./lab/wholeline                           # 500 calls and 20 minutes of speech
//	go run ./lab/wholeline -parts talk -hours 10
//	go run ./lab/wholeline -replay 100017            # one case again: what happened, what was found, and a WAV of it
//
// What a line carries is package lab/wholeline/scene. It speaks with the voices that are installed (lab/need.sh bench);
// with others, or by -synthetic, the same seed is another case.
//
// A line is given what its site would have: its country, and its hook contact where it has one. A target that is missed
// is printed as missed, and is no error. The worst cases follow the table, each with the command that replays it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.IntVar(&b.calls, "calls", 500, "how many calls to score, those left out that were missed")
	flag.Uint64Var(&b.seed, "seed", 1, "which cases: they begin with 100000 times this")
	flag.StringVar(&b.parts, "parts", "lines,talk", "what to measure")
	flag.Float64Var(&b.hours, "hours", 1./3, "how much speech to hear")
	flag.IntVar(&b.workers, "workers", 2, "how many cases at a time")
	flag.IntVar(&b.worst, "worst", 12, "how many of the worst calls to print")
	flag.StringVar(&b.all, "all", "", "file to write every failure to")
	flag.BoolVar(&b.synthetic, "synthetic", false, "voices made here, and not those that are installed")
	replay := flag.Int64("replay", -1, "a case to play again, into a WAV file")
	replayTalk := flag.Int64("replay-talk", -1, "a piece of speech to play again, into a WAV file")
	flag.Parse()
	var err error
	switch {
	case *replay >= 0:
		err = b.replay(ctx, uint64(*replay))
	case *replayTalk >= 0:
		err = b.replayTalk(ctx, uint64(*replayTalk))
	default:
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wholeline:", err)
		os.Exit(1)
	}
}

type bench struct {
	calls, workers, worst int
	seed                  uint64
	hours                 float64
	parts, all            string
	synthetic             bool
}

// casesASeed is how far the cases of two seeds are apart.
const casesASeed = 100000

func (b *bench) voices(ctx context.Context) (scene.Voices, error) {
	if b.synthetic {
		return scene.Synthetic{}, nil
	}
	return scene.LoadMachine(ctx)
}

func (b *bench) run(ctx context.Context) error {
	if b.calls < 1 || b.workers < 1 || b.hours <= 0 {
		return errors.New("-calls, -workers and -hours must be positive")
	}
	voices, err := b.voices(ctx)
	if err != nil {
		return err
	}
	ear, err := newEar()
	if err != nil {
		return err
	}
	var text strings.Builder
	for part := range strings.SplitSeq(b.parts, ",") {
		switch part {
		case "lines":
			err = b.lines(ctx, voices, ear, &text)
		case "talk":
			err = b.talk(ctx, voices, &text)
		default:
			err = fmt.Errorf("-parts %q is none of lines, talk", part)
		}
		if err != nil {
			return err
		}
	}
	fmt.Printf("%s, by `%s`\n%s", time.Now().UTC().Format("2006-01-02 15:04 MST"),
		strings.Join(append([]string{"go run ./lab/wholeline"}, os.Args[1:]...), " "), text.String())
	return nil
}
