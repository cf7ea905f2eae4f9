package seal_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

func salvage(t testing.TB, file []byte, keys seal.Keys) (string, seal.Found) {
	t.Helper()
	h, in, err := seal.Salvage(bytes.NewReader(file), keys)
	if err != nil || h.Call != header.Call {
		t.Fatalf("%+v, %v", h, err)
	}
	got, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(got), in.Found()
}

func TestSalvageWhole(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		got, found := salvage(t, e.file(), e.keys)
		end := call.End{Reason: call.EndedSilence, Frames: 8200, Gaps: []call.Gap{gap}, Records: uint32(len(e.records))}
		want := seal.Found{Marks: []call.Mark{mark, gapMark}, End: &end, Frames: 8200}
		if got != media || !reflect.DeepEqual(found, want) {
			t.Errorf("%q, %+v", got, found)
		}
	})
}

// loss is what a Loss must be, but for its reason.
type loss struct {
	record, records uint32
	frames          int64
}

// TestSalvage damages a file in every way that was thought of: what was not hit comes out, and what was is named.
func TestSalvage(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		n := func(i int) uint32 { return uint32(e.at(i)) }
		noise := func(r []call.Record) []call.Record {
			r[e.at(1)].Data = append(r[e.at(1)].Data, "not a record at all, and of no use to anybody"...)
			return r
		}
		// Without a seal nothing but its neighbours speaks for a record.
		inClear := map[string]struct {
			media string
			lost  []loss
		}{
			"two apart":     {"rest", []loss{{n(0), 3, 8000}}},
			"noise between": {"headrest", []loss{{n(1), 1, 8000}}},
			"twice":         {media, []loss{{n(1), 0, 0}}},
		}
		for name, c := range map[string]struct {
			damage damage
			media  string
			lost   []loss
		}{
			"kind":          {set(e.at(1), 0, 0), "headrest", []loss{{n(1), 1, 8000}}},
			"version":       {set(e.at(1), 1, 0), "headrest", []loss{{n(1), 1, 8000}}},
			"length, less":  {set(e.at(1), 20, 3), "headrest", []loss{{n(1), 1, 8000}}},
			"length, more":  {set(e.at(1), 20, 60), "headrest", []loss{{n(1), 1, 8000}}},
			"length, huge":  {set(e.at(1), 22, 15), "headrest", []loss{{n(1), 1, 8000}}},
			"number":        {set(e.at(1), 4, 200), "headrest", []loss{{n(1), 1, 8000}}},
			"number, less":  {set(e.at(1), 4, 1), "headrest", []loss{{n(1), 1, 8000}}},
			"mark":          {set(e.at(2), seal.HeadSize, 0), media, []loss{{n(2), 1, 0}}},
			"gap":           {set(e.at(3), seal.HeadSize, 0), media, []loss{{n(3), 1, 0}}},
			"end":           {set(e.at(5), seal.HeadSize, 0), media, []loss{{n(5), 0, 0}}},
			"two":           {after(set(e.at(0), 2, 1), set(e.at(1), 2, 1)), "rest", []loss{{n(0), 2, 8000}}},
			"two apart":     {after(set(e.at(0), 2, 1), set(e.at(2), 2, 1)), "first secondrest", []loss{{n(0), 1, 0}, {n(2), 1, 0}}},
			"cut out":       {drop(e.at(1), e.at(2)), "headrest", []loss{{n(1), 1, 8000}}},
			"noise between": {noise, media, []loss{{n(2), 0, 0}}},
			"noise behind":  {func(r []call.Record) []call.Record { return append(r, call.Record{Data: []byte("noise")}) }, media, []loss{{n(6), 0, 0}}},
			"twice":         {func(r []call.Record) []call.Record { return append(r[:e.at(2):e.at(2)], r[e.at(1):]...) }, media, []loss{{n(2), 0, 0}}},
			"hole":          {hole(e.at(1), e.at(3)), "headrest", []loss{{n(1), 2, 8000}}},
			"zeroed":        {after(hole(e.at(1), e.at(3)), set(e.at(1), 0, make([]byte, seal.HeadSize)...)), "headrest", []loss{{n(1), 2, 8000}}},
			"cut": {func(r []call.Record) []call.Record {
				r[e.at(4)].Data = r[e.at(4)].Data[:26]
				return r[:e.at(5)]
			}, "headfirst second", []loss{{n(4), 0, 0}}},
			"cut between": {drop(e.at(2), e.at(6)), "headfirst second", nil},
		} {
			t.Run(name, func(t *testing.T) {
				got, found := salvage(t, c.damage.of(e.records), e.keys)
				var lost []loss
				for _, l := range found.Lost {
					lost = append(lost, loss{l.Record, l.Records, l.Frames})
				}
				want := c
				if clear, is := inClear[name]; is && e.seal == call.SealNone {
					want.media, want.lost = clear.media, clear.lost
				}
				if got != want.media || !reflect.DeepEqual(lost, want.lost) {
					t.Errorf("media %q, %+v", got, found.Lost)
				}
			})
		}
	})
}

// TestSalvageAnyByte: one bit costs one record at most, wherever it is behind header and key.
func TestSalvageAnyByte(t *testing.T) {
	chunks := []string{"head", "first second", "rest"}
	each(t, func(t *testing.T, e example) {
		file := e.file()
		for i := len(join(e.records[:e.at(0)])); i < len(file); i++ {
			bit := byte(1) << (i % 8)
			file[i] ^= bit
			got, found := salvage(t, file, e.keys)
			missing := 0
			for _, c := range chunks {
				if !strings.Contains(got, c) {
					missing++
				}
			}
			if missing > 1 || len(found.Marks) < 1 || missing > 0 && len(found.Lost) == 0 && e.seal != call.SealNone {
				t.Fatalf("bit %d of byte %d: %q, %+v", i%8, i, got, found)
			}
			file[i] ^= bit
		}
	})
}

// TestSalvageCutAnywhere: of what has arrived every whole record counts.
func TestSalvageCutAnywhere(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		file, first := e.file(), len(join(e.records[:e.at(0)]))
		for n := range file {
			if n < first {
				if _, _, err := seal.Salvage(bytes.NewReader(file[:n]), e.keys); err == nil {
					t.Fatalf("cut at %d: opened", n)
				}
				continue
			}
			got, found := salvage(t, file[:n], e.keys)
			want := ""
			for at, i := first, 0; i < 5; i++ {
				if at += len(e.records[e.at(i)].Data); at <= n {
					want += []string{"head", "first second", "", "", "rest"}[i]
				}
			}
			if got != want || found.End != nil {
				t.Fatalf("cut at %d: %q, want %q, %+v", n, got, want, found)
			}
		}
	})
}

// TestSalvageLarge: damage among chunks larger than any buffer on the way.
func TestSalvageLarge(t *testing.T) {
	key := newKey(t)
	w, records, err := seal.NewWriter(header, seal.Recipients{key.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i := range 9 {
		media := bytes.Repeat([]byte{byte(i), 1, 0, 0}, (seal.MaxBody-seal.Overhead)/4)
		rec, err := w.Chunk(int64(i), 1, media)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			binary.LittleEndian.PutUint32(rec.Data[20:], uint32(i*1000))
		} else {
			want.Write(media)
		}
		records = append(records, rec)
	}
	got, found := salvage(t, join(records), seal.Keys{key})
	if got != want.String() || len(found.Lost) != 3 || found.Frames != 9 {
		t.Errorf("%d bytes of media, want %d; %+v", len(got), want.Len(), found)
	}
}

// TestSalvageHostile: in a file in which every place looks like a large record, the search does not try them all.
func TestSalvageHostile(t *testing.T) {
	e := examples(t)[0]
	file := join(e.records[:e.at(0)])
	head := make([]byte, seal.HeadSize)
	head[0], head[1], head[4] = byte(call.KindChunk), seal.Version, 9
	binary.LittleEndian.PutUint32(head[20:], seal.MaxBody-1)
	file = append(file, bytes.Repeat(head, 4<<20/len(head))...)
	file = append(file, e.records[e.at(0)].Data...)
	got, found := salvage(t, file, e.keys)
	if got != "head" || len(found.Lost) != 1 {
		t.Errorf("%q, %+v", got, found)
	}
}
