package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // of headquarters' library

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

// Targets.
const (
	leastGoodput = 0.92
	mostLoss     = 0.01  // with which it is to be reached
	mostTrips    = 3 + 1 // round trips, and one of TLS
)

const backlogCalls = 500

// backlogDraws are the links that a backlog goes over. On the slowest link ten minutes are too short to tell.
func (b *bench) backlogDraws() (all []draw) {
	for _, rate := range []int{64_000, 256_000} {
		for _, loss := range []float64{0, 0.01, 0.03} {
			all = append(all, draw{Rate: rate, RTT: 600 * time.Millisecond, Loss: loss, Queue: 32 << 10, Size: small, Seed: b.seed})
		}
	}
	return all
}

// measureBacklog has recorders deliver a backlog, and tells how much of the link their calls fill.
func (b *bench) measureBacklog(ctx context.Context) error {
	if _, err := b.template.backlog(backlogCalls, small); err != nil {
		return err
	}
	rows := [][]string{{"backlog of 500 x 40 KB", "over https", "over mqtt", "at least", "", "plain TCP: cubic", "bbr", ourWindow}}
	controls := []string{"cubic", "bbr", ourWindow}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	found := map[string]float64{}
	for _, d := range b.backlogDraws() {
		for _, protocol := range b.protocols() {
			wait.Go(func() {
				r := b.newRun(d, ours{b.bin, protocol, backlogCalls}, fmt.Sprintf("backlog-%d-%g-%s", d.Rate, d.Loss, protocol))
				goodput, err := r.fill(ctx, b.backlog)
				mu.Lock()
				defer mu.Unlock()
				if found[protocol+d.String()] = goodput; err != nil {
					errs = append(errs, fmt.Errorf("backlog over %s: %w", protocol, err))
				}
			})
		}
	}
	for _, d := range b.backlogDraws() {
		for _, control := range controls {
			wait.Go(func() {
				goodput, err := d.stream(ctx, control, b.backlog)
				mu.Lock()
				defer mu.Unlock()
				if found[control+d.String()] = goodput; err != nil {
					errs = append(errs, err)
				}
			})
		}
	}
	wait.Wait()
	for _, d := range b.backlogDraws() {
		row := []string{fmt.Sprintf("%g kbit/s, %v, loss %g %%", float64(d.Rate)/1000, d.RTT, 100*d.Loss)}
		verdict := "met"
		for _, protocol := range []string{"https", "mqtt"} {
			goodput, ok := found[protocol+d.String()]
			if !ok {
				row = append(row, "-")
				continue
			}
			row = append(row, fmt.Sprintf("%.3f", goodput))
			if d.Loss > mostLoss {
				verdict = "-"
			} else if goodput < leastGoodput {
				verdict = "missed"
			}
		}
		row = append(row, fmt.Sprint(leastGoodput), verdict)
		for _, control := range controls {
			row = append(row, fmt.Sprintf("%.3f", found[control+d.String()]))
		}
		rows = append(rows, row)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = append(b.texts, fmt.Sprintf("Bytes of calls, for each byte of IP that the link could have carried from the first receipt of a call, when all entries are at headquarters, to the last one within %v; beside it the same of one endless stream of plain TCP:\n\n%s", b.backlog, figures.Markdown(rows)))
	return errors.Join(errs...)
}

// fill delivers for a time and says how much of what the link could have carried were bytes of calls, once the entries of
// all of them have arrived.
func (r *run) fill(ctx context.Context, span time.Duration) (goodput float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.open(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p, err := r.start(r.link.Near, r.peer.send(r))
	if err != nil {
		return 0, err
	}
	defer p.kill()
	over := time.After(span)
	calls, first, last := 0, 0, time.Time{}
	var since time.Time
	for calls < backlogCalls {
		grown := r.growth()
		if n := r.heard("delivered"); n > calls {
			calls, last = n, time.Now()
			if first == 0 {
				first, since = n, last
			}
		}
		select {
		case <-grown:
			continue
		case <-p.done:
			return 0, fmt.Errorf("the recorder ended: %w; see %s", p.err, r.dir)
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-over:
		}
		break
	}
	if calls == first {
		return 0, fmt.Errorf("%d calls were delivered within %v; see %s", calls, span, r.dir)
	}
	carried := float64(r.Rate) / 8 * last.Sub(since).Seconds()
	return float64((calls-first)*r.Size) / carried, nil
}

// measureFirst tells when headquarters has the first manifest, from the recorder's first packet on.
func (b *bench) measureFirst(ctx context.Context) error {
	if _, err := b.template.backlog(1, small); err != nil {
		return err
	}
	for _, protocol := range b.protocols() {
		for _, rtt := range []time.Duration{200 * time.Millisecond, 600 * time.Millisecond} {
			d := draw{Rate: 256_000, RTT: rtt, Queue: 32 << 10, Size: small, Seed: b.seed}
			r := b.newRun(d, ours{b.bin, protocol, 1}, fmt.Sprintf("first-%v-%s", rtt, protocol))
			took, err := r.first(ctx)
			if err != nil {
				return fmt.Errorf("first manifest over %s: %w", protocol, err)
			}
			trips := took.Seconds() / rtt.Seconds()
			b.mu.Lock()
			b.rows = append(b.rows, figures.Row{
				What: fmt.Sprintf("first packet to first manifest, 256 kbit/s, %v, %s", rtt, protocol), Peer: "-",
				Ours: fmt.Sprintf("%.2f s", took.Seconds()) + fmt.Sprintf(", %.1f round trips", trips), Value: trips, Unit: "round trips", Limit: mostTrips,
			})
			b.mu.Unlock()
		}
	}
	return nil
}

// first runs a recorder until headquarters has the manifest of its call.
func (r *run) first(ctx context.Context) (took time.Duration, err error) {
	if err := r.open(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	db, err := sql.Open("sqlite3", "file:"+r.path("hq", "library.db")+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // only read
	p, err := r.start(r.link.Near, r.peer.send(r))
	if err != nil {
		return 0, err
	}
	defer p.kill()
	const manifest = 3 // its entry's number, after those of the epoch and of the call's beginning
	err = r.await(ctx, time.Minute, func() bool {
		var gapless int
		return db.QueryRowContext(ctx, "SELECT gapless FROM epochs").Scan(&gapless) == nil && gapless >= manifest
	})
	return time.Since(r.began()), err
}

// newRun makes a run in a folder of its own.
func (b *bench) newRun(d draw, p peer, name string) *run {
	return &run{draw: d, peer: p, template: b.template, dir: filepath.Join(b.dir, strings.ReplaceAll(name, "/", "-")), said: map[string]int{}, grown: make(chan struct{})}
}

// close ends what a run has started.
func (r *run) close() error {
	r.stopServers()
	err := r.link.Close()
	if err == nil {
		err = os.RemoveAll(r.dir) // memory
	}
	return err
}
