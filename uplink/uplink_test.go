package uplink_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
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
		for range 3 {
			w.addCall() // 1, 3, 5
		}
		inProgress := w.addCall() // 7
		w.stored(inProgress).Ended, w.stored(inProgress).Manifest = false, nil
		w.status.State = call.StateIdle
		l := w.link("https")
		var u *uplink.Uplink
		l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if s := u.Snapshot(); s.Link != "https" || s.Call != f.Call || s.Size != f.Size {
				t.Errorf("snapshot during a transfer: %+v", s)
			}
			if f.Call[15] == 5 {
				w.addCall() // 9, while 5 is on its way
			}
			return "", nil
		}
		u, stop := w.run(l)
		synctest.Wait()
		w.expect(
			"status idle", "connected https", "have 3", "entries 1-8",
			"call 5 over https", "delivered call 5",
			"entries 9-10", // ahead of the next media
			"call 9 over https", "delivered call 9",
			"call 1 over https", "delivered call 1",
			"call 3 over https", "delivered call 3",
		)
		if s := u.Snapshot(); s.Delivered != 4 || s.Call != (call.ID{}) || s.BadReceipts != 0 {
			t.Errorf("snapshot: %+v", s)
		}

		// It sleeps until it is woken, and then acts at once.
		began := time.Now()
		w.addCall()
		synctest.Wait()
		w.expect()
		u.Wake()
		synctest.Wait()
		w.expect("entries 11-12", "call 11 over https", "delivered call 11")
		if d := time.Since(began); d != 0 {
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
		fail := true
		l.onStatus = func(s wire.Status) error {
			if attempts = append(attempts, time.Now()); fail && s.Online {
				return errLink
			}
			return nil
		}
		_, stop := w.run(l)
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := range len(attempts) - 1 {
			wait, most := attempts[i+1].Sub(attempts[i]), min(time.Second<<i, 5*time.Minute)
			if wait > most || wait < most/2 {
				t.Errorf("wait %d is %v, want up to %v and at least half of that", i, wait, most)
			}
		}
		if n := len(attempts); n < 18 || n > 34 {
			t.Errorf("%d attempts in an hour", n)
		}
		fail = false
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
		down := true
		first.onStatus = func(s wire.Status) error {
			if down && s.Online {
				return errLink
			}
			return nil
		}
		_, stop := w.run(first, second)
		synctest.Wait()
		w.expect("no answer from https", "close https", "status ", "connected mqtt", "have 1", "entries 1-2", "call 1 over mqtt", "delivered call 1")
		down = false
		time.Sleep(59 * time.Minute)
		w.happened()
		time.Sleep(2 * time.Minute) // back to the first choice
		synctest.Wait()
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
		synctest.Wait()
		w.expect("status ", "connected https", "have 2", "entries 1-4",
			"call 3 over https", "parked call 3: 403 Forbidden", "call 1 over https", "delivered call 1")
		stop()
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
				synctest.Wait()
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

func TestReceiptsThatLie(t *testing.T) {
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := call.NewID()
	lies := map[string]func(w *world, r call.Receipt) string{
		"another key":    func(w *world, r call.Receipt) string { return w.signAs(stranger, r) },
		"another device": func(w *world, r call.Receipt) string { r.Device = "HGFEDCBA"; return w.sign(r) },
		"another call":   func(w *world, r call.Receipt) string { r.Call = &other; return w.sign(r) },
		"another size":   func(w *world, r call.Receipt) string { r.Size--; return w.sign(r) },
		"another hash":   func(w *world, r call.Receipt) string { r.SHA256 = strings.Repeat("0", 64); return w.sign(r) },
		"of entries": func(w *world, _ call.Receipt) string {
			return w.sign(call.Receipt{Device: device, Epoch: epoch, First: 1, Last: 9})
		},
		"not a receipt": func(*world, call.Receipt) string { return "e30.e30.e30" },
		"empty":         func(*world, call.Receipt) string { return " " },
		"not signed":    func(*world, call.Receipt) string { return "eyJhbGciOiJub25lIn0.e30." },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				good := w.addCall()
				bad := w.addCall()
				l := w.link("https")
				l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
					if f.Call == bad {
						return lie(w, w.receipt(f)), nil
					}
					return "", nil
				}
				u, stop := w.run(l)
				time.Sleep(time.Hour)
				synctest.Wait()
				if !w.stored(good).Receipt || w.stored(bad).Receipt || w.stored(bad).Parked != "" {
					t.Error("a receipt that does not match was accepted, or blocked another call")
				}
				if n := u.Snapshot().BadReceipts; n < 15 || n > 34 {
					t.Errorf("%d bad receipts in an hour: want the back-off's number", n)
				}
				stop()
			})
		})
	}
}

func TestEntriesThatAreNotReceipted(t *testing.T) {
	tests := map[string]func(w *world) (string, error){
		"refused": func(*world) (string, error) { return "", &uplink.RefusedError{Reason: "400"} },
		"busy":    func(*world) (string, error) { return "", &uplink.BusyError{Err: errors.New("500")} },
		"another epoch": func(w *world) (string, error) {
			return w.sign(call.Receipt{Device: device, Epoch: 8, First: 1, Last: 2}), nil
		},
		"too many": func(w *world) (string, error) {
			return w.sign(call.Receipt{Device: device, Epoch: epoch, First: 1, Last: 3}), nil
		},
		"others": func(w *world) (string, error) {
			return w.sign(call.Receipt{Device: device, Epoch: epoch, First: 2, Last: 2}), nil
		},
		"of a call": func(w *world) (string, error) { return w.sign(call.Receipt{Device: device, Call: &call.ID{1}}), nil },
		"another device": func(w *world) (string, error) {
			return w.sign(call.Receipt{Device: "HGFEDCBA", Epoch: epoch, First: 1, Last: 2}), nil
		},
		"not one at all ": func(*world) (string, error) { return "x", nil },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				id := w.addCall()
				l := w.link("https")
				l.onEntries = func() (string, error) { return answer(w) }
				_, stop := w.run(l)
				time.Sleep(time.Hour)
				synctest.Wait()
				if !w.stored(id).Receipt {
					t.Error("entries that were not taken blocked the media")
				}
				if len(w.entries) != 2 {
					t.Error("entries were released")
				}
				l.onEntries = nil
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				if len(w.entries) != 0 {
					t.Error("entries were not tried again")
				}
				stop()
			})
		})
	}
}

func TestPartOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 5 {
			w.addEntry()
		}
		l := w.link("https")
		first := true
		l.onEntries = func() (string, error) {
			if first {
				first = false
				return w.sign(call.Receipt{Device: device, Epoch: epoch, First: 1, Last: 2}), nil
			}
			return "", nil
		}
		_, stop := w.run(l)
		synctest.Wait()
		w.expect("status ", "connected https", "have 0", "entries 1-5", "entries 3-5")
		stop()
	})
}

func TestManyEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 1000 {
			w.addEntry()
		}
		for i := range w.entries {
			w.entries[i].JWS = append(w.entries[i].JWS, strings.Repeat(".", 1000)...)
		}
		_, stop := w.run(w.link("https"))
		synctest.Wait()
		if n := len(w.happened()); n != 3+32 { // of 32 KiB at the most
			t.Errorf("%d things happened", n)
		}
		stop()
		if len(w.entries) != 0 {
			t.Errorf("%d entries left", len(w.entries))
		}
	})
}

func TestReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		had := w.addCall()
		w.addCall()
		parked := w.addCall()
		w.stored(parked).Parked = "403"
		w.durable[had], w.durable[parked] = true, true
		l := w.link("https")
		cut := true
		l.onDeliver = func(_ context.Context, f uplink.File) (string, error) {
			if cut { // it arrived, and the answer was lost
				cut = false
				w.durable[f.Call] = true
				return "", errLink
			}
			return "", nil
		}
		_, stop := w.run(l)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		w.expect("status ", "connected https", "have 3", "delivered call 1", "delivered call 5", "entries 1-6",
			"call 3 over https", "close https", "disconnected https",
			"status ", "connected https", "have 1", "delivered call 3")
		stop()
	})
}

// TestManyCalls has more calls than one question may ask about: the others are asked about when their turn comes.
func TestManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const calls = 2*wire.MaxHave + 10
		for i := range calls {
			id := call.ID{14: byte(i >> 8), 15: byte(i)}
			w.calls = append(w.calls, call.Stored{Header: call.Header{Call: id, Number: uint64(i + 1)}, Ended: true, Manifest: &call.Manifest{}})
			w.durable[id] = true
		}
		l := w.link("https")
		l.onHave = func(q wire.HaveQuestion) error {
			if len(q.Calls) > wire.MaxHave {
				return fmt.Errorf("asked about %d calls", len(q.Calls))
			}
			return nil
		}
		u, stop := w.run(l)
		synctest.Wait()
		if n := u.Snapshot().Delivered; n != calls {
			t.Errorf("%d receipts reconciled, want %d", n, calls)
		}
		stop()
	})
}

func TestHaveIsNotNeeded(t *testing.T) {
	for _, err := range []error{&uplink.RefusedError{Reason: "404"}, &uplink.BusyError{Err: errors.New("500")}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			id := w.addCall()
			l := w.link("https")
			l.onHave = func(wire.HaveQuestion) error { return err }
			_, stop := w.run(l)
			synctest.Wait()
			if !w.stored(id).Receipt {
				t.Error("not delivered")
			}
			stop()
		})
	}
}

func TestStatusThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.link("https")
		n := 0
		l.onStatus = func(s wire.Status) error {
			if n++; n == 2 && s.Online {
				return errLink
			}
			return nil
		}
		_, stop := w.run(l)
		time.Sleep(5*time.Minute + 2*time.Second)
		synctest.Wait()
		w.expect("status ", "connected https", "have 0", "no answer from https", "close https", "disconnected https",
			"status ", "connected https", "have 0")
		stop()
	})
}

func TestStopDuringATransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		l := w.link("https")
		l.onDeliver = func(ctx context.Context, _ uplink.File) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
		_, stop := w.run(l)
		synctest.Wait()
		w.happened()
		stop()
		w.expect("offline", "close https", "disconnected https")
	})
}

func TestNew(t *testing.T) {
	w := newWorld(t)
	if _, err := uplink.New(w, nil, uplink.Config{ReceiptKey: w.key.Public().(ed25519.PublicKey)}); err == nil {
		t.Error("made without a transport")
	}
	if _, err := uplink.New(w, []uplink.Transport{w.link("x")}, uplink.Config{}); err == nil {
		t.Error("made without a receipt key")
	}
}
