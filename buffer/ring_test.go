package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// Headers and entries stand in the tests' records as plain JSON.
func decode[T any](b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const testSegment = 128 << 10

func testOptions(dir string) Options {
	return Options{
		Dir: dir, SizeBytes: 8 * testSegment, SegmentBytes: testSegment,
		Header: decode[call.Header], Entry: decode[call.Entry],
	}
}

func mustOpen(t testing.TB, o Options) (*Ring, Recovered) {
	t.Helper()
	r, rec, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, rec
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// phone makes calls on a ring.
type phone struct {
	t testing.TB
	r *Ring
}

// talk is a call in progress, with the bytes its call file should have.
type talk struct {
	phone
	id   call.ID
	next uint32
	file []byte
}

func (p phone) entry(e call.Entry) call.Entry {
	p.t.Helper()
	s := p.r.State()
	e.Epoch, e.Number = s.Epoch, s.Last+1
	noError(p.t, p.r.Append(call.Record{Kind: call.KindEntry, Data: encode(p.t, e)}))
	return e
}

func (p phone) begin() *talk {
	p.t.Helper()
	c := &talk{phone: p, id: call.NewID()}
	p.entry(call.Entry{Type: call.EntryBegin, Call: &c.id})
	noError(p.t, c.record(call.KindHeader, encode(p.t, call.Header{Call: c.id, Line: "desk"})))
	return c
}

func (c *talk) record(kind call.Kind, data []byte) error {
	err := c.r.Append(call.Record{Call: c.id, Kind: kind, Number: c.next, Data: data})
	if err == nil {
		c.next++
		c.file = append(c.file, data...)
	}
	return err
}

func (c *talk) speak(n int) {
	c.t.Helper()
	noError(c.t, c.record(call.KindChunk, noise(n)))
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func (c *talk) end() {
	c.t.Helper()
	noError(c.t, c.record(call.KindEnd, []byte(`{"reason":"on-hook"}`)))
	c.entry(call.Entry{Type: call.EntryEnd, Call: &c.id, Manifest: &call.Manifest{Size: int64(len(c.file)), SHA256: "sum"}})
}

func (p phone) call(chunks, size int) *talk {
	p.t.Helper()
	c := p.begin()
	for range chunks {
		c.speak(size)
	}
	c.end()
	return c
}

func (c *talk) receipt() call.Receipt {
	return call.Receipt{Call: &c.id, Size: int64(len(c.file)), SHA256: "sum"}
}

func readCall(t testing.TB, r *Ring, id call.ID) []byte {
	t.Helper()
	f, err := r.OpenCall(id)
	noError(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	noError(t, err)
	noError(t, f.Close())
	return b
}

func TestCallsComeBackAsTheyWereAppended(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Index = filepath.Join(t.TempDir(), "index.db")
	r, rec := mustOpen(t, o)
	if !rec.New || r.State().Last != 0 {
		t.Fatalf("a new ring: %+v, %+v", rec, r.State())
	}
	p := phone{t, r}
	a, b := p.begin(), p.begin()
	for i := range 100 {
		a.speak(1000 + i)
		b.speak(3000 - i)
		if i%3 == 0 {
			noError(t, r.Sync())
		}
	}
	a.end()
	b.end()
	if calls, err := r.Calls(); err != nil || len(calls) != 2 || calls[0].Ended {
		t.Fatalf("before the sync: %+v, %v", calls, err)
	}
	noError(t, r.Sync())
	check := func(r *Ring) {
		t.Helper()
		calls, err := r.Calls()
		noError(t, err)
		if len(calls) != 2 || calls[0].Header.Call != a.id || calls[1].Header.Call != b.id {
			t.Fatalf("calls %+v", calls)
		}
		for i, c := range []*talk{a, b} {
			if s := calls[i]; !s.Ended || s.Size != int64(len(c.file)) || s.Manifest == nil || s.Manifest.Size != s.Size {
				t.Errorf("call %d: %+v", i, s)
			}
			if !bytes.Equal(readCall(t, r, c.id), c.file) {
				t.Errorf("call %d has other bytes", i)
			}
		}
		entries, err := r.Entries(100)
		noError(t, err)
		if len(entries) != 4 || entries[3].Number != 4 || entries[3].Type != call.EntryEnd {
			t.Errorf("entries %+v", entries)
		}
	}
	check(r)
	epoch := r.State()
	noError(t, r.Close())
	r, rec = mustOpen(t, o)
	if rec.New || len(rec.Interrupted)+len(rec.Unsigned)+len(rec.Announced)+len(rec.Damaged)+rec.Torn > 0 {
		t.Errorf("recovered %+v", rec)
	}
	if s := r.State(); s.Epoch != epoch.Epoch || s.Last != 4 || !bytes.Equal(s.JWS, epoch.JWS) {
		t.Errorf("state %+v, was %+v", s, epoch)
	}
	check(r)
}

func TestReceiptsReleaseForGood(t *testing.T) {
	o := testOptions(t.TempDir())
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	a, b := p.call(20, 2000), p.call(20, 2000)
	noError(t, r.Sync())
	if err := r.Accept(call.Receipt{Call: &a.id, Size: 5}, "jws"); err == nil {
		t.Error("a receipt of another size releases")
	}
	noError(t, r.Accept(a.receipt(), "jws"))
	noError(t, r.Accept(a.receipt(), "jws"))
	noError(t, r.Accept(call.Receipt{Epoch: r.State().Epoch, First: 1, Last: 3}, "jws"))
	noError(t, r.Park(b.id, "refused: why"))
	noError(t, r.Close())
	for range 2 {
		r, _ = mustOpen(t, o)
		calls, err := r.Calls()
		noError(t, err)
		if len(calls) != 1 || calls[0].Header.Call != b.id || calls[0].Parked != "refused: why" {
			t.Fatalf("calls %+v", calls)
		}
		if entries, err := r.Entries(9); err != nil || len(entries) != 1 || entries[0].Number != 4 {
			t.Errorf("entries %+v, %v", entries, err)
		}
		if s := r.State(); s.Last != 4 {
			t.Errorf("state %+v", s)
		}
		if s := r.Status(); s.WaitingCalls != 1 || s.Parked != 1 || s.WaitingEntries != 1 || s.WaitingBytes != int64(len(b.file)) {
			t.Errorf("status %+v", s)
		}
		noError(t, r.Close())
	}
}

func TestTheRingGoesRound(t *testing.T) {
	o := testOptions(t.TempDir())
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	pinned := p.call(3, 3000) // never receipted
	for i := range 300 {
		c := p.call(5, 3000)
		noError(t, r.Sync())
		if !bytes.Equal(readCall(t, r, c.id), c.file) {
			t.Fatalf("call %d has other bytes", i)
		}
		noError(t, r.Accept(c.receipt(), "jws"))
		s := r.State()
		if i%10 == 9 {
			noError(t, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: s.Last}, "jws"))
		}
		if i%37 == 0 {
			noError(t, r.Close())
			var rec Recovered
			r, rec = mustOpen(t, o)
			p.r = r
			if len(rec.Damaged)+len(rec.Interrupted)+len(rec.LostEntries) > 0 || rec.Torn > 0 {
				t.Fatalf("round %d: recovered %+v", i, rec)
			}
			calls, err := r.Calls()
			noError(t, err)
			if len(calls) != 1 || !bytes.Equal(readCall(t, r, pinned.id), pinned.file) {
				t.Fatalf("round %d: calls %+v", i, calls)
			}
			if got := r.State(); got.Last != s.Last || !bytes.Equal(got.JWS, s.JWS) {
				t.Fatalf("round %d: state %+v, want %+v", i, got, s)
			}
		}
	}
}

func TestFullRingStops(t *testing.T) {
	o := testOptions(t.TempDir())
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	var done []*talk
	for r.Status().FreeBytes > 20<<10 {
		c := p.call(3, 4000)
		done = append(done, c)
		noError(t, r.Sync())
		if len(done) > 200 {
			t.Fatal("it never gets full")
		}
	}
	c := &talk{phone: p, id: call.NewID()}
	p.entry(call.Entry{Type: call.EntryBegin, Call: &c.id})
	if err := c.record(call.KindHeader, noise(30<<10)); !errors.Is(err, ErrFull) {
		t.Fatalf("appended to a full ring: %v", err)
	}
	for _, d := range done {
		if !bytes.Equal(readCall(t, r, d.id), d.file) {
			t.Fatal("a call changed")
		}
		noError(t, r.Accept(d.receipt(), "jws"))
	}
	s := r.State()
	noError(t, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: s.Last - 1}, "jws"))
	noError(t, r.Sync())
	if s := r.Status(); s.Full || s.FreeBytes < 4*testSegment {
		t.Errorf("after all receipts: %+v", s)
	}
	noError(t, c.record(call.KindHeader, encode(t, call.Header{Call: c.id})))
	c.end()
	noError(t, r.Sync())
}

func TestOverwriteGivesUpTheOldest(t *testing.T) {
	o := testOptions(t.TempDir())
	var p phone
	var given []call.ID
	o.WhenFull = OverwriteWhenFull
	o.GiveUp = func(s call.Stored) error {
		given = append(given, s.Header.Call)
		p.entry(call.Entry{Type: call.EntryTombstone, Call: &s.Header.Call})
		return nil
	}
	r, _ := mustOpen(t, o)
	p = phone{t, r}
	var all []*talk
	for range 300 {
		all = append(all, p.call(3, 4000))
		noError(t, r.Sync())
		s := r.State()
		noError(t, r.Accept(call.Receipt{Epoch: s.Epoch, First: 1, Last: max(s.Last, 6) - 4}, "jws"))
	}
	for range 2 {
		calls, err := r.Calls()
		noError(t, err)
		if len(calls)+len(given) != len(all) || len(calls) < 15 {
			t.Fatalf("%d calls live, %d given up, of %d", len(calls), len(given), len(all))
		}
		for i, c := range all {
			if i < len(given) {
				if given[i] != c.id {
					t.Fatalf("given up number %d is not the oldest", i)
				}
			} else if !bytes.Equal(readCall(t, r, c.id), c.file) {
				t.Fatal("a call changed")
			}
		}
		noError(t, r.Close())
		r, _ = mustOpen(t, o)
	}
}

func TestOutOfOrderIsRefused(t *testing.T) {
	r, _ := mustOpen(t, testOptions(t.TempDir()))
	p := phone{t, r}
	c := p.begin()
	for i, rec := range []call.Record{
		{Call: c.id, Kind: call.KindChunk, Number: 2},
		{Call: c.id, Kind: call.KindHeader, Number: 1},
		{Call: call.NewID(), Kind: call.KindChunk, Number: 0},
		{Call: call.NewID(), Kind: call.KindChunk, Number: 1},
		{Kind: call.KindHeader},
		{Kind: call.KindNote},
		{Kind: call.KindEntry, Data: encode(t, call.Entry{Number: 9, Epoch: r.State().Epoch})},
		{Kind: call.KindEntry, Data: []byte("no entry")},
		{Call: c.id, Kind: call.KindChunk, Number: 1, Data: make([]byte, testSegment)},
	} {
		if err := r.Append(rec); err == nil {
			t.Errorf("record %d was taken: %v", i, fmt.Sprint(rec)[:20])
		}
	}
	c.end()
	if err := c.record(call.KindChunk, nil); err == nil {
		t.Error("a chunk behind the end was taken")
	}
}
