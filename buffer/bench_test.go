package buffer

import (
	"sync/atomic"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// BenchmarkAppend appends and syncs a second of eight lines of Opus.
func BenchmarkAppend(b *testing.B) {
	o := testOptions(b.TempDir())
	o.SizeBytes, o.SegmentBytes = MinSize, DefaultSegment
	r, _ := mustOpen(b, o)
	var lines []*talk
	p := phone{b, r}
	again := func() {
		for _, l := range lines {
			l.end()
		}
		noError(b, r.Sync())
		for _, l := range lines {
			noError(b, r.Accept(l.receipt(), "jws"))
		}
		s := r.State()
		noError(b, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: s.Last}, "jws"))
		noError(b, r.Sync())
		lines = lines[:0]
		for range 8 {
			lines = append(lines, p.begin())
		}
	}
	p.entry(call.Entry{Type: call.EntryGap})
	again()
	chunk := noise(2000)
	b.SetBytes(8 * 2000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, l := range lines {
			noError(b, l.record(call.KindChunk, chunk))
		}
		noError(b, r.Sync())
		if i%500 == 499 {
			again()
		}
	}
}

// BenchmarkOpen opens a ring of 64 MiB that is full of short calls, from the segments alone and with the index.
func BenchmarkOpen(b *testing.B) {
	for name, index := range map[string]string{"directories": "", "index": b.TempDir() + "/index.db"} {
		b.Run(name, func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.SizeBytes, o.SegmentBytes, o.Index = MinSize, DefaultSegment, index
			r, _ := mustOpen(b, o)
			p := phone{b, r}
			calls := 0
			for ; r.Status().FreeBytes > 100<<10; calls++ {
				p.call(5, 4000)
				if calls%20 == 0 {
					noError(b, r.Sync())
				}
			}
			noError(b, r.Close())
			var read atomic.Int64
			o.FS = counted{osFS{}, &read}
			for b.Loop() {
				r, _, err := Open(o)
				noError(b, err)
				noError(b, r.Close())
			}
			b.ReportMetric(float64(read.Load())/float64(b.N), "bytes-read") // without the index's own
			b.ReportMetric(float64(calls), "calls")
		})
	}
}
