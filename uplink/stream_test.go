package uplink_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// talk is a call in progress: it grows by a second's audio each second, as the ring's sync makes it known.
type talk struct {
	w  *world
	id call.ID
}

func (w *world) beginTalk() talk {
	id := w.addSized(500)
	w.set(func() {
		c := w.stored(id)
		c.Ended, c.Manifest = false, nil
	})
	return talk{w, id}
}

// grow gives the call some seconds of bytesPerSecond, and look is asked after each.
func (t talk) grow(seconds, bytesPerSecond int, look func(second int)) {
	for second := range seconds {
		time.Sleep(time.Second)
		t.w.set(func() {
			more := make([]byte, bytesPerSecond)
			for i := range more {
				more[i] = byte(second + i)
			}
			t.w.files[t.id] = append(t.w.files[t.id][:len(t.w.files[t.id]):len(t.w.files[t.id])], more...)
			t.w.stored(t.id).Size = int64(len(t.w.files[t.id]))
		})
		look(second)
	}
}

func (t talk) end() {
	t.w.addEntry()
	t.w.set(func() {
		c, b := t.w.stored(t.id), t.w.files[t.id]
		sum := sha256.Sum256(b)
		c.Ended, c.Manifest = true, &call.Manifest{Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
	})
	t.w.uplink.Wake()
}

func (l *lineLink) has(id call.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.arrived[id])
}

// TestStream has a call of 16 kbit/s on a link of 64 kbit/s with a backlog, which is cut in mid-call.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 100 {
			w.addSized(40_000)
		}
		began := time.Now()
		l := w.lineLink(&line{rate: 8000, delay: 300 * time.Millisecond, up: outage(began.Add(100*time.Second), began.Add(110*time.Second))})
		_, stop := w.runOver(l)
		time.Sleep(20 * time.Second) // the link is known by now
		const rate = 2000
		call := w.beginTalk()
		worst, backlog := 0, 0
		call.grow(200, rate, func(second int) {
			if second == 60 {
				backlog = len(l.delivered())
			}
			if second == 90 {
				w.uplink.Retry() // the network is back
			}
			cut := second >= 78 && second < 115 // until the link is up again, the cut noticed, and what was missed sent
			if behind := (len(w.file(call.id)) - l.has(call.id)) / rate; second > 10 && !cut {
				worst = max(worst, behind)
			}
		})
		t.Logf("a call of 16 kbit/s on a link of 64 kbit/s with a backlog: headquarters is at most %d s behind", worst)
		if worst > 10 {
			t.Errorf("headquarters was %d s behind, want at most 10", worst)
		}
		if backlog == 0 {
			t.Error("the backlog had to wait")
		}
		began = time.Now()
		sent, left := l.line.carried(), len(w.file(call.id))-l.has(call.id)
		call.end()
		for !w.look(call.id).Receipt && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("the rest of the call, %d bytes, took %v, and %d bytes on the line", left, took, l.line.carried()-sent)
		}
		stop()
	})
}

// outage is a line that is up but for one time.
func outage(down, up time.Time) func(time.Time) (time.Time, bool) {
	return func(now time.Time) (time.Time, bool) {
		if now.Before(down) {
			return down, true
		}
		return time.Time{}, now.After(up)
	}
}

func (w *world) file(id call.ID) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[id]
}

// TestSlowLinkIsNotStreamed has a link that carries less than the call needs, and entries that come meanwhile.
func TestSlowLinkIsNotStreamed(t *testing.T) {
	for _, backlog := range []int{0, 20} { // without one nothing is known of the link before
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			for range backlog {
				w.addSized(40_000)
			}
			l := w.lineLink(&line{rate: 1200, delay: 300 * time.Millisecond, up: alwaysUp})
			_, stop := w.runOver(l)
			time.Sleep(time.Minute)
			call := w.beginTalk()
			w.uplink.Wake()
			call.grow(300, 2000, func(second int) {
				if second%50 == 0 {
					w.addEntry()
					w.uplink.Wake()
				}
				if second%50 == 20 && w.left() > 0 {
					t.Errorf("entries wait for more than 20 s: %d", w.left())
				}
			})
			streamed := l.has(call.id)
			t.Logf("with a backlog of %d calls: %d of %d bytes are streamed over 9.6 kbit/s", backlog, streamed, len(w.file(call.id)))
			if streamed > 60_000 || backlog > 0 && streamed > 0 {
				t.Errorf("%d bytes are streamed", streamed)
			}
			call.end()
			time.Sleep(time.Hour)
			if !w.look(call.id).Receipt {
				t.Error("the call is not delivered")
			}
			stop()
		})
	}
}

// TestStopWhileStreaming ends the program in mid-call.
func TestStopWhileStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lineLink(&line{rate: 8000, delay: 300 * time.Millisecond, up: alwaysUp})
		_, stop := w.runOver(l)
		call := w.beginTalk()
		call.grow(21, 2000, func(int) {})
		stop()
		if l.has(call.id) == 0 {
			t.Error("nothing was streamed")
		}
	})
}
