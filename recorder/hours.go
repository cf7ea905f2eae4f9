package recorder

import (
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Hours are the business hours of a line.
type Hours struct {
	Days     [7]bool       // by time.Weekday
	From, To time.Duration // since midnight; From is before To
	Zone     *time.Location
}

// open says whether a moment lies in them.
func (h Hours) open(at time.Time) bool {
	if h.Zone != nil {
		at = at.In(h.Zone)
	}
	sinceMidnight := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
	return h.Days[at.Weekday()] && sinceMidnight >= h.From && sinceMidnight < h.To
}

// idle counts the business hours in which a line gave no call: a minute of the line at a time, by the line's positions and
// the anchor of each. Time of which nobody knows what the clock says does not count.
type idle struct {
	next  int64 // position of the next look
	sum   time.Duration
	calls int64
	quiet bool // for LineConfig.Quiet
}

func (s *idle) hear(l *Line) {
	if l.Quiet <= 0 {
		return
	}
	if l.calls != s.calls || l.rec != nil {
		s.calls, s.sum, s.quiet = l.calls, 0, false
	}
	if s.next == 0 {
		s.next = l.time.end
	}
	for ; s.next <= l.time.end; s.next += l.Format.Frames(time.Minute) {
		if at := l.anchor(s.next); at.Grade != call.GradeNone && l.Hours.open(at.Wall) {
			s.sum += time.Minute
		}
	}
	s.quiet = s.sum >= l.Quiet
}
