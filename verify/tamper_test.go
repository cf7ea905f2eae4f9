package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/verify"
)

// tamperings is what can be done to a day, and what is found. Calls count from 0; call n begins at entry 2n+2.
var tamperings = map[string]struct {
	do     func(t *testing.T, d *day)
	colour verify.Colour
	want   []string
}{
	"call file taken away": {func(t *testing.T, d *day) { delete(d.files, name(d.calls[9])) },
		verify.Red, []string{"red call-missing entry 21 call 9"}},
	"call taken away, and its entries": {func(t *testing.T, d *day) {
		delete(d.files, name(d.calls[9]))
		d.drop(d.begins[9], d.ends[9])
	}, verify.Red, []string{"red entry-missing entry 20"}},
	"call taken away, and its end entry": {func(t *testing.T, d *day) {
		delete(d.files, name(d.calls[9]))
		d.drop(d.ends[9])
	}, verify.Red, []string{"red entry-missing entry 21", "amber open entry 20 call 9"}},
	"end entry taken away": {func(t *testing.T, d *day) { d.drop(d.ends[9]) },
		verify.Red, []string{"red entry-missing entry 21", "amber no-manifest entry 20 call 9 in lkc"}},
	"begin entry taken away": {func(t *testing.T, d *day) { d.drop(d.begins[9]) },
		verify.Red, []string{"red entry-missing entry 20"}},
	"first entries taken away": {func(t *testing.T, d *day) { d.drop(0, 1, 2); delete(d.files, name(d.calls[0])) },
		verify.Amber, []string{"amber excerpt entry 4"}},
	"last call's end taken away": {func(t *testing.T, d *day) { d.drop(40) },
		verify.Amber, []string{"amber no-manifest entry 40 call 19 in lkc"}},
	"last call's entries taken away": {func(t *testing.T, d *day) { d.drop(39, 40) },
		verify.Amber, []string{"amber no-manifest entry 40 call 19 in lkc"}},
	"ledger taken away": {func(t *testing.T, d *day) {
		d.files["day.ledger"] = nil
		clear(d.files)
		d.files[name(callID(3))], _ = d.record(d.beginOf(3), call.End{})
		d.files["day.ledger"] = nil
	},
		verify.Amber, []string{"amber no-manifest entry 8 call 3 in lkc"}},
	"numbers closed up": {func(t *testing.T, d *day) { // the entries behind are numbered anew; only the recorder could sign them
		delete(d.files, name(d.calls[19]))
		d.drop(39, 40)
		d.jws[38] = d.sign(d.office.device, d.jws[38], func(e *call.Entry) { e.Previous = strings.Repeat("0f", 32) })
	}, verify.Red, []string{"red entry-replaced entry 38"}},

	"entry signed by another": {func(t *testing.T, d *day) {
		d.jws[20] = d.forge(20)
	}, verify.Red, []string{"red wrong-signer entry 21 in ledger", "amber no-manifest entry 20 call 9 in lkc"}},
	"first entry signed by another": {func(t *testing.T, d *day) { d.jws[0] = d.forge(0) },
		verify.Red, []string{"red wrong-signer entry 1 in ledger"}},
	"last entry signed by another": {func(t *testing.T, d *day) { d.jws[40] = d.forge(40) },
		verify.Red, []string{"red wrong-signer entry 41 in ledger", "amber no-manifest entry 40 call 19 in lkc"}},
	"forged beside the true one": {func(t *testing.T, d *day) {
		d.jws = slices.Insert(d.jws, 20, d.forge(20))
	}, verify.Red, []string{"red wrong-signer entry 21 in ledger"}},
	"two entries of one number": {func(t *testing.T, d *day) {
		d.jws = slices.Insert(d.jws, 21, d.sign(d.office.device, d.jws[20], func(e *call.Entry) { e.Line = "2" }))
	}, verify.Red, []string{"red entry-twice entry 21 in ledger"}},
	"entry replaced by one of the recorder's": {func(t *testing.T, d *day) {
		d.jws[19] = d.sign(d.office.device, d.jws[19], func(e *call.Entry) { e.Line = "2" })
	}, verify.Red, []string{"red entry-replaced entry 20"}},
	"entry doubled": {func(t *testing.T, d *day) { d.jws = slices.Insert(d.jws, 21, d.jws[20]) }, verify.Green, nil},
	"lines swapped": {func(t *testing.T, d *day) { d.jws[20], d.jws[21] = d.jws[21], d.jws[20] },
		verify.Amber, []string{"amber disorder entry 21 in ledger"}},
	"payloads swapped": {func(t *testing.T, d *day) {
		a, b := bytes.Split(d.jws[19], []byte(".")), bytes.Split(d.jws[20], []byte("."))
		a[1], b[1] = b[1], a[1]
		d.jws[19], d.jws[20] = bytes.Join(a, []byte(".")), bytes.Join(b, []byte("."))
	}, verify.Red, []string{"amber disorder entry 20 in ledger", "red wrong-signer entry 20 in ledger", "red wrong-signer entry 21 in ledger", "amber no-manifest entry 20 call 9 in lkc"}},
	"rubbish in the ledger": {func(t *testing.T, d *day) { d.jws = slices.Insert(d.jws, 21, []byte("rubbish")) },
		verify.Red, []string{"red not-an-entry in ledger"}},
	"a line without end": {func(t *testing.T, d *day) { d.jws = append(d.jws, bytes.Repeat([]byte("x"), 1<<18)) },
		verify.Red, []string{"red not-an-entry in ledger"}},
	"unsigned entry": {func(t *testing.T, d *day) {
		p := bytes.Split(d.jws[20], []byte("."))
		d.jws[20] = []byte("eyJhbGciOiJub25lIn0." + string(p[1]) + ".")
	}, verify.Red, []string{"red not-an-entry in ledger", "red entry-missing entry 21", "amber no-manifest entry 20 call 9 in lkc"}},

	"call file altered in a body": {func(t *testing.T, d *day) { f := d.files[name(d.calls[9])]; f[len(f)-200] ^= 1 },
		verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"call file altered in its end": {func(t *testing.T, d *day) {
		f := d.files[name(d.calls[9])]
		copy(f[bytes.LastIndex(f, []byte("silence")):], "on-hook")
	}, verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"call file altered in a head": {func(t *testing.T, d *day) {
		f := d.files[name(d.calls[9])]
		_, h := hole(t, f, 4)
		f[h.Offset] = 99
	}, verify.Red, []string{"red altered entry 21 call 9 record 4 in lkc"}},
	"call file's header destroyed": {func(t *testing.T, d *day) { d.files[name(d.calls[9])][30] = 0 },
		verify.Red, []string{"red altered entry 21 call 9 record 0 in lkc"}},
	"call file of noise": {func(t *testing.T, d *day) { d.files["x.lkc"] = []byte("noise") },
		verify.Red, []string{"red altered in lkc"}},
	"call file longer": {func(t *testing.T, d *day) { d.files[name(d.calls[9])] = append(d.files[name(d.calls[9])], 0) },
		verify.Red, []string{"red altered entry 21 call 9 record 7 in lkc"}},
	"call file cut short": {func(t *testing.T, d *day) {
		f := d.files[name(d.calls[9])]
		_, h := hole(t, f, 4)
		d.files[name(d.calls[9])] = f[:h.Offset+5]
	}, verify.Amber, []string{"amber incomplete entry 21 call 9 record 4 in lkc"}},
	"call file empty": {func(t *testing.T, d *day) { d.files[name(d.calls[9])] = []byte{} },
		verify.Amber, []string{"amber incomplete entry 21 call 9 record 0 in lkc"}},
	"call file of another call under its name": {func(t *testing.T, d *day) { d.files[name(d.calls[9])] = d.files[name(d.calls[8])] },
		verify.Red, []string{"red call-foreign call 8 in lkc", "red call-missing entry 21 call 9"}},
	"two call files changed names": {func(t *testing.T, d *day) {
		a, b := name(d.calls[8]), name(d.calls[9])
		d.files[a], d.files[b] = d.files[b], d.files[a]
	}, verify.Red, []string{"red call-foreign call 9 in lkc", "red call-foreign call 8 in lkc"}},
	"call file under another name": {func(t *testing.T, d *day) {
		d.files["the one about the money.lkc"] = d.files[name(d.calls[9])]
		delete(d.files, name(d.calls[9]))
	}, verify.Green, nil},
	"call file twice": {func(t *testing.T, d *day) { d.files["copy.lkc"] = d.files[name(d.calls[9])] }, verify.Green, nil},
	"call file twice, and different": {func(t *testing.T, d *day) {
		f := bytes.Clone(d.files[name(d.calls[9])])
		f[len(f)-200] ^= 1
		d.files["copy.lkc"] = f
	}, verify.Red, []string{"red call-twice call 9 in lkc"}},
	"call recorded again by somebody else": {func(t *testing.T, d *day) { d.files[name(d.calls[9])], _ = d.record(d.beginOf(9), call.End{}) },
		verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"call that the ledger does not know": {func(t *testing.T, d *day) {
		e := d.beginOf(9)
		id := callID(77)
		e.Call = &id
		d.files[name(id)], _ = d.record(e, call.End{})
	}, verify.Red, []string{"red call-foreign entry 20 call 77 in lkc"}},
	"call beyond the ledger": {func(t *testing.T, d *day) {
		e := d.beginOf(9)
		id := callID(77)
		e.Call, e.Number = &id, 4711
		d.files[name(id)], _ = d.record(e, call.End{})
	}, verify.Amber, []string{"amber no-manifest entry 4711 call 77 in lkc"}},
	"manifest for other bytes": {func(t *testing.T, d *day) {
		id := callID(50)
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		m := d.manifest(d.files[name(d.calls[8])], call.End{Reason: call.EndedSilence})
		d.add(call.Entry{Type: call.EntryEnd, Call: &id, Line: "1", Manifest: &m})
		e := d.beginOf(9)
		e.Call, e.Number = &id, 42
		d.files[name(id)], _ = d.record(e, call.End{})
	}, verify.Red, []string{"red altered entry 43 call 50 in lkc"}},
	"manifest beside that is another": {func(t *testing.T, d *day) {
		d.files[d.calls[9].String()+".jws"] = d.forge(20)
	}, verify.Red, []string{"red wrong-signer entry 21 in jws"}},
	"manifest beside, the same": {func(t *testing.T, d *day) { d.files[d.calls[9].String()+".jws"] = d.jws[20] }, verify.Green, nil},

	"in progress": {func(t *testing.T, d *day) {
		id := callID(30)
		e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		f, _ := d.record(e, call.End{})
		d.files[name(id)] = f[:len(f)-150]
	}, verify.Amber, []string{"amber open entry 42 call 30 in lkc"}},
	"in progress, nothing here": {func(t *testing.T, d *day) {
		id := callID(30)
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
	}, verify.Amber, []string{"amber open entry 42 call 30"}},
	"in progress, altered": {func(t *testing.T, d *day) {
		id := callID(30)
		e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		f, _ := d.record(e, call.End{})
		_, h := hole(t, f, 3)
		f[h.Offset] = 99
		d.files[name(id)] = f
	}, verify.Red, []string{"red altered entry 42 call 30 record 3 in lkc"}},
	"power cut, a gap": {func(t *testing.T, d *day) {
		id := callID(30)
		e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		f, m := d.record(e, call.End{Reason: call.EndedPowerLost, Recovered: true, Gaps: []call.Gap{{Position: 8000, Frames: 800, Cause: call.CauseOverrun}}})
		d.files[name(id)] = f
		d.add(call.Entry{Type: call.EntryEnd, Call: &id, Line: "1", Manifest: &m})
	}, verify.Amber, []string{"amber power-cut entry 43 call 30 in lkc", "amber gap entry 43 call 30 in lkc"}},
	"a gap outside": {func(t *testing.T, d *day) {
		d.add(call.Entry{Type: call.EntryGap, Line: "1", Gap: &call.Gap{Position: 1, Frames: 8000, Cause: call.CauseCardLost}})
	}, verify.Amber, []string{"amber gap entry 42"}},
	"what is no fault": {func(t *testing.T, d *day) {
		id := callID(30)
		d.add(call.Entry{Type: call.EntryMissed, Line: "1", Missed: &call.Missed{Rings: 3, Waited: 12}})
		d.add(call.Entry{Type: call.EntryPause, Line: "1", Gap: &call.Gap{Frames: 8000}})
		d.add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: "b", Grade: call.GradeNTP}})
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		d.add(call.Entry{Type: call.EntryRefusal, Call: &id, Line: "1"})
	}, verify.Green, nil},
	"refused, and there is a file": {func(t *testing.T, d *day) {
		id := callID(30)
		e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		d.files[name(id)], _ = d.record(e, call.End{})
		d.add(call.Entry{Type: call.EntryRefusal, Call: &id, Line: "1"})
	}, verify.Amber, []string{"amber no-manifest entry 42 call 30 in lkc"}},
	"amended": {func(t *testing.T, d *day) { d.damage(t, 9, 4) },
		verify.Amber, []string{"amber hole entry 42 call 9 record 4 in lkc"}},
	"amended twice": {func(t *testing.T, d *day) { d.damage(t, 9, 4); d.damage(t, 9, 3) },
		verify.Amber, []string{"amber hole entry 43 call 9 record 3 in lkc"}},
	"amended twice, both from the beginning": {func(t *testing.T, d *day) {
		d.damage(t, 9, 4)
		d.damage(t, 9, 3)
		first, err := ledger.Parse(d.jws[41])
		must(t, err)
		d.jws[42] = d.sign(d.office.device, d.jws[42], func(e *call.Entry) { e.Amendment.Was = first.Amendment.Was })
	}, verify.Amber, []string{"amber hole entry 43 call 9 record 3 in lkc"}},
	"its end is a hole":    {func(t *testing.T, d *day) { d.behead(t, 9, 6) }, verify.Amber, []string{"amber hole entry 42 call 9 record 6 in lkc"}},
	"its header is a hole": {func(t *testing.T, d *day) { d.behead(t, 9, 0) }, verify.Amber, []string{"amber hole entry 42 call 9 record 0 in lkc"}},
	"its header was a hole when it was signed": {func(t *testing.T, d *day) {
		d.files[name(d.calls[9])], _ = hole(t, d.files[name(d.calls[9])], 0)
		sum := sha256.Sum256(d.files[name(d.calls[9])])
		d.drop(d.ends[9])
		e := d.beginOf(9)
		_, m := d.record(e, call.End{Reason: call.EndedSilence})
		m.SHA256, m.Size = hex.EncodeToString(sum[:]), int64(len(d.files[name(d.calls[9])]))
		d.add(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 21, Last: 21}})
		d.add(call.Entry{Type: call.EntryEnd, Call: &d.calls[9], Line: "1", Manifest: &m})
	}, verify.Amber, []string{"amber lost entry 21", "amber hole entry 43 call 9 record 0 in lkc"}},
	"altered on the card before it was signed": {func(t *testing.T, d *day) { d.signAltered(t, 0) },
		verify.Red, []string{"red altered entry 43 call 30 record 4 in lkc"}},
	"amended, and here from before": {func(t *testing.T, d *day) {
		f := d.files[name(d.calls[9])]
		d.damage(t, 9, 4)
		d.files[name(d.calls[9])] = f
	}, verify.Green, nil},
	"amended, and altered": {func(t *testing.T, d *day) { d.damage(t, 9, 4); f := d.files[name(d.calls[9])]; f[len(f)-30] ^= 1 },
		verify.Red, []string{"red altered entry 21 call 9 record 6 in lkc"}},
	"amended, and altered in a body": {func(t *testing.T, d *day) {
		d.damage(t, 9, 3)
		f := d.files[name(d.calls[9])]
		f[len(f)-200] ^= 1
	}, verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"amended, and the chain is another": {func(t *testing.T, d *day) {
		d.damage(t, 9, 4)
		d.jws[41] = d.sign(d.office.device, d.jws[41], func(e *call.Entry) { e.Amendment.Chain = strings.Repeat("ab", 32) })
	}, verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"the chain is another": {func(t *testing.T, d *day) {
		id := callID(30)
		e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		f, m := d.record(e, call.End{Reason: call.EndedSilence})
		d.files[name(id)], m.Chain = f, strings.Repeat("ab", 32)
		d.add(call.Entry{Type: call.EntryEnd, Call: &id, Line: "1", Manifest: &m})
	}, verify.Red, []string{"red altered entry 43 call 30 in lkc"}},
	"a hole that nobody signed": {func(t *testing.T, d *day) { d.files[name(d.calls[9])], _ = hole(t, d.files[name(d.calls[9])], 4) },
		verify.Red, []string{"red altered entry 21 call 9 in lkc"}},
	"amendment of another file": {func(t *testing.T, d *day) {
		d.damage(t, 9, 4)
		d.jws[41] = d.sign(d.office.device, d.jws[41], func(e *call.Entry) { e.Amendment.Was = strings.Repeat("ab", 32) })
	}, verify.Red, []string{"red entry-wrong entry 42 call 9 in lkc", "amber hole entry 42 call 9 record 4 in lkc"}},
	"given up": {func(t *testing.T, d *day) {
		d.add(call.Entry{Type: call.EntryTombstone, Call: &d.calls[9], Line: "1", Reason: call.EndedRingFull})
		delete(d.files, name(d.calls[9]))
	}, verify.Amber, []string{"amber tombstone entry 42 call 9"}},
	"given up, and altered": {func(t *testing.T, d *day) {
		d.add(call.Entry{Type: call.EntryTombstone, Call: &d.calls[9], Line: "1", Reason: call.EndedRingFull})
		// In the wrapped key, which stays what age can read: base64.
		if b := &d.files[name(d.calls[9])][400]; *b == 'A' {
			*b = 'B'
		} else {
			*b = 'A'
		}
	}, verify.Red, []string{"amber tombstone entry 42 call 9", "red altered entry 21 call 9 in lkc"}},
	"given up by another's tombstone": {func(t *testing.T, d *day) {
		d.add(call.Entry{Type: call.EntryTombstone, Call: &d.calls[9], Line: "1", Reason: call.EndedRingFull})
		d.jws[41] = d.forge(41)
		delete(d.files, name(d.calls[9]))
	}, verify.Red, []string{"red wrong-signer entry 42 in ledger", "red call-missing entry 21 call 9"}},
	"nothing was stored": {func(t *testing.T, d *day) {
		id := callID(30)
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		d.add(call.Entry{Type: call.EntryTombstone, Call: &id, Line: "1", Reason: call.EndedPowerLost})
	}, verify.Amber, []string{"amber tombstone entry 43 call 30"}},
	"entries lost": {func(t *testing.T, d *day) {
		d.drop(d.begins[9], d.ends[9])
		d.add(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 20, Last: 21}})
	}, verify.Amber, []string{"amber lost entry 20", "amber no-manifest entry 20 call 9 in lkc"}},
	"begin lost": {func(t *testing.T, d *day) {
		d.drop(d.begins[9])
		d.add(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 20, Last: 20}})
	}, verify.Amber, []string{"amber lost entry 20"}},
	"more is missing than was lost": {func(t *testing.T, d *day) {
		d.drop(d.begins[9], d.ends[9], d.begins[10])
		d.add(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 20, Last: 21}})
	}, verify.Red, []string{"amber lost entry 20", "red entry-missing entry 22", "amber no-manifest entry 20 call 9 in lkc"}},
	"ends twice": {func(t *testing.T, d *day) {
		m := d.manifest(d.files[name(d.calls[9])], call.End{})
		d.add(call.Entry{Type: call.EntryEnd, Call: &d.calls[9], Line: "1", Manifest: &m})
	}, verify.Red, []string{"red entry-wrong entry 42 call 9"}},
	"begins twice": {func(t *testing.T, d *day) {
		id := callID(30)
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
		d.add(call.Entry{Type: call.EntryTombstone, Call: &id, Reason: call.EndedPowerLost})
	}, verify.Red, []string{"red entry-wrong entry 43 call 30", "amber tombstone entry 44 call 30"}},
	"a ring begins in the middle": {func(t *testing.T, d *day) { d.add(call.Entry{Type: call.EntryEpoch}) },
		verify.Red, []string{"red entry-wrong entry 42"}},

	"certificate taken away": {func(t *testing.T, d *day) { delete(d.files, "device.crt") },
		verify.Amber, []string{"amber signer-unknown"}},
	"all of it by a stranger": {func(t *testing.T, d *day) { // with a recorder of his own
		his := *d.office
		his.device, his.whole = d.office.stranger, nil
		other := newDay(t, &his)
		d.jws, d.files, d.ledger = other.jws, other.files, other.ledger
		delete(d.files, "device.crt")
	}, verify.Amber, []string{"amber signer-unknown"}},
	"all of it by a stranger with an authority of his own": {func(t *testing.T, d *day) {
		other := newDay(t, newOffice(t))
		d.jws, d.files = other.jws, other.files
	}, verify.Red, []string{"red wrong-signer in crt", "amber signer-unknown"}},
}

func TestTamperings(t *testing.T) {
	o := newOffice(t)
	for name, c := range tamperings {
		t.Run(name, func(t *testing.T) {
			d := newDay(t, o)
			c.do(t, d)
			r := d.verify(verify.Options{Trust: d.trust()})
			got := d.brief(r)
			if r.Colour != c.colour || !slices.Equal(got, c.want) {
				t.Errorf("%s\ngot  %s\nwant %s", r, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
				for _, f := range r.Findings {
					t.Log(f.Text)
				}
			}
			for _, f := range r.Findings {
				if f.Text == "" {
					t.Errorf("%s without a reason", f.Code)
				}
			}
		})
	}
}
