package buffer

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// FuzzFrame parses arbitrary bytes as a record, whose checksum is made right: what is taken for one must be one, to the byte.
func FuzzFrame(f *testing.F) {
	const epoch = call.Epoch(7)
	f.Add([]byte(frameMagic), uint32(pageSize))
	f.Add(appendFrame(nil, epoch, frame{kind: call.KindChunk, call: call.ID{1}, number: 3, generation: 2, group: 1, offset: pageSize,
		at: 99, data: []byte("data")}), uint32(pageSize))
	f.Fuzz(func(t *testing.T, b []byte, offset uint32) {
		b = bytes.Clone(b)
		if f, _, err := parseFrame(b, epoch, offset, int64(offset)+int64(len(b))); errors.Is(err, errChecksum) && f.length <= maxData {
			if end := frameHeader + int(f.length); end <= len(b) {
				le.PutUint32(b[4:], frameSum(b[:end], epoch, offset))
			}
		}
		got, need, err := parseFrame(b, epoch, offset, int64(offset)+int64(len(b)))
		if err != nil || need > 0 {
			return
		}
		if again := appendFrame(nil, epoch, got); !bytes.Equal(again[:frameHeader+len(got.data)], b[:frameHeader+len(got.data)]) {
			t.Errorf("a record of other bytes: %+v", got)
		}
	})
}

// FuzzDirectory parses arbitrary bytes as a directory, whose checksum is made right, for a damaged one is never parsed.
func FuzzDirectory(f *testing.F) {
	const epoch = call.Epoch(7)
	d := directory{
		calls: []callRow{{call.ID{1}, run{count: 2, bytes: 9, firstOffset: pageSize, lastOffset: pageSize + 48, ended: true}}},
		small: []smallRow{{kind: call.KindEntry, offset: pageSize, length: 9, number: 1, call: call.ID{1}}},
		refs:  []segmentRef{{1, 2}},
	}
	pages := d.pages(epoch, 0, 3, pageSize+100)
	f.Add(pages[len(pages)-tailSize-callRowSize-smallRowSize-refSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < tailSize {
			return
		}
		b = resum(bytes.Clone(b))
		tail, err := parseTail(b, epoch, 0, 3, minSegment)
		if err != nil || tail.rows()+tailSize > len(b) {
			return
		}
		got, err := tail.parse(resum(b[len(b)-tail.rows()-tailSize:]))
		if err != nil {
			return
		}
		again := got.pages(epoch, 0, 3, tail.end)
		more, err := tail.parse(again[len(again)-tail.rows()-tailSize:])
		if err != nil || len(more.calls)+len(more.small)+len(more.refs) != len(got.calls)+len(got.small)+len(got.refs) {
			t.Errorf("a directory that was read cannot be written and read again: %v", err)
		}
	})
}

// FuzzNote parses arbitrary bytes as a note, and applies it to a ring with a call.
func FuzzNote(f *testing.F) {
	id := call.ID{1}
	for _, n := range []note{
		{Op: opReceipt, Call: &id, Receipt: "jws", Where: []segmentRef{{1, 2}}},
		{Op: opAccept, Last: 9},
		{Op: opCall, Call: &id, callState: callState{Hold: "court", Holes: []call.Hole{{Record: 1, Records: 2, Offset: 5, Size: 9}}}},
		{Op: opState, Last: 3, JWS: []byte("jws"), Upto: 2},
		{Op: opLost, Last: 2, Where: []segmentRef{{0, 1}}},
		{Op: opCarried, Where: []segmentRef{{0, 1}}},
		{Op: opKept, Name: "volume", Value: []byte("{}")},
	} {
		f.Add(noteItem(n).Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(b)
		if err != nil {
			return
		}
		r, _, err := Open(memoryOptions(newCard(1)))
		noError(t, err)
		p := phone{t, r}
		c := &talk{phone: p, id: id}
		noError(t, c.record(call.KindHeader, encode(t, call.Header{Call: id})))
		c.speak(100)
		noError(t, r.Sync())
		r.mu.Lock()
		l := newLoader(r)
		l.note(r.writer.open.seg, n)
		if c := r.table.calls[id]; c != nil && n.Op == opCall && *n.Call == id {
			r.table.remember(c, n, place{seg: r.writer.open.seg})
			r.table.setState(c, n.callState)
		}
		r.mu.Unlock()
		if _, err := r.OpenCall(id); err == nil {
			_ = p.call(1, 10)
		}
		noError(t, r.Close())
	})
}

// FuzzSegment opens a ring in which one segment holds arbitrary bytes: as records, made sound, behind a sound head, and as
// a directory. Whatever stands there, the ring opens, reads, and goes on, twice.
func FuzzSegment(f *testing.F) {
	const epoch = call.Epoch(7)
	id := call.ID{1}
	head := segmentHead{epoch: epoch, number: 0, generation: 3, size: minSegment}
	body := appendFrame(nil, epoch, frame{kind: call.KindHeader, call: id, generation: 3, group: 1, offset: pageSize, data: []byte("{}")})
	body = appendFrame(body, epoch, frame{kind: call.KindEntry, generation: 3, group: 1, offset: uint32(pageSize + len(body)),
		data: []byte(`{"epoch":"0000000000007","number":1,"type":"gap"}`)})
	body = appendFrame(body, epoch, frame{kind: call.KindNote, generation: 3, group: 1, offset: uint32(pageSize + len(body)),
		data: []byte(`{"op":3,"last":1}`)})
	body = appendFrame(body, epoch, frame{kind: call.KindNote, generation: 3, group: 1, offset: uint32(pageSize + len(body)),
		data: noteItem(note{Op: opCall, Call: &id, callState: callState{Hold: "x", Holes: []call.Hole{{Record: 4, Records: 1, Offset: 8, Size: 9}}}}).Data})
	d := directory{calls: []callRow{{id, run{count: 1, bytes: 2, firstOffset: pageSize, lastOffset: pageSize}}}}
	f.Add([]byte{}, []byte{}, false)
	f.Add(body, []byte{}, true)
	f.Add(body, d.pages(epoch, 0, 3, uint32(pageSize+len(body))), false)
	f.Fuzz(func(t *testing.T, body, tail []byte, fix bool) {
		segment := make([]byte, minSegment)
		copy(segment, head.page())
		copy(segment[pageSize:], body)
		copy(segment[max(pageSize, len(segment)-len(tail)):], tail)
		if fix {
			soundFrames(segment, epoch)
			if len(tail) >= tailSize {
				resum(segment[max(pageSize, len(segment)-len(tail)):])
			}
		}
		c := newCard(1)
		n := &inode{view: segment, disk: bytes.Clone(segment)}
		c.names["/card/ring/"+segmentName(0)], c.saved["/card/ring/"+segmentName(0)] = n, n
		o := memoryOptions(c)
		o.SegmentBytes, o.SizeBytes = minSegment, 8*minSegment
		for range 2 {
			r, _, err := Open(o)
			if err != nil {
				t.Fatalf("a damaged segment keeps the ring from opening: %v", err)
			}
			readAll(t, r)
			noError(t, r.Append(call.Record{Call: call.NewID(), Kind: call.KindHeader}))
			noError(t, r.Sync())
			noError(t, r.Close())
		}
	})
}

// readAll reads whatever can be read.
func readAll(t *testing.T, r *Ring) {
	calls, _ := r.Calls()
	for _, s := range calls {
		cr, err := r.ReadCall(s.Header.Call)
		if err != nil {
			continue
		}
		_, _ = io.CopyN(io.Discard, cr, 1<<20)
		noError(t, cr.Close())
	}
	_, _ = r.Entries(10)
	_ = r.Status()
}

// soundFrames makes the checksums of what looks like records right.
func soundFrames(segment []byte, epoch call.Epoch) {
	for at := pageSize; at+frameHeader <= len(segment); at += frameAlign {
		f, need, err := parseFrame(segment[at:], epoch, uint32(at), int64(len(segment)))
		if err == nil && need == 0 || !bytes.Equal(segment[at:at+2], []byte(frameMagic)) || f.length > maxData {
			continue
		}
		if end := at + frameHeader + int(f.length); end <= len(segment) {
			le.PutUint32(segment[at+4:], frameSum(segment[at:end], epoch, uint32(at)))
		}
	}
}
