package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// clockless is a recorder without a clock, whose time is set by the test.
type clockless struct {
	now    call.Anchor
	stored []byte
	signed []string
}

func (b *clockless) tick(d time.Duration) {
	b.now.BootTime += d
	b.now.Wall = b.now.Wall.Add(d)
}

func (b *clockless) start(t *testing.T, floor time.Time) *timekeeper {
	t.Helper()
	k, err := newTimekeeper(func() call.Anchor { return b.now }, b.stored, floor)
	if err != nil {
		t.Fatal(err)
	}
	k.keep = func(v []byte) error { b.stored = v; return nil }
	k.correct = func(at call.Anchor, add time.Duration, grade call.Grade) error {
		b.signed = append(b.signed, fmt.Sprintf("%s %s: %s by %v, %s", at.BootID, at.Wall.Format(time.DateTime), at.Grade, add, grade))
		return nil
	}
	return k
}

var (
	epochDay = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	truth    = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
)

// TestClockIsCorrectedOnce has a clock that is set by NTP corrected by one entry, also when the program is started again
// between the two.
func TestClockIsCorrectedOnce(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: 5 * time.Second, Wall: epochDay.Add(5 * time.Second), Grade: call.GradeNone}}
	b.start(t, time.Time{}).look()
	b.tick(time.Minute)
	b.now.Wall, b.now.Grade = truth, call.GradeNTP
	k := b.start(t, time.Time{})
	for range 5 {
		k.look()
		b.tick(time.Minute)
	}
	b.start(t, time.Time{}).look()
	if want := "A 1970-01-01 00:01:05: none by " + truth.Sub(epochDay.Add(65*time.Second)).String() + ", ntp"; len(b.signed) != 1 || b.signed[0] != want {
		t.Errorf("%q, want once %q", b.signed, want)
	}
	// Another boot knows nothing of the clock of the one before.
	b.now = call.Anchor{BootID: "B", BootTime: time.Second, Wall: truth.Add(time.Hour), Grade: call.GradeNTP}
	b.start(t, time.Time{}).look()
	if len(b.signed) != 1 {
		t.Errorf("%q", b.signed)
	}
}

// TestTimeOfHeadquarters has a board without NTP take headquarters' time, and NTP's when it comes.
func TestTimeOfHeadquarters(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: 5 * time.Second, Wall: epochDay.Add(5 * time.Second), Grade: call.GradeNone}}
	build := truth.AddDate(-1, 0, 0)
	k := b.start(t, build)
	k.look()
	if now, known := k.Clock(); known || !now.Equal(build) {
		t.Errorf("before anything is known: %v, %v", now, known)
	}
	k.Told(truth)
	b.tick(time.Hour)
	k.look()
	if now, known := k.Clock(); !known || !now.Equal(truth.Add(time.Hour)) || k.Grade(call.GradeNone) != call.GradeHQ {
		t.Errorf("an hour later: %v, %v, %s", now, known, k.Grade(call.GradeNone))
	}
	b.now.Wall, b.now.Grade = truth.Add(time.Hour+time.Second), call.GradeNTP
	b.tick(time.Minute)
	k.look()
	k.Told(truth) // late: nobody needs it
	if len(b.signed) != 2 || k.Grade(call.GradeNTP) != call.GradeNTP {
		t.Errorf("%q", b.signed)
	}
	// After a power cut, in 1970 again, no time before the newest known is believed.
	b.now = call.Anchor{BootID: "B", BootTime: time.Second, Wall: epochDay, Grade: call.GradeNone}
	if now := b.start(t, build).Judge(); now.Before(truth.Add(-saveClock)) {
		t.Errorf("certificates are judged by %v", now)
	}
}

// TestGoodClockIsLeft has a clock that is right get no correction from headquarters, whose time comes over a slow link.
func TestGoodClockIsLeft(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: 5 * time.Second, Wall: truth, Grade: call.GradeRTC}}
	k := b.start(t, time.Time{})
	k.look()
	k.Told(truth.Add(time.Second))
	if now, known := k.Clock(); len(b.signed) != 0 || !known || !now.Equal(truth) {
		t.Errorf("%q, %v, %v", b.signed, now, known)
	}
	k.Told(truth.Add(time.Minute)) // a clock that has drifted
	if now, _ := k.Clock(); len(b.signed) != 1 || !now.Equal(truth.Add(time.Minute)) {
		t.Errorf("%q, %v", b.signed, now)
	}
}

// shows has headquarters show a certificate that ends so.
func shows(t *testing.T, k *timekeeper, protocol string, end time.Time) {
	t.Helper()
	if err := k.shown(tls.ConnectionState{NegotiatedProtocol: protocol, PeerCertificates: []*x509.Certificate{{NotAfter: end}}}); err != nil {
		t.Fatal(err)
	}
}

// TestReceiptsMoveTheFloor has the time of receipts hold through a power cut, and never go back.
func TestReceiptsMoveTheFloor(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: time.Second, Wall: epochDay, Grade: call.GradeNone}}
	build := truth.AddDate(-2, 0, 0)
	k := b.start(t, build)
	k.Receipted(truth.AddDate(0, -1, 0))
	if now := k.Judge(); !now.Equal(build) {
		t.Errorf("a receipt by nobody knows whom moved it to %v", now)
	}
	shows(t, k, "h2", truth.AddDate(0, 6, 0))
	k.Receipted(truth)
	k.Receipted(truth.AddDate(0, -1, 0)) // it was given a month ago
	if now, known := k.Clock(); known || !now.Equal(truth) {
		t.Errorf("%v, %v", now, known)
	}
	b.now = call.Anchor{BootID: "B", BootTime: time.Second, Wall: epochDay, Grade: call.GradeNone}
	if now := b.start(t, build).Judge(); !now.Equal(truth) {
		t.Errorf("after a power cut: %v", now)
	}
}

// TestHeadquartersAheadByYears has a recorder without a clock judge headquarters' next certificate good, whatever
// headquarters once said the time was.
func TestHeadquartersAheadByYears(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: time.Second, Wall: epochDay, Grade: call.GradeNone}}
	k := b.start(t, truth.AddDate(-1, 0, 0))
	end := truth.AddDate(0, 8, 0)
	shows(t, k, "h2", end)
	shows(t, k, "", truth.AddDate(20, 0, 0)) // a broker's
	k.Told(truth)
	signed := len(b.signed)
	for _, wrong := range []time.Time{end, truth.AddDate(1, 0, 0), truth.AddDate(10, 0, 0), truth.AddDate(5000, 0, 0)} {
		k.Told(wrong)
		k.Receipted(wrong)
	}
	if now, known := k.Clock(); !known || !now.Equal(truth) || len(b.signed) != signed {
		t.Errorf("%v, %v, corrections %q", now, known, b.signed)
	}
	k.Receipted(end.Add(-time.Second)) // as wrong as it can be
	b.now = call.Anchor{BootID: "B", BootTime: time.Second, Wall: epochDay, Grade: call.GradeNone}
	k = b.start(t, truth.AddDate(-1, 0, 0))
	if now := k.Judge(); now.After(end) {
		t.Errorf("headquarters' certificate of before, which it still shows, is judged by %v: it ends %v", now, end)
	}
	shows(t, k, "h2", end)
	k.Told(truth.Add(time.Hour)) // put right
	if now, known := k.Clock(); !known || !now.Equal(truth.Add(time.Hour)) || !k.Judge().Equal(end.Add(-time.Second)) {
		t.Errorf("%v, %v, certificates by %v", now, known, k.Judge())
	}
}

// TestSynchronisedClockGoesFirst has a clock that NTP has set be believed, whatever headquarters' time is.
func TestSynchronisedClockGoesFirst(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: time.Second, Wall: truth, Grade: call.GradeNTP}}
	k := b.start(t, truth.AddDate(0, 3, 0)) // the program was put there by a wrong clock
	shows(t, k, "h2", truth.AddDate(1, 0, 0))
	k.Told(truth.AddDate(0, 5, 0))
	k.Receipted(truth.AddDate(0, 5, 0))
	if now, known := k.Clock(); !known || !now.Equal(truth) || !k.Judge().Equal(truth.AddDate(0, 3, 0)) {
		t.Errorf("%v, %v, certificates by %v", now, known, k.Judge())
	}
}

// TestClockLittleBehind has a clock of the board that is a little behind headquarters' receipts stay believed.
func TestClockLittleBehind(t *testing.T) {
	b := &clockless{now: call.Anchor{BootID: "A", BootTime: time.Second, Wall: truth, Grade: call.GradeRTC}}
	k := b.start(t, time.Time{})
	shows(t, k, "h2", truth.AddDate(1, 0, 0))
	k.Receipted(truth.Add(time.Second))
	if now, known := k.Clock(); !known || !now.Equal(truth.Add(time.Second)) {
		t.Errorf("%v, %v", now, known)
	}
}
