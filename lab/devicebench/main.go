// Command devicebench is `make bench-device`: what the packaged recorder costs in the virtual device: how long from power
// on until it records, and what it writes to its card, in real time. It prints a table and writes it into
// docs/benchmarks.md, which says what each row is.
//
//	go run ./lab/devicebench                        # about a quarter of an hour, after `make deb`
//	go run ./lab/devicebench -span 1h -boots 15     # as long as one likes
//	go run ./lab/devicebench -parts boot -doc ''
//
// The device is emulated, so its times are not a board's: what counts is the difference between boots of the same image
// with and without the recorder, in turns, and the bytes, which do not depend on speed. A target that is missed is printed
// as missed, and is no error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/device"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	flag.StringVar(&b.program, "program", "bin/linekeeper", "the recorder for this machine, which fills the ring beforehand")
	flag.StringVar(&b.pack, "package", "", "the recorder's Debian package for amd64; empty: the newest in dist/")
	flag.StringVar(&b.cache, "cache", ".cache/device", "folder where the device's image is made, once")
	flag.IntVar(&b.boots, "boots", 4, "how often the device is booted with the recorder, and without")
	flag.DurationVar(&b.span, "span", 3*time.Minute, "how long writes are counted; an hour is extrapolated from it")
	flag.DurationVar(&b.settle, "settle", 45*time.Second, "how long calls are recorded before writes are counted; what the start left behind is written after half a minute")
	flag.StringVar(&b.parts, "parts", "one,eight,boot", "what to measure")
	flag.StringVar(&b.doc, "doc", "docs/benchmarks.md", "page to write the table into; empty: none")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "devicebench:", err)
		os.Exit(1)
	}
}

type bench struct {
	program, pack, cache, parts, doc string
	boots                            int
	span, settle                     time.Duration

	dir   string // thrown away at the end
	image device.Image
	rows  []figures.Row
	notes []string
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) row(r figures.Row) { b.rows = append(b.rows, r) }

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.boots < 1 || b.span <= 0 || b.settle < 0 {
		return errors.New("-boots and -span must be positive")
	}
	machine := figures.Machine() // before we load it ourselves
	if b.pack == "" {
		if b.pack, err = newestPackage("dist"); err != nil {
			return err
		}
	}
	if b.program, err = filepath.Abs(b.program); err != nil {
		return err
	}
	if b.image, err = device.Prepare(ctx, b.cache, device.Options{Log: slog.Default()}); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(".cache", "devicebench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if err := b.makeRingDisk(ctx); err != nil {
		return err
	}
	failed := b.measure(ctx)
	if ctx.Err() != nil || len(b.rows) == 0 {
		return failed
	}
	text := b.text(machine)
	fmt.Println(text)
	if b.doc == "" {
		return failed
	}
	return errors.Join(failed, figures.Write(b.doc, "bench-device", text))
}

// measure measures the parts. One that fails does not keep the others from being told; on a host with too much to do that
// happens.
func (b *bench) measure(ctx context.Context) (failed error) {
	for part := range strings.SplitSeq(b.parts, ",") {
		var err error
		noted, told := len(b.notes), len(b.rows)
		switch part {
		case "boot":
			err = b.measureBoot(ctx)
		case "one":
			err = b.measureWrites(ctx, targets[0])
		case "eight":
			err = b.measureWrites(ctx, targets[1])
		default:
			return fmt.Errorf("-parts %q is none of one, eight, boot", part)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", part, err))
			b.note("%s was not measured: the run did not count.", part)
			b.say("%s: %v", part, err)
			continue
		}
		b.say("- %s\n%s", strings.Join(b.notes[noted:], "\n- "), figures.Table(b.rows[told:]))
	}
	return failed
}

// text is what is printed and kept. The table comes last.
func (b *bench) text(machine string) string {
	command := strings.Join(append([]string{"go run ./lab/devicebench"}, os.Args[1:]...), " ")
	var t strings.Builder
	fmt.Fprintf(&t, "%s, by `%s`. Host: %s, and %s at the end. Device: QEMU's own emulation of 2 cores with 512 MiB, Debian 12, %s; %s.\n\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), command, machine, figures.Load(),
		figures.Words("dpkg-query", "-W", "-f=QEMU ${Version}", "qemu-system-x86"), filepath.Base(b.pack))
	for _, n := range b.notes {
		fmt.Fprintf(&t, "- %s\n", n)
	}
	fmt.Fprintf(&t, "\n%s", figures.Table(b.rows))
	return t.String()
}
