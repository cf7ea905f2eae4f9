package verify_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

func TestWholeDayIsGreen(t *testing.T) {
	d := newDay(t, newOffice(t))
	for name, keys := range map[string]seal.Keys{"without the key": nil, "with it": d.office.keys} {
		r := d.verify(verify.Options{Trust: d.trust(), Keys: keys})
		if r.Colour != verify.Green || r.Calls != 20 || r.Entries != 41 || len(r.Findings) != 0 {
			t.Errorf("%s: %s %v", name, r, d.brief(r))
		}
	}
}

// TestWithKey: the call's key names the record.
func TestWithKey(t *testing.T) {
	d := newDay(t, newOffice(t))
	f := d.files[name(d.calls[9])]
	_, h := hole(t, f, 4)
	f[h.Offset+30] ^= 1
	r := d.verify(verify.Options{Trust: d.trust(), Keys: d.office.keys})
	if got := d.brief(r); !reflect.DeepEqual(got, []string{"red altered entry 21 call 9 record 4 in lkc"}) {
		t.Errorf("%q", got)
	}
	if o := r.Findings[0].Offset; o == nil || *o != h.Offset {
		t.Errorf("offset %v", o)
	}
	d = newDay(t, d.office)
	r = d.verify(verify.Options{Trust: d.trust(), Keys: d.office.strangers})
	if r.Colour != verify.Amber || len(r.Findings) != 20 || r.Findings[3].Code != verify.CodeNoKey {
		t.Errorf("another key: %s %q", r, d.brief(r))
	}
}

// TestKeyShowsMoreThanTheSignature: audio that was altered on the card before the recorder signed for it, which it does
// when it closes a call after a power cut, is signed; only the call's key shows it.
func TestKeyShowsMoreThanTheSignature(t *testing.T) {
	d := newDay(t, newOffice(t))
	d.signAltered(t, seal.HeadSize)
	if r := d.verify(verify.Options{Trust: d.trust()}); r.Colour != verify.Green {
		t.Errorf("without the key: %s %q", r, d.brief(r))
	}
	r := d.verify(verify.Options{Trust: d.trust(), Keys: d.office.keys})
	if got := d.brief(r); !reflect.DeepEqual(got, []string{"red altered entry 43 call 30 record 4 in lkc"}) {
		t.Errorf("with it: %q", got)
	}
}

// TestEveryBit: a call file altered in any single bit is never green, and never amber where its manifest is here.
func TestEveryBit(t *testing.T) {
	d := emptyDay(t, newOffice(t), 7, nil)
	d.call(0)
	file := d.files[name(d.calls[0])]
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			r, err := verify.Check(t.Context(), d.library(), verify.Options{})
			if err != nil || r.Colour != verify.Red {
				t.Fatalf("byte %d, bit %d: %s %q, %v", i, bit, r, d.brief(r), err)
			}
			file[i] ^= 1 << bit
		}
	}
	if r, err := verify.Check(t.Context(), d.library(), verify.Options{}); err != nil || r.Colour != verify.Green {
		t.Errorf("at the end: %s, %v", r, err)
	}
}

// TestEveryBitAlone: without a manifest it is never green.
func TestEveryBitAlone(t *testing.T) {
	d := emptyDay(t, newOffice(t), 7, nil)
	d.call(0)
	file := d.files[name(d.calls[0])]
	path := filepath.Join(t.TempDir(), "x.lkc")
	red := 0
	for i := 0; i < len(file); i += 3 {
		altered := bytes.Clone(file)
		altered[i] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, altered, 0o600))
		r, err := verify.Paths(t.Context(), []string{path}, verify.Options{Keys: d.office.keys})
		if err != nil || r.Colour == verify.Green {
			t.Fatalf("byte %d: %s %q, %v", i, r, d.brief(r), err)
		}
		if r.Colour == verify.Red {
			red++
		}
	}
	if red < len(file)/4 { // the end, in clear, can be changed to another that fits
		t.Errorf("the key shows %d of %d", red, len(file)/3)
	}
}

func TestJSONIsStable(t *testing.T) {
	d := newDay(t, newOffice(t))
	d.damage(t, 9, 4)
	r := d.verify(verify.Options{Trust: d.trust()})
	r.Findings[0].File = "F"
	got, err := json.Marshal(r)
	must(t, err)
	want := `{"colour":"amber","findings":[{"colour":"amber","code":"hole","text":"one record was damaged on the recorder's card",` +
		`"file":"F","device":"` + string(d.office.id()) + `","epoch":"000000000000E","entry":42,"call":"` + d.calls[9].String() + `","record":4,"offset":`
	if !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), `}],"calls":20,"entries":42,"times":[]}`) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
