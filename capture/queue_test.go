package capture

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

func newTestQueue(t *testing.T, slots, samples int) (*queue, *time.Duration) {
	t.Helper()
	clock := new(time.Duration)
	q, err := newQueue(func() time.Duration { return *clock })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.free)
	if err := q.size(slots, samples, 1); err != nil {
		t.Fatal(err)
	}
	return q, clock
}

func count(from, n int) []int16 {
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(from + i)
	}
	return s
}

func TestQueueHandsOverFullSlots(t *testing.T) {
	q, clock := newTestQueue(t, 4, 10)
	*clock = 1
	q.write(count(0, 7))
	if _, ok := q.next(); ok {
		t.Fatal("a slot that is not full was handed over")
	}
	*clock = 2
	q.write(count(7, 18)) // fills two slots
	for i := range 2 {
		s, ok := q.next()
		if !ok || !slices.Equal(s.samples, count(10*i, 10)) || s.at != 2 || s.loss {
			t.Fatalf("slot %d: %+v", i, s)
		}
		q.release()
	}
	q.flush()
	if s, ok := q.next(); !ok || !slices.Equal(s.samples, count(20, 5)) {
		t.Fatalf("the rest: %+v", s)
	}
}

func TestQueueMarksLosses(t *testing.T) {
	q, _ := newTestQueue(t, 3, 10)
	q.write(count(0, 4))
	q.breakHere()
	q.write(count(100, 10))
	q.write(count(200, 5))
	q.write(count(205, 90)) // fills the last slot; the rest has no room
	want := []struct {
		n    int
		loss bool
	}{{4, false}, {10, true}, {10, false}}
	for i, w := range want {
		s, ok := q.next()
		if !ok || len(s.samples) != w.n || s.loss != w.loss {
			t.Fatalf("slot %d: %+v, want %+v", i, s, w)
		}
		q.release()
	}
	if _, ok := q.next(); ok {
		t.Fatal("more than what there was room for")
	}
	q.write(count(0, 10))
	if s, ok := q.next(); !ok || !s.loss || !s.behind {
		t.Fatalf("nothing says that frames were dropped: %+v", s)
	}
}

// TestQueueKeepsTheOrder: slots are used again in another order than that in which they are read.
func TestQueueKeepsTheOrder(t *testing.T) {
	q, _ := newTestQueue(t, 7, 10)
	written, read := 0, 0
	for round := range 100 {
		for range round % 7 {
			q.write(count(written, 10))
			written = (written + 10) % 10000
		}
		for range round % 7 {
			s, ok := q.next()
			if !ok || s.loss || !slices.Equal(s.samples, count(read, 10)) {
				t.Fatalf("round %d: %+v, want from %d on", round, s, read)
			}
			q.release()
			read = (read + 10) % 10000
		}
	}
}

// TestQueueUsesOneSlotWhereTheReaderKeepsUp: what is never needed takes no memory.
func TestQueueUsesOneSlotWhereTheReaderKeepsUp(t *testing.T) {
	q, _ := newTestQueue(t, 100, 10)
	slots := map[*int16]bool{}
	for range 1000 {
		q.write(count(0, 10))
		s, ok := q.next()
		if !ok {
			t.Fatal("nothing was handed over")
		}
		slots[&s.samples[0]] = true
		q.release()
	}
	if len(slots) != 1 {
		t.Errorf("%d slots were used", len(slots))
	}
}

// TestQueueFromAnotherThread writes as the sound library does, beside the reader.
func TestQueueFromAnotherThread(t *testing.T) {
	q, _ := newTestQueue(t, 5, 10)
	const all = 20000
	go func() {
		for i := 0; i < all; {
			if q.waiting() < 4 {
				q.write(count(i%1000, 10))
				i += 10
			} else {
				runtime.Gosched()
			}
		}
	}()
	for i := 0; i < all; {
		s, ok := q.next()
		if !ok {
			runtime.Gosched()
			continue
		}
		if s.loss || !slices.Equal(s.samples, count(i%1000, 10)) {
			t.Fatalf("at %d: %+v", i, s)
		}
		q.release()
		i += 10
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	q, _ := newTestQueue(t, 4, 1600)
	in := count(0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		q.write(in)
		for _, ok := q.next(); ok; _, ok = q.next() {
			q.release()
		}
	}); n != 0 {
		t.Errorf("%v allocations a write", n)
	}
}
