package buffer

import (
	"bytes"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// FuzzSegment opens a ring whose segments hold arbitrary bytes: a head and a directory are made sound now and then, so
// that what stands behind them is reached.
func FuzzSegment(f *testing.F) {
	const epoch = call.Epoch(7)
	id := call.NewID()
	head := segmentHead{epoch: epoch, number: 0, generation: 3, size: minSegment}
	body := appendFrame(nil, epoch, frame{kind: call.KindHeader, call: id, generation: 3, group: 1, offset: pageSize, data: []byte("{}")})
	body = appendFrame(body, epoch, frame{kind: call.KindEntry, generation: 3, group: 1, offset: uint32(pageSize + len(body)),
		data: []byte(`{"epoch":"0000000000007","number":1,"type":"gap"}`)})
	body = appendFrame(body, epoch, frame{kind: call.KindNote, generation: 3, group: 1, offset: uint32(pageSize + len(body)),
		data: []byte(`{"op":3,"last":1}`)})
	d := directory{calls: []callRow{{call: id, count: 1, bytes: 2, firstOffset: pageSize, lastOffset: pageSize}}}
	f.Add([]byte{}, []byte{})
	f.Add(body, []byte{})
	f.Add(body, d.pages(epoch, 0, 3, uint32(pageSize+len(body))))
	f.Fuzz(func(t *testing.T, body, tail []byte) {
		segment := make([]byte, minSegment)
		copy(segment, head.page())
		copy(segment[pageSize:], body)
		copy(segment[max(pageSize, len(segment)-len(tail)):], tail)
		c := newCard(1)
		n := &inode{view: segment, disk: bytes.Clone(segment)}
		c.names["/card/ring/"+segmentName(0)], c.saved["/card/ring/"+segmentName(0)] = n, n
		o := memoryOptions(c)
		o.SegmentBytes, o.SizeBytes = minSegment, 8*minSegment
		r, _, err := Open(o)
		if err != nil {
			t.Fatalf("a damaged segment keeps the ring from opening: %v", err)
		}
		calls, _ := r.Calls()
		for _, s := range calls {
			cr, err := r.OpenCall(s.Header.Call)
			if err != nil {
				continue
			}
			b := make([]byte, min(cr.Size(), 1<<20))
			_, _ = cr.ReadAt(b, 0)
			noError(t, cr.Close())
		}
		_, _ = r.Entries(10)
		noError(t, r.Append(call.Record{Call: call.NewID(), Kind: call.KindHeader}))
		noError(t, r.Close())
	})
}
