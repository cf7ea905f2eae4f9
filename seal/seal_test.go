package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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
	gap  = call.Gap{Position: 4000, Frames: 100, Cause: call.CauseOverrun}
	mark = call.Mark{Kind: call.MarkDigits, Position: 900, Value: "123#"}
)

// example writes a call file of a header, two chunks with marks between them, and an end.
func example(t testing.TB) (records []call.Record, w *seal.Writer) {
	t.Helper()
	w, rec, err := seal.NewWriter(header)
	records = append(records, rec)
	add := func(rec call.Record, e error) {
		records = append(records, rec)
		err = errors.Join(err, e)
	}
	add(w.Chunk(0, 0, []byte("head")))
	add(w.Chunk(0, 8000, []byte("first second")))
	add(w.Mark(mark))
	add(w.Mark(call.Mark{Kind: call.MarkGap, Position: gap.Position, Frames: gap.Frames, Value: gap.Cause}))
	add(w.Chunk(8000, 200, []byte("rest")))
	add(w.End(call.End{Reason: call.EndedSilence, Frames: 8200, Gaps: []call.Gap{gap}}))
	if err != nil {
		t.Fatal(err)
	}
	return records, w
}

func join(records []call.Record) (file []byte) {
	for _, r := range records {
		file = append(file, r.Data...)
	}
	return file
}

func TestWholeFile(t *testing.T) {
	records, w := example(t)
	file := join(records)
	for i, r := range records {
		if r.Call != header.Call || r.Number != uint32(i) || r.Kind != call.Kind(r.Data[0]) {
			t.Errorf("record %d is of call %s, kind %d, number %d", i, r.Call, r.Kind, r.Number)
		}
	}
	sum := sha256.Sum256(file)
	if w.Size() != int64(len(file)) || w.SHA256() != hex.EncodeToString(sum[:]) {
		t.Errorf("writer says %d bytes, SHA-256 %s", w.Size(), w.SHA256())
	}

	c, err := seal.Verify(iotest.OneByteReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	want := seal.Contents{
		Header: header,
		Marks:  []call.Mark{mark, {Kind: call.MarkGap, Position: gap.Position, Frames: gap.Frames, Value: gap.Cause}},
		End:    call.End{Reason: call.EndedSilence, Frames: 8200, Gaps: []call.Gap{gap}, Records: 7},
		Frames: 8200, Records: 7, Size: w.Size(), SHA256: w.SHA256(),
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}

	h, media, err := seal.OpenMedia(bytes.NewReader(file))
	if err != nil || !reflect.DeepEqual(h, header) {
		t.Fatalf("header %+v, %v", h, err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(media))
	if err != nil || string(got) != "headfirst secondrest" {
		t.Errorf("media %q, %v", got, err)
	}

	if h, err := seal.ParseHeader(records[0].Data); err != nil || !reflect.DeepEqual(h, header) {
		t.Errorf("header of its record: %+v, %v", h, err)
	}
	if e, err := seal.ParseEnd(records[6].Data); err != nil || !reflect.DeepEqual(e, want.End) {
		t.Errorf("end of its record: %+v, %v", e, err)
	}
}

// TestVector holds the framing to what docs/format-call.md says.
func TestVector(t *testing.T) {
	w, _, err := seal.NewWriter(header)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := w.Chunk(0x0102030405, 0x1122, []byte{0xAA, 0xBB})
	want := "03000000" + "01000000" + "0504030201000000" + "22110000" + "02000000" + "aabb"
	if got := hex.EncodeToString(rec.Data); err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	records, _ := example(t)
	file := join(records)
	bounds := map[int]bool{}
	for at, i := 0, 0; i < len(records); i++ {
		bounds[at] = true
		at += len(records[i].Data)
	}
	for n := range file {
		_, err := seal.Verify(bytes.NewReader(file[:n]))
		var cut *seal.TruncatedError
		if !errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF) || (cut.Torn == 0) != bounds[n] || cut.Offset+cut.Torn != int64(n) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		_, media, err := seal.OpenMedia(bytes.NewReader(file[:n]))
		if n < len(records[0].Data) {
			if !errors.As(err, &cut) {
				t.Fatalf("cut at %d: open: %v", n, err)
			}
			continue
		}
		got, err := io.ReadAll(media)
		if !errors.As(err, &cut) || !strings.HasPrefix("headfirst secondrest", string(got)) {
			t.Fatalf("cut at %d: media %q, %v", n, got, err)
		}
	}
}

func TestDamaged(t *testing.T) {
	records, _ := example(t)
	set := func(record, at int, b ...byte) func([]call.Record) []call.Record {
		return func(r []call.Record) []call.Record {
			copy(r[record].Data[at:], b)
			return r
		}
	}
	drop := func(from, to int) func([]call.Record) []call.Record {
		return func(r []call.Record) []call.Record { return append(r[:from], r[to:]...) }
	}
	body := func(record int, s string) func([]call.Record) []call.Record {
		return func(r []call.Record) []call.Record {
			d := append(r[record].Data[:seal.HeadSize:seal.HeadSize], s...)
			binary.LittleEndian.PutUint32(d[20:], uint32(len(s)))
			r[record].Data = d
			return r
		}
	}
	for name, c := range map[string]struct {
		damage func([]call.Record) []call.Record
		reason string
	}{
		"kind 0":              {set(1, 0, 0), "kind 0"},
		"key record":          {set(1, 0, 2), "kind 2"},
		"ledger entry":        {set(1, 0, 16), "kind 16"},
		"reserved":            {set(1, 3, 1), "reserved"},
		"number":              {set(1, 4, 9), "record 9 follows 1"},
		"huge body":           {set(1, 20, 1, 0, 16, 0), "at most 1048576"},
		"position":            {set(1, 15, 0x80), "position out of range"},
		"frames in a mark":    {set(3, 16, 1), "not a chunk"},
		"no header":           {drop(0, 1), "not a header"},
		"hole":                {drop(2, 3), "record 3 follows 2"},
		"two headers":         {func(r []call.Record) []call.Record { d := bytes.Clone(r[0].Data); d[4] = 1; r[1].Data = d; return r }, "second header"},
		"after the end":       {func(r []call.Record) []call.Record { return append(r, r[6]) }, "after the end"},
		"chunk moved":         {set(5, 8, 0x41), "cover 8000"},
		"mark moved":          {set(3, 8, 1), "its head says"},
		"end moved":           {set(6, 8, 1), "its head says"},
		"header is not JSON":  {body(0, "{"), "header"},
		"header without rate": {body(0, `{"v":0,"call":"`+header.Call.String()+`","channels":1}`), "rate of 0"},
		"header, 9 channels":  {body(0, `{"v":0,"call":"`+header.Call.String()+`","channels":9,"rate":8000}`), "9 channels"},
		"header, sides":       {body(0, `{"call":"`+header.Call.String()+`","channels":1,"rate":8000,"sides":["a","b"]}`), "2 sides"},
		"header of no call":   {body(0, `{"v":0}`), "names no call"},
		"mark without kind":   {body(3, `{"position":900}`), `kind ""`},
		"end, wrong count":    {body(6, `{"frames":8200,"gaps":[],"records":6}`), "counts 6"},
		"end, other length": {func(r []call.Record) []call.Record {
			r = body(6, `{"frames":8201,"gaps":[],"records":7}`)(r)
			r[6].Data[8]++
			return r
		}, "the chunks cover 8200"},
		"end, gap outside":     {body(6, `{"frames":8200,"gaps":[{"position":8200,"frames":1}],"records":7}`), "gap of 1"},
		"end, gaps overlap":    {body(6, `{"frames":8200,"gaps":[{"position":5,"frames":3},{"position":7,"frames":3}],"records":7}`), "gap of 3"},
		"end, negative length": {func(r []call.Record) []call.Record { return body(6, `{"frames":-1,"gaps":[],"records":7}`)(r) }, "its head says"},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := make([]call.Record, len(records))
			for i, r := range records {
				damaged[i] = r
				damaged[i].Data = bytes.Clone(r.Data)
			}
			_, err := seal.Verify(bytes.NewReader(join(c.damage(damaged))))
			var corrupt *seal.CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want a CorruptError with %q", err, c.reason)
			}
		})
	}
	t.Run("other versions", func(t *testing.T) {
		for name, file := range map[string][]byte{
			"record": join(set(0, 1, 1)([]call.Record{{Data: bytes.Clone(records[0].Data)}})),
			"header": join(body(0, `{"v":1}`)([]call.Record{{Data: bytes.Clone(records[0].Data)}})),
		} {
			if _, err := seal.Verify(bytes.NewReader(file)); !errors.Is(err, seal.ErrVersion) {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, err := seal.OpenMedia(bytes.NewReader(file)); !errors.Is(err, seal.ErrVersion) {
				t.Errorf("%s: open: %v", name, err)
			}
		}
	})
	t.Run("reading fails", func(t *testing.T) {
		broken := errors.New("disk")
		r := io.MultiReader(bytes.NewReader(join(records)[:100]), iotest.ErrReader(broken))
		if _, err := seal.Verify(r); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
}

func TestRecordsAlone(t *testing.T) {
	records, _ := example(t)
	for name, data := range map[string][]byte{
		"empty":      nil,
		"short":      records[0].Data[:10],
		"torn":       records[0].Data[:len(records[0].Data)-1],
		"long":       append(bytes.Clone(records[0].Data), 0),
		"other kind": records[3].Data,
	} {
		var corrupt *seal.CorruptError
		if _, err := seal.ParseHeader(data); !errors.As(err, &corrupt) {
			t.Errorf("%s: header: %v", name, err)
		}
		if _, err := seal.ParseEnd(data); !errors.As(err, &corrupt) {
			t.Errorf("%s: end: %v", name, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	if _, _, err := seal.NewWriter(call.Header{}); err == nil {
		t.Error("a header of nothing was written")
	}
	w, _, err := seal.NewWriter(header)
	if err != nil {
		t.Fatal(err)
	}
	size, hash := w.Size(), w.SHA256()
	for name, write := range map[string]func() (call.Record, error){
		"huge chunk":     func() (call.Record, error) { return w.Chunk(0, 1, make([]byte, seal.MaxBody+1)) },
		"negative chunk": func() (call.Record, error) { return w.Chunk(-1, 1, nil) },
		"negative mark":  func() (call.Record, error) { return w.Mark(call.Mark{Kind: call.MarkHook, Position: -1}) },
		"mark of none":   func() (call.Record, error) { return w.Mark(call.Mark{}) },
		"gap outside": func() (call.Record, error) {
			return w.End(call.End{Frames: 1, Gaps: []call.Gap{{Position: 1, Frames: 1}}})
		},
	} {
		if _, err := write(); err == nil || w.Size() != size || w.SHA256() != hash {
			t.Errorf("%s: %v, size %d", name, err, w.Size())
		}
	}
	if rec, err := w.End(call.End{}); err != nil || rec.Number != 1 || !bytes.Contains(rec.Data, []byte(`"gaps":[]`)) {
		t.Errorf("end: %+v, %v", rec, err)
	}
	if _, err := w.Chunk(0, 1, nil); err == nil {
		t.Error("a chunk after the end was written")
	}
}

func FuzzReader(f *testing.F) {
	records, _ := example(f)
	file := join(records)
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Add(append(bytes.Clone(file), 1))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := seal.Verify(bytes.NewReader(file))
		if err == nil && (c.Size != int64(len(file)) || c.Frames != c.End.Frames || c.Records != c.End.Records) {
			t.Errorf("a file of %d bytes is whole with %+v", len(file), c)
		}
		_, media, openErr := seal.OpenMedia(bytes.NewReader(file))
		if openErr == nil {
			n, mediaErr := io.Copy(io.Discard, media)
			if n > int64(len(file)) || err == nil && mediaErr != nil {
				t.Errorf("%d bytes of media, %v, of a file of %d: %v", n, mediaErr, len(file), err)
			}
		}
		w, end, whole, resumeErr := seal.ResumeWriter(bytes.NewReader(file))
		if err == nil && (resumeErr != nil || !whole || w.SHA256() != c.SHA256) {
			t.Errorf("resume of a whole file: %v", resumeErr)
		}
		if resumeErr == nil && !whole {
			if _, endErr := w.End(end); endErr != nil {
				t.Errorf("a resumed call cannot be ended: %v", endErr)
			}
		}
	})
}
