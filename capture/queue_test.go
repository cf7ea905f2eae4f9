package capture

import (
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
	if s, ok := q.next(); !ok || !s.loss {
		t.Fatalf("nothing says that frames were dropped: %+v", s)
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
