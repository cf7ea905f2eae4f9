// Command bench is `make bench`: what the recorder costs, beside bare libopus, `arecord | opusenc` and ffmpeg, in the
// same run and on the same audio. It prints a table and writes it into docs/benchmarks.md, which says what each row is.
//
//	go run ./lab/bench                       # about ten minutes
//	go run ./lab/bench -live 1h -hours 10    # as long as one likes
//	go run ./lab/bench -parts replay -runs 9 -doc ''
//
// A target that is missed is printed as missed, and is no error: what is measured on a busy machine proves little. Bytes
// to a block device are counted on loop devices, which needs root; without, what the recorder hands to write calls is
// shown, and not judged.
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
	"github.com/linekeeper/linekeeper/lab/bench/talk"
	"github.com/linekeeper/linekeeper/lab/linesim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	flag.StringVar(&b.bin, "bin", "bin", "folder of the programs; arm64 ones in arm64/ below it")
	flag.Float64Var(&b.hours, "hours", 1, "hours of a line to replay")
	flag.DurationVar(&b.live, "live", 2*time.Minute, "how long each live run is measured")
	flag.DurationVar(&b.settle, "settle", 45*time.Second, "how long a live run goes before it is measured; what the start left behind is written after half a minute")
	flag.IntVar(&b.runs, "runs", 5, "how often replay and bare libopus are run in turns")
	flag.StringVar(&b.parts, "parts", "replay,idle,one,eight,size", "what to measure")
	flag.StringVar(&b.doc, "doc", "docs/benchmarks.md", "page to write the table into; empty: none")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin, parts, doc string
	hours           float64
	live, settle    time.Duration
	runs            int

	dir     string // thrown away at the end
	speaker *talk.Speaker
	bare    bare
	sim     *linesim.Sim
	talk    int64         // frames of a simulated card's loop
	floor   time.Duration // what bare libopus costs an hour
	rows    []figures.Row
	notes   []string
}

func (b *bench) program() string { return filepath.Join(b.bin, "linekeeper") }

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) row(r figures.Row) { b.rows = append(b.rows, r) }

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.runs < 1 || b.hours <= 0 || b.live <= 0 {
		return errors.New("-runs, -hours and -live must be positive")
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	// Before we load it ourselves.
	machine := fmt.Sprintf("%s. %s; %s; %s.", figures.Machine(),
		figures.Words(b.program(), "--version"), figures.Words("opusenc", "--version"), figures.Words("ffmpeg", "-version"))
	// Not /tmp, which is often memory, where a sync costs nothing.
	if err := os.MkdirAll(".cache", 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(".cache", "bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", b.dir); err != nil { // replay's own rings too
		return err
	}
	if b.speaker, err = talk.New(); err != nil {
		return err
	}
	if b.bare, err = compileBare(ctx, b.dir); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	text := b.figures(machine)
	fmt.Println(text)
	if b.doc == "" {
		return nil
	}
	return figures.Write(b.doc, "bench", text)
}

func (b *bench) measure(ctx context.Context) error {
	for part := range strings.SplitSeq(b.parts, ",") {
		var err error
		switch part {
		case "replay":
			err = b.measureReplay(ctx)
		case "idle":
			err = b.measureIdle(ctx)
		case "one", "eight":
			err = b.measureLive(ctx, part)
		case "size":
			err = b.measureSize()
		default:
			err = fmt.Errorf("-parts %q is none of replay, idle, one, eight, size", part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// figures is what is printed and kept: where, how, the table, and what belongs to it. The table comes last.
func (b *bench) figures(machine string) string {
	command := "go run ./lab/bench"
	if len(os.Args) > 1 {
		command += " " + strings.Join(os.Args[1:], " ")
	}
	var t strings.Builder
	fmt.Fprintf(&t, "%s, by `%s`. %s\n\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), command, machine)
	for _, n := range b.notes {
		fmt.Fprintf(&t, "- %s\n", n)
	}
	fmt.Fprintf(&t, "\n%s", figures.Table(b.rows))
	return t.String()
}
