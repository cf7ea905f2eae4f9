package uplink_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// weakLink is a link to a receiver that signs nothing.
type weakLink struct{ *link }

func (weakLink) Weak() string { return "not signed" }

func (w weakLink) Deliver(ctx context.Context, f uplink.File) (string, error) {
	_, err := w.link.Deliver(ctx, f)
	return "its word", err
}

func (w weakLink) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	_, err := w.link.Entries(ctx, b)
	return "its word on entries", err
}

// weakStore notes what is released, and on what.
type weakStore struct {
	*world
	mu       sync.Mutex
	accepted []call.Receipt
}

func (s *weakStore) Accept(r call.Receipt, jws string) error {
	s.mu.Lock()
	s.accepted = append(s.accepted, r)
	s.mu.Unlock()
	return s.world.Accept(r, jws)
}

// TestWeakReceiver: calls and entries are released on a weak receiver's word, which is what the store is given.
func TestWeakReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.addCall()
		store := &weakStore{world: w}
		u, err := uplink.New(store, []uplink.Transport{weakLink{w.link("tus")}}, uplink.Config{
			Device: device, Epoch: epoch, ReceiptKey: w.key.Public().(ed25519.PublicKey), Log: slog.New(slog.DiscardHandler),
			Status: func() wire.Status { return wire.Status{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- u.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		<-done
		if len(store.accepted) != 2 {
			t.Fatalf("accepted: %+v", store.accepted)
		}
		entries, c := store.accepted[0], store.accepted[1]
		if entries.Weak != "its word on entries" || entries.Epoch != epoch || entries.First != 1 || entries.Last != 2 {
			t.Errorf("entries: %+v", entries)
		}
		if m := w.look(id).Manifest; c.Weak != "its word" || c.Call == nil || *c.Call != id || c.Size != m.Size || c.SHA256 != m.SHA256 {
			t.Errorf("call: %+v", c)
		}
	})
}
