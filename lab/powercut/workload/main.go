// Command workload records on a card whose power is going to be cut, and says what it was promised.
//
//	workload -card /mnt/card -claims /dev/virtio-ports/claims -lines 4 -length 10m
//
// It is the recorder's own rooms (recorder, seal, ledger, buffer) on lines that it makes up, with a clock that goes as
// fast as the card: a sync for each second of audio, as live. Calls are receipted a while after they ended, so that the
// ring goes round. Claims go out as lines of JSON, each of which waits for an empty line in answer: without -claims, on
// standard output and input.
//
// With -forget 1 nothing is ever synced, with less only some: what it then claims is not true, and a check that does not
// find that out is worth nothing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/linekeeper/linekeeper/lab/powercut"
)

func main() {
	var w workload
	flag.StringVar(&w.card, "card", "", "root folder of the card")
	claims := flag.String("claims", "", "file or device to say claims to, and to read answers from")
	answers := flag.String("answers", "", "file to read answers from, where it is not that of the claims")
	flag.IntVar(&w.lines, "lines", 4, "telephone lines")
	flag.DurationVar(&w.begin, "begin", 0, "where the lines' time begins: on a card that was recorded on before, later than it ended")
	flag.DurationVar(&w.length, "length", 10*time.Minute, "of the lines' time; 0: until it is killed")
	flag.Uint64Var(&w.seed, "seed", 1, "of all that is made up")
	flag.Float64Var(&w.forget, "forget", 0, "share of the syncs that are not done: the control")
	flag.Parse()
	if err := run(&w, *claims, *answers); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
}

func run(w *workload, claims, answers string) error {
	if w.card == "" || w.lines < 1 || flag.NArg() > 0 {
		return errors.New("-card is needed, at least one line, and nothing else")
	}
	to, from := os.Stdout, os.Stdin
	if claims != "" {
		f, err := os.OpenFile(claims, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		to, from = f, f
	}
	if answers != "" {
		f, err := os.OpenFile(answers, os.O_RDWR, 0) // a pipe too: it never ends
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	w.teller = powercut.NewTeller(to, from)
	return w.run()
}
