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
		"not a receipt":          func(*world, call.Receipt) string { return "e30.e30.e30" },
		"empty":                  func(*world, call.Receipt) string { return " " },
		"a weak receiver's word": func(*world, call.Receipt) string { return "weak: tus: 5 of 5 bytes" },

		"not signed": func(*world, call.Receipt) string { return "eyJhbGciOiJub25lIn0.e30." },
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
				if !w.look(good).Receipt || w.look(bad).Receipt || w.look(bad).Parked != "" {
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
		"cut":     func(*world) (string, error) { return "", errLink },
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
				if !w.look(id).Receipt {
					t.Error("entries that were not taken blocked the media")
				}
				if w.left() != 2 {
					t.Error("entries were released")
				}
				w.set(func() { l.onEntries = nil })
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				if w.left() != 0 {
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
		if n := len(w.happened()); n != 3+7 { // of 32, 64, 128 KiB, and then of 192
			t.Errorf("%d things happened", n)
		}
		stop()
		if w.left() != 0 {
			t.Errorf("%d entries left", w.left())
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
			settle()
			if !w.look(id).Receipt {
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
		settle()
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
