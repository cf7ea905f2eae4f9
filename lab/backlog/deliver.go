package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// mayGrow is how much resident memory may become while the backlog is delivered: what Go's collector leaves lying varies.
const mayGrow = 1.10

func (o options) deliver(ctx context.Context) (err error) {
	debug.SetMemoryLimit(int64(o.limit * (1 << 20)))
	began := time.Now()
	ring, err := o.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	debug.FreeOSMemory() // what opening it took
	r := &receiver{seen: make([]uint64, o.calls/64+1), every: max(1, o.calls/10), total: o.calls, done: make(chan struct{})}
	fmt.Printf("%d calls in the ring, opened in %.1f s\n\n", o.calls, time.Since(began).Seconds())
	fmt.Println("| when | seconds | resident | heap in use | goroutines |")
	fmt.Println("|---|---|---|---|---|")
	r.began = time.Now()
	r.look("the ring is open")

	up, err := uplink.New(store{ring}, []uplink.Transport{r}, uplink.Config{
		Device: device(), Epoch: ring.State().Epoch, ReceiptKey: key().Public().(ed25519.PublicKey), Log: slog.New(slog.DiscardHandler),
		Status: func() wire.Status { return wire.Status{} },
	})
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	var ringErr error
	both.Go(func() { ringErr = ring.Run(work) })
	both.Go(func() { _ = up.Run(work) }) // ends with the context
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-r.done:
	}
	cancel()
	both.Wait()
	return errors.Join(err, ringErr, r.verdict(o.most))
}

type store struct{ *buffer.Ring }

func (s store) OpenCall(id call.ID) (uplink.CallFile, error) { return s.Ring.OpenCall(id) }

// receiver is headquarters, and the link to it, in this process.
type receiver struct {
	began time.Time
	total int
	every int
	done  chan struct{}

	mu       sync.Mutex
	seen     []uint64 // a bit a call
	calls    int
	entries  int
	twice    int
	late     int // entries that came behind the first call file
	resident []float64
}

func (*receiver) Name() string                              { return "memory" }
func (*receiver) Lost() <-chan struct{}                     { return nil }
func (*receiver) Close() error                              { return nil }
func (*receiver) Status(context.Context, wire.Status) error { return nil }

func (*receiver) Have(context.Context, wire.HaveQuestion) (wire.HaveAnswer, error) {
	return wire.HaveAnswer{}, nil
}

func (r *receiver) Entries(_ context.Context, b wire.EntryBatch) (string, error) {
	var first, last call.Entry
	var err error
	for i, jws := range b.Entries {
		if last, err = ledger.Parse([]byte(jws)); err != nil {
			return "", err
		}
		if i == 0 {
			first = last
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == 0 {
		r.look("the first manifests are there")
	}
	if r.entries += len(b.Entries); r.calls > 0 {
		r.late += len(b.Entries)
	}
	return wire.SignReceipt(key(), call.Receipt{Device: device(), Epoch: first.Epoch, First: first.Number, Last: last.Number})
}

func (r *receiver) Deliver(_ context.Context, f uplink.File) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f.Bytes, 0, f.Size)); err != nil {
		return "", err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != f.SHA256 {
		return "", fmt.Errorf("call %s is altered: %s", f.Call, sum)
	}
	f.Progress(f.Size, f.Size)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := binary.BigEndian.Uint64(f.Call[8:])
	if bit := uint64(1) << (n % 64); r.seen[n/64]&bit != 0 {
		r.twice++
	} else {
		r.seen[n/64] |= bit
		r.calls++
	}
	if r.calls == 1 {
		r.look("all manifests are there")
	}
	if r.calls%r.every == 0 {
		r.look(fmt.Sprintf("%d calls delivered", r.calls))
	}
	if r.calls == r.total {
		close(r.done)
	}
	return wire.SignReceipt(key(), call.Receipt{Device: device(), Call: &f.Call, Size: f.Size, SHA256: f.SHA256})
}

// look prints a line of the table.
func (r *receiver) look(when string) {
	const mib = 1 << 20
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	resident := residentBytes() / mib
	r.resident = append(r.resident, resident)
	fmt.Printf("| %s | %.0f | %.1f MiB | %.1f MiB | %d |\n", when, time.Since(r.began).Seconds(), resident,
		float64(heap[0].Value.Uint64())/mib, runtime.NumGoroutine())
}

// residentBytes is what the kernel says; 0 where it says nothing.
func residentBytes() (n float64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(b), "VmRSS:")
	_, _ = fmt.Sscan(line, &n)
	return n * 1024
}

// verdict says what is not as it should be.
func (r *receiver) verdict(most float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	highest := 0.0
	for _, m := range r.resident {
		highest = max(highest, m)
	}
	open := r.resident[0]
	fmt.Printf("\nresident at most %.1f MiB, %.2f x of that of the opened ring; %d entries, %d of them behind the first call file; %d of %d calls, %d twice\n",
		highest, highest/open, r.entries, r.late, r.calls, r.total, r.twice)
	var wrong []error
	if r.twice > 0 || r.calls != r.total || r.late > 0 {
		wrong = append(wrong, errors.New("not every call came once, behind all manifests"))
	}
	if highest > mayGrow*open {
		wrong = append(wrong, fmt.Errorf("memory grew to %.2f x: want at most %.2f x", highest/open, mayGrow))
	}
	if highest > most {
		wrong = append(wrong, fmt.Errorf("%.1f MiB are resident: want at most %g MiB", highest, most))
	}
	return errors.Join(wrong...)
}
