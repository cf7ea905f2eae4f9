// Command linkbench is the part of `make bench` that tells what a delivery over a bad link costs, in bytes and in time:
// both of our protocols beside curl, rsync, rclone and mosquitto_pub, over the kernel's own TCP and the links of
// lab/badlink. Every peer gets the same draws of a link, a file and a cut. It prints tables and writes them into
// docs/benchmarks.md, which says what each row is.
//
//	go run ./lab/linkbench                          # about a quarter of an hour
//	go run ./lab/linkbench -draws 60 -backlog 40m   # as long as one likes
//	go run ./lab/linkbench -parts cuts -peers https,rsync -rates 64000 -doc ''
//
// It needs root, for network namespaces. Where those are not allowed it says so; with CI set that is a failure. A target
// that is missed is printed as missed, and is no error.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/badlink"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	flag.StringVar(&b.bin, "bin", "bin", "folder of the programs")
	flag.StringVar(&b.parts, "parts", "costs,cuts,backlog,first", "what to measure")
	flag.StringVar(&b.peers, "peers", "https,mqtt,curl,rsync,rclone,mosquitto_pub", "whom to measure")
	flag.StringVar(&b.rates, "rates", "9600,64000,256000", "of the links, bit/s")
	flag.IntVar(&b.draws, "draws", 18, "links, files and cuts for each rate")
	flag.IntVar(&b.beside, "beside", 110, "deliveries beside each other")
	flag.DurationVar(&b.backlog, "backlog", 8*time.Minute, "how long a backlog of 500 calls is delivered")
	flag.Uint64Var(&b.seed, "seed", 1, "of the draws")
	flag.StringVar(&b.dir, "dir", "", "folder to work in, kept; empty: one in memory that is thrown away")
	flag.StringVar(&b.doc, "doc", "docs/benchmarks.md", "page to write the tables into; empty: none")
	flag.Parse()
	err := b.run(ctx)
	if errors.Is(err, badlink.ErrNotAllowed) && os.Getenv("CI") == "" {
		fmt.Fprintln(os.Stderr, "linkbench: not measured:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "linkbench:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin, parts, peers, rates, dir, doc string
	draws, beside                      int
	seed                               uint64
	backlog                            time.Duration

	template *template
	slots    chan struct{} // of deliveries beside each other

	mu    sync.Mutex
	rows  []figures.Row
	texts []string
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) run(ctx context.Context) (err error) {
	if b.draws < 1 || b.beside < 1 || b.backlog <= 0 {
		return errors.New("-draws, -beside and -backlog must be positive")
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	machine := figures.Machine()
	clean, err := b.makeDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clean()) }()
	if b.template, err = makeTemplate(filepath.Join(b.dir, "template"), filepath.Join(b.bin, "linekeeper-hq")); err != nil {
		return err
	}
	for _, size := range []int{large, small} {
		content := make([]byte, size)
		_, _ = rand.Read(content) // never fails (crypto/rand)
		if err := os.WriteFile(filepath.Join(b.template.dir, fmt.Sprintf("file-%d", size)), content, 0o644); err != nil {
			return err
		}
	}
	b.slots = make(chan struct{}, b.beside)
	begin := time.Now()
	if err := b.measure(ctx); err != nil {
		return err
	}
	text := b.figures(machine, time.Since(begin))
	fmt.Println(text)
	if b.doc == "" {
		return nil
	}
	return figures.Write(b.doc, "bench-link", text)
}

// makeDir makes the folder to work in. In memory, since a sync of one delivery must not wait for those of fifty others.
func (b *bench) makeDir() (clean func() error, err error) {
	if b.dir != "" {
		if b.dir, err = filepath.Abs(b.dir); err != nil {
			return nil, err
		}
		return func() error { return nil }, os.MkdirAll(b.dir, 0o755)
	}
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	b.dir, err = os.MkdirTemp(memory, "linekeeper-linkbench-")
	return func() error { return os.RemoveAll(b.dir) }, err
}

// measure runs the parts beside each other: the links hardly need the processor.
func (b *bench) measure(ctx context.Context) error {
	parts := map[string]func(context.Context) error{"costs": b.measureCosts, "cuts": b.measureCuts, "backlog": b.measureBacklog, "first": b.measureFirst}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, part := range strings.Split(b.parts, ",") {
		do := parts[part]
		if do == nil {
			return fmt.Errorf("-parts %q is none of costs, cuts, backlog, first", part)
		}
		wait.Go(func() {
			if err := do(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// chosen gives the peers of the flags, ours first.
func (b *bench) chosen() ([]peer, error) {
	all := append([]peer{ours{b.bin, "https", 1}, ours{b.bin, "mqtt", 1}}, b.others()...)
	var some []peer
	for _, name := range strings.Split(b.peers, ",") {
		i := slices.IndexFunc(all, func(p peer) bool { return p.name() == name })
		if i < 0 {
			return nil, fmt.Errorf("-peers %q is nobody", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// protocols are ours, of those chosen.
func (b *bench) protocols() (some []string) {
	for _, name := range strings.Split(b.peers, ",") {
		if name == "https" || name == "mqtt" {
			some = append(some, name)
		}
	}
	return some
}

// measureCuts has every peer deliver a file over every draw's link.
func (b *bench) measureCuts(ctx context.Context) error {
	peers, err := b.chosen()
	if err != nil {
		return err
	}
	for _, size := range []int{large, small} {
		if _, err := b.template.backlog(1, size); err != nil {
			return err
		}
	}
	var runs []*run
	for i, d := range draws(b.seed, b.draws) {
		if !slices.Contains(strings.Split(b.rates, ","), strconv.Itoa(d.Rate)) {
			continue
		}
		for _, p := range peers {
			runs = append(runs, b.newRun(d, p, fmt.Sprintf("%d-%s", i, p.name())))
		}
	}
	// The longest first, so that no link is left over at the end.
	slices.SortStableFunc(runs, func(a, b *run) int { return int(b.ideal() - a.ideal()) })
	outcomes := make([]outcome, len(runs))
	var wait sync.WaitGroup
	var done int
	for i, r := range runs {
		b.slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-b.slots }()
			o := r.do(ctx)
			b.mu.Lock()
			defer b.mu.Unlock()
			outcomes[i] = o
			if done++; o.err != nil {
				b.say("%s: %s: %v", o.peer, o.draw, o.err)
			} else {
				b.say("%d of %d: %s: %s: %.3f, %.0f s, %s", done, len(runs), o.peer, o.draw, float64(o.sent)/float64(o.Size), o.took.Seconds(), o.control)
				_ = os.RemoveAll(r.dir) // memory
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, o := range outcomes {
		if errors.Is(o.err, badlink.ErrNotAllowed) {
			return o.err
		}
	}
	b.tabulate(peers, outcomes)
	return nil
}
