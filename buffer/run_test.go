package buffer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

func TestRunSyncsOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCard(1)
		r, _ := mustOpen(t, memoryOptions(c))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		lines := []*talk{phone{t, r}.begin(), phone{t, r}.begin()}
		before := c.syncs
		for range 20 { // half a second each
			for _, l := range lines {
				l.speak(1000)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
		}
		if n := c.syncs - before; n != 10 {
			t.Errorf("%d syncs in 10 s", n)
		}
		if s := r.Status(); s.WaitingBytes < 30000 || s.LastSync.IsZero() {
			t.Errorf("status %+v", s)
		}
		lines[0].speak(1000)
		stop()
		noError(t, <-done)
		if !bytes.Equal(readCall(t, r, lines[0].id), lines[0].file) {
			t.Error("what was appended last is not synced")
		}
	})
}

func TestAppendDoesNotWaitForTheCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCard(1)
		o := memoryOptions(c)
		o.SizeBytes, o.SegmentBytes = 64<<20, 8<<20
		r, _ := mustOpen(t, o)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		var lines []*talk
		for range 8 {
			lines = append(lines, phone{t, r}.begin())
		}
		time.Sleep(2 * time.Second)
		c.mu.Lock()
		c.hung = make(chan struct{})
		c.mu.Unlock()
		for range 30 { // eight lines of two sides of Opus at 16 kbit/s
			for _, l := range lines {
				l.speak(4000)
			}
			time.Sleep(time.Second)
		}
		var err error
		for n := 0; err == nil && n < 10000; n++ {
			err = lines[0].record(call.KindChunk, noise(4000))
		}
		if !errors.Is(err, ErrOverflow) {
			t.Errorf("the queue does not end: %v", err)
		}
		if got := int64(len(readCall(t, r, lines[1].id))); got > 1000 {
			t.Errorf("%d bytes are visible that are not synced", got)
		}
		noError(t, lines[0].record(call.KindEnd, nil)) // small things still get in
		close(c.hung)
		stop()
		noError(t, <-done)
		for _, l := range lines {
			if !bytes.Equal(readCall(t, r, l.id), l.file) {
				t.Error("a call changed")
			}
		}
	})
}

// A sync of n lines writes the pages that hold its records, and nothing else.
func TestSyncsWriteThePageFloor(t *testing.T) {
	for _, n := range []int{1, 8} {
		c := newCard(1)
		o := memoryOptions(c)
		o.SizeBytes, o.SegmentBytes = 32<<20, 4<<20
		r, _ := mustOpen(t, o)
		p := phone{t, r}
		say := func(lines []*talk) {
			for range 500 {
				for _, l := range lines {
					l.speak(2048)
				}
				noError(t, r.Sync())
			}
		}
		round := func() {
			var lines []*talk
			for range n {
				lines = append(lines, p.begin())
			}
			say(lines)
			for _, l := range lines {
				l.end()
			}
			noError(t, r.Sync())
			for _, l := range lines {
				noError(t, r.Accept(l.receipt(), "jws"))
			}
			s := r.State()
			noError(t, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: s.Last}, "jws"))
			noError(t, r.Sync())
		}
		for r.space.generation < 10 { // each segment has been used
			round()
		}
		written, syncs := c.written, c.syncs
		for range 4 {
			round()
		}
		floor := int64(4 * 500 * align(n*frameSize(2048), pageSize))
		ratio := float64(c.written-written) / float64(floor)
		t.Logf("%d lines: %d bytes in %d syncs, %.3f of the floor", n, c.written-written, c.syncs-syncs, ratio)
		if ratio > 1.02 {
			t.Errorf("%d lines: %.3f of the page floor", n, ratio)
		}
	}
}

func TestReadersKeepTheirSegments(t *testing.T) {
	r, _ := mustOpen(t, testOptions(t.TempDir()))
	p := phone{t, r}
	a := p.call(30, 3000)
	noError(t, r.Sync())
	f, err := r.OpenCall(a.id)
	noError(t, err)
	part := make([]byte, 5000)
	if _, err := f.ReadAt(part, 0); err != nil {
		t.Fatal(err)
	}
	noError(t, r.Accept(a.receipt(), "jws"))
	for range 150 {
		c := p.call(5, 3000)
		noError(t, r.Sync())
		noError(t, r.Accept(c.receipt(), "jws"))
		noError(t, r.Accept(call.Receipt{Epoch: r.State().Epoch, First: 1, Last: r.State().Last}, "jws"))
	}
	if r.space.generation < 12 {
		t.Fatal("the ring did not go round")
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	noError(t, err)
	if !bytes.Equal(got, a.file) {
		t.Error("the call changed under its reader")
	}
	noError(t, f.Close())
	if _, err := r.OpenCall(a.id); !errors.Is(err, ErrUnknownCall) {
		t.Errorf("the released call opens: %v", err)
	}
	if _, err := f.ReadAt(part, 0); !errors.Is(err, io.EOF) {
		t.Errorf("a closed reader reads: %v", err)
	}
}

// Lines, the sync loop and an uplink at once, while the ring goes round.
func TestAllAtOnce(t *testing.T) {
	r, _ := mustOpen(t, memoryOptions(newCard(1)))
	var ledger sync.Mutex
	var sent sync.Map // call.ID to *talk, of calls that have ended
	var lines, rest sync.WaitGroup
	for range 3 {
		lines.Go(func() {
			for range 80 {
				for r.Status().FreeBytes < testSegment && !t.Failed() { // the uplink makes room
					runtime.Gosched()
				}
				c := &talk{phone: phone{t, r}, id: call.NewID()}
				err := c.record(call.KindHeader, encode(t, call.Header{Call: c.id}))
				for range 6 {
					err = errors.Join(err, c.record(call.KindChunk, noise(1000)))
				}
				sent.Store(c.id, c)
				ledger.Lock()
				c.end()
				ledger.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	rest.Go(func() {
		for more := true; more; {
			select {
			case <-done:
				more = false
			default:
			}
			if err := r.Sync(); err != nil {
				t.Error(err)
			}
		}
	})
	received := 0
	rest.Go(func() {
		for received < 240 && !t.Failed() {
			received += receive(t, r, &sent)
			runtime.Gosched()
		}
	})
	lines.Wait()
	rest.Go(func() {
		for !t.Failed() && r.Status().WaitingCalls > 0 {
			runtime.Gosched()
		}
		close(done)
	})
	rest.Wait()
	noError(t, r.Sync())
	if calls, err := r.Calls(); err != nil || len(calls) > 0 || received != 240 || r.space.generation < 9 {
		t.Errorf("%d calls received, %d left, generation %d, %v", received, len(calls), r.space.generation, err)
	}
}

// receive takes what is complete, as headquarters does, and says how many calls that were.
func receive(t *testing.T, r *Ring, sent *sync.Map) (n int) {
	calls, err := r.Calls()
	if err != nil {
		t.Error(err)
	}
	for _, s := range calls {
		if s.Manifest == nil || s.Receipt {
			continue
		}
		v, _ := sent.Load(s.Header.Call)
		c := v.(*talk)
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Error("a call changed")
		}
		if err := r.Accept(c.receipt(), "jws"); err != nil {
			t.Error(err)
		}
		n++
	}
	entries, err := r.Entries(50)
	if err != nil {
		t.Error(err)
	}
	if last := len(entries) - 1; last >= 0 {
		err := r.Accept(call.Receipt{Epoch: r.State().Epoch, First: entries[0].Number, Last: entries[last].Number}, "jws")
		if err != nil {
			t.Error(err)
		}
	}
	return n
}

func TestReaderAtAnyOffset(t *testing.T) {
	r, _ := mustOpen(t, testOptions(t.TempDir()))
	p := phone{t, r}
	a, b := p.begin(), p.begin()
	for i := range 80 {
		a.speak(1500 + i)
		b.speak(10 * i)
		noError(t, r.Sync())
	}
	f, err := r.OpenCall(a.id)
	noError(t, err)
	defer func() { noError(t, f.Close()) }()
	for off := len(a.file) - 1; off >= 0; off -= 7777 {
		n := min(4000, len(a.file)-off)
		part := make([]byte, n)
		if _, err := f.ReadAt(part, int64(off)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(part, a.file[off:off+n]) {
			t.Fatalf("other bytes at %d", off)
		}
	}
	if n, err := f.ReadAt(make([]byte, 10), int64(len(a.file)-4)); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
}
