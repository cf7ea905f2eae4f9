package uplink_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.length = 5000 // more than begins ahead of its turn
		for range 3 {
			w.addCall() // 1, 3, 5
		}
		inProgress := w.addCall() // 7
		w.stored(inProgress).Ended, w.stored(inProgress).Manifest = false, nil
		w.status.State = call.StateIdle
		l := w.link("https")
		l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if s := w.uplink.Snapshot(); s.Link != "https" || s.Call != f.Call || s.Size != f.Size {
				t.Errorf("snapshot during a transfer: %+v", s)
			}
			if f.Call[15] == 5 {
				w.addCall() // 9, while 5 is on its way
				w.uplink.Wake()
				time.Sleep(time.Millisecond)
			}
			return "", nil
		}
		u, stop := w.run(l)
		settle()
		w.expect(
			"status idle", "connected https", "have 3", "entries 1-8",
			"call 5 over https",
			"entries 9-10", // beside the media
			"delivered call 5",
			"call 9 over https", "delivered call 9",
			"call 1 over https", "delivered call 1",
			"call 3 over https", "delivered call 3",
		)
		if s := u.Snapshot(); s.Delivered != 4 || s.Call != (call.ID{}) || s.BadReceipts != 0 {
			t.Errorf("snapshot: %+v", s)
		}

		// It sleeps until it is woken, and then acts at once.
		w.addCall()
		settle()
		w.expect()
		began := time.Now()
		u.Wake()
		settle()
		w.expect("entries 11-12", "call 11 over https", "delivered call 11")
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("took %v to wake", d)
		}
		stop()
		w.expect("offline", "close https", "disconnected https")
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.status.State = call.StateIdle
		u, stop := w.run(w.link("https"))
		synctest.Wait()
		w.expect("status idle", "connected https", "have 0")
		set := func(s call.State) {
			w.mu.Lock()
			w.status.State = s
			w.mu.Unlock()
			u.Wake()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		set(call.StateRecording)
		w.expect("status recording") // at once
		set(call.StateIdle)
		set(call.StateRecording)
		set(call.StateAlarm)
		w.expect() // not so fast
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.expect("status alarm") // and the last of it
		set(call.StateAlarm)
		time.Sleep(290 * time.Second)
		synctest.Wait()
		w.expect()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.expect("status alarm") // every 5 min
		stop()
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.link("https")
		var attempts []time.Time
		var well atomic.Bool
		l.onStatus = func(s wire.Status) error {
			w.set(func() { attempts = append(attempts, time.Now()) })
			if !well.Load() && s.Online {
				return errLink
			}
			return nil
		}
		_, stop := w.run(l)
		time.Sleep(time.Hour)
		synctest.Wait()
		var made []time.Time
		w.set(func() { made = slices.Clone(attempts) })
		for i := range len(made) - 1 {
			wait, most := made[i+1].Sub(made[i]), min(time.Second<<i, 5*time.Minute)
			if wait > most || wait < most/2 {
				t.Errorf("wait %d is %v, want up to %v and at least half of that", i, wait, most)
			}
		}
		if n := len(made); n < 18 || n > 34 {
			t.Errorf("%d attempts in an hour", n)
		}
		well.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		w.happened()
		l.lost <- struct{}{} // after success the waits begin again at 1 s
		time.Sleep(time.Second)
		synctest.Wait()
		w.expect("close https", "disconnected https", "status ", "connected https", "have 0")
		stop()
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.link("https")
		var attempts []time.Time
		l.onStatus = func(s wire.Status) error {
			if !s.Online {
				return nil
			}
			attempts = append(attempts, time.Now())
			return &uplink.BusyError{After: 20 * time.Minute, Err: errors.New("503")}
		}
		_, stop := w.run(l)
		time.Sleep(30 * time.Minute)
		stop()
		if len(attempts) != 2 || attempts[1].Sub(attempts[0]) != 20*time.Minute {
			t.Errorf("attempts at %v, want 20 min between", attempts)
		}
	})
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		first, second := w.link("https"), w.link("mqtt")
		var up atomic.Bool
		first.onStatus = func(s wire.Status) error {
			if !up.Load() && s.Online {
				return errLink
			}
			return nil
		}
		_, stop := w.run(first, second)
		settle()
		w.expect("no answer from https", "close https", "status ", "connected mqtt", "have 1", "entries 1-2", "call 1 over mqtt", "delivered call 1")
		up.Store(true)
		time.Sleep(59 * time.Minute)
		w.happened()
		time.Sleep(2 * time.Minute) // back to the first choice
		settle()
		if log := strings.Join(w.happened(), ", "); !strings.HasSuffix(log, "offline, close mqtt, disconnected mqtt, status , connected https, have 0") {
			t.Errorf("did not go back to the first choice: %s", log)
		}
		stop()
	})
}

// TestFailoverOfACall has a first choice that answers everything and lets no call through.
func TestFailoverOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		first, second := w.link("https"), w.link("mqtt")
		first.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			f.Progress(500, 0)
			return "", errLink
		}
		_, stop := w.run(first, second)
		time.Sleep(10 * time.Second)
		stop()
		if log := strings.Join(w.happened(), ", "); !strings.Contains(log, "call 1 over mqtt, delivered call 1") || strings.Count(log, "call 1 over https") != 2 {
			t.Errorf("want two attempts over https, and then mqtt: %s", log)
		}
	})
}

// TestCuts has a link that is cut again and again while the call gets further: it stays with the transport.
func TestCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		first, second := w.link("https"), w.link("mqtt")
		n := int64(0)
		first.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if n += 10; n > 300 {
				return "", nil
			}
			f.Progress(n, n-10) // what arrives is known only at the next attempt
			return "", errLink
		}
		_, stop := w.run(first, second)
		time.Sleep(time.Minute)
		stop()
		log := w.happened()
		if all := strings.Join(log, ", "); !strings.Contains(all, "delivered call 1") || strings.Contains(all, "mqtt") {
			t.Errorf("want 31 attempts within a minute, all over https: %s", all)
		}
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		w.addCall()
		l := w.link("https")
		l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if f.Call[15] == 3 {
				return "", &uplink.RefusedError{Reason: "403 Forbidden"}
			}
			return "", nil
		}
		_, stop := w.run(l)
		settle()
		w.expect("status ", "connected https", "have 2", "entries 1-4",
			"call 3 over https", "status ", "parked call 3: 403 Forbidden", "call 1 over https", "delivered call 1")
		stop()
	})
}

// TestRecorderRefused has a headquarters that knows the recorder no more: no call is parked for that.
func TestRecorderRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		l := w.link("https")
		var unknown atomic.Bool
		first := true
		l.onStatus = func(s wire.Status) error {
			if unknown.Load() && s.Online {
				return errors.New("403 Forbidden")
			}
			return nil
		}
		l.onDeliver = func(context.Context, uplink.File) (string, error) {
			if first {
				first = false
				unknown.Store(true)
				return "", &uplink.RefusedError{Reason: "403 Forbidden"}
			}
			return "", nil
		}
		_, stop := w.run(l)
		time.Sleep(time.Hour)
		unknown.Store(false)
		time.Sleep(6 * time.Minute)
		stop()
		log := strings.Join(w.happened(), ", ")
		if strings.Contains(log, "parked") || strings.Count(log, "call 1 over https") != 2 {
			t.Errorf("want the call tried again when the recorder is known again, and not before: %s", log)
		}
	})
}

// TestOneCallBlocksNoOther has three ways in which a call cannot be sent.
func TestOneCallBlocksNoOther(t *testing.T) {
	tests := map[string]func(w *world, l *link, bad call.ID){
		"unreadable": func(w *world, _ *link, bad call.ID) { w.broken[bad] = errors.New("I/O error") },
		"shorter than its manifest": func(w *world, _ *link, bad call.ID) {
			w.files[bad] = w.files[bad][:10]
		},
		"locked": func(_ *world, l *link, bad call.ID) {
			l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
				if f.Call == bad {
					return "", &uplink.LaterError{Err: errors.New("423")}
				}
				return "", nil
			}
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.addCall()
				bad := w.addCall()
				whole := w.files[bad]
				l := w.link("https")
				spoil(w, l, bad)
				u, stop := w.run(l)
				settle()
				if log := strings.Join(w.happened(), ", "); !strings.HasSuffix(log, "call 1 over https, delivered call 1") {
					t.Errorf("the other call was not delivered: %s", log)
				}
				time.Sleep(10 * time.Minute) // its own back-off, in one connection
				if n := len(w.happened()); n > 40 {
					t.Errorf("%d things happened in ten minutes", n)
				}
				w.mu.Lock()
				delete(w.broken, bad)
				w.files[bad] = whole
				l.onDeliver = nil
				w.mu.Unlock()
				time.Sleep(6 * time.Minute)
				if log := strings.Join(w.happened(), ", "); !strings.Contains(log, "delivered call 3") {
					t.Errorf("not tried again: %s", log)
				}
				if s := u.Snapshot(); s.Delivered != 2 {
					t.Errorf("%+v", s)
				}
				stop()
			})
		})
	}
}

// TestKiller has a call that kills the connection each time it is sent, and brings nothing.
func TestKiller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		w.addCall()
		l := w.link("https")
		l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if f.Call[15] == 3 {
				return "", errLink
			}
			return "", nil
		}
		_, stop := w.run(l)
		time.Sleep(20 * time.Second)
		stop()
		if log := strings.Join(w.happened(), ", "); !strings.Contains(log, "delivered call 1") {
			t.Errorf("the other call was not delivered: %s", log)
		}
	})
}
