package library

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// TestCorrections has calls by a wrong clock corrected, whichever comes first, and both times kept.
func TestCorrections(t *testing.T) {
	const device = call.DeviceID("ABCDEFGH")
	woke := time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC)
	truth := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	lib, err := Open(filepath.Join(t.TempDir(), "library.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lib.Close() }()
	if err := lib.SaveRecorder(t.Context(), hq.Recorder{Device: device, Key: make([]byte, 32), Site: "Northam"}); err != nil {
		t.Fatal(err)
	}
	number := uint64(0)
	add := func(e call.Entry) {
		t.Helper()
		number++
		e.Device, e.Epoch, e.Number = device, 5, number
		if e.Correction != nil {
			e.Anchor = call.Anchor{BootID: e.Correction.BootID, BootTime: time.Duration(number) * time.Minute}
		}
		if err := lib.AddEntries(t.Context(), []call.SignedEntry{{Entry: e, JWS: []byte{byte(number)}}}); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(boot string, wall time.Time, grade call.Grade) call.ID {
		id := call.NewID()
		add(call.Entry{Type: call.EntryBegin, Call: &id, Line: "desk", Anchor: call.Anchor{BootID: boot, Wall: wall, Grade: grade}})
		return id
	}
	expect := func(what string, id call.ID, began time.Time, grade call.Grade, believed time.Time) {
		t.Helper()
		c, err := lib.Call(t.Context(), id)
		if err != nil || !c.Began.Equal(began) || c.Grade != grade || !c.Believed.Equal(believed) {
			t.Errorf("%s: began %v by %s, believed %v, %v", what, c.Began, c.Grade, c.Believed, err)
		}
	}
	before := begin("A", woke, call.GradeNone)
	other := begin("B", woke, call.GradeNone)
	sure := begin("A", truth, call.GradeNTP)
	off := truth.Sub(woke)
	add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: "A", Add: off - 3*time.Second, Grade: call.GradeHQ}})
	expect("by headquarters", before, truth.Add(-3*time.Second), call.GradeHQ, woke)
	add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: "A", Add: off, Grade: call.GradeNTP}})
	add(call.Entry{Type: call.EntryCorrection, Correction: &call.Correction{BootID: "A", Add: 0, Grade: call.GradeHQ}})
	earlier := call.Entry{Type: call.EntryCorrection, Device: device, Epoch: 4, Number: 9, Anchor: call.Anchor{BootID: "A", BootTime: time.Second},
		Correction: &call.Correction{BootID: "A", Add: time.Hour, Grade: call.GradeNTP}}
	if err := lib.AddEntries(t.Context(), []call.SignedEntry{{Entry: earlier, JWS: []byte{0}}}); err != nil { // it was carried by a courier
		t.Fatal(err)
	}
	expect("the best counts", before, truth, call.GradeNTP, woke)
	expect("of another boot", other, woke, call.GradeNone, woke)
	expect("synchronised", sure, truth, call.GradeNTP, truth)
	late := begin("A", woke.Add(time.Minute), call.GradeRTC)
	expect("that came behind", late, truth.Add(time.Minute), call.GradeNTP, woke.Add(time.Minute))
	list, _, err := lib.Calls(t.Context(), hq.Query{From: truth.Add(-time.Hour)})
	if err != nil || len(list) != 3 {
		t.Errorf("searched by the corrected time: %d calls, %v", len(list), err)
	}
}
