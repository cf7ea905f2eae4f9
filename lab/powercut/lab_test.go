//go:build lab

package powercut_test

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
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/lab/powercut"
)

var (
	cuts    = flag.Int("cuts", 200, "power cuts; of later lives, and of the virtual device, a quarter of that each")
	seed    = flag.Uint64("seed", 0, "of the cuts and the workload; 0: of the time")
	patient = flag.Duration("patient", 15*time.Minute, "no more cuts are made after so long")
)

// recorded is a card that was recorded on, and what was claimed.
type recorded struct {
	base, log string
	from, to  uint64 // entries of the log: before the workload began, and after it ended
	claims    *powercut.Claims
	before    *powercut.Promise // of the life that a cut ended; nil: the card was new
}

func (r recorded) promises() *powercut.Promises {
	if r.before == nil {
		return r.claims.Promises()
	}
	return r.claims.After(r.before)
}

// replay begins before the first entry of the log.
func (r recorded) replay(t *testing.T) (_ *powercut.Replay, done func()) {
	t.Helper()
	file, err := os.Open(r.log)
	if err != nil {
		t.Fatal(err)
	}
	log, err := powercut.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	base, err := powercut.ReadImage(r.base)
	if err != nil {
		t.Fatal(err)
	}
	return powercut.NewReplay(log, base), func() { _ = file.Close() }
}

// folder is a new one, in memory where that is possible.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "linekeeper-powercut-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// stoppable ends when the test does, or is interrupted: then the card is still taken away.
func stoppable(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("not done after %v", d))
	t.Cleanup(cancel)
	return ctx
}

// build makes the workload.
func build(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "workload")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./workload").CombinedOutput(); err != nil {
		t.Fatalf("build the workload: %v\n%s", err, out)
	}
	return program
}

// blank is a card of 128 MiB with nothing on it.
func blank(t *testing.T) string {
	t.Helper()
	name := filepath.Join(folder(t), "blank")
	if err := powercut.Format(name, 128<<20); err != nil {
		t.Fatal(err)
	}
	return name
}

// record runs the workload on a copy of a card, alone or beside others.
func record(t *testing.T, card string, seed uint64, length time.Duration, alone bool, flags ...string) recorded {
	t.Helper()
	dir := folder(t)
	program := build(t, dir)
	bed, err := powercut.NewBed(dir, card)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Close(); err != nil {
			t.Error(err)
		}
	})
	r := recorded{base: card, log: bed.Log}
	if r.from, err = bed.Length(); err != nil {
		t.Fatal(err)
	}
	ctx := stoppable(t, 5*time.Minute)
	w := exec.CommandContext(ctx, program, append(flags, "-card", bed.Root, "-length", length.String(), "-seed", fmt.Sprint(seed))...)
	w.Stderr = os.Stderr
	to, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	others := others{dir: bed.Root, random: rand.New(rand.NewPCG(seed, 2))}
	claims, err := powercut.Listen(from, to, func() (uint64, error) {
		n, err := bed.Length()
		if !alone {
			err = errors.Join(err, others.write())
		}
		return n, err
	})
	if err = errors.Join(err, w.Wait()); err != nil {
		t.Fatal(err)
	}
	if r.to, err = bed.Length(); err != nil {
		t.Fatal(err)
	}
	if err := bed.Close(); err != nil {
		t.Fatal(err)
	}
	r.claims = claims
	t.Logf("recorded %v of 4 lines in %v: %d claims, %d entries of the log", length, time.Since(began).Round(time.Millisecond), claims.Len(), r.to-r.from)
	return r
}

// others are the programs that write on the card too, and seldom sync: what they leave in the kernel's memory goes out
// with the ring's syncs.
type others struct {
	dir    string
	random *rand.Rand
}

func (o *others) write() error {
	name := filepath.Join(o.dir, fmt.Sprint("other-", o.random.IntN(40)))
	switch o.random.IntN(30) {
	case 0:
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	case 1:
		d, err := os.Open(o.dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return unix.Syncfs(int(d.Fd()))
	case 2, 3, 4:
		data := make([]byte, o.random.IntN(60_000))
		for i := range data {
			data[i] = byte(o.random.Uint32())
		}
		return errors.Join(os.WriteFile(name+".new", data, 0o600), os.Rename(name+".new", name))
	}
	return nil
}

// failure is a cut after which the card was not as it should be.
type failure struct {
	cut powercut.Cut
	err error
}

// cut cuts the power so many times, and gives the cuts made and those after which something was wrong.
func (r recorded) cut(t *testing.T, checker *powercut.Checker, seed uint64, count int) (made int, failed []failure) {
	t.Helper()
	replay, done := r.replay(t)
	defer done()
	random := rand.New(rand.NewPCG(seed, 1))
	points := make([]uint64, count)
	for i := range points {
		points[i] = r.from + random.Uint64N(r.to-r.from+1)
	}
	slices.Sort(points)

	var mu sync.Mutex
	var checks sync.WaitGroup
	free := make(chan struct{}, 2)
	promises, ctx := r.promises(), stoppable(t, *patient)
	for made < count && ctx.Err() == nil {
		if err := replay.Advance(points[made]); err != nil {
			t.Fatal(err)
		}
		image, cut, err := replay.Cut(random)
		if err != nil {
			t.Fatal(err)
		}
		promise := promises.At(points[made])
		made++
		free <- struct{}{}
		checks.Go(func() {
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := checker.Check(ctx, image, promise); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, failure{cut, err})
			}
		})
	}
	checks.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		t.Fatal("interrupted")
	}
	return made, failed
}

// memory is a folder in memory; empty where there is none.
func memory() string {
	const dir = "/dev/shm"
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test -tags lab ./lab/powercut -run '%s' -seed %d -cuts %d", s, t.Name(), s, *cuts)
	return s
}

// TestPowerCuts records four lines on a card, and cuts its power.
func TestPowerCuts(t *testing.T) {
	s := seedOf(t)
	r := record(t, blank(t), s, time.Hour, false)
	r.survive(t, s, *cuts)
}

// survive cuts the power, and nothing may be wrong after any cut.
func (r recorded) survive(t *testing.T, seed uint64, count int) {
	t.Helper()
	began := time.Now()
	made, failed := r.cut(t, &powercut.Checker{Folder: memory(), Keep: 3}, seed, count)
	for i, f := range failed {
		if i == 10 {
			t.Errorf("and %d more", len(failed)-i)
			break
		}
		t.Errorf("%v:\n%v", f.cut, f.err)
	}
	took := time.Since(began)
	t.Logf("%s: %d power cuts of %d, %d failed, in %v (%.0f a second), seed %d", time.Now().UTC().Format(time.DateOnly),
		made, count, len(failed), took.Round(time.Second/10), float64(made)/took.Seconds(), seed)
	if made == 0 {
		t.Error("no cut was made")
	}
}

// TestPowerCutsAgain goes on, again and again, where a cut has left the card, and cuts while the kernel and the recorder
// still bring it into order, too.
func TestPowerCutsAgain(t *testing.T) {
	const lives = 6
	s := seedOf(t)
	random := rand.New(rand.NewPCG(s, 3))
	r := record(t, blank(t), s, 2*time.Minute, false)
	for life := range uint64(lives) {
		at := r.to
		if random.IntN(2) == 0 {
			at = r.from + random.Uint64N(r.to-r.from+1)
		}
		card := r.cutCard(t, at, random)
		before := r.promises().At(at)
		begin := time.Duration(life+1) * time.Hour
		r = record(t, card, s+life+1, 2*time.Minute, false, "-begin", begin.String())
		r.before, r.from = before, 0
		r.survive(t, s+life+1, max(1, *cuts/4/lives))
	}
}

// cutCard is a card whose power was cut at an entry of the log.
func (r recorded) cutCard(t *testing.T, at uint64, random *rand.Rand) string {
	t.Helper()
	replay, done := r.replay(t)
	defer done()
	if err := replay.Advance(at); err != nil {
		t.Fatal(err)
	}
	image, cut, err := replay.Cut(random)
	if err != nil {
		t.Fatal(err)
	}
	card := filepath.Join(folder(t), "card")
	if err := image.WriteFile(card); err != nil {
		t.Fatal(err)
	}
	t.Logf("a life begins with a %v", cut)
	return card
}

// TestPowerCutsWithoutSync is the control: what was not synced is lost, and the check has to say so, even where it is one
// sync in ten. Between that and the next sync there is little in the log: few cuts fall there.
func TestPowerCutsWithoutSync(t *testing.T) {
	for forget, least := range map[string]int{"1": 60, "0.1": 1} {
		t.Run(forget, func(t *testing.T) {
			const count = 120
			s := seedOf(t)
			r := record(t, blank(t), s, 20*time.Minute, true, "-forget", forget)
			made, failed := r.cut(t, &powercut.Checker{Folder: memory()}, s, count)
			t.Logf("%d of %d power cuts were found out", len(failed), made)
			for _, f := range failed[:min(3, len(failed))] {
				t.Logf("%v:\n%v", f.cut, f.err)
			}
			if len(failed) < least {
				t.Errorf("the check finds out %d of %d cuts of a recorder that forgets to sync: it is worth nothing", len(failed), made)
			}
		})
	}
}
