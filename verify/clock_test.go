package verify_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/verify"
)

// wrongClock is a day of a recorder that woke up in 1970. Entry 2 and 3 are its first call's; 4, 5 and 6 correct the clock by
// headquarters, by NTP and by headquarters again; 7 corrects it in another boot, in which 8 and 9 are a call's. A call of the
// boot that was set right ends it, 10 and 11.
func wrongClock(t *testing.T, o *office) *day {
	d := emptyDay(t, o, 7, nil)
	woke := call.Anchor{BootID: "w", BootTime: time.Minute, Wall: time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC), Grade: call.GradeNone}
	off := noon.Wall.Sub(woke.Wall)
	correct := func(add time.Duration, grade call.Grade) {
		d.clock.BootTime += time.Second
		d.add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: d.clock.BootID, Add: add, Grade: grade}})
	}
	d.clock = woke
	d.call(0)
	correct(off-time.Second, call.GradeHQ)
	correct(off, call.GradeNTP)
	correct(off+time.Hour, call.GradeHQ)
	d.clock.BootID, d.clock.Wall, d.clock.Grade = "x", noon.Wall, call.GradeRTC
	correct(2*time.Minute, call.GradeHQ)
	d.call(1)
	d.clock = noon
	d.call(2)
	return d
}

// times is when calls began as a report says, each in a line.
func times(r verify.Report) (all []string) {
	for _, x := range r.Times {
		s := fmt.Sprintf("call %d: %s %s, believed %s %s", x.Call[1], x.Began.Format(time.DateTime), x.Grade, x.Believed.Format(time.DateTime), x.BelievedGrade)
		if x.Entry > 0 {
			s += fmt.Sprintf(", entry %d", x.Entry)
		}
		all = append(all, s)
	}
	return all
}

// altered is an entry whose payload somebody has changed, and not signed.
func altered(jws []byte, old, changed string) []byte {
	part := bytes.Split(jws, []byte("."))
	payload, _ := base64.RawURLEncoding.DecodeString(string(part[1]))
	part[1] = []byte(base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(old), []byte(changed), 1)))
	return bytes.Join(part, []byte("."))
}

const (
	byNTP  = "call 0: 2026-11-23 12:00:00 ntp, believed 1970-01-01 00:01:00 none, entry 5"
	byHQ   = "call 0: 2026-11-23 13:00:00 hq, believed 1970-01-01 00:01:00 none, entry 6"
	byNone = "call 0: 1970-01-01 00:01:00 none, believed 1970-01-01 00:01:00 none"
	second = "call 1: 2026-11-23 12:02:00 hq, believed 2026-11-23 12:00:00 rtc, entry 7"
)

// TestClockOfLedger tampers with corrections in a ledger: each is seen, and none that is not the recorder's corrects
// anything.
func TestClockOfLedger(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		do    func(d *day)
		want  []string
		times []string
	}{
		"as it was":     {func(*day) {}, nil, []string{byNTP, second}},
		"another add":   {func(d *day) { d.jws[4] = altered(d.jws[4], `"add":1`, `"add":2`) }, []string{"red wrong-signer entry 5 in ledger"}, []string{byHQ, second}},
		"another grade": {func(d *day) { d.jws[5] = altered(d.jws[5], `"grade":"hq"`, `"grade":"ntp"`) }, []string{"red wrong-signer entry 6 in ledger"}, []string{byNTP, second}},
		"another boot, in both places": {func(d *day) {
			d.jws[6] = altered(altered(d.jws[6], `"boot":"x"`, `"boot":"w"`), `"boot":"x"`, `"boot":"w"`)
		},
			[]string{"red wrong-signer entry 7 in ledger"}, []string{byNTP, "call 1: 2026-11-23 12:00:00 rtc, believed 2026-11-23 12:00:00 rtc"}},
		"signed by a stranger": {func(d *day) { d.jws[4] = d.forge(4) }, []string{"red wrong-signer entry 5 in ledger"}, []string{byHQ, second}},
		"another add, by the recorder's key": {func(d *day) {
			d.jws[4] = d.sign(o.device, d.jws[4], func(e *call.Entry) { e.Correction.Add++ })
		}, []string{"red entry-replaced entry 5"}, []string{byNTP, second}},
		"taken away": {func(d *day) { d.drop(4) }, []string{"red entry-missing entry 5"}, []string{byHQ, second}},
		"of another recorder in its place": {func(d *day) { d.jws[4] = d.sign(o.stranger, d.jws[4], func(*call.Entry) {}) },
			[]string{"red entry-missing entry 5", "amber signer-unknown", "amber excerpt entry 5"}, []string{byHQ, second}},
	} {
		t.Run(name, func(t *testing.T) {
			d := wrongClock(t, o)
			c.do(d)
			r := d.verify(verify.Options{Trust: d.trust()})
			got := d.brief(r)
			if slices.Sort(got); !slices.Equal(got, sorted(c.want)) || !slices.Equal(times(r), c.times) {
				t.Errorf("got  %s\n%s\nwant %s\n%s", strings.Join(got, "; "), strings.Join(times(r), "\n"), strings.Join(c.want, "; "), strings.Join(c.times, "\n"))
			}
		})
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// TestClockOfExcerpt does the same to what goes with a single call, its manifest and its clock's corrections, over the file
// and over the folder.
func TestClockOfExcerpt(t *testing.T) {
	o := newOffice(t)
	for title, c := range map[string]struct {
		lines func(d *day) [][]byte
		want  []string
		time  string
	}{
		"as it was":        {func(d *day) [][]byte { return d.jws[2:6] }, nil, byNTP},
		"in another order": {func(d *day) [][]byte { return [][]byte{d.jws[5], d.jws[4], d.jws[2], d.jws[3]} }, nil, byNTP},
		"another add": {func(d *day) [][]byte { return [][]byte{d.jws[2], altered(d.jws[4], `"add":1`, `"add":2`)} },
			[]string{"red wrong-signer entry 5 call 0 in jws", "amber clock entry 3 call 0 in lkc"}, byNone},
		"another boot": {func(d *day) [][]byte {
			return [][]byte{d.jws[2], altered(altered(d.jws[6], `"boot":"x"`, `"boot":"w"`), `"boot":"x"`, `"boot":"w"`)}
		}, []string{"red wrong-signer entry 7 call 0 in jws", "amber clock entry 3 call 0 in lkc"}, byNone},
		"of another boot":      {func(d *day) [][]byte { return [][]byte{d.jws[2], d.jws[4], d.jws[6]} }, []string{"red entry-wrong entry 7 call 0 in jws"}, byNTP},
		"signed by a stranger": {func(d *day) [][]byte { return [][]byte{d.jws[2], d.forge(4), d.jws[5]} }, []string{"red wrong-signer entry 5 call 0 in jws"}, byHQ},
		"of another recorder": {func(d *day) [][]byte {
			return [][]byte{d.jws[2], d.sign(o.stranger, d.jws[4], func(*call.Entry) {})}
		}, []string{"amber signer-unknown", "red entry-wrong entry 5 call 0 in jws", "amber clock entry 3 call 0 in lkc"}, byNone},
		"taken away": {func(d *day) [][]byte { return d.jws[2:3] }, []string{"amber clock entry 3 call 0 in lkc"}, byNone},
	} {
		t.Run(title, func(t *testing.T) {
			d := wrongClock(t, o)
			lines := c.lines(d)
			d.files = map[string][]byte{name(d.calls[0]): d.files[name(d.calls[0])], "device.crt": d.files["device.crt"],
				d.calls[0].String() + ".jws": bytes.Join(lines, []byte("\n")), "day.ledger": nil}
			r := d.verify(verify.Options{Trust: d.trust()}, name(d.calls[0]))
			if got := d.brief(r); !slices.Equal(got, c.want) || !slices.Equal(times(r), []string{c.time}) {
				t.Errorf("the file: %q %q, want %q %s", got, times(r), c.want, c.time)
			}
			r = d.verify(verify.Options{Trust: d.trust()})
			if got := d.brief(r); !slices.Equal(sorted(got), sorted(append(c.want, "amber excerpt in "))) || !slices.Equal(times(r), []string{c.time}) {
				t.Errorf("the folder: %q %q, want %q %s", got, times(r), c.want, c.time)
			}
		})
	}
}

// TestClockOfFile has one call file beside its ledger, from which the correction that counts was taken away.
func TestClockOfFile(t *testing.T) {
	d := wrongClock(t, newOffice(t))
	r := d.verify(verify.Options{Trust: d.trust()}, name(d.calls[0]))
	if r.Colour != verify.Green || !slices.Equal(times(r), []string{byNTP}) {
		t.Errorf("%s %q %q", r, d.brief(r), times(r))
	}
	d.drop(4)
	delete(d.files, "day.ledger")
	r = d.verify(verify.Options{Trust: d.trust()}, name(d.calls[0]))
	if got := d.brief(r); !slices.Equal(got, []string{"red entry-missing entry 5 in ledger"}) || !slices.Equal(times(r), []string{byHQ}) {
		t.Errorf("taken away: %q %q", got, times(r))
	}
}

// TestClockOfNewRing has a correction stand in the ledger of a ring that was made in the same boot.
func TestClockOfNewRing(t *testing.T) {
	d := wrongClock(t, newOffice(t))
	d.clock = call.Anchor{BootID: "w", BootTime: time.Hour, Wall: time.Date(1970, 1, 1, 1, 0, 0, 0, time.UTC), Grade: call.GradeNone}
	d.ledger = ledger.New(ledger.State{Device: d.office.id(), Epoch: 8}, d.office.device)
	d.add(call.Entry{Type: call.EntryEpoch, LastEnd: &call.Seq{Epoch: 7, Number: 11}})
	d.add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: "w", Add: noon.Wall.Sub(d.clock.Wall) + time.Hour, Grade: call.GradeNTP}})
	r := d.verify(verify.Options{Trust: d.trust()})
	want := "call 0: 2026-11-23 12:01:00 ntp, believed 1970-01-01 00:01:00 none, entry 2"
	if r.Colour != verify.Green || !slices.Equal(times(r), []string{want, second}) || *r.Times[0].Epoch != 8 {
		t.Errorf("%s %q %q", r, d.brief(r), times(r))
	}
}
