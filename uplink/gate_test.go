package uplink_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// policed runs an uplink under a policy, and gives what ends it. The bubble's clock begins on 1 January 2000, at midnight.
func (w *world) policed(memory uplink.Memory, policy uplink.Policy, traffic *uplink.Traffic, links ...*link) (*uplink.Uplink, func()) {
	w.t.Helper()
	transports := make([]uplink.Transport, len(links))
	for i, l := range links {
		transports[i] = l
	}
	u, err := uplink.New(w, transports, uplink.Config{
		Device: device, Epoch: epoch, ReceiptKey: w.key.Public().(ed25519.PublicKey), Observer: w, Log: slog.New(slog.DiscardHandler),
		Status: func() wire.Status { return wire.Status{State: "idle"} }, StatusEvery: 1000 * time.Hour,
		Memory: memory, Policy: policy, Traffic: traffic,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.uplink = u
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	return u, func() { cancel(); <-done }
}

// TestWindowsOfTheLink has calls go in their hours only, and one that is under way when they end stop, and go on.
func TestWindowsOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall() // 1
		l := w.link("https")
		var slow atomic.Bool
		slow.Store(true)
		l.onDeliver = func(ctx context.Context, _ uplink.File) (string, error) {
			if slow.Load() {
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			return "", nil
		}
		u, stop := w.policed(nil, uplink.Policy{Windows: []uplink.Window{{From: 22 * time.Hour, To: 23 * time.Hour}}}, nil, l)
		defer stop()
		time.Sleep(12 * time.Hour)
		w.expect("status idle", "connected https", "have 1", "entries 1-2")
		if p := u.Permit(); p.Calls || !p.Connect || p.Until != time.Date(2000, 1, 1, 22, 0, 0, 0, time.UTC) {
			t.Errorf("at noon: %+v", p)
		}
		time.Sleep(10*time.Hour + 30*time.Minute) // 22:30
		w.expect("call 1 over https")
		slow.Store(false)
		time.Sleep(time.Hour) // 23:30: it has stopped, and the connection stands
		w.expect()
		if s := u.Snapshot(); s.Link != "https" || s.Call.String() != (uplink.Snapshot{}).Call.String() {
			t.Errorf("after the window: %+v", s)
		}
		time.Sleep(23 * time.Hour)
		w.expect("have 1", "call 1 over https", "delivered call 1")
	})
}

// TestAskedForAtAnyTime has a call that headquarters asked for go outside of the hours, where that is set.
func TestAskedForAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := w.addCall() // 1
		w.addCall()          // 3
		w.stored(first).Asked = true
		_, stop := w.policed(nil, uplink.Policy{AskedAny: true, Windows: []uplink.Window{{From: 22 * time.Hour, To: 23 * time.Hour}}}, nil, w.link("https"))
		defer stop()
		time.Sleep(time.Hour)
		w.expect("status idle", "connected https", "have 2", "entries 1-4", "call 1 over https", "delivered call 1")
		time.Sleep(22 * time.Hour)
		if got := w.happened(); !slices.Contains(got, "delivered call 3") {
			t.Errorf("in the window: %q", got)
		}
	})
}

// TestPause has nothing go while the uplink is paused, also after a restart.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, memory := newWorld(t), newNotes()
		u, stop := w.policed(memory, uplink.Policy{}, nil, w.link("https"))
		synctest.Wait()
		w.happened()
		if err := u.Pause(true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		w.expect("status idle", "offline", "close https", "disconnected https")
		w.addCall()
		u.Wake()
		time.Sleep(time.Hour)
		w.expect()
		stop()
		memory.cutPower()
		u, stop = w.policed(memory, uplink.Policy{}, nil, w.link("https"))
		defer stop()
		time.Sleep(time.Hour)
		w.expect()
		if s := u.Snapshot(); s.LastError == "" {
			t.Error("it is not said why there is no connection")
		}
		if err := u.Pause(false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.expect("status idle", "connected https", "have 1", "entries 1-2", "call 1 over https", "delivered call 1")
	})
}

// TestRetryAtOnce has a long back-off end when the network comes back.
func TestRetryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.link("https")
		down := true
		l.onStatus = func(wire.Status) error {
			if down {
				return errLink
			}
			return nil
		}
		u, stop := w.run(l)
		defer stop()
		time.Sleep(time.Hour)
		w.happened()
		w.set(func() { down = false })
		began := time.Now()
		u.Retry()
		synctest.Wait()
		w.expect("status ", "connected https", "have 0")
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}
