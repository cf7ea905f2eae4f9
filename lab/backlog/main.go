// Command backlog shows what a recorder's memory does while it delivers a very long backlog. It fills a ring with calls,
// sealed and signed, and delivers them in this process to a receiver that keeps nothing but which calls came: so what is
// measured is the ring, its index and the uplink, and the Go runtime below them.
//
//	go run ./lab/backlog                    # 100,000 calls
//	go run ./lab/backlog -calls 10000
//
// It prints the resident memory and the heap when the ring is open, when the first manifest has been sent, and at each
// tenth of the calls, and ends with 1 where memory grew while it was delivering, exceeded -most, an entry came after the
// first call file, or a call came twice or not at all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.calls, "calls", 100_000, "calls in the ring")
	flag.Float64Var(&o.most, "most", 40, "MiB of resident memory at most")
	flag.Float64Var(&o.limit, "limit", 30, "MiB that Go's part may take before its collector works harder: as cmd/linekeeper sets it")
	flag.StringVar(&o.dir, "dir", "", "folder for the ring, which stays, and is not filled again; empty: one that is thrown away")
	fill := flag.Bool("fill", false, "only fill the ring: the command calls itself so, in a process whose memory does not count")
	flag.Parse()
	err := o.run(ctx, *fill)
	if err != nil {
		fmt.Fprintln(os.Stderr, "backlog:", err)
		os.Exit(1)
	}
}

type options struct {
	calls int
	most  float64
	limit float64
	dir   string
}

func (o options) run(ctx context.Context, fill bool) (err error) {
	if o.calls < 1 {
		return errors.New("-calls must be positive")
	}
	if fill {
		return o.fill()
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "backlog-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if _, err := os.Stat(filepath.Join(o.dir, "ring")); err == nil {
		return o.deliver(ctx)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-fill", "-dir", o.dir, "-calls", fmt.Sprint(o.calls))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("fill the ring: %w", err)
	}
	return o.deliver(ctx)
}
