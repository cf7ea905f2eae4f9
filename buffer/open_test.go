package buffer

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// counted counts what is read of the ring.
type counted struct {
	FS
	read *atomic.Int64
}

type countedFile struct {
	File
	read *atomic.Int64
}

func (c counted) Open(name string) (File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return countedFile{f, c.read}, nil
}

func (c countedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.File.ReadAt(b, at)
	c.read.Add(int64(n))
	return n, err
}

// largeRing lays out a ring that is full of calls of a minute each that nobody has received, without writing their audio:
// heads, directories, and the open segment with its records, in files that are otherwise holes. After a cut the open
// segment ends in the half of a group.
func largeRing(t testing.TB, o Options, cut bool) (calls int) {
	const epoch = call.Epoch(7)
	const minute, line = 120_000, 2000
	noError(t, os.MkdirAll(o.Dir, 0o700))
	write := func(number int, parts map[int64][]byte) {
		f, err := os.Create(filepath.Join(o.Dir, segmentName(uint32(number))))
		noError(t, err)
		noError(t, f.Truncate(o.SegmentBytes))
		for at, b := range parts {
			_, err := f.WriteAt(b, at)
			noError(t, err)
		}
		noError(t, f.Close())
	}
	segments := int(o.SizeBytes / o.SegmentBytes)
	entry := uint64(0)
	for n := range segments - 1 {
		head := segmentHead{epoch: epoch, number: uint32(n), generation: uint32(n + 1), size: uint32(o.SegmentBytes)}
		d := &directory{small: []smallRow{{kind: call.KindNote, op: opState, offset: pageSize, length: 500}}}
		at := uint32(2 * pageSize)
		for ; int64(at)+minute*11/10 < o.SegmentBytes-16*pageSize; at += minute * 105 / 100 {
			row := callRow{call.NewID(), run{count: 64, bytes: minute, firstOffset: at, lastOffset: at + minute, ended: true}}
			d.calls = append(d.calls, row)
			d.small = append(d.small, smallRow{kind: call.KindEntry, offset: at, length: 600, number: entry + 1},
				smallRow{kind: call.KindEntry, offset: at, length: 900, number: entry + 2, call: row.call})
			entry += 2
			calls++
		}
		pages := d.pages(epoch, uint32(n), uint32(n+1), at)
		write(n, map[int64][]byte{0: head.page(), o.SegmentBytes - int64(len(pages)): pages})
	}
	head := segmentHead{epoch: epoch, number: uint32(segments - 1), generation: uint32(segments), size: uint32(o.SegmentBytes)}
	b := make([]byte, 0, o.SegmentBytes)
	id := call.NewID()
	add := func(group int, f frame) {
		f.generation, f.group, f.offset = uint32(segments), uint32(group/pageSize), uint32(pageSize+len(b))
		b = appendFrame(b, epoch, f)
	}
	add(pageSize, frame{kind: call.KindNote, data: noteItem(note{Op: opState, Last: entry, JWS: []byte("jws")}).Data})
	at := uint32(0)
	for n := uint32(0); len(b) < int(o.SegmentBytes)*9/10; n++ {
		group := pageSize + len(b)
		data, kind := noise(line), call.KindChunk
		if n == 0 {
			data, kind = encode(t, call.Header{Call: id}), call.KindHeader
		}
		add(group, frame{kind: kind, call: id, number: n, at: at, data: data})
		at += uint32(len(data))
		b = append(b, make([]byte, align(len(b), pageSize)-len(b))...)
	}
	if cut {
		b = b[:len(b)-pageSize+700]
	}
	write(segments-1, map[int64][]byte{0: head.page(), pageSize: b})
	return calls + 1
}

func openLarge(t testing.TB, o Options) (read int64, took time.Duration, r *Ring) {
	var count atomic.Int64
	o.FS = counted{osFS{}, &count}
	if st, err := os.Stat(o.Index); err == nil {
		count.Add(st.Size())
	}
	start := time.Now()
	r, rec := mustOpen(t, o)
	took = time.Since(start)
	if len(rec.Interrupted) != 1 || len(rec.Damaged)+len(rec.LostEntries) > 0 || rec.Scanned > 1 {
		t.Fatalf("opened: %+v", rec)
	}
	return count.Load(), took, r
}

// maxOpenReads is how much opening a ring of 32 GiB may read.
const maxOpenReads = 64 << 20

// TestOpeningALargeRingReadsLittle opens a ring of 32 GiB full of calls of a minute each, without and with the index, and
// after a cut.
func TestOpeningALargeRingReadsLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 4096 files")
	}
	o := testOptions(filepath.Join(t.TempDir(), "ring"))
	o.SizeBytes, o.SegmentBytes = 32<<30, DefaultSegment
	calls := largeRing(t, o, true)
	for _, with := range []string{"", "making the index", "index"} {
		if with != "" {
			o.Index = filepath.Join(filepath.Dir(o.Dir), "index.db")
		}
		read, took, r := openLarge(t, o)
		t.Logf("%d calls, %q: %.1f MiB read, %v", calls, with, float64(read)/(1<<20), took.Round(time.Millisecond))
		if read > maxOpenReads {
			t.Errorf("%q: opening reads %s", with, mebibytes(read))
		}
		if got := r.Status().WaitingCalls; got != calls {
			t.Errorf("%q: %d calls of %d", with, got, calls)
		}
		noError(t, r.lock.Close()) // as a kill does: nothing is written
		noError(t, r.index.close())
	}
}

// BenchmarkOpenLarge opens the same ring, and prints the bytes that it reads, those of the index included.
func BenchmarkOpenLarge(b *testing.B) {
	for _, index := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			b.Run(fmt.Sprintf("32GiB/index=%v/cut=%v", index, cut), func(b *testing.B) {
				o := testOptions(filepath.Join(b.TempDir(), "ring"))
				o.SizeBytes, o.SegmentBytes = 32<<30, DefaultSegment
				calls := largeRing(b, o, cut)
				if index {
					o.Index = filepath.Join(filepath.Dir(o.Dir), "index.db")
				}
				var most int64
				open := func() {
					read, _, r := openLarge(b, o)
					noError(b, r.lock.Close()) // as a kill does: nothing is written
					noError(b, r.index.close())
					most = max(most, read)
				}
				open() // after a cut it closes the open segment; and it makes the index
				for b.Loop() {
					open()
				}
				b.ReportMetric(float64(most), "bytes-read")
				b.ReportMetric(float64(calls), "calls")
			})
		}
	}
}
