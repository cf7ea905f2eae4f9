package uplink

import (
	"fmt"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Policy is when calls may go over the link, and how much. The zero value allows everything.
type Policy struct {
	Windows    []Window       // in which calls go; none: always
	Everything bool           // outside of the windows, and beyond the volume, there is no connection at all
	AskedAny   bool           // calls that headquarters has asked for go outside of the windows too
	DayBytes   int64          // both ways together, that may be used a day before calls wait for the next; 0: no limit
	MonthBytes int64          // the same for a calendar month
	Zone       *time.Location // of windows, days and months; nil: UTC
}

// Window is a stretch of the day, by the clock on the wall.
type Window struct {
	Days     []time.Weekday // on which it begins; none: every day
	From, To time.Duration  // since midnight; To at or before From is on the next day
}

func (w Window) holds(t time.Time) bool {
	h, m, s := t.Clock()
	clock := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	today := len(w.Days) == 0 || slices.Contains(w.Days, t.Weekday())
	yesterday := len(w.Days) == 0 || slices.Contains(w.Days, (t.Weekday()+6)%7)
	if w.From < w.To {
		return today && w.From <= clock && clock < w.To
	}
	return today && clock >= w.From || yesterday && clock < w.To
}

func (p Policy) local(t time.Time) time.Time {
	if p.Zone == nil {
		return t.UTC()
	}
	return t.In(p.Zone)
}

// open says whether t is in a window.
func (p Policy) open(t time.Time) bool {
	t = p.local(t)
	return len(p.Windows) == 0 || slices.ContainsFunc(p.Windows, func(w Window) bool { return w.holds(t) })
}

// change is when windows open or close next after t; zero: never.
func (p Policy) change(t time.Time) (next time.Time) {
	local, now := p.local(t), p.open(t)
	year, month, day := local.Date()
	for d := range 9 { // a week, and what began before it
		for _, w := range p.Windows {
			for _, clock := range []time.Duration{w.From, w.To} {
				at := time.Date(year, month, day+d, 0, 0, int(clock.Seconds()), 0, local.Location())
				if at.After(t) && p.open(at) != now && (next.IsZero() || at.Before(next)) {
					next = at
				}
			}
		}
	}
	return next
}

// Volume is what has gone over the link, both ways together, on a day and in a month of the policy's zone.
type Volume struct {
	Day        string `json:"day"`   // 2026-11-27
	Month      string `json:"month"` // 2026-11
	DayBytes   int64  `json:"day_bytes"`
	MonthBytes int64  `json:"month_bytes"`
}

// add counts bytes at a time, which begins a day or month anew.
func (v Volume) add(p Policy, t time.Time, n int64) Volume {
	t = p.local(t)
	if day := t.Format(time.DateOnly); day != v.Day {
		v.Day, v.DayBytes = day, 0
	}
	if month := t.Format("2006-01"); month != v.Month {
		v.Month, v.MonthBytes = month, 0
	}
	v.DayBytes += n
	v.MonthBytes += n
	return v
}

// left is what may still go before calls have to wait, and until when; negative: there is no limit.
func (p Policy) left(v Volume, t time.Time) (n int64, until time.Time) {
	v, t = v.add(p, t, 0), p.local(t)
	n = -1
	year, month, day := t.Date()
	if p.DayBytes > 0 {
		n, until = max(0, p.DayBytes-v.DayBytes), time.Date(year, month, day+1, 0, 0, 0, 0, t.Location())
	}
	if left := max(0, p.MonthBytes-v.MonthBytes); p.MonthBytes > 0 && (n < 0 || left <= n) {
		n, until = left, time.Date(year, month+1, 1, 0, 0, 0, 0, t.Location())
	}
	return n, until
}

// Permit is what the policy allows now.
type Permit struct {
	Connect bool      // there may be a connection: status, entries, commands
	Calls   bool      // calls may go
	Asked   bool      // calls that headquarters has asked for may
	Why     string    // if not all; in words
	Until   time.Time // when that ends by itself; zero: it does not
}

func (p Permit) admits(w call.Waiting) bool { return p.Calls || p.Asked && w.Asked }

// permit judges by what is believed of the time. Where that is not known, windows do not hold: a call that is late for
// want of a clock would be late for ever.
func (p Policy) permit(now time.Time, known bool, v Volume, paused bool) Permit {
	if paused {
		return Permit{Why: "paused: `linekeeper uplink resume` ends it"}
	}
	if left, until := p.left(v, now); left == 0 {
		why := fmt.Sprintf("the volume of the day, %d bytes, is used up", p.DayBytes)
		if p.DayBytes == 0 || v.add(p, now, 0).DayBytes < p.DayBytes {
			why = fmt.Sprintf("the volume of the month, %d bytes, is used up", p.MonthBytes)
		}
		return Permit{Connect: !p.Everything, Why: why, Until: until}
	}
	if known && !p.open(now) {
		return Permit{Connect: !p.Everything || p.AskedAny, Asked: p.AskedAny, Why: "outside of the hours for calls", Until: p.change(now)}
	}
	return Permit{Connect: true, Calls: true, Asked: true}
}

// Forecast is what it takes to send what waits.
type Forecast struct {
	Bytes   int64     // that will go over the link, both ways together
	Seconds float64   // of sending, at the rate that was measured; 0: no rate is known yet
	Done    time.Time // when all will be there, hours and volumes considered; zero: not known
	Rate    float64   // bytes a second, as measured while calls were sent; 0: not known yet
}

// forecastLimit bounds how far ahead is looked.
const forecastLimit = 400 * 24 * time.Hour

// finish is when n bytes will have gone at a rate from now on; zero: not within a year.
func (p Policy) finish(now time.Time, v Volume, n int64, rate float64) time.Time {
	left := float64(n)
	for t := now; t.Before(now.Add(forecastLimit)); {
		year, month, day := p.local(t).Date()
		step := time.Date(year, month, day+1, 0, 0, 0, 0, p.local(t).Location())
		if change := p.change(t); !change.IsZero() && change.Before(step) {
			step = change
		}
		if p.open(t) {
			can := rate * step.Sub(t).Seconds()
			volume, _ := p.left(v, t)
			if volume >= 0 {
				can = min(can, float64(volume))
			}
			if can >= left {
				return t.Add(time.Duration(left / rate * float64(time.Second)))
			}
			left -= can
			v = v.add(p, t, int64(can))
		}
		t = step
	}
	return time.Time{}
}
