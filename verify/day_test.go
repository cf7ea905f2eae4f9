package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

// office is a recorder and its headquarters.
type office struct {
	ca        *authority.Authority
	device    ed25519.PrivateKey
	stranger  ed25519.PrivateKey
	keys      seal.Keys
	to        seal.Recipients
	strangers seal.Keys
	whole     *day // is made once
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{
		device:   ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)),
		stranger: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize)),
	}
	var err error
	o.ca, err = authority.Open(t.TempDir(), time.Now)
	must(t, err)
	own, _, err := seal.NewKey()
	must(t, err)
	another, _, err := seal.NewKey()
	must(t, err)
	o.keys, o.to, o.strangers = seal.Keys{own}, seal.Recipients{own.Recipient()}, seal.Keys{another}
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) id() call.DeviceID { return call.DeviceIDOf(o.device.Public().(ed25519.PublicKey)) }

func (o *office) certificate(t testing.TB, key ed25519.PrivateKey) []byte {
	t.Helper()
	pem, err := o.ca.IssueDevice(key.Public().(ed25519.PublicKey))
	must(t, err)
	return pem
}

// day is a folder in the making: ledger, call files, certificate.
type day struct {
	t      testing.TB
	office *office
	ledger *ledger.Ledger
	jws    [][]byte
	files  map[string][]byte
	calls  []call.ID
	clock  call.Anchor
	ends   []int // places of the end entries in jws
	begins []int
}

var noon = call.Anchor{BootID: "b", BootTime: time.Hour, Wall: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Grade: call.GradeNTP}

// newDay is a day of 20 calls. Entry 1 is the ring's, call n (from 0) begins at entry 2n+2 and ends at 2n+3.
func newDay(t testing.TB, o *office) *day {
	if o.whole == nil {
		o.whole = emptyDay(t, o, 7, nil)
		for n := range 20 {
			o.whole.call(n)
		}
	}
	d := *o.whole
	d.t, d.ledger = t, ledger.New(d.ledger.State(), o.device)
	d.jws, d.files = slices.Clone(d.jws), map[string][]byte{}
	for name, file := range o.whole.files {
		d.files[name] = bytes.Clone(file)
	}
	return &d
}

func emptyDay(t testing.TB, o *office, epoch call.Epoch, last *call.Seq) *day {
	d := &day{t: t, office: o, clock: noon, files: map[string][]byte{"device.crt": o.certificate(t, o.device)}}
	d.ledger = ledger.New(ledger.State{Device: o.id(), Epoch: epoch}, o.device)
	d.add(call.Entry{Type: call.EntryEpoch, LastEnd: last})
	return d
}

func (d *day) add(e call.Entry) call.Entry {
	d.t.Helper()
	e.Anchor = d.clock
	added, err := d.ledger.Add(e, func(_ uint64, jws []byte) error { d.jws = append(d.jws, jws); return nil })
	must(d.t, err)
	return added
}

func callID(n int) call.ID { return call.ID{0x10, byte(n)} }

// call records one.
func (d *day) call(n int) {
	d.t.Helper()
	id := callID(n)
	d.calls, d.begins, d.ends = append(d.calls, id), append(d.begins, len(d.jws)), append(d.ends, len(d.jws)+1)
	begin := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1", Reason: call.BeganVoice})
	file, m := d.record(begin, call.End{Reason: call.EndedSilence})
	d.add(call.Entry{Type: call.EntryEnd, Call: &id, Line: "1", Manifest: &m})
	d.files[name(id)] = file
}

func name(id call.ID) string { return id.String() + ".lkc" }

// record makes the file of a call, and its manifest.
func (d *day) record(begin call.Entry, end call.End) ([]byte, call.Manifest) {
	d.t.Helper()
	w, records, err := seal.NewWriter(call.Header{
		Call: *begin.Call, Device: begin.Device, Epoch: begin.Epoch, Number: begin.Number, Line: begin.Line,
		Codec: call.Opus, Channels: 1, Rate: 8000, Anchor: d.clock,
	}, d.office.to)
	must(d.t, err)
	var file []byte
	for _, r := range records {
		file = append(file, r.Data...)
	}
	take := func(r call.Record, err error) {
		must(d.t, err)
		file = append(file, r.Data...)
	}
	take(w.Mark(call.Mark{Kind: call.MarkDigits, Value: "0123456789"}))
	for n := range 3 {
		take(w.Chunk(int64(n)*8000, 8000, fmt.Appendf(nil, "second %d of call %s", n, begin.Call)))
	}
	end.Frames = 24000
	for _, g := range end.Gaps {
		take(w.Mark(call.Mark{Kind: call.MarkGap, Position: g.Position, Frames: g.Frames, Value: g.Cause}))
	}
	take(w.End(end))
	return file, d.manifest(file, end)
}

func (d *day) manifest(file []byte, end call.End) call.Manifest {
	sum := sha256.Sum256(file)
	c, err := seal.Verify(bytes.NewReader(file), nil)
	must(d.t, err)
	return call.Manifest{Began: call.BeganVoice, Ended: end.Reason, Anchor: d.clock, Duration: 3, Frames: 24000, Rate: 8000, Codec: call.Opus,
		Channels: 1, Gaps: append([]call.Gap{}, end.Gaps...), Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), Chain: c.Chain,
		Recovered: end.Recovered, Software: "test"}
}

// sign signs an entry anew, as whoever has that key could.
func (d *day) sign(key ed25519.PrivateKey, jws []byte, change func(*call.Entry)) []byte {
	d.t.Helper()
	e, err := ledger.Parse(jws)
	must(d.t, err)
	change(&e)
	e.Device = call.DeviceIDOf(key.Public().(ed25519.PublicKey))
	l := ledger.New(ledger.State{Device: e.Device, Epoch: e.Epoch, Next: e.Number, Previous: e.Previous}, key)
	var out []byte
	_, err = l.Add(e, func(_ uint64, b []byte) error { out = b; return nil })
	must(d.t, err)
	return out
}

// drop takes entries away by their places.
func (d *day) drop(places ...int) {
	var kept [][]byte
	for i, j := range d.jws {
		if !slices.Contains(places, i) {
			kept = append(kept, j)
		}
	}
	d.jws = kept
}

// write makes the folder. A ledger of the day is in it, but where files says otherwise.
func (d *day) write() string {
	d.t.Helper()
	dir := d.t.TempDir()
	if _, ok := d.files["day.ledger"]; !ok {
		d.files["day.ledger"] = append(bytes.Join(d.jws, []byte("\n")), '\n')
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if d.files[name] != nil {
			must(d.t, os.WriteFile(filepath.Join(dir, name), d.files[name], 0o600))
		}
	}
	return dir
}

func (d *day) trust() *verify.Trust {
	d.t.Helper()
	trust, err := verify.NewTrust(d.office.ca.CertificatePEM())
	must(d.t, err)
	return trust
}

// verify looks at paths of the folder, all of it where none is named.
func (d *day) verify(o verify.Options, names ...string) verify.Report {
	d.t.Helper()
	dir := d.write()
	paths := []string{dir}
	for i, n := range names {
		paths = append(paths[:i], filepath.Join(dir, n))
	}
	report, err := verify.Paths(context.Background(), paths, o)
	must(d.t, err)
	return report
}

// brief is a report's findings, each as "colour code" and the place, in which calls are numbers of the day.
func (d *day) brief(r verify.Report) (all []string) {
	for _, f := range r.Findings {
		s := fmt.Sprintf("%s %s", f.Colour, f.Code)
		if f.Entry != 0 {
			s += fmt.Sprintf(" entry %d", f.Entry)
		}
		if f.Call != nil {
			s += fmt.Sprintf(" call %d", f.Call[1])
		}
		if f.Record != nil {
			s += fmt.Sprintf(" record %d", *f.Record)
		}
		if f.File != "" {
			s += " in " + strings.TrimPrefix(filepath.Ext(f.File), ".")
		}
		all = append(all, s)
	}
	return all
}

// forge is an entry of the day as a stranger signs it: the name of the recorder, and his own key.
func (d *day) forge(place int) []byte {
	d.t.Helper()
	signed := d.jws[place][:bytes.LastIndexByte(d.jws[place], '.')]
	return base64.RawURLEncoding.AppendEncode(append(bytes.Clone(signed), '.'), ed25519.Sign(d.office.stranger, signed))
}

// beginOf is the begin entry of call n.
func (d *day) beginOf(n int) call.Entry {
	id := callID(n)
	return call.Entry{Type: call.EntryBegin, Call: &id, Line: "1", Device: d.office.id(), Epoch: 7, Number: uint64(2*n + 2)}
}

// hole puts a hole in the place of a record of a file.
func hole(t testing.TB, file []byte, record uint32) (whole []byte, h call.Hole) {
	t.Helper()
	in := seal.NewReader(bytes.NewReader(file))
	start := int64(0)
	for {
		r, err := in.Next()
		must(t, err)
		if r.Number == record {
			h = call.Hole{Record: record, Records: 1, Offset: start, Size: in.Offset() - start}
			whole = append(bytes.Clone(file[:start]), seal.Hole(record, 1, h.Size)...)
			return append(whole, file[in.Offset():]...), h
		}
		start = in.Offset()
	}
}

// damage puts a hole into call n's file and amends its manifest, as recovery does.
func (d *day) damage(t testing.TB, n int, record uint32) {
	id := d.calls[n]
	before := d.manifest(d.files[name(id)], call.End{})
	file, _ := hole(t, d.files[name(id)], record)
	m := d.manifest(file, call.End{})
	d.files[name(id)] = file
	c, err := seal.Verify(bytes.NewReader(file), nil)
	must(t, err)
	d.add(call.Entry{Type: call.EntryAmendment, Call: &id, Amendment: &call.Amendment{
		Was: before.SHA256, Size: m.Size, SHA256: m.SHA256, Chain: m.Chain, Holes: c.Holes}})
}

// behead damages a record without which the file is not whole, and amends.
func (d *day) behead(t testing.TB, n int, record uint32) {
	id := d.calls[n]
	before := sha256.Sum256(d.files[name(id)])
	file, h := hole(t, d.files[name(id)], record)
	after := sha256.Sum256(file)
	d.files[name(id)] = file
	d.add(call.Entry{Type: call.EntryAmendment, Call: &id, Amendment: &call.Amendment{Was: hex.EncodeToString(before[:]),
		Size: int64(len(file)), SHA256: hex.EncodeToString(after[:]), Chain: strings.Repeat("ab", 32), Holes: []call.Hole{h}}})
}

// signAltered adds call 30, of which somebody has altered record 4 on the card before the recorder signed for its file, at
// a place from the record's beginning.
func (d *day) signAltered(t testing.TB, place int64) {
	id := callID(30)
	e := d.add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "1"})
	file, m := d.record(e, call.End{Reason: call.EndedPowerLost})
	_, h := hole(t, file, 4)
	file[h.Offset+place] ^= 0x40
	sum := sha256.Sum256(file)
	m.SHA256 = hex.EncodeToString(sum[:])
	if c, err := seal.Verify(bytes.NewReader(file), nil); err == nil {
		m.Chain = c.Chain
	}
	d.files[name(id)] = file
	d.add(call.Entry{Type: call.EntryEnd, Call: &id, Line: "1", Manifest: &m})
}
