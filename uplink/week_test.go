package uplink_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// The week's office: calls from 8 to 17 h, more than the link carries in its 20 minutes, which are from 12 h on.
const (
	weekRate  = 8000 // bytes a second: 64 kbit/s
	weekUp    = 20 * time.Minute
	weekCalls = 36 // an hour
	weekAsked = 3  // calls of a day that headquarters asks for, when it knows of them
)

// week is what came of it.
type week struct {
	w     *world
	link  *lineLink
	began time.Time
	made  map[call.ID]time.Time
	asked map[call.ID]time.Time
	days  []day
}

// day is a line of the table.
type day struct {
	recorded           int
	manifests          time.Duration // from the link's being up until headquarters knew of every call; 0: it never did
	asked              int           // that came on the same day
	calls              int
	bytes, best        int64 // of calls; the best possible, for the line and for what there was
	newest, oldest     int   // of the calls that came, recorded that day, and before
	waiting            int
	deliveredBefore    int
	arrivedBefore      int64
	entriesBytesBefore int64
}

// TestAWeek has a link that is up for 20 minutes a day, for a week of virtual time. Everything that headquarters has asked
// for comes on the day that it was asked for, manifests come first, and of what the line can carry little is left unused.
func TestAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
		time.Sleep(time.Until(began))
		up := func(now time.Time) (time.Time, bool) {
			from := now.Truncate(24 * time.Hour).Add(12 * time.Hour)
			return from.Add(weekUp), !now.Before(from) && now.Before(from.Add(weekUp))
		}
		l := w.lineLink(&line{rate: weekRate, delay: 300 * time.Millisecond, up: up})
		k := &week{w: w, link: l, began: began, made: map[call.ID]time.Time{}, asked: map[call.ID]time.Time{}}
		_, stop := w.runOver(l)
		random := rand.New(rand.NewPCG(6, 1))
		for n := range 7 {
			k.day(n, random)
		}
		stop()
		k.report(t)
	})
}

func (k *week) day(n int, random *rand.Rand) {
	midnight := k.began.Add(time.Duration(n) * 24 * time.Hour)
	d := day{deliveredBefore: len(k.link.delivered()), arrivedBefore: k.link.came(), entriesBytesBefore: k.link.beside()}
	record := func(from, to time.Duration) {
		for at := from; at < to; at += time.Hour / weekCalls {
			time.Sleep(time.Until(midnight.Add(at)))
			id := k.w.addSized(10_000 + random.IntN(60_000))
			k.made[id] = time.Now()
			d.recorded++
			k.w.uplink.Wake()
		}
	}
	record(8*time.Hour, 12*time.Hour)
	noon := midnight.Add(12 * time.Hour)
	time.Sleep(time.Until(noon))
	k.w.uplink.Retry() // netlink tells the program
	for time.Since(noon) < weekUp/2 {
		time.Sleep(time.Second)
		if k.w.left() == 0 {
			d.manifests = time.Since(noon)
			break
		}
	}
	k.ask(random)
	record(12*time.Hour+time.Since(noon), 17*time.Hour)
	time.Sleep(time.Until(midnight.Add(24 * time.Hour)))
	k.sum(&d, midnight)
	k.days = append(k.days, d)
}

// ask asks for some of the calls that headquarters knows of and does not have: from the middle of the backlog.
func (k *week) ask(random *rand.Rand) {
	k.w.set(func() {
		var waiting []int
		for i, c := range k.w.calls {
			if !c.Receipt {
				waiting = append(waiting, i)
			}
		}
		for range weekAsked {
			i := waiting[len(waiting)/4+random.IntN(len(waiting)/2)]
			k.w.calls[i].Asked = true
			k.asked[k.w.calls[i].Header.Call] = time.Now()
		}
	})
	k.w.uplink.Wake()
}

// sum makes the day's line.
func (k *week) sum(d *day, midnight time.Time) {
	came := k.link.delivered()[d.deliveredBefore:]
	d.calls = len(came)
	for _, c := range came {
		when, asked := k.asked[c.id]
		if asked && when.After(midnight) {
			d.asked++
		}
		if k.made[c.id].After(midnight) {
			d.newest++
		} else {
			d.oldest++
		}
	}
	d.bytes = k.link.came() - d.arrivedBefore
	carried := weekRate*weekUp.Seconds() - float64(k.link.beside()-d.entriesBytesBefore)
	d.best = int64(carried * chunk / (chunk + costChunk))
	k.w.set(func() {
		var there int64 // that there was to send before the link went down
		for _, c := range k.w.calls {
			if !k.made[c.Header.Call].After(midnight.Add(12*time.Hour + weekUp)) {
				there += c.Size
			}
		}
		d.best = min(d.best, there-d.arrivedBefore)
		for _, c := range k.w.calls {
			if !c.Receipt {
				d.waiting++
			}
		}
	})
}

// report prints the table and judges it.
func (k *week) report(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "\n| day | recorded | all manifests there after | asked for, and there | calls that came | of that day | of the backlog | of the best possible | waiting |\n|---|---|---|---|---|---|---|---|---|\n")
	var bytes, best int64
	for n, d := range k.days {
		share := float64(d.bytes) / float64(d.best)
		fmt.Fprintf(&table, "| %d | %d | %.0f s | %d of %d | %d | %d | %d | %.3f | %d |\n",
			n+1, d.recorded, d.manifests.Seconds(), d.asked, weekAsked, d.calls, d.newest, d.oldest, share, d.waiting)
		if bytes, best = bytes+d.bytes, best+d.best; d.manifests == 0 || d.manifests > time.Minute {
			t.Errorf("day %d: headquarters knew of every call after %v", n+1, d.manifests)
		}
		if d.asked < weekAsked {
			t.Errorf("day %d: of %d calls that were asked for %d came", n+1, weekAsked, d.asked)
		}
	}
	share := float64(bytes) / float64(best)
	fmt.Fprintf(&table, "\n%d bytes of calls in 7 times %v at %d bytes a second: %.3f of the best possible", bytes, weekUp, weekRate, share)
	t.Log(table.String())
	if share < 0.95 {
		t.Errorf("%.3f of the best possible, want 0.95", share)
	}
	k.order(t)
}

// order checks that the backlog came from its oldest: what came out of turn was asked for, or the newest of its time.
func (k *week) order(t *testing.T) {
	var backlog []delivered
	for _, d := range k.link.delivered() {
		if _, asked := k.asked[d.id]; !asked && d.at.Sub(k.made[d.id]) > 24*time.Hour {
			backlog = append(backlog, d)
		}
	}
	inOrder := func(a, b delivered) int { return cmp.Compare(k.made[a.id].Unix(), k.made[b.id].Unix()) }
	if len(backlog) < 100 || !slices.IsSortedFunc(backlog, inOrder) {
		t.Errorf("%d calls of the backlog did not come from the oldest", len(backlog))
	}
}

// came is how many bytes of calls have come, of those that are still on their way too.
func (l *lineLink) came() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.order {
		n += d.size
	}
	for _, b := range l.arrived {
		n += int64(len(b))
	}
	return n
}

// beside is what status, questions and entries took of the line, in bytes.
func (l *lineLink) beside() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages
}
