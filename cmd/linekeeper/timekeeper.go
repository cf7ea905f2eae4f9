package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

const (
	keptClock = "clock" // name in the ring
	saveClock = time.Hour
	lookEvery = 2 * time.Second // at the clock
	slack     = time.Minute     // behind the newest time known, a clock is still believed: words come late over a slow link
	slightest = 2 * time.Second // by which a clock has to be off for headquarters' time to be better: it comes over a slow link
)

// kept is what is remembered of the clock through a power cut.
type kept struct {
	Boot     string        `json:"boot"`
	Believed time.Duration `json:"believed"`         // wall time when the boot began, by its clock before it was set, since 1970
	Grade    call.Grade    `json:"grade,omitempty"`  // of the clock then
	Signed   call.Grade    `json:"signed,omitempty"` // of the best correction of this boot in the ledger; empty: there is none
	Newest   time.Time     `json:"newest"`           // that was ever known
	Until    time.Time     `json:"until,omitzero"`   // end of headquarters' certificates, the first of them; zero: none was seen
}

// timekeeper knows what time it is where the system's clock does not. It sets no clock: the unit's sandbox does not
// allow that. What it learns of headquarters it keeps to itself, for the policy's hours; and it has what was signed by a
// clock that was wrong corrected, once, by an entry of the ledger.
//
// Headquarters' certificate is judged by Judge, which is never before the newest time that was ever known (of the program,
// of the recorder's certificate, of its own clock when that was right, and of headquarters' signed words and receipts): a
// board that wakes up in 1970 would else find it not valid yet, and never learn better. A power cut forgets at most the
// last hour of it.
//
// That time never goes back, so a headquarters whose clock was ahead by years must not move it: for a recorder without
// another source of time every certificate would have ended, for ever, also when headquarters is put right. So what
// headquarters says is believed only up to the end of the certificate by which it has shown who it is. It replaces that
// long before, and the one that comes next ends later: whatever it said, its next certificate is good. A synchronised
// clock goes before all that headquarters says.
type timekeeper struct {
	anchor  func() call.Anchor
	correct func(at call.Anchor, add time.Duration, grade call.Grade) error
	keep    func(value []byte) error
	log     *slog.Logger

	mu     sync.Mutex
	kept   kept
	saved  kept
	hq     time.Duration        // headquarters' time when this boot began, since 1970; 0: not known
	looked time.Duration        // boot time
	ends   map[string]time.Time // of headquarters' certificates, by protocol, since the program started
}

// newTimekeeper goes on from what was kept; floor is a time that has surely passed.
func newTimekeeper(anchor func() call.Anchor, stored []byte, floor time.Time) (*timekeeper, error) {
	t := &timekeeper{anchor: anchor, log: slog.New(slog.DiscardHandler), ends: map[string]time.Time{}}
	if stored != nil {
		if err := json.Unmarshal(stored, &t.kept); err != nil {
			return nil, errors.New("what was kept of the clock is unreadable")
		}
	}
	t.saved = t.kept
	if a := anchor(); t.kept.Boot != a.BootID { // what was not corrected of an earlier boot cannot be any more
		t.kept = kept{Boot: a.BootID, Newest: t.kept.Newest, Until: t.kept.Until}
	}
	t.passed(floor)
	return t, nil
}

// buildTime is when the program was made, or put there.
func buildTime() time.Time {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Now is the best that is known of the time.
func (t *timekeeper) Now() time.Time {
	now, _ := t.Clock()
	return now
}

// Judge is the time by which certificates are judged: Now, and never before a time that was known.
func (t *timekeeper) Judge() time.Time {
	now, _ := t.Clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.kept.Newest) {
		return t.kept.Newest
	}
	return now
}

// Clock is Now, and says whether it is to be believed.
func (t *timekeeper) Clock() (now time.Time, known bool) {
	a := t.anchor()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch behind := t.kept.Newest.Sub(a.Wall); {
	case a.Grade.Better(call.GradeHQ):
		return a.Wall, true
	case t.hq != 0:
		return time.Unix(0, int64(t.hq+a.BootTime)).UTC(), true
	case behind > 0:
		return t.kept.Newest, a.Grade != call.GradeNone && behind < slack
	}
	return a.Wall, a.Grade != call.GradeNone
}

// Grade is that of the time that Clock tells.
func (t *timekeeper) Grade(system call.Grade) call.Grade {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hq != 0 && call.GradeHQ.Better(system) {
		return call.GradeHQ
	}
	return system
}

// Told takes headquarters' time, which came over a connection that proved who it is.
func (t *timekeeper) Told(at time.Time) {
	a := t.anchor()
	t.mu.Lock()
	defer t.mu.Unlock()
	if off := at.Sub(a.Wall).Abs(); a.Grade.Better(call.GradeHQ) || a.Grade != call.GradeNone && off < slightest {
		return
	}
	if !t.likely(at) {
		t.log.Error("headquarters' clock must be wrong: it tells a time after the end of its own certificate, which is not taken", "time", at, "certificate_ends", t.kept.Until)
		return
	}
	t.passed(at)
	if t.hq == 0 {
		t.log.Info("the time is headquarters'", "off_by", at.Sub(a.Wall).Round(time.Second).String())
	}
	t.hq = time.Duration(at.UnixNano()) - a.BootTime
	t.sign(a, at.Sub(a.Wall), call.GradeHQ)
}

// Receipted takes the time of a receipt whose signature was checked: it has passed, however late the receipt comes.
func (t *timekeeper) Receipted(at time.Time) {
	if t.anchor().Grade.Better(call.GradeHQ) {
		return // and knows better
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.kept.Until.IsZero() && t.likely(at) {
		t.passed(at)
		t.save()
	}
}

// passed moves the newest time known on; t.mu is held.
func (t *timekeeper) passed(at time.Time) {
	if at.After(t.kept.Newest) {
		t.kept.Newest = at
	}
}

// likely says whether headquarters can mean a time: it shows no certificate that has ended; t.mu is held.
func (t *timekeeper) likely(at time.Time) bool {
	return t.kept.Until.IsZero() || at.Before(t.kept.Until)
}

// shown is a tls.Config's VerifyConnection: it takes the end of headquarters' certificate, which was found good. Over each
// protocol there may be another.
func (t *timekeeper) shown(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends[s.NegotiatedProtocol] = s.PeerCertificates[0].NotAfter
	t.kept.Until = slices.MinFunc(slices.Collect(maps.Values(t.ends)), time.Time.Compare)
	t.save()
	return nil
}

// look notices when the system's clock was set, and has what was signed before corrected. It is called often.
func (t *timekeeper) look() {
	a := t.anchor()
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.BootTime-t.looked < lookEvery && t.looked != 0 {
		return
	}
	t.looked = a.BootTime
	began := time.Duration(a.Wall.UnixNano()) - a.BootTime
	if a.Grade != call.GradeNTP {
		t.kept.Believed, t.kept.Grade = began, a.Grade
	} else {
		if a.Wall.After(t.kept.Newest.Add(saveClock)) {
			t.kept.Newest = a.Wall
		}
		if t.kept.Grade != "" && t.kept.Grade != call.GradeNTP {
			before := call.Anchor{BootID: a.BootID, BootTime: a.BootTime, Grade: t.kept.Grade,
				Wall: time.Unix(0, int64(t.kept.Believed+a.BootTime)).UTC()}
			t.sign(before, began-t.kept.Believed, call.GradeNTP)
		}
	}
	t.save()
}

// sign has the correction entered, if there is none as good; t.mu is held. What fails is tried again.
func (t *timekeeper) sign(before call.Anchor, add time.Duration, grade call.Grade) {
	if !grade.Better(t.kept.Signed) || t.correct == nil {
		return
	}
	if err := t.correct(before, add, grade); err != nil {
		t.log.Error("the clock was wrong, and that is not in the ledger yet", "error", err)
		return
	}
	t.kept.Signed = grade
	t.log.Info("the clock was wrong: what was recorded by it is corrected", "by", add.Round(time.Millisecond).String(), "grade", grade)
	t.save()
}

// save keeps what a power cut must not take, where it has changed by much; t.mu is held.
func (t *timekeeper) save() {
	now, was := t.kept, t.saved
	drift := (now.Believed-was.Believed).Abs() < time.Second && now.Newest.Sub(was.Newest).Abs() < saveClock
	if t.keep == nil || now.Boot == was.Boot && now.Grade == was.Grade && now.Signed == was.Signed && now.Until.Equal(was.Until) && drift {
		return
	}
	b, err := json.Marshal(now)
	if err == nil && t.keep(b) == nil {
		t.saved = now
	}
}
