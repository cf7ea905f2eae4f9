package web

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

const (
	pageLength = 50
	maxText    = 200 // characters of a search

	// emptyLength is below what a call can hold of speech. Recorders that are cut off and on again can make many such
	// calls; they are short as those are that their recorder says to be: kept, and shown where they are asked for.
	emptyLength = time.Second

	// longSilent is when a call that began and never ended is no longer taken to be in progress: longer than a part
	// can be.
	longSilent = 3 * time.Hour
)

// filter is what the list is asked for, as it stands in the address.
type filter struct {
	Text, Site, Line string
	From, To         string // dates in the configured zone, 2006-01-02; To is included
	Short            bool   // with calls that are too short to be of interest
	Before           string // a place in the list
}

func parseFilter(v url.Values) filter {
	text := []rune(strings.TrimSpace(v.Get("q")))
	return filter{
		Text: string(text[:min(len(text), maxText)]), Site: v.Get("site"), Line: v.Get("line"),
		From: v.Get("from"), To: v.Get("to"), Short: v.Get("short") != "", Before: v.Get("before"),
	}
}

// address is the list with this filter.
func (f filter) address() string {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("q", f.Text)
	set("site", f.Site)
	set("line", f.Line)
	set("from", f.From)
	set("to", f.To)
	set("before", f.Before)
	if f.Short {
		v.Set("short", "1")
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}

// query is the question to the library; dates and places that cannot be read are left out.
func (f filter) query(zone *time.Location) hq.Query {
	q := hq.Query{Text: f.Text, Site: f.Site, Line: f.Line, Limit: pageLength, Before: parseCursor(f.Before)}
	if day, err := time.ParseInLocation(time.DateOnly, f.From, zone); err == nil {
		q.From = day
	}
	if day, err := time.ParseInLocation(time.DateOnly, f.To, zone); err == nil {
		q.To = day.AddDate(0, 0, 1)
	}
	return q
}

func formatCursor(c hq.Cursor) string {
	return strconv.FormatInt(c.Began.UnixNano(), 10) + "-" + c.ID.String()
}

func parseCursor(s string) *hq.Cursor {
	began, id, _ := strings.Cut(s, "-")
	nanoseconds, err := strconv.ParseInt(began, 10, 64)
	if err != nil {
		return nil
	}
	cursor := hq.Cursor{Began: time.Unix(0, nanoseconds).UTC()}
	if cursor.ID, err = call.ParseID(id); err != nil {
		return nil
	}
	return &cursor
}

// filterView is the form above the list.
type filterView struct {
	filter
	Sites, Lines []string
}

// listBody is the list.
type listBody struct {
	Rows   []row
	Hidden string // address that shows what is left out; empty: nothing is
	Older  string // address
	Newest string // address, where this is not the first page
	Clear  string // address without filter, where one is set
	Known  bool   // a recorder is known
	Reason string // of an empty list: what was left out
}

// link sets where one can go from a page of the list.
func (b *listBody) link(f filter, next *hq.Cursor, hidden int) {
	if hidden > 0 {
		all := f
		all.Short = true
		b.Hidden, b.Reason = all.address(), count(hidden, "short call")
	}
	if next != nil {
		older := f
		older.Before = formatCursor(*next)
		b.Older = older.address()
	}
	if first := f; first.Before != "" {
		first.Before = ""
		b.Newest = first.address()
	}
	if f != (filter{Before: f.Before}) {
		b.Clear = "/"
	}
}

// row is a call in the list.
type row struct {
	ID      string
	Day     string // where it is another than the row's above
	Began   moment
	Site    string
	Line    string
	Length  string
	Ended   string
	Badges  []badge
	Stage   hq.Stage
	Durable bool
	Wave    template.HTML // empty: not drawn yet
}

// badge is a short remark with a longer explanation.
type badge struct {
	Kind string // good, warn, busy: its colour
	Text string
	Why  string
}

func (s *server) listPage(w http.ResponseWriter, r *http.Request) {
	f := parseFilter(r.URL.Query())
	recorders, err := s.Library.Recorders(r.Context())
	if err != nil {
		s.broken(w, r, fmt.Errorf("list recorders: %w", err))
		return
	}
	calls, next, hidden, err := s.calls(r, f)
	if err != nil {
		s.broken(w, r, fmt.Errorf("list calls: %w", err))
		return
	}

	body := listBody{Known: len(recorders) > 0}
	body.link(f, next, hidden)
	day := ""
	for _, c := range calls {
		row, err := s.row(r, c)
		if err != nil {
			s.broken(w, r, fmt.Errorf("list call %s: %w", c.ID, err))
			return
		}
		if row.Day == day {
			row.Day = ""
		} else {
			day = row.Day
		}
		body.Rows = append(body.Rows, row)
	}

	address := f.address()
	if r.Header.Get("HX-Source") == "form#filter" {
		w.Header().Set("HX-Replace-Url", address) // without the fields that are empty
	}
	if f.Before != "" {
		address = "" // older pages stay as they are
	}
	s.showLive(w, r, http.StatusOK, "calls", "Calls", liveFrame{Address: address, Filter: viewFilter(f, recorders)}, body)
}

// calls gives a page of calls. Those that are short do not count towards it unless they are asked for.
func (s *server) calls(r *http.Request, f filter) (page []hq.Call, next *hq.Cursor, hidden int, err error) {
	q := f.query(s.Zone)
	for range 20 { // of nothing but short calls: then there is a page with few, and the way to the next
		var calls []hq.Call
		if calls, next, err = s.Library.Calls(r.Context(), q); err != nil {
			return nil, nil, 0, err
		}
		for _, c := range calls {
			if len(page) == pageLength {
				last := page[pageLength-1]
				return page, &hq.Cursor{Began: last.Began, ID: last.ID}, hidden, nil
			}
			if !f.Short && isShort(c) {
				hidden++
				continue
			}
			page = append(page, c)
		}
		if next == nil || len(page) == pageLength {
			break
		}
		q.Before = next
	}
	return page, next, hidden, nil
}

// isShort says whether the list leaves a call out.
func isShort(c hq.Call) bool {
	return c.Stage != hq.StageBegan && (c.Short || c.Duration < emptyLength)
}

func (s *server) row(r *http.Request, c hq.Call) (row, error) {
	view := row{
		ID: c.ID.String(), Began: s.moment(c.Began), Site: c.Site, Line: c.Line, Stage: c.Stage,
		Durable: c.Stage == hq.StageDurable, Ended: string(c.EndedBy), Badges: s.badges(c),
	}
	view.Day = view.Began.Day
	if c.Stage != hq.StageDurable {
		if arrived, err := s.arrived(r, &c); err == nil {
			view.Badges = append(view.Badges, badge{"warn", "incomplete", "The first " + length(arrived) + " of the audio are here."})
		}
	}
	if c.Stage != hq.StageBegan {
		view.Length = length(c.Duration)
	}
	if view.Durable {
		peaks, err := s.Media.CachedPeaks(r.Context(), c.ID)
		if err != nil && !errors.Is(err, hq.ErrNotFound) {
			return row{}, err
		}
		view.Wave = waveSVG(peaks)
	}
	return view, nil
}

// badges are what is worth knowing of a call at a glance.
func (s *server) badges(c hq.Call) (b []badge) {
	switch {
	case c.Stage == hq.StageBegan && s.Now().Sub(c.Began) > longSilent:
		b = append(b, badge{"warn", "no end yet", "The recorder announced this call and has not said how it ended."})
	case c.Stage == hq.StageBegan:
		b = append(b, badge{"busy", "in progress", "The call is being recorded."})
	case c.Stage == hq.StageEnded:
		b = append(b, badge{"busy", "on its way", "The call has ended; its audio has not arrived yet."})
	}
	if c.BeganBy == call.BeganContinued {
		b = append(b, badge{"", "continued", "The part after one that reached the longest length."})
	}
	if isShort(c) {
		b = append(b, badge{"", "short", "Too short to be of interest: the list leaves it out unless it is asked for."})
	}
	if c.Recovered {
		b = append(b, badge{"warn", "recovered", "The recorder was cut off during the call; all that it had stored is here."})
	}
	if len(c.Gaps) > 0 {
		var lost int64
		for _, g := range c.Gaps {
			lost += g.Frames
		}
		b = append(b, badge{"warn", count(len(c.Gaps), "gap"), fmt.Sprintf("%.1f s of audio were lost.", span(c, lost).Seconds())})
	}
	if c.Grade == call.GradeNone {
		b = append(b, badge{"warn", "clock not set", "The recorder did not know the time: the date may be wrong."})
	}
	return b
}

// viewFilter offers the sites and lines that recorders speak of, and whatever is chosen.
func viewFilter(f filter, recorders []hq.Recorder) *filterView {
	view := &filterView{filter: f, Sites: []string{f.Site}, Lines: []string{f.Line}}
	for _, rec := range recorders {
		view.Sites = append(view.Sites, rec.Site)
		if rec.Status != nil {
			for _, line := range rec.Status.Lines {
				view.Lines = append(view.Lines, line.Line)
			}
		}
	}
	for _, names := range []*[]string{&view.Sites, &view.Lines} {
		slices.Sort(*names)
		*names = slices.DeleteFunc(slices.Compact(*names), func(s string) bool { return s == "" })
	}
	return view
}
