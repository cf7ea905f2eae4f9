package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

var header = call.Header{
	Call: call.ID{1, 2, 3}, Device: "0123ABCD", Epoch: 7, Number: 42, Line: "front desk", Codec: call.Opus,
	Channels: 2, Sides: []string{"agent", "caller"}, Rate: 8000,
	Anchor: call.Anchor{
		BootID: "2f1f", BootTime: time.Minute,
		Wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Grade: call.GradeNTP,
	},
}

var (
	gap     = call.Gap{Position: 4000, Frames: 100, Cause: call.CauseOverrun}
	gapMark = call.Mark{Kind: call.MarkGap, Position: gap.Position, Frames: gap.Frames, Value: gap.Cause}
	mark    = call.Mark{Kind: call.MarkDigits, Position: 900, Value: "123#"}
	media   = "headfirst secondrest"
)

// example is a call file of two chunks with marks between them.
type example struct {
	seal    call.Seal
	keys    seal.Keys
	records []call.Record
	w       *seal.Writer
}

// examples gives one sealed and one in clear.
func examples(t testing.TB) []example {
	t.Helper()
	key := newKey(t)
	return []example{
		write(t, header, seal.Keys{key}, key.Recipient()),
		write(t, header, nil),
	}
}

func newKey(t testing.TB) seal.Key {
	t.Helper()
	key, _, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, h call.Header, keys seal.Keys, to ...seal.Recipient) example {
	t.Helper()
	w, records, err := seal.NewWriter(h, to)
	if err != nil {
		t.Fatal(err)
	}
	add := func(rec call.Record, e error) {
		records = append(records, rec)
		err = errors.Join(err, e)
	}
	add(w.Chunk(0, 0, []byte("head")))
	add(w.Chunk(0, 8000, []byte("first second")))
	add(w.Mark(mark))
	add(w.Mark(gapMark))
	add(w.Chunk(8000, 200, []byte("rest")))
	add(w.End(call.End{Reason: call.EndedSilence, Frames: 8200, Gaps: []call.Gap{gap}}))
	if err != nil {
		t.Fatal(err)
	}
	e := example{seal: call.SealNone, keys: keys, records: records, w: w}
	if len(to) > 0 {
		e.seal = call.SealChaCha
	}
	return e
}

func (e example) file() []byte { return join(e.records) }

// at gives the record that stands so far behind the first ones: 0 is the first chunk.
func (e example) at(n int) int { return len(e.records) - 6 + n }

func join(records []call.Record) (file []byte) {
	for _, r := range records {
		file = append(file, r.Data...)
	}
	return file
}

// each runs a test over both examples.
func each(t *testing.T, test func(t *testing.T, e example)) {
	for _, e := range examples(t) {
		t.Run(string(e.seal), func(t *testing.T) { test(t, e) })
	}
}

func TestWholeFile(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		file := e.file()
		for i, r := range e.records {
			if r.Call != header.Call || r.Number != uint32(i) || r.Kind != call.Kind(r.Data[0]) {
				t.Errorf("record %d is of call %s, kind %d, number %d", i, r.Call, r.Kind, r.Number)
			}
		}
		sum := sha256.Sum256(file)
		if e.w.Size() != int64(len(file)) || e.w.SHA256() != hex.EncodeToString(sum[:]) || e.w.Chain() != chainOf(e.records) {
			t.Errorf("writer says %d bytes, SHA-256 %s, chain %s", e.w.Size(), e.w.SHA256(), e.w.Chain())
		}
		c, err := seal.Verify(iotest.OneByteReader(bytes.NewReader(file)), e.keys)
		if err != nil {
			t.Fatal(err)
		}
		h := header
		h.Version, h.Seal = seal.Version, e.seal
		want := seal.Contents{
			Header: h, Opened: true, Marks: []call.Mark{mark, gapMark},
			End:    call.End{Reason: call.EndedSilence, Frames: 8200, Gaps: []call.Gap{gap}, Records: uint32(len(e.records))},
			Frames: 8200, Records: uint32(len(e.records)), Size: e.w.Size(), SHA256: e.w.SHA256(), Chain: e.w.Chain(),
		}
		if !reflect.DeepEqual(c, want) {
			t.Errorf("got  %+v\nwant %+v", c, want)
		}
		h2, in, err := seal.OpenMedia(bytes.NewReader(file), e.keys)
		if err != nil || !reflect.DeepEqual(h2, h) {
			t.Fatalf("header %+v, %v", h2, err)
		}
		got, err := io.ReadAll(iotest.OneByteReader(in))
		if err != nil || string(got) != media {
			t.Errorf("media %q, %v", got, err)
		}
		if h, err := seal.ParseHeader(e.records[0].Data); err != nil || !reflect.DeepEqual(h, want.Header) {
			t.Errorf("header of its record: %+v, %v", h, err)
		}
		if end, err := seal.ParseEnd(e.records[e.at(5)].Data); err != nil || !reflect.DeepEqual(end, want.End) {
			t.Errorf("end of its record: %+v, %v", end, err)
		}
	})
}

// chainOf is the chain as docs/format-call.md defines it.
func chainOf(records []call.Record) string {
	var c [32]byte
	for i, r := range records {
		leaf := sha256.Sum256(r.Data)
		if i == 0 {
			c = leaf
		} else {
			c = sha256.Sum256(append(c[:], leaf[:]...))
		}
	}
	return hex.EncodeToString(c[:])
}

func TestTruncatedAnywhere(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		file := e.file()
		bounds := map[int]bool{}
		for at, i := 0, 0; i < len(e.records); i++ {
			bounds[at] = true
			at += len(e.records[i].Data)
		}
		for n := range file {
			_, err := seal.Verify(bytes.NewReader(file[:n]), e.keys)
			var cut *seal.TruncatedError
			if !errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF) || (cut.Torn == 0) != bounds[n] || cut.Offset+cut.Torn != int64(n) {
				t.Fatalf("cut at %d: %v", n, err)
			}
			_, in, err := seal.OpenMedia(bytes.NewReader(file[:n]), e.keys)
			if n < len(e.records[0].Data) {
				if !errors.As(err, &cut) {
					t.Fatalf("cut at %d: open: %v", n, err)
				}
				continue
			}
			got, err := io.ReadAll(in)
			if !errors.As(err, &cut) || !strings.HasPrefix(media, string(got)) {
				t.Fatalf("cut at %d: media %q, %v", n, got, err)
			}
		}
	})
}

func TestWriterRefuses(t *testing.T) {
	if _, _, err := seal.NewWriter(call.Header{}, nil); err == nil {
		t.Error("a header of nothing was written")
	}
	each(t, func(t *testing.T, e example) {
		var to seal.Recipients
		if len(e.keys) > 0 {
			to = seal.Recipients{e.keys[0].Recipient()}
		}
		w, first, err := seal.NewWriter(header, to)
		if err != nil {
			t.Fatal(err)
		}
		size, hash, chain := w.Size(), w.SHA256(), w.Chain()
		for name, write := range map[string]func() (call.Record, error){
			"huge chunk":     func() (call.Record, error) { return w.Chunk(0, 1, make([]byte, seal.MaxBody+1)) },
			"negative chunk": func() (call.Record, error) { return w.Chunk(-1, 1, nil) },
			"negative mark":  func() (call.Record, error) { return w.Mark(call.Mark{Kind: call.MarkHook, Position: -1}) },
			"mark of none":   func() (call.Record, error) { return w.Mark(call.Mark{}) },
			"long mark": func() (call.Record, error) {
				return w.Mark(call.Mark{Kind: call.MarkCallerID, Value: strings.Repeat("9", 5000)})
			},
			"empty gap": func() (call.Record, error) { return w.Mark(call.Mark{Kind: call.MarkGap}) },
			"gap outside": func() (call.Record, error) {
				return w.End(call.End{Frames: 1, Gaps: []call.Gap{{Position: 1, Frames: 1}}})
			},
		} {
			if _, err := write(); err == nil || w.Size() != size || w.SHA256() != hash || w.Chain() != chain {
				t.Errorf("%s: %v, size %d", name, err, w.Size())
			}
		}
		if rec, err := w.Chunk(0, 1, make([]byte, seal.MaxBody-seal.Overhead)); err != nil {
			t.Errorf("the largest chunk: %v", err)
		} else if w.Retract(); len(rec.Data) > seal.HeadSize+seal.MaxBody {
			t.Errorf("a record of %d bytes", len(rec.Data))
		}
		rec, err := w.End(call.End{})
		if err != nil || rec.Number != uint32(len(first)) || !bytes.Contains(rec.Data, []byte(`"gaps":[]`)) {
			t.Errorf("end: %+v, %v", rec, err)
		}
		if _, err := w.Chunk(0, 1, nil); err == nil {
			t.Error("a chunk after the end was written")
		}
	})
}

// TestSealIsExplicit: who asks for one seal never gets the other.
func TestSealIsExplicit(t *testing.T) {
	h := header
	h.Seal = call.SealChaCha
	if _, _, err := seal.NewWriter(h, nil); err == nil {
		t.Error("a call that was to be sealed was begun in clear")
	}
	h.Seal = call.SealNone
	if _, _, err := seal.NewWriter(h, seal.Recipients{newKey(t).Recipient()}); err == nil {
		t.Error("a call that was to be in clear was sealed")
	}
}
