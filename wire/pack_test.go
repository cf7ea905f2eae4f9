package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/adler32"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// anEntry has the form of a ledger's.
func anEntry(number int) string {
	payload := fmt.Sprintf(`{"v":1,"type":"begin","device":"ABCDEFGH","epoch":"000000000000E","number":%d,"prev":"%064x","line":"front desk","reason":"voice"}`, number, number*7919)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"ABCDEFGH"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{byte(number)}, 64))
}

func TestPack(t *testing.T) {
	id := call.NewID()
	for name, want := range map[string]any{
		"entries":            wire.EntryBatch{Entries: []string{anEntry(1), anEntry(2)}},
		"one entry":          wire.EntryBatch{Entries: []string{anEntry(1)}},
		"no JWS":             wire.EntryBatch{Entries: []string{"abc", "d"}},
		"base64 of another":  wire.EntryBatch{Entries: []string{"e30." + "e31" + ".c2ln"}}, // bits that a decoder drops
		"line feed inside":   wire.EntryBatch{Entries: []string{base64.RawURLEncoding.EncodeToString([]byte("{\n}")) + ".e30.c2ln"}},
		"padded":             wire.EntryBatch{Entries: []string{"e30=.e30=.c2ln"}},
		"signature of lines": wire.EntryBatch{Entries: []string{"e30.e30.a\nb"}},
		"have":               wire.HaveQuestion{Epoch: 14, Calls: []call.ID{id}},
		"status":             wire.Status{Device: "ABCDEFGH", Online: true, Reasons: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			packed, err := wire.Pack(want)
			if err != nil {
				t.Fatal(err)
			}
			wantJSON, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got any
			switch want.(type) {
			case wire.EntryBatch:
				v := new(wire.EntryBatch)
				err, got = wire.Decode(packed, v), v
			case wire.HaveQuestion:
				v := new(wire.HaveQuestion)
				err, got = wire.Decode(packed, v), v
			case wire.Status:
				v := new(wire.Status)
				err, got = wire.Decode(packed, v), v
			}
			if err != nil {
				t.Fatal(err)
			}
			if gotJSON, err := json.Marshal(got); err != nil || !bytes.Equal(gotJSON, wantJSON) {
				t.Errorf("got %s, want %s", gotJSON, wantJSON)
			}
		})
	}
}

// A receiver of somebody else's has a copy of the dictionary.
func TestTheDictionaryStays(t *testing.T) {
	if sum := adler32.Checksum(wire.Dictionary); sum != 0x0d363042 {
		t.Errorf("the dictionary's Adler-32 is %08x: recorders and receivers that have another one do not understand each other", sum)
	}
}

func TestDamagedMessages(t *testing.T) {
	want := wire.EntryBatch{Entries: []string{anEntry(1), anEntry(2)}}
	packed, err := wire.Pack(want)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Join(want.Entries, "")); len(packed) > n/2 {
		t.Errorf("entries of %d bytes have %d packed", n, len(packed))
	}
	bomb, err := wire.Pack(strings.Repeat("a", 3*wire.MaxEntryBatch))
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if err := json.NewEncoder(z).Encode(want); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var got wire.EntryBatch
	if err := wire.Decode(zipped.Bytes(), &got); err != nil || !slices.Equal(got.Entries, want.Entries) {
		t.Errorf("gzipped: %v, %v", got, err)
	}
	other := slices.Clone(packed)
	other[3]++
	for name, bad := range map[string][]byte{
		"nothing": {}, "only its mark": packed[:2], "only its head": packed[:6], "cut": packed[:len(packed)-5], "altered": append(slices.Clone(packed[:len(packed)-4]), 0, 0, 0, 0),
		"another dictionary": other, "a bomb": bomb, "gzip, only its mark": zipped.Bytes()[:2], "gzip, cut": zipped.Bytes()[:zipped.Len()-9],
		"two lines": []byte("{}\n{}\n"), "four lines": []byte("{}\n{}\nab\n{}\n"), "no last line feed": []byte("{}\n{}\nab"), "no entries": []byte(`{"entries":[]}`),
	} {
		if err := wire.Decode(bad, new(wire.EntryBatch)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
