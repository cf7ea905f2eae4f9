// Command crowd has a thousand recorders at one headquarters at once: each with its own certificate and TLS connection,
// with the recorder's own uplink/tus and uplink/mqtt, to the real linekeeper-hq with its embedded broker. All of them
// deliver calls until each has its signed receipts. In the same run the same bytes go by PUT to nginx, from as many
// connections, each file and its folder synced before it counts, which is what a receipt says too.
//
//	go run ./lab/crowd                     # two minutes on two cores; make bench runs it
//	go run ./lab/crowd -recorders 100 -calls 5
//
// Load and servers share the machine. It needs nginx, and prints a table that it writes to docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/station"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c crowd
	flag.StringVar(&c.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&c.recorders, "recorders", 1000, "recorders at once")
	flag.IntVar(&c.calls, "calls", 2, "calls of each, over each protocol")
	flag.IntVar(&c.size, "size", 40_000, "bytes of a call")
	flag.DurationVar(&c.limit, "limit", 3*time.Minute, "of the whole run")
	flag.StringVar(&c.doc, "doc", "docs/benchmarks.md", "page to write the table to; empty: none")
	flag.Parse()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

type crowd struct {
	bin, doc               string
	recorders, calls, size int
	limit                  time.Duration

	dir   string
	head  *station.Headquarters
	all   []*recorder
	rows  []figures.Row
	notes string
}

func (c *crowd) run(ctx context.Context) (err error) {
	if c.recorders < 1 || c.calls < 1 || c.size < 1 {
		return errors.New("-recorders, -calls and -size must be positive")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("not done within %v: give a longer -limit, or fewer recorders", c.limit))
	defer cancel()
	if c.bin, err = filepath.Abs(c.bin); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "linekeeper-crowd-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	begin := fmt.Sprintf("%s, by `%s`. %s. %s; %s.\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		strings.Join(append([]string{"go run ./lab/crowd"}, os.Args[1:]...), " "), figures.Machine(), figures.Words(filepath.Join(c.bin, "linekeeper-hq"), "--version"), nginxVersion())
	if err := c.prepare(); err != nil {
		return err
	}
	if err := c.measure(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	text := begin + c.notes + "\n" + figures.Table(c.rows)
	fmt.Print(text)
	if c.doc == "" {
		return nil
	}
	return figures.Write(c.doc, "bench-headquarters", text)
}

// measure lets them all deliver, each way.
func (c *crowd) measure(ctx context.Context) error {
	peer, err := c.throughNginx(ctx)
	if err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	serving, err := c.head.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer serving.Kill()
	total := c.recorders * c.calls
	rate := func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(total)/d.Seconds()) }
	c.notes += fmt.Sprintf("- %d recorders, each with a certificate and a connection of its own; %d calls of %d bytes each, sealed. Durable: receipted, or, of nginx, PUT and then file and folder synced.\n",
		c.recorders, c.calls, c.size)
	for i, way := range []string{"https", "mqtt"} {
		connected, took, again, err := c.deliver(ctx, way, i)
		if err != nil {
			return fmt.Errorf("over %s: %w", way, err)
		}
		c.rows = append(c.rows, figures.Row{
			What: fmt.Sprintf("%d recorders at once over %s: durable calls a second", c.recorders, way),
			Peer: "nginx " + rate(peer), Ours: rate(took), Ratio: peer.Seconds() / took.Seconds(),
		}, figures.Row{
			What: "the same: time for all", Peer: "nginx " + figures.Seconds(peer) + " s", Ours: figures.Seconds(took) + " s",
			Ratio: took.Seconds() / peer.Seconds(), Limit: 2,
		})
		resident, peak, err := memory(serving.PID())
		if err != nil {
			return err
		}
		c.notes += fmt.Sprintf("- Over %s all were connected, and had said their status, within %s s; %d deliveries were tried again. Headquarters resident afterwards, all connected: %s, at most so far %s.\n",
			way, figures.Seconds(connected), again, figures.MiB(resident), figures.MiB(peak))
		c.rows = append(c.rows, figures.Row{What: "headquarters, all connected over " + way + ": resident at most so far", Peer: "-", Ours: figures.MiB(peak)})
		for _, r := range c.all {
			r.hangUp()
		}
	}
	return nil
}
