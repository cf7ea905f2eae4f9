package ingest

import (
	"context"
	"net/http"
	"testing"

	"github.com/linekeeper/linekeeper/wire"
)

// BenchmarkCall takes calls of 40 kB to their durable receipt, several at once.
func BenchmarkCall(b *testing.B) {
	const size = 40_000
	b.Run("https", func(b *testing.B) {
		w := newWorld(b)
		go w.drain(b.Context())
		b.RunParallel(func(pb *testing.PB) {
			d := w.device()
			for pb.Next() {
				f := d.file(size)
				want(b, "patch", d.patch(d.create(f), 0, f.bytes), http.StatusNoContent)
			}
		})
	})
	b.Run("mqtt", func(b *testing.B) {
		w := newWorld(b)
		go w.drain(b.Context())
		b.RunParallel(func(pb *testing.PB) {
			s := &sender{device: w.device(), attempt: "00000001"}
			for pb.Next() {
				f := s.device.file(size)
				s.init(f)
				s.segments(f, 0, len(f.bytes))
				reason, _ := s.fin(f)
				s.expect("fin", reason, wire.FileSuccess)
			}
		})
	})
}

// drain takes events that nobody waits for.
func (w *world) drain(ctx context.Context) {
	for {
		select {
		case <-w.events:
		case <-ctx.Done():
			return
		}
	}
}
