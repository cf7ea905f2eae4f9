package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// quiet is how long a recorder may say nothing before it is taken to be away: it reports its status every five minutes at the latest, and
// one report may be lost.
const quiet = 11 * time.Minute

// recorderView is one recorder.
type recorderView struct {
	Site, Device string
	State        badge
	Seen         moment
	Ago, Via     string // Ago empty: never
	Reasons      []string
	Lines        []lineView
	Waiting      string
	Refused      []wire.Refused
	Forecast     string // what it takes to deliver what waits; empty: not known
	Room         string
	Software     string
	Board        string // how it is; empty: it does not say
	Tested       *testView
}

// testView is what became of the last self-test by the recorder's button.
type testView struct {
	State  badge
	At     moment
	Failed []string
}

type lineView struct {
	Name  string
	State badge
	Note  string
}

func (s *server) recordersPage(w http.ResponseWriter, r *http.Request) {
	recorders, err := s.Library.Recorders(r.Context())
	if err != nil {
		s.broken(w, r, fmt.Errorf("list recorders: %w", err))
		return
	}
	views := make([]recorderView, 0, len(recorders))
	for _, rec := range recorders {
		views = append(views, s.viewRecorder(rec))
	}
	admin, err := s.admin(r)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	s.showLive(w, r, http.StatusOK, "recorders", "Recorders", liveFrame{Address: "/recorders", Admin: admin}, views)
}

func (s *server) viewRecorder(rec hq.Recorder) recorderView {
	v := recorderView{Site: rec.Site, Device: string(rec.Device), Seen: s.moment(rec.Seen), State: s.recorderState(rec)}
	if rec.Seen.IsZero() {
		return v
	}
	v.Ago, v.Via = ago(s.Now().Sub(rec.Seen)), viaName(rec.Via)
	st := rec.Status
	if st == nil {
		return v
	}
	v.Reasons, v.Software = st.Reasons, st.Software
	for _, l := range st.Lines { // what they count is since the recorder started
		line := lineView{Name: l.Line, State: badge{Kind: "", Text: "quiet"}}
		switch {
		case l.Alarm != "":
			line.State = badge{Kind: "bad", Text: l.Alarm}
		case l.Recording:
			line.State = badge{Kind: "busy", Text: "in a call"}
		}
		line.Note = count(int(l.Calls), "call")
		if l.Lost > 0 {
			line.Note += ", some audio lost"
		}
		v.Lines = append(v.Lines, line)
	}
	v.Waiting = "nothing"
	if st.Waiting.Calls > 0 {
		v.Waiting = count(st.Waiting.Calls, "call") + ", " + size(st.Waiting.Bytes)
	}
	if st.Waiting.Parked > 0 {
		v.Waiting += "; " + count(st.Waiting.Parked, "call") + " parked after being refused"
	}
	v.Refused, v.Forecast = st.Waiting.Refused, s.forecast(st.Waiting)
	if st.Health != nil {
		v.Board = strings.Join(st.Health.Words(), ", ")
	}
	if test := st.Selftest; test != nil {
		v.Tested = &testView{State: badge{Kind: "good", Text: "passed"}, At: s.moment(test.Time), Failed: test.Failed}
		if !test.Passed {
			v.Tested.State = badge{Kind: "bad", Text: "failed"}
		}
	}
	if st.Ring.SizeBytes > 0 {
		v.Room = fmt.Sprintf("%.0f h of calls, %s of %s", st.Ring.FreeHours, size(st.Ring.FreeBytes), size(st.Ring.SizeBytes))
	}
	return v
}

// forecast is what it takes of the link to deliver what waits at a recorder, as that said last; empty: nothing waits, or it
// does not say.
func (s *server) forecast(w wire.Waiting) string {
	if w.Cost <= 0 {
		return ""
	}
	text := size(w.Cost) + " of the link"
	if w.Rate <= 0 {
		return text + "; how long is not known before a call has gone"
	}
	text += fmt.Sprintf(", %s at %s a second", lasts(w.Cost/w.Rate), size(w.Rate))
	if !w.Done.IsZero() {
		text += "; done " + s.moment(w.Done).Full
	}
	return text
}

// recorderState is whether it is there, and if so how it is.
func (s *server) recorderState(rec hq.Recorder) badge {
	switch {
	case rec.Seen.IsZero():
		return badge{"", "never seen", "It has an identity here and has not reported yet."}
	case rec.Status != nil && !rec.Status.Online:
		return badge{"bad", "offline", "Its connection ended."}
	case s.Now().Sub(rec.Seen) > quiet:
		return badge{"bad", "not heard", "It has not reported for a while: the link or the recorder is down."}
	case rec.Status == nil:
		return badge{"good", "there", ""}
	}
	kind := "good"
	switch rec.Status.State {
	case call.StateFault:
		kind = "bad"
	case call.StateAlarm, call.StatePaused, call.StateProvisioning, call.StateOffline:
		kind = "warn"
	case call.StateRecording:
		kind = "busy"
	}
	return badge{Kind: kind, Text: string(rec.Status.State)}
}
