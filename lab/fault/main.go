// Command fault is the second part of `make fault`: the real recorder, killed at random moments of its life, and
// headquarters now and then, while calls are recorded through the real ALSA library and delivered. What each recorder said
// before it died is held against what headquarters has in the end:
//
//   - every call that was said to have begun is at headquarters once, or is buried by a tombstone if the recorder died before
//     the first sync of it could be over;
//   - a call that was cut has lost no more than a sync interval and the chunk being filled;
//   - a call whose end was said, and synced, has the bytes that were said;
//   - `linekeeper-hq verify` finds nothing altered and no number missing.
//
// It prints what it found, and ends with 1 where a promise was broken.
//
//	go run ./lab/fault -kills 1000          # some 20 minutes on 2 cores
//	go run ./lab/fault -kills 40 -seed 7
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var f fault
	flag.StringVar(&f.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&f.kills, "kills", 1000, "how often a recorder is killed")
	flag.IntVar(&f.offices, "recorders", 6, "recorders beside each other")
	flag.DurationVar(&f.limit, "limit", 40*time.Minute, "no kill begins later than this")
	flag.Uint64Var(&f.seed, "seed", uint64(time.Now().UnixNano()), "of the random moments")
	flag.StringVar(&f.keep, "keep", "", "folder to keep everything in; empty: one that is thrown away unless something is found")
	flag.Parse()
	if err := f.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fault:", err)
		os.Exit(1)
	}
}

type fault struct {
	bin, keep      string
	kills, offices int
	limit          time.Duration
	seed           uint64

	head *station.Headquarters
	done atomic.Int64 // kills
}

func (f *fault) run(ctx context.Context) (err error) {
	if f.kills < 1 || f.offices < 1 {
		return errors.New("-kills and -recorders must be positive")
	}
	if f.bin, err = filepath.Abs(f.bin); err != nil {
		return err
	}
	dir := f.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "linekeeper-fault-"); err != nil {
			return err
		}
	} else if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	begin := time.Now()
	offices, err := f.open(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("seed %d: %d kills of %d recorders, and of headquarters\n", f.seed, f.kills, f.offices)
	if err := f.lives(ctx, offices); err != nil {
		return fmt.Errorf("%w (everything is in %s)", err, dir)
	}
	found, err := f.account(ctx, offices)
	if err != nil {
		return fmt.Errorf("%w (everything is in %s)", err, dir)
	}
	found.print(f.done.Load(), time.Since(begin))
	if len(found.broken) > 0 {
		return fmt.Errorf("%d promises broken with -seed %d (everything is in %s)", len(found.broken), f.seed, dir)
	}
	if f.keep == "" {
		return os.RemoveAll(dir)
	}
	return nil
}

// open makes headquarters and the recorders, each with a line of its own that is nearly always in a call.
func (f *fault) open(ctx context.Context, dir string) (offices []*office, err error) {
	if f.head, err = station.NewHeadquarters(filepath.Join(f.bin, "linekeeper-hq"), filepath.Join(dir, "hq"), "", "", "", nil); err != nil {
		return nil, err
	}
	const rate = 8000
	voices, err := phone.FindVoices()
	if err != nil {
		return nil, err
	}
	lines, err := phone.Plan(voices, phone.PlanOptions{
		Lines: f.offices, Rate: rate, Calls: 40, Pause: 3 * time.Second, Shortest: 4 * time.Second, Longest: 20 * time.Second, Seed: f.seed,
	})
	if err != nil {
		return nil, err
	}
	var cards []linesim.Card
	for i, l := range lines {
		card := linesim.Card{Name: fmt.Sprintf("line%d", i), File: filepath.Join(dir, fmt.Sprintf("line%d.raw", i)), Rate: rate, Channels: 1, Loop: true, Control: true}
		if err := linesim.WriteSamples(card.File, l.Samples); err != nil {
			return nil, err
		}
		cards = append(cards, card)
	}
	sim, err := linesim.Install(ctx, filepath.Join(dir, "alsa"), cards...)
	if err != nil {
		return nil, err
	}
	for i, card := range cards {
		order := []string{"https", "mqtt"}
		if i%2 == 1 {
			order = []string{"mqtt", "https"}
		}
		r, err := station.NewRecorder(filepath.Join(f.bin, "linekeeper"), filepath.Join(dir, fmt.Sprintf("recorder%d", i)), fmt.Sprintf("Office %d", i), f.head,
			station.RecorderOptions{Lines: []station.Line{{Name: "line 1", Device: card.Name}}, HangOver: "2s", Order: order, Env: []string{sim.Env()}})
		if err != nil {
			return nil, err
		}
		offices = append(offices, &office{recorder: r, sim: sim, card: card.Name, random: rand.New(rand.NewPCG(f.seed, uint64(i))), calls: map[string]*said{}})
	}
	return offices, nil
}

// lives lets every recorder live and die until there have been enough kills, and headquarters too, and then lets all of
// them deliver what they have.
func (f *fault) lives(ctx context.Context, offices []*office) error {
	head, err := f.startHead(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	more := func() bool {
		return f.done.Add(1) <= int64(f.kills) && time.Since(begin) < f.limit && ctx.Err() == nil
	}
	dying, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, o := range offices {
		all.Go(func() {
			for more() {
				if err := o.live(dying); err != nil {
					cancel(err)
					return
				}
			}
			f.done.Add(-1) // the last one was not
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	random := rand.New(rand.NewPCG(f.seed, 1<<32))
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(10*time.Second + time.Duration(random.Int64N(int64(20*time.Second)))):
			head.Kill()
			if head, err = f.startHead(ctx); err != nil {
				return err
			}
			fmt.Printf("  %d kills, %v\n", min(f.done.Load(), int64(f.kills)), time.Since(begin).Round(time.Second))
		}
	}
	if err := context.Cause(dying); err != nil {
		head.Kill()
		return err
	}
	for _, o := range offices {
		all.Go(func() {
			if err := o.deliver(dying); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return errors.Join(context.Cause(dying), head.Stop())
}

func (f *fault) startHead(ctx context.Context) (*station.Process, error) {
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return f.head.Start(starting, nil)
}
