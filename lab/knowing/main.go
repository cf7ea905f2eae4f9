// Command knowing measures what the detectors of a line know: digits, caller ID and tones, beside spandsp and multimon-ng
// on the same signals of package lab/signal, at several seeds. It prints the table "Knowing calls".
//
//	go run ./lab/knowing                       # a few minutes
//	go run ./lab/knowing -parts talk -talk 10h # speech with pitch, speed and level varied; nothing in it is a signal
//
// A figure is how many were heard right, of how many, at the seed at which it was fewest, and at which most. spandsp is
// reached through a small C program (libspandsp-dev), multimon-ng as it is, at its 22050 Hz. A target that is missed is
// printed as missed, and is no error.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b bench
	flag.IntVar(&b.seeds, "seeds", 3, "how many seeds of noise")
	flag.StringVar(&b.parts, "parts", "digits,caller,tones,talk", "what to measure")
	flag.DurationVar(&b.talk, "talk", 20*time.Minute, "how much speech to hear")
	flag.Uint64Var(&b.voice, "voice", 1, "seed of the speech")
	flag.BoolVar(&b.alone, "alone", false, "without spandsp and multimon-ng")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "knowing:", err)
		os.Exit(1)
	}
}

type bench struct {
	seeds int
	parts string
	talk  time.Duration
	voice uint64
	alone bool
	peers []contender // ours is the last
}

func (b *bench) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "knowing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.peers = []contender{ours{}}
	rows := [][]string{{"what", "Linekeeper", "to reach", ""}}
	if !b.alone {
		spandsp, err := compileSpandsp(ctx, dir)
		if err != nil {
			return err
		}
		b.peers = []contender{spandsp, multimon{ctx}, ours{}}
		rows = [][]string{{"what", "spandsp", "multimon-ng", "Linekeeper", "to reach", ""}}
	}
	for part := range strings.SplitSeq(b.parts, ",") {
		var more [][]string
		switch part {
		case "digits":
			more, err = b.measure(digitTrials())
		case "caller":
			more, err = b.measure(callerTrials())
		case "tones":
			if more, err = b.measureTones(); err == nil {
				more = append(more, b.measureNotices()...)
			}
		case "talk":
			more, err = b.measureTalk(ctx, dir)
		default:
			err = fmt.Errorf("-parts %q is none of digits, caller, tones, talk", part)
		}
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	fmt.Printf("%s, by `go run ./lab/knowing %s`, %d seeds\n\n%s", time.Now().UTC().Format("2006-01-02 15:04 MST"),
		strings.Join(os.Args[1:], " "), b.seeds, figures.Markdown(rows))
	return nil
}
