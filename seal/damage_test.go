package seal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// damage changes records; those it is given are its own.
type damage func([]call.Record) []call.Record

func set(record, at int, b ...byte) damage {
	return func(r []call.Record) []call.Record {
		copy(r[record].Data[at:], b)
		return r
	}
}

func drop(from, to int) damage {
	return func(r []call.Record) []call.Record { return append(r[:from], r[to:]...) }
}

func body(record int, s string) damage {
	return func(r []call.Record) []call.Record {
		d := append(r[record].Data[:seal.HeadSize:seal.HeadSize], s...)
		binary.LittleEndian.PutUint32(d[20:], uint32(len(s)))
		r[record].Data = d
		return r
	}
}

// hole puts a hole in the place of records.
func hole(from, to int) damage {
	return func(r []call.Record) []call.Record {
		size := len(join(r[from:to]))
		r[from].Data = seal.Hole(r[from].Number, uint32(to-from), int64(size))
		return append(r[:from+1], r[to:]...)
	}
}

func after(all ...damage) damage {
	return func(r []call.Record) []call.Record {
		for _, d := range all {
			r = d(r)
		}
		return r
	}
}

func (d damage) of(records []call.Record) []byte {
	own := make([]call.Record, len(records))
	for i, r := range records {
		own[i] = r
		own[i].Data = bytes.Clone(r.Data)
	}
	return join(d(own))
}

func checkDamage(t *testing.T, e example, d damage, reason string) {
	t.Helper()
	_, err := seal.Verify(bytes.NewReader(d.of(e.records)), e.keys)
	var corrupt *seal.CorruptError
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, want a CorruptError with %q", err, reason)
	}
}

func TestDamaged(t *testing.T) {
	e := write(t, header, nil)
	id := header.Call.String()
	for name, c := range map[string]struct {
		damage damage
		reason string
	}{
		"kind 0":              {set(1, 0, 0), "kind 0"},
		"key record":          {set(1, 0, 2), "a key in a call that is in clear"},
		"ledger entry":        {set(1, 0, 16), "kind 16"},
		"reserved":            {set(1, 3, 1), "reserved"},
		"number":              {set(1, 4, 9), "record 9 follows 1"},
		"last number":         {set(1, 4, 0xff, 0xff, 0xff, 0xff), "number out of range"},
		"huge body":           {set(1, 20, 1, 0, 16, 0), "at most 1048576"},
		"huge mark":           {set(3, 20, 1, 0, 1, 0), "at most 4112"},
		"position":            {set(1, 15, 0x80), "position out of range"},
		"frames in a mark":    {set(3, 16, 1), "not a chunk"},
		"no header":           {drop(0, 1), "not a header"},
		"missing":             {drop(2, 3), "record 3 follows 2"},
		"header again":        {func(r []call.Record) []call.Record { return append(r[:1:1], r[0]) }, "record 0 follows 1"},
		"header later":        {set(1, 0, 1), "record 1 is of kind 1"},
		"header with a place": {set(0, 8, 1), "position in a record of kind 1"},
		"after the end":       {func(r []call.Record) []call.Record { return append(r, r[6]) }, "after the end"},
		"chunk moved":         {set(5, 8, 0x41), "cover 8000"},
		"mark moved":          {set(3, 8, 1), "its head says"},
		"gap moved":           {set(4, 8, 1), "its head says"},
		"end moved":           {set(6, 8, 1), "its head says"},
		"header is not JSON":  {body(0, "{"), "header"},
		"header of no seal":   {body(0, `{"v":1}`), `seal ""`},
		"header without rate": {body(0, `{"v":1,"seal":"none","call":"`+id+`","channels":1}`), "rate of 0"},
		"header, 9 channels":  {body(0, `{"v":1,"seal":"none","call":"`+id+`","channels":9,"rate":8000}`), "9 channels"},
		"header, sides":       {body(0, `{"v":1,"seal":"none","call":"`+id+`","channels":1,"rate":8000,"sides":["a","b"]}`), "2 sides"},
		"header of no call":   {body(0, `{"v":1,"seal":"none"}`), "names no call"},
		"mark without kind":   {body(3, `{"position":900}`), `kind ""`},
		"mark is not JSON":    {body(3, `123#`), "not JSON"},
		"gap as a mark":       {body(3, `{"kind":"gap","position":900,"frames":1}`), "a gap in a mark's record"},
		"gap of nothing":      {body(4, `{"position":4000}`), "gap of 0 frames"},
		"gap without end":     {body(4, `{"position":4000,"frames":9223372036854775807}`), "gap of"},
		"end, wrong count":    {body(6, `{"frames":8200,"gaps":[],"records":6}`), "counts 6"},
		"end, other length":   {after(body(6, `{"frames":8201,"gaps":[],"records":7}`), set(6, 8, 0x09)), "the chunks cover 8200"},
		"end, gap outside":    {body(6, `{"frames":8200,"gaps":[{"position":8200,"frames":1}],"records":7}`), "gap of 1"},
		"end, gaps overlap":   {body(6, `{"frames":8200,"gaps":[{"position":5,"frames":3},{"position":7,"frames":3}],"records":7}`), "gap of 3"},
		"end, negative":       {body(6, `{"frames":-1,"gaps":[],"records":7}`), "its head says"},
		"hole of the header":  {hole(0, 1), "a hole in the place of the header"},
		"hole of no records":  {after(hole(2, 3), set(2, 16, 0)), "hole of 0 records"},
		"hole, far too many":  {after(hole(2, 3), set(2, 16, 0xff, 0xff, 0xff, 0xff)), "hole of 4294967295"},
		"hole with a place":   {after(hole(2, 3), set(2, 8, 1)), "position in a record of kind 6"},
		"hole with something": {after(hole(2, 3), set(2, 24, 1)), "not empty"},
		"hole of one too few": {after(hole(2, 4), set(2, 16, 1)), "record 4 follows 3"},
		"chunk before a hole": {after(hole(3, 4), set(2, 8, 0), set(5, 8, 0, 0)), "chunk at frame 0"},
	} {
		t.Run(name, func(t *testing.T) { checkDamage(t, e, c.damage, c.reason) })
	}
}

// TestSealedDamage: of a sealed call, with its key, also what has the right form is seen.
func TestSealedDamage(t *testing.T) {
	key := newKey(t)
	e := write(t, header, seal.Keys{key}, key.Recipient())
	other := write(t, header, nil, key.Recipient())
	const key1, chunk, markAt = 1, 3, 4
	for name, c := range map[string]struct {
		damage damage
		reason string
	}{
		"no key":            {drop(1, 2), "record 2 follows 1"},
		"a gap for the key": {after(drop(1, 5), set(1, 4, 1), set(2, 4, 2), drop(3, 4)), "the key record is missing"},
		"key is none":       {body(key1, "key"), "key record"},
		"key of another":    {func(r []call.Record) []call.Record { r[key1] = other.records[key1]; return r }, "not what was sealed"},
		"chunk of another":  {func(r []call.Record) []call.Record { r[chunk] = other.records[chunk]; return r }, "not what was sealed"},
		"header of another": {func(r []call.Record) []call.Record { r[0].Data[seal.HeadSize+30] ^= 1; return r }, ""},
		"other frames":      {set(chunk, 16, 0x41), "not what was sealed"},
		"mark elsewhere":    {set(markAt, 8, 0x41), "not what was sealed"},
		"chunk as a mark":   {after(set(chunk, 0, 4), set(chunk, 16, 0, 0)), "not what was sealed"},
		"body too short":    {body(chunk, "fifteen bytes.."), "not what was sealed"},
		"numbers exchanged": {func(r []call.Record) []call.Record {
			r[2].Data[4], r[3].Data[4] = 3, 2
			r[2], r[3] = r[3], r[2]
			return r
		}, "not what was sealed"},
		"key, other version": {func(r []call.Record) []call.Record { r[key1].Data[seal.HeadSize+20] = '2'; return r }, "key record"},
	} {
		t.Run(name, func(t *testing.T) { checkDamage(t, e, c.damage, c.reason) })
	}
	if _, err := seal.Verify(bytes.NewReader(body(chunk, "fifteen bytes..").of(e.records)), nil); err == nil {
		t.Error("without a key a body shorter than its tag was taken")
	}
}

func TestOtherVersions(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		for name, file := range map[string][]byte{
			"older record": set(0, 1, 0).of(e.records),
			"newer record": set(0, 1, 2).of(e.records),
			"newer header": body(0, `{"v":2}`).of(e.records),
		} {
			if _, err := seal.Verify(bytes.NewReader(file), e.keys); !errors.Is(err, seal.ErrVersion) {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, err := seal.OpenMedia(bytes.NewReader(file), e.keys); !errors.Is(err, seal.ErrVersion) {
				t.Errorf("%s: open: %v", name, err)
			}
			if _, _, err := seal.Salvage(bytes.NewReader(file), e.keys); !errors.Is(err, seal.ErrVersion) {
				t.Errorf("%s: salvage: %v", name, err)
			}
		}
	})
}

func TestReadingFails(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		broken := errors.New("disk")
		file := e.file()
		part := func() io.Reader {
			return io.MultiReader(bytes.NewReader(file[:len(file)-30]), iotest.ErrReader(broken))
		}
		if _, err := seal.Verify(part(), e.keys); !errors.Is(err, broken) {
			t.Error(err)
		}
		if _, in, err := seal.OpenMedia(part(), e.keys); err != nil {
			t.Error(err)
		} else if _, err := io.Copy(io.Discard, in); !errors.Is(err, broken) {
			t.Error(err)
		}
		if _, in, err := seal.Salvage(part(), e.keys); err != nil {
			t.Error(err)
		} else if got, err := io.ReadAll(in); !errors.Is(err, broken) || string(got) != media {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestRecordsAlone(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		for name, data := range map[string][]byte{
			"empty":      nil,
			"short":      e.records[0].Data[:10],
			"torn":       e.records[0].Data[:len(e.records[0].Data)-1],
			"long":       append(bytes.Clone(e.records[0].Data), 0),
			"other kind": e.records[3].Data,
		} {
			var corrupt *seal.CorruptError
			if _, err := seal.ParseHeader(data); !errors.As(err, &corrupt) {
				t.Errorf("%s: header: %v", name, err)
			}
			if _, err := seal.ParseEnd(data); !errors.As(err, &corrupt) {
				t.Errorf("%s: end: %v", name, err)
			}
		}
	})
}

// TestEveryBit flips each bit of a file in turn. With the manifest at hand no such file passes; with the key alone none
// passes that differs in what was sealed, in the header or in the key.
func TestEveryBit(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		file := e.file()
		sealed := len(join(e.records[:e.at(3)])) // header, key, chunks and a mark
		if e.seal == call.SealNone {
			sealed = 0
		}
		for i := range len(file) * 8 {
			file[i/8] ^= 1 << (i % 8)
			c, err := seal.Verify(bytes.NewReader(file), e.keys)
			if err == nil && (c.SHA256 == e.w.SHA256() || c.Chain == e.w.Chain()) {
				t.Errorf("bit %d of byte %d: passes with the manifest's hash", i%8, i/8)
			}
			if err == nil && i/8 < sealed {
				t.Errorf("bit %d of byte %d: passes with the key", i%8, i/8)
			}
			file[i/8] ^= 1 << (i % 8)
		}
	})
}

// TestHoles: records that were damaged on the card are named, and the rest is whole.
func TestHoles(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		size := e.w.Size()
		for name, c := range map[string]struct {
			from, to int // from the first chunk
			media    string
			marks    int
			frames   int64
		}{
			"first chunk":     {0, 1, "first secondrest", 2, 8200},
			"chunk":           {1, 2, "headrest", 2, 8200},
			"mark":            {2, 3, media, 1, 8200},
			"gap":             {3, 4, media, 1, 8200},
			"last chunk":      {4, 5, "headfirst second", 2, 8200},
			"all before last": {0, 5, "", 0, 8200},
		} {
			file := hole(e.at(c.from), e.at(c.to)).of(e.records)
			got, err := seal.Verify(bytes.NewReader(file), e.keys)
			want := call.Hole{
				Record: uint32(e.at(c.from)), Records: uint32(c.to - c.from),
				Offset: int64(len(join(e.records[:e.at(c.from)]))), Size: int64(len(join(e.records[e.at(c.from):e.at(c.to)]))),
			}
			if err != nil || got.Size != size || len(got.Holes) != 1 || got.Holes[0] != want || !got.Opened ||
				len(got.Marks) != c.marks || got.Frames != c.frames || got.Records != uint32(len(e.records)) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			_, in, err := seal.OpenMedia(bytes.NewReader(file), e.keys)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := io.ReadAll(in); err != nil || string(m) != c.media {
				t.Errorf("%s: media %q, %v", name, m, err)
			}
			if w, _, whole, err := seal.ResumeWriter(bytes.NewReader(file)); err != nil || !whole || w.SHA256() != got.SHA256 || w.Chain() != got.Chain {
				t.Errorf("%s: resume: %v", name, err)
			}
		}
		// One behind the other are one to the reader.
		file := after(hole(e.at(0), e.at(1)), hole(e.at(1), e.at(3))).of(e.records)
		got, err := seal.Verify(bytes.NewReader(file), e.keys)
		if err != nil || len(got.Holes) != 1 || got.Holes[0].Records != 3 {
			t.Errorf("two that adjoin: %+v, %v", got.Holes, err)
		}
	})
}

// TestHoleOfTheKey: nothing opens any more, which is not the keys' fault.
func TestHoleOfTheKey(t *testing.T) {
	e := examples(t)[0]
	file := hole(1, 2).of(e.records)
	c, err := seal.Verify(bytes.NewReader(file), e.keys)
	if err != nil || c.Opened || len(c.Holes) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, in, err := seal.OpenMedia(bytes.NewReader(file), e.keys); err != nil {
		t.Error(err)
	} else if _, err := io.ReadAll(in); err == nil || !strings.Contains(err.Error(), "key record is missing") {
		t.Error(err)
	}
	if _, _, err := seal.Salvage(bytes.NewReader(file), e.keys); err == nil || !strings.Contains(err.Error(), "key record is missing") {
		t.Error(err)
	}
}

func TestHoleSizes(t *testing.T) {
	const largest = seal.HeadSize + seal.MaxBody
	for _, c := range []struct {
		records uint32
		size    int64
		heads   int // of the records that it takes; 0: nothing has that size
	}{
		{0, 100, 0}, {1, 23, 0}, {1, 24, 1}, {1, 5000, 1}, {3, 71, 0}, {3, 72, 1}, {1, largest, 1}, {1, largest + 1, 2},
		{2, largest + 1, 2}, {2, 2 * largest, 2}, {2, 2*largest - 1, 2}, {9, 2*largest + 50, 3}, {1, 3*largest + 23, 4}, {400, 7 * largest, 7},
		{50000, largest + 2000000, 3}, {70000, 2 * largest, 2},
	} {
		data := seal.Hole(5, c.records, c.size)
		if c.heads == 0 {
			if data != nil {
				t.Errorf("%d records of %d bytes: a hole of %d bytes", c.records, c.size, len(data))
			}
			continue
		}
		first, heads := uint32(5), 0
		for rest := data; len(rest) > 0; heads++ {
			length := seal.HeadSize + int(binary.LittleEndian.Uint32(rest[20:]))
			r, err := seal.ParseRecord(rest[:length])
			if err != nil || r.Kind != call.KindHole || r.Number != first {
				t.Fatalf("%d records of %d bytes: %+v, %v", c.records, c.size, r, err)
			}
			first, rest = first+r.Frames, rest[length:]
		}
		if int64(len(data)) != c.size || first != 5+max(c.records, uint32(c.heads)) || heads != c.heads {
			t.Errorf("%d records of %d bytes: %d bytes, up to record %d, in %d heads", c.records, c.size, len(data), first, heads)
		}
	}
}
