// Command guest is what the benchmarks of the virtual device run in it beside the recorder, each until it is stopped:
//
//	guest files FOLDER CALLS BYTES      one file a call, as most programs would: BYTES are appended to each every second,
//	                                    and synced
//	guest talk FILE PART... | aplay ... the mono samples of FILE without an end, once for each channel, each begun after
//	                                    so many 8ths of it
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/linekeeper/linekeeper/lab/bench/onefile"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: guest files FOLDER CALLS BYTES, or guest talk FILE PART PART")
	}
	var numbers []int
	for _, arg := range args[2:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	switch {
	case args[0] == "files" && len(numbers) == 2:
		return files(args[1], numbers[0], numbers[1])
	case args[0] == "talk":
		return talk(args[1], numbers)
	default:
		return fmt.Errorf("%q is neither files nor talk", args)
	}
}

func files(folder string, calls, perSecond int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := onefile.Start(folder, calls, perSecond)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return w.Close()
}

// talk writes until nobody listens any more.
func talk(file string, parts []int) error {
	samples, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	frames := len(samples) / 2
	out := bufio.NewWriter(os.Stdout)
	for at := 0; ; at++ {
		for _, part := range parts {
			i := 2 * ((at + part*frames/8) % frames)
			if _, err := out.Write(samples[i : i+2]); err != nil {
				return err
			}
		}
	}
}
