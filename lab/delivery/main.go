// Command delivery shows that nothing is lost, doubled or altered on the way. It fills the rings of several recorders
// with calls, sealed and signed, and has the real programs deliver them to one headquarters, over HTTPS, the embedded
// broker and Mosquitto, while faults are drawn at random:
//
//   - between any two bytes of a recorder's link: resets, lost answers, black holes, a new address; the recorder killed
//     (kill -9), its index deleted too, or its clock set wrong;
//   - after any call at headquarters: it is killed, or in the moment between a call's last byte and its receipt, stopped,
//     its disk full, its clock wrong; Mosquitto killed.
//
// Then all is put right, the recorders deliver the rest, and each call's file at headquarters is compared, byte by byte,
// with what the ring held; the library must have it once, and `linekeeper-hq verify` be green. It ends with 1 where that
// is not so.
//
//	go run ./lab/delivery                              # 10,000 calls
//	go run ./lab/delivery -calls 300 -limit 30s -seed 7
//
// A seed gives the same calls and draws, not the same run: programs and kernel have their own timing. Headquarters' disk
// is a file system in memory, mounted in a namespace that ends with the program: root, or a kernel with user namespaces.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := delivery{counts: &counts{of: map[kind]int{}}}
	flag.StringVar(&d.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&d.calls, "calls", 10_000, "calls, of all recorders together")
	flag.IntVar(&d.recorders, "recorders", 16, "recorders beside each other")
	flag.Int64Var(&d.every, "every", 80<<10, "bytes of a link between two of its faults, as a mean")
	flag.Float64Var(&d.headEvery, "head-every", 150, "calls that arrive between two faults of headquarters, as a mean")
	flag.DurationVar(&d.limit, "limit", 30*time.Minute, "no fault falls later than this")
	flag.Uint64Var(&d.seed, "seed", uint64(time.Now().UnixNano()), "of all that is drawn")
	flag.StringVar(&d.keep, "keep", "", "folder to keep everything in; empty: one that is thrown away unless something is found")
	flag.Parse()
	entered, err := enter(ctx)
	var ended *exec.ExitError
	if !entered && errors.As(err, &ended) { // the one inside has said why
		os.Exit(1)
	}
	if entered && err == nil {
		err = d.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "delivery:", err)
		os.Exit(1)
	}
}

type delivery struct {
	bin, keep        string
	calls, recorders int
	every            int64
	headEvery        float64
	limit            time.Duration
	seed             uint64

	dir     string
	head    *head
	offices []*office
	counts  *counts
}

func (d *delivery) run(ctx context.Context) (err error) {
	if d.recorders < 1 || d.calls < d.recorders || d.every < 1 || d.headEvery <= 0 {
		return errors.New("-recorders, -every and -head-every must be positive, and -calls as many at least as -recorders")
	}
	if d.bin, err = filepath.Abs(d.bin); err != nil {
		return err
	}
	if d.dir = d.keep; d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "linekeeper-delivery-"); err != nil {
			return err
		}
	} else if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	begin := time.Now()
	found, err := d.deliver(ctx)
	if err != nil {
		return d.preserve(err)
	}
	fmt.Print(d.counts.table())
	for _, line := range found.details {
		fmt.Println("BROKEN:", line)
	}
	fmt.Printf("linekeeper-hq verify: %s\n", found.verified)
	fmt.Printf("%d calls, %d faults: lost %d, doubled %d, altered %d; %.0f s\n",
		found.calls, d.counts.total(), found.lost, found.doubled, found.altered, time.Since(begin).Seconds())
	if found.broken() {
		return d.preserve(fmt.Errorf("something is broken with -seed %d", d.seed))
	}
	if d.keep != "" {
		return d.preserve(nil)
	}
	return errors.Join(d.head.disk.close(), os.RemoveAll(d.dir))
}

// preserve keeps what headquarters' disk holds, which goes with the namespace.
func (d *delivery) preserve(why error) error {
	kept := filepath.Join(d.dir, "hq-kept")
	if out, err := exec.Command("cp", "-a", filepath.Join(d.dir, "hq"), kept).CombinedOutput(); err != nil {
		return errors.Join(why, fmt.Errorf("keep headquarters' disk: %w: %s", err, out))
	}
	if why != nil {
		return fmt.Errorf("%w (everything is in %s, headquarters' disk in %s)", why, d.dir, kept)
	}
	return nil
}

// deliver fills the rings, lets everything suffer, puts it right, and accounts for it.
func (d *delivery) deliver(ctx context.Context) (*finding, error) {
	var err error
	if d.head, err = newHead(d.bin, d.dir, rand.New(rand.NewPCG(d.seed, 1<<32)), d.counts); err != nil {
		return nil, err
	}
	bytes := int64(0)
	for n := range d.recorders {
		o, err := d.newOffice(n, d.calls*(n+1)/d.recorders-d.calls*n/d.recorders)
		if err != nil {
			return nil, err
		}
		defer o.close()
		d.offices = append(d.offices, o)
		bytes += o.bytes
	}
	fmt.Printf("seed %d: %d calls of %d recorders, %.1f MB, to one headquarters over HTTPS, its own broker and Mosquitto\n",
		d.seed, d.calls, d.recorders, float64(bytes)/1e6)
	if err := d.head.start(ctx); err != nil {
		return nil, err
	}
	if err := d.suffer(ctx); err != nil {
		return nil, err
	}
	group, settling := errgroup.WithContext(ctx)
	for _, o := range d.offices {
		group.Go(func() error { return o.settle(settling) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := d.head.stop(); err != nil {
		return nil, fmt.Errorf("headquarters did not end well: %w", err)
	}
	return d.account(ctx)
}

// suffer lets faults fall until everything is delivered, or the time is up.
func (d *delivery) suffer(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	group, falling := errgroup.WithContext(within)
	done, stop := context.WithCancel(falling)
	defer stop()
	offices, working := errgroup.WithContext(falling)
	for _, o := range d.offices {
		offices.Go(func() error { return o.suffer(working) })
	}
	group.Go(func() error { defer stop(); return offices.Wait() })
	group.Go(func() error { return d.head.suffer(done, d.headEvery) })
	group.Go(func() error { d.tell(done); return nil })
	if err := group.Wait(); err != nil && within.Err() == nil {
		return err
	}
	return ctx.Err()
}

// tell says how far it is.
func (d *delivery) tell(ctx context.Context) {
	begin := time.Now()
	for {
		wait(ctx, 30*time.Second)
		if ctx.Err() != nil {
			return
		}
		fmt.Printf("  %v: %d calls arrived, %d faults\n", time.Since(begin).Round(time.Second), d.head.received(), d.counts.total())
	}
}
