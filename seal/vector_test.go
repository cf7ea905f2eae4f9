package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

var update = flag.Bool("update", false, "makes the vectors of this version again, which invalidates those that were released")

// vectorKeys opens every vector. It is known to everybody and opens nothing else.
const vectorKeys = "testdata/v1.key"

// vector is what a vector's file must be found to hold.
type vector struct {
	Media string      `json:"media"` // hex
	Marks []call.Mark `json:"marks"`
	Holes []call.Hole `json:"holes"`
	End   call.End    `json:"end"`
	Seal  call.Seal   `json:"seal"`
	Chain string      `json:"chain"`
	Hash  string      `json:"sha256"`
	Head  call.Header `json:"header"`

	file []byte
	keys seal.Keys
}

// vectorNames are the vectors of version 1, which every later version of this package reads.
var vectorNames = []string{"v1-sealed", "v1-clear", "v1-hole", "v1-recovered"}

func readVector(t testing.TB, name string) vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if v.file, err = os.ReadFile(filepath.Join("testdata", name+".lkc")); err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(vectorKeys)
	if err != nil {
		t.Fatal(err)
	}
	if v.keys, err = seal.ParseKeys(string(secret)); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	if *update {
		makeVectors(t)
	}
	for _, name := range vectorNames {
		t.Run(name, func(t *testing.T) {
			v := readVector(t, name)
			c, err := seal.Verify(bytes.NewReader(v.file), v.keys)
			if err != nil || !c.Opened {
				t.Fatalf("%+v, %v", c, err)
			}
			if !reflect.DeepEqual(c.Header, v.Head) || !reflect.DeepEqual(c.Marks, v.Marks) || !reflect.DeepEqual(c.End, v.End) ||
				!reflect.DeepEqual(c.Holes, v.Holes) || c.SHA256 != v.Hash || c.Chain != v.Chain || c.Header.Seal != v.Seal {
				t.Errorf("got %+v\nwant %+v", c, v)
			}
			got, err := readMedia(v.file, v.keys)
			if err != nil || hex.EncodeToString([]byte(got)) != v.Media {
				t.Errorf("media %x, %v", got, err)
			}
			if got, found := salvageOf(t, v); got != v.Media || len(found.Lost) != len(v.Holes) {
				t.Errorf("salvaged %s, %+v", got, found)
			}
		})
	}
}

func salvageOf(t *testing.T, v vector) (string, seal.Found) {
	got, found := salvage(t, v.file, v.keys)
	return hex.EncodeToString([]byte(got)), found
}

// makeVectors writes the vectors, with the key that is there.
func makeVectors(t *testing.T) {
	secret, err := os.ReadFile(vectorKeys)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeys(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	sealed := write(t, header, nil, keys[0].Recipient(), newKey(t).Recipient())
	cut := sealed.records[:sealed.at(4)]
	w, end, _, err := seal.ResumeWriter(bytes.NewReader(join(cut)))
	if err != nil {
		t.Fatal(err)
	}
	end.Reason, end.Recovered = call.EndedPowerLost, true
	rec, err := w.End(end)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"v1-sealed":    sealed.file(),
		"v1-clear":     write(t, header, nil).file(),
		"v1-hole":      hole(sealed.at(1), sealed.at(3)).of(sealed.records),
		"v1-recovered": append(join(cut), rec.Data...),
	} {
		c, err := seal.Verify(bytes.NewReader(file), keys)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readMedia(file, keys)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(vector{
			Media: hex.EncodeToString([]byte(got)), Marks: c.Marks, Holes: c.Holes, End: c.End, Seal: c.Header.Seal,
			Chain: c.Chain, Hash: c.SHA256, Head: c.Header,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", name+".json"), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", name+".lkc"), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHeadVector holds the framing to the example of docs/format-call.md.
func TestHeadVector(t *testing.T) {
	w, _, err := seal.NewWriter(header, nil)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := w.Chunk(0x0102030405, 0x1122, []byte{0xAA, 0xBB})
	want := "03010000" + "01000000" + "0504030201000000" + "22110000" + "02000000" + "aabb"
	if got := hex.EncodeToString(rec.Data); err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
