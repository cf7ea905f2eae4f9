package wire_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/wire"
)

func TestZip(t *testing.T) {
	want := wire.EntryBatch{Entries: []string{strings.Repeat("abc", 1000), "d"}}
	b, err := wire.Zip(want)
	if err != nil || len(b) > 200 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var got wire.EntryBatch
	if err := wire.Decode(b, &got); err != nil || !slices.Equal(got.Entries, want.Entries) {
		t.Errorf("%v, %v", got, err)
	}
	bomb, err := wire.Zip(strings.Repeat("a", 3*wire.MaxEntryBatch))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"only its mark": b[:2], "cut": b[:len(b)-9], "altered": append(slices.Clone(b[:len(b)-8]), make([]byte, 8)...), "a bomb": bomb} {
		if err := wire.Decode(bad, new(wire.EntryBatch)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
