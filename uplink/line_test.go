package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// What a message costs on the line beside what it carries, in bytes: as HTTP/2 over TLS has it, about.
const (
	costConnect = 3000
	costMessage = 250
	costChunk   = 60 // heads of TCP, IP and TLS, of a chunk of 1400 bytes
	chunk       = 1400
)

// line carries bytes in virtual time, one after the other, at a rate and with a delay, while it is up.
type line struct {
	rate  float64       // bytes a second, up
	delay time.Duration // one way
	up    func(time.Time) (until time.Time, up bool)

	mu   sync.Mutex
	free time.Time // when all that was given to it has gone
	sent int64
}

func alwaysUp(time.Time) (time.Time, bool) { return time.Time{}, true }

// send waits until so many bytes have gone. What the line has not carried when it goes down is lost, and noticed later.
func (l *line) send(ctx context.Context, n int) error {
	now := time.Now()
	until, up := l.up(now)
	if !up {
		return errLink
	}
	l.mu.Lock()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	done := l.free
	l.sent += int64(n)
	l.mu.Unlock()
	if !until.IsZero() && done.After(until) {
		return errors.Join(errLink, wait(ctx, until.Add(15*time.Second)))
	}
	return wait(ctx, done)
}

// carried is what the line was given so far, in bytes.
func (l *line) carried() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

func wait(ctx context.Context, until time.Time) error {
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lineLink is a transport over a line to this world's headquarters, which works as tus does: creation, then bytes, which
// are resumed after a cut.
type lineLink struct {
	*link
	line *line

	mu      sync.Mutex
	arrived map[call.ID][]byte
	order   []delivered

	messages int64 // bytes of status, questions and entries
}

type delivered struct {
	id   call.ID
	at   time.Time
	size int64
}

func (w *world) lineLink(l *line) *lineLink {
	return &lineLink{link: w.link("https"), line: l, arrived: map[call.ID][]byte{}}
}

// exchange is a message and its answer.
func (l *lineLink) exchange(ctx context.Context, n int) error {
	if err := l.line.send(ctx, costMessage+n); err != nil {
		return err
	}
	return wait(ctx, time.Now().Add(2*l.line.delay))
}

// message is an exchange that is not of a call file.
func (l *lineLink) message(ctx context.Context, n int) error {
	err := l.exchange(ctx, n)
	if err == nil {
		l.mu.Lock()
		l.messages += int64(costMessage + n)
		l.mu.Unlock()
	}
	return err
}

func (l *lineLink) Status(ctx context.Context, s wire.Status) error {
	if err := l.message(ctx, costConnect); err != nil {
		return err
	}
	return l.link.Status(ctx, s)
}

func (l *lineLink) Have(ctx context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error) {
	if err := l.message(ctx, 30*len(q.Calls)); err != nil {
		return wire.HaveAnswer{}, err
	}
	return l.link.Have(ctx, q)
}

func (l *lineLink) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	n := 0
	for _, e := range b.Entries {
		n += len(e)
	}
	if err := l.message(ctx, n); err != nil {
		return "", err
	}
	return l.link.Entries(ctx, b)
}

func (l *lineLink) Deliver(ctx context.Context, f uplink.File) (string, error) {
	if err := l.exchange(ctx, 0); err != nil { // POST or HEAD
		return "", err
	}
	if f.State == nil {
		if err := f.Save([]byte("made")); err != nil {
			return "", err
		}
	}
	l.mu.Lock()
	offset := int64(len(l.arrived[f.Call]))
	l.mu.Unlock()
	f.Progress(offset, offset)
	if err := l.line.send(ctx, costMessage); err != nil { // the head of PATCH
		return "", err
	}
	b := make([]byte, chunk)
	for offset < f.Size {
		n, err := f.Bytes.ReadAt(b[:min(chunk, f.Size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		offset += int64(n)
		if offset == f.Size {
			f.Progress(offset, 0)
		}
		if err := l.line.send(ctx, n+costChunk); err != nil {
			return "", err
		}
		l.mu.Lock()
		l.arrived[f.Call] = append(l.arrived[f.Call], b[:n]...)
		l.mu.Unlock()
		f.Progress(offset, 0)
	}
	if err := wait(ctx, time.Now().Add(2*l.line.delay)); err != nil {
		return "", err
	}
	f.Progress(f.Size, f.Size)
	if f.Grows {
		return "", nil
	}
	return l.take(f)
}

// take is headquarters with the last byte.
func (l *lineLink) take(f uplink.File) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	if !bytes.Equal(l.arrived[f.Call], l.files[f.Call]) {
		return "", fmt.Errorf("%s: other bytes", name(f.Call))
	}
	if l.durable[f.Call] {
		l.t.Errorf("%s came twice", name(f.Call))
	}
	l.durable[f.Call] = true
	l.order = append(l.order, delivered{f.Call, time.Now(), f.Size})
	l.arrived[f.Call] = nil
	return l.sign(l.receipt(f)), nil
}

// TestCreationOverlaps has a backlog of small calls on a link with long round trips: it stays busy.
func TestCreationOverlaps(t *testing.T) {
	for _, c := range []struct {
		calls, size int
		bits        float64
		rtt         time.Duration
		goodput     float64 // at least
	}{
		{500, 40_000, 64e3, 600 * time.Millisecond, 0.92},
		{500, 40_000, 256e3, 600 * time.Millisecond, 0.92},
		{500, 8_000, 64e3, 600 * time.Millisecond, 0.87}, // of 8 KB the heads are a tenth
		{50, 40_000, 9.6e3, 200 * time.Millisecond, 0.92},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			for range c.calls {
				w.addSized(c.size)
			}
			w.entries = nil // media alone is measured
			l := w.lineLink(&line{rate: c.bits / 8, delay: c.rtt / 2, up: alwaysUp})
			_, stop := w.runOver(l)
			began := time.Now()
			for len(l.delivered()) < c.calls && time.Since(began) < 24*time.Hour {
				time.Sleep(time.Second)
			}
			stop()
			order := l.delivered()
			took := order[len(order)-1].at.Sub(began).Seconds()
			goodput, busy := float64(len(order)*c.size)/took/(c.bits/8), float64(l.line.sent)/took/(c.bits/8)
			t.Logf("%d calls of %d bytes over %.4g kbit/s, %v: %.0f s, goodput %.3f of the rate, the line busy %.3f of the time", len(order), c.size, c.bits/1e3, c.rtt, took, goodput, busy)
			if len(order) != c.calls || goodput < c.goodput || busy < 0.97 {
				t.Errorf("%d calls, goodput %.3f, busy %.3f: want %d, %.2f, 0.97", len(order), goodput, busy, c.calls, c.goodput)
			}
		})
	}
}

func (l *lineLink) delivered() []delivered {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]delivered(nil), l.order...)
}

// TestPriority has one call of each sort, and a backlog.
func TestPriority(t *testing.T) {
	for _, c := range []struct {
		order []uplink.Priority
		want  string // by numbers
	}{
		{nil, "5 7 3 13 1 9 11"},
		{[]uplink.Priority{}, "1 3 5 7 9 11 13"},
		{[]uplink.Priority{uplink.Newest, uplink.Flagged, uplink.Asked}, "13 3 5 1 7 9 11"},
		{[]uplink.Priority{uplink.Flagged, uplink.OnHold}, "3 5 7 1 9 11 13"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.priority = c.order
			for range 7 {
				w.addSized(40_000)
			}
			w.calls[1].Flagged, w.calls[2].Asked, w.calls[3].Hold = true, true, "court"
			w.calls[2].Flagged = true // of two sorts: the first counts
			l := w.lineLink(&line{rate: 8000, delay: 300 * time.Millisecond, up: alwaysUp})
			_, stop := w.runOver(l)
			time.Sleep(time.Hour)
			stop()
			var got []string
			for _, d := range l.delivered() {
				got = append(got, strings.TrimPrefix(name(d.id), "call "))
			}
			if order := strings.Join(got, " "); order != c.want {
				t.Errorf("with %q first: %s, want %s", c.order, order, c.want)
			}
		})
	}
	for _, wrong := range [][]uplink.Priority{{"new"}, {uplink.Asked, uplink.Asked}} {
		if err := uplink.CheckPriority(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// TestAskedForMeanwhile has a call asked for while the backlog goes: it is next but for what is under way.
func TestAskedForMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 20 {
			w.addSized(40_000)
		}
		l := w.lineLink(&line{rate: 8000, delay: 300 * time.Millisecond, up: alwaysUp})
		u, stop := w.runOver(l)
		time.Sleep(30 * time.Second)
		before := len(l.delivered())
		w.set(func() { w.calls[15].Asked = true })
		u.Wake()
		time.Sleep(20 * time.Second)
		stop()
		order := l.delivered()
		at := slices.IndexFunc(order, func(d delivered) bool { return d.id == w.calls[15].Header.Call })
		if at < before || at > before+2 {
			t.Errorf("asked for after %d calls, it came after %d", before, at)
		}
	})
}
