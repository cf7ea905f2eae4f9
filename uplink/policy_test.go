package uplink

import (
	"testing"
	"time"
)

func at(t *testing.T, zone *time.Location, text string) time.Time {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// 23 November 2026 is a Monday.
func TestWindows(t *testing.T) {
	zone := time.FixedZone("EAT", 3*3600)
	workdays := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	night := Policy{Zone: zone, Windows: []Window{
		{Days: workdays, From: 19 * time.Hour, To: 7 * time.Hour},
		{Days: []time.Weekday{time.Saturday, time.Sunday}},
	}}
	for _, tt := range []struct {
		when   string
		open   bool
		change string
	}{
		{"2026-11-23 06:59", false, "2026-11-23 19:00"}, // Sunday's window ended at midnight
		{"2026-11-23 12:00", false, "2026-11-23 19:00"},
		{"2026-11-23 19:00", true, "2026-11-24 07:00"},
		{"2026-11-24 03:00", true, "2026-11-24 07:00"},
		{"2026-11-24 07:00", false, "2026-11-24 19:00"},
		{"2026-11-28 06:00", true, "2026-11-30 00:00"}, // Friday's night, Saturday and Sunday are one
		{"2026-11-28 15:00", true, "2026-11-30 00:00"},
	} {
		now := at(t, zone, tt.when)
		if got := night.open(now.UTC()); got != tt.open {
			t.Errorf("%s: open %v", tt.when, got)
		}
		if got := night.change(now.UTC()); !got.Equal(at(t, zone, tt.change)) {
			t.Errorf("%s: changes at %v, want %s", tt.when, got, tt.change)
		}
	}
	if always := (Policy{}); !always.open(time.Now()) || !always.change(time.Now()).IsZero() {
		t.Error("without windows it is not always open")
	}
}

func TestWindowsOverSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	p := Policy{Zone: berlin, Windows: []Window{{From: time.Hour, To: 4 * time.Hour}}}
	// On 29 March 2026 the clock goes from 02:00 to 03:00: the window has two hours.
	begins := at(t, berlin, "2026-03-29 01:00")
	if got := p.change(begins.Add(-time.Minute)); !got.Equal(begins) {
		t.Errorf("opens at %v", got)
	}
	if got := p.change(begins); got.Sub(begins) != 2*time.Hour {
		t.Errorf("closes after %v", got.Sub(begins))
	}
}

func TestVolume(t *testing.T) {
	p := Policy{DayBytes: 1000, MonthBytes: 2500, Zone: time.FixedZone("EAT", 3*3600)}
	monday := at(t, p.Zone, "2026-11-30 10:00")
	var v Volume
	v = v.add(p, monday, 600)
	if left, _ := p.left(v, monday); left != 400 {
		t.Errorf("left %d of the day", left)
	}
	v = v.add(p, monday, 500)
	if got := p.permit(monday, true, v, false); got.Calls || !got.Connect || !got.Until.Equal(at(t, p.Zone, "2026-12-01 00:00")) {
		t.Errorf("beyond the day's volume: %+v", got)
	}
	v = v.add(p, at(t, p.Zone, "2026-12-01 00:00"), 0) // a new day and a new month
	if v.DayBytes != 0 || v.MonthBytes != 0 {
		t.Errorf("%+v", v)
	}
	for d := range 3 {
		v = v.add(p, at(t, p.Zone, "2026-12-01 12:00").AddDate(0, 0, d), 900)
	}
	got := p.permit(at(t, p.Zone, "2026-12-03 12:00"), true, v, false)
	if got.Calls || !got.Until.Equal(at(t, p.Zone, "2027-01-01 00:00")) {
		t.Errorf("beyond the month's volume: %+v, %+v", got, v)
	}
}

func TestPermit(t *testing.T) {
	noon := at(t, time.UTC, "2026-11-23 12:00")
	night := []Window{{From: 22 * time.Hour, To: 6 * time.Hour}}
	for name, tt := range map[string]struct {
		policy               Policy
		known, paused        bool
		connect, call, asked bool
	}{
		"everything":          {Policy{}, true, false, true, true, true},
		"by day":              {Policy{Windows: night}, true, false, true, false, false},
		"by day, asked for":   {Policy{Windows: night, AskedAny: true}, true, false, true, false, true},
		"by day, nothing":     {Policy{Windows: night, Everything: true}, true, false, false, false, false},
		"the time is unknown": {Policy{Windows: night, Everything: true}, false, false, true, true, true},
		"paused":              {Policy{}, true, true, false, false, false},
	} {
		got := tt.policy.permit(noon, tt.known, Volume{}, tt.paused)
		if got.Connect != tt.connect || got.Calls != tt.call || got.Asked != tt.asked || (got.Why == "") != tt.call {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestFinish(t *testing.T) {
	noon := at(t, time.UTC, "2026-11-23 12:00")
	night := Policy{Windows: []Window{{From: 22 * time.Hour, To: 23 * time.Hour}}}
	for name, tt := range map[string]struct {
		policy Policy
		bytes  int64
		want   string
	}{
		"at once":             {Policy{}, 3600, "2026-11-23 13:00"},
		"tonight":             {night, 1800, "2026-11-23 22:30"},
		"tomorrow night":      {night, 5400, "2026-11-24 22:30"},
		"a volume a day":      {Policy{DayBytes: 3600}, 9000, "2026-11-25 00:30"},
		"a volume and a hour": {Policy{DayBytes: 1800, Windows: night.Windows}, 5400, "2026-11-25 22:30"},
	} {
		if got := tt.policy.finish(noon, Volume{}, tt.bytes, 1); !got.Equal(at(t, time.UTC, tt.want)) {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
	if got := (Policy{DayBytes: 1}).finish(noon, Volume{}, 1<<40, 1); !got.IsZero() {
		t.Errorf("never: %v", got)
	}
}
