package buffer

import (
	"bytes"
	"context"
	"errors"
	"io"
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
