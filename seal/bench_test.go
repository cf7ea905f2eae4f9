package seal_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// An hour of a line: a chunk a second, of Opus at 16 kbit/s in Ogg pages.
const (
	hour       = 3600
	chunkBytes = 2100
)

func hourOf(b *testing.B, to seal.Recipients, chunk []byte, take func(call.Record)) {
	b.Helper()
	w, records, err := seal.NewWriter(header, to)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range records {
		take(r)
	}
	for i := range int64(hour) {
		rec, err := w.Chunk(i*8000, 8000, chunk)
		if err != nil {
			b.Fatal(err)
		}
		take(rec)
	}
	rec, err := w.End(call.End{Frames: hour * 8000})
	if err != nil {
		b.Fatal(err)
	}
	take(rec)
}

// BenchmarkHour is an hour of calls written, sealed and in clear.
func BenchmarkHour(b *testing.B) {
	chunk := bytes.Repeat([]byte{0x5A}, chunkBytes)
	for _, c := range []struct {
		name string
		to   seal.Recipients
	}{{"sealed", seal.Recipients{newKey(b).Recipient()}}, {"clear", nil}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(hour * chunkBytes)
			for b.Loop() {
				hourOf(b, c.to, chunk, func(call.Record) {})
			}
		})
	}
}

// BenchmarkVerifyHour reads the same back, with the key.
func BenchmarkVerifyHour(b *testing.B) {
	key := newKey(b)
	var file bytes.Buffer
	hourOf(b, seal.Recipients{key.Recipient()}, make([]byte, chunkBytes), func(r call.Record) { file.Write(r.Data) })
	b.ReportAllocs()
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		if _, err := seal.Verify(bytes.NewReader(file.Bytes()), seal.Keys{key}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSalvageHour reads it back with one head in a hundred damaged.
func BenchmarkSalvageHour(b *testing.B) {
	key := newKey(b)
	var file bytes.Buffer
	hourOf(b, seal.Recipients{key.Recipient()}, make([]byte, chunkBytes), func(r call.Record) {
		if r.Number%100 == 2 {
			r.Data[1] ^= 1
		}
		file.Write(r.Data)
	})
	b.ReportAllocs()
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		_, in, err := seal.Salvage(bytes.NewReader(file.Bytes()), seal.Keys{key})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, in); err != nil || n < (hour-hour/100-1)*chunkBytes {
			b.Fatal(n, err)
		}
	}
}

// TestOneAllocation: beside its data a record costs one allocation (the state of the hash, so that it can be taken
// back).
func TestOneAllocation(t *testing.T) {
	for _, to := range []seal.Recipients{nil, {newKey(t).Recipient()}} {
		w, _, err := seal.NewWriter(header, to)
		if err != nil {
			t.Fatal(err)
		}
		chunk := make([]byte, chunkBytes)
		position := int64(0)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := w.Chunk(position, 8000, chunk); err != nil {
				t.Fatal(err)
			}
			position += 8000
		}); n > 2 {
			t.Errorf("%v allocations a record, its data one of them", n)
		}
	}
}
