package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// contentTypes are the formats of copies.
var contentTypes = map[string]string{
	"opus": "audio/ogg; codecs=opus",
	"mp3":  "audio/mpeg",
	"flac": "audio/flac",
	"wav":  "audio/wav",
}

// callBody is the page of one call.
type callBody struct {
	ID              string
	Site, Line      string
	Began           moment
	Durable         bool
	Arrived         string // how much of the audio there is of a call that is not here whole; empty: none
	Seconds         float64
	Length          string
	Sides           []string
	Spots           []spot
	Ticks           []string
	Copies          []copyOf
	Badges          []badge
	Facts           []fact
	Wanted          []wantedView
	SHA256, Receipt string
}

// fact is a line of what is known.
type fact struct {
	Name, Value, Note string
}

// spot is something at a place of the timeline.
type spot struct {
	Seconds     float64
	At          string  // as length
	Left, Width float64 // in thousandths of the call
	Gap         bool
	Name, Value string
}

// lookUp finds the call that the address names, and answers where there is none.
func (s *server) lookUp(w http.ResponseWriter, r *http.Request) (hq.Call, bool) {
	id, err := call.ParseID(r.PathValue("id"))
	if err == nil {
		var c hq.Call
		if c, err = s.Library.Call(r.Context(), id); err == nil {
			return c, true
		}
		if !errors.Is(err, hq.ErrNotFound) {
			s.broken(w, r, fmt.Errorf("look up call %s: %w", id, err))
			return hq.Call{}, false
		}
	}
	s.fail(w, r, http.StatusNotFound, "There is no such call", "It may be of another headquarters, or the address is mistyped.")
	return hq.Call{}, false
}

// lookUpDurable is lookUp for what needs the call's audio.
func (s *server) lookUpDurable(w http.ResponseWriter, r *http.Request) (hq.Call, bool) {
	c, ok := s.lookUp(w, r)
	if ok && c.Stage != hq.StageDurable {
		s.fail(w, r, http.StatusNotFound, "The audio is on its way", "It has not arrived from the recorder yet.")
		return hq.Call{}, false
	}
	return c, ok
}

// lookUpAudio is lookUp for what can be heard: also the beginning of a call that is not here whole.
func (s *server) lookUpAudio(w http.ResponseWriter, r *http.Request) (hq.Call, bool) {
	c, ok := s.lookUp(w, r)
	if !ok || c.Stage == hq.StageDurable {
		return c, ok
	}
	if _, err := s.arrived(r, &c); err == nil {
		return c, true
	}
	return s.lookUpDurable(w, r)
}

// arrived is how much there is of a call that is not here whole, of which it fills in what the header says.
func (s *server) arrived(r *http.Request, c *hq.Call) (time.Duration, error) {
	h, length, err := s.Media.Arrived(r.Context(), c.ID)
	if err != nil {
		return 0, fmt.Errorf("what has arrived of call %s: %w", c.ID, err)
	}
	c.Codec, c.Channels, c.Sides, c.Rate = h.Codec, h.Channels, h.Sides, h.Rate
	c.Duration = max(c.Duration, length)
	return length, nil
}

func (s *server) callPage(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUp(w, r)
	if !ok {
		return
	}
	address := "/calls/" + c.ID.String()
	body := callBody{
		ID: c.ID.String(), Site: c.Site, Line: c.Line, Began: s.moment(c.Began), Durable: c.Stage == hq.StageDurable,
		Seconds: c.Duration.Seconds(), Length: length(c.Duration), Sides: sideNames(c), Badges: s.badges(c),
		Facts: s.facts(c), SHA256: c.SHA256,
	}
	if !body.Durable {
		var err error
		if body.Wanted, err = s.wanted(r.Context(), c.ID); err != nil {
			s.broken(w, r, err)
			return
		}
	}
	if !body.Durable {
		if err := s.showArrived(r, c, &body); err != nil {
			s.broken(w, r, err)
			return
		}
	}
	if body.Durable {
		if r.Header.Get("HX-Request") != "" {
			w.Header().Set("HX-Refresh", "true") // it has arrived: the page begins anew, with its player
			return
		}
		address = ""
		marks, err := s.Media.Marks(r.Context(), c.ID)
		if err != nil {
			s.broken(w, r, fmt.Errorf("marks of call %s: %w", c.ID, err))
			return
		}
		body.Spots, body.Ticks, body.Copies = spots(c, marks), ticks(c.Duration), copies(c)
		if body.Receipt, err = s.Library.Receipt(r.Context(), c.ID); err != nil && !errors.Is(err, hq.ErrNotFound) {
			s.broken(w, r, fmt.Errorf("receipt of call %s: %w", c.ID, err))
			return
		}
	}
	hold, err := s.viewHold(r, c)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	s.showLive(w, r, http.StatusOK, "call", c.Site+" · "+c.Line+" · "+body.Began.Full, liveFrame{Address: address, Hold: hold}, body)
}

// showArrived shows as much as there is of a call that is not here whole.
func (s *server) showArrived(r *http.Request, c hq.Call, body *callBody) error {
	arrived, err := s.arrived(r, &c)
	if errors.Is(err, hq.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	marks, err := s.Media.Marks(r.Context(), c.ID)
	if err != nil {
		return fmt.Errorf("marks of call %s: %w", c.ID, err)
	}
	body.Arrived, body.Spots, body.Copies = length(arrived), spots(c, marks), copies(c)
	return nil
}

// facts are what is known of the call, most useful first.
func (s *server) facts(c hq.Call) []fact {
	began := s.moment(c.Began)
	f := []fact{{"Began", began.Full, reasonNote(c.BeganBy) + " · " + began.UTC}}
	if c.Stage != hq.StageBegan {
		ended := s.moment(c.Began.Add(c.Duration))
		f = append(f, fact{"Ended", ended.Full, reasonNote(c.EndedBy)}, fact{"Length", length(c.Duration), fmt.Sprintf("%.3f s", c.Duration.Seconds())})
	}
	switch c.Grade {
	case call.GradeNTP:
		f = append(f, fact{"Clock", "synchronised", "the recorder's clock was set over the network"})
	case call.GradeHQ:
		f = append(f, fact{"Clock", "set by headquarters", "the recorder reached no other source of time"})
	case call.GradeRTC:
		f = append(f, fact{"Clock", "by its own clock", "not confirmed over the network since the recorder started"})
	default:
		f = append(f, fact{"Clock", "not set", "the date and time may be wrong"})
	}
	if off := c.Began.Sub(c.Believed).Abs(); !c.Believed.IsZero() && off >= time.Second {
		f = append(f, fact{"By the clock then", s.moment(c.Believed).Full, "it was wrong; the recorder has signed by how much"})
	}
	if c.Codec != "" {
		note := fmt.Sprintf("%d Hz, one channel", c.Rate)
		if c.Channels > 1 {
			note = fmt.Sprintf("%d Hz, the sides kept apart", c.Rate)
		}
		f = append(f, fact{"Recorded as", codecName(string(c.Codec)), note})
	}
	if c.Stage == hq.StageDurable {
		received := s.moment(c.Received)
		f = append(f, fact{"Received", received.Full, wayIn(c.Via) + " · " + received.UTC}, fact{"Call file", size(c.Size), fmt.Sprintf("%d bytes", c.Size)})
	}
	return append(f, fact{"Recorder", string(c.Device), fmt.Sprintf("number %d in its ledger", c.Number)})
}

func reasonNote(r call.Reason) string {
	if r == "" {
		return "reason not known"
	}
	return string(r)
}

func codecName(codec string) string {
	if codec == string(call.Opus) {
		return "Opus"
	}
	return strings.ToUpper(codec)
}

// wayIn is how a call came.
func wayIn(via string) string {
	if via == "courier" {
		return "on a courier's stick"
	}
	return "over " + viaName(via)
}

func viaName(via string) string {
	if via == "" {
		return "a way not known"
	}
	return strings.ToUpper(via)
}

// spots are the gaps and the marks of a call, as they stand on its timeline.
func spots(c hq.Call, marks []call.Mark) []spot {
	if c.Duration <= 0 {
		return nil
	}
	place := func(position, frames int64) spot {
		at := span(c, position)
		return spot{
			Seconds: at.Seconds(), At: length(at),
			Left: 1000 * at.Seconds() / c.Duration.Seconds(), Width: max(3, 1000*span(c, frames).Seconds()/c.Duration.Seconds()),
		}
	}
	var list []spot
	for _, g := range c.Gaps {
		p := place(g.Position, g.Frames)
		p.Gap, p.Name, p.Value = true, "Gap", fmt.Sprintf("%.1f s lost: %s", span(c, g.Frames).Seconds(), cause(g.Cause))
		list = append(list, p)
	}
	for _, m := range marks {
		if m.Kind == call.MarkGap || m.Kind == call.MarkVoice {
			continue // gaps come from the manifest; where voice began is what the waveform shows
		}
		p := place(m.Position, m.Frames)
		p.Name, p.Value = title(string(m.Kind)), m.Value
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b spot) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return list
}

// ticks label the timeline at equal distances.
func ticks(d time.Duration) []string {
	const parts = 4
	t := make([]string, 0, parts+1)
	for i := range parts + 1 {
		t = append(t, length(d*time.Duration(i)/parts))
	}
	return t
}

// copyOf is a format in which a call can be saved.
type copyOf struct {
	Format, Name string
}

// copies are the formats offered: those that everybody can play, and the one that it was recorded in.
func copies(c hq.Call) []copyOf {
	list := []copyOf{{"opus", "Opus"}, {"mp3", "MP3"}, {"wav", "WAV"}}
	if c.Codec == call.FLAC {
		list = append([]copyOf{{"flac", "FLAC"}}, list...)
	}
	return list
}

// audio gives the browser's player the recorded audio; it may ask for any part of it.
func (s *server) audio(w http.ResponseWriter, r *http.Request) {
	if c, ok := s.lookUpAudio(w, r); ok {
		s.original(w, r, c)
	}
}

func (s *server) original(w http.ResponseWriter, r *http.Request, c hq.Call) {
	content, err := s.Media.Original(r.Context(), c.ID)
	if err != nil {
		s.broken(w, r, fmt.Errorf("open audio of call %s: %w", c.ID, err))
		return
	}
	defer func() { _ = content.Close() }() // only read
	w.Header().Set("Content-Type", contentTypes[string(c.Codec)])
	if c.Stage == hq.StageDurable {
		w.Header().Set("ETag", `"`+c.SHA256+`"`) // a player that goes on after a break gets on with the same bytes
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}

// download gives a copy to save.
func (s *server) download(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUpAudio(w, r)
	if !ok {
		return
	}
	format := r.PathValue("format")
	contentType, known := contentTypes[format]
	if !known {
		s.fail(w, r, http.StatusNotFound, "There are no such copies", "Calls can be saved as opus, mp3, flac and wav.")
		return
	}
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": s.copyName(c, format)}))
	if format == string(c.Codec) {
		s.original(w, r, c)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if r.Method == http.MethodHead {
		return
	}
	out := &written{w: w}
	if err := s.Media.Convert(r.Context(), c.ID, format, out); err != nil {
		if !out.any {
			w.Header().Del("Content-Disposition")
			s.broken(w, r, err)
			return
		}
		if r.Context().Err() == nil {
			s.Log.Error("a copy broke off", "call", c.ID.String(), "format", format, "error", err)
		}
		panic(http.ErrAbortHandler) // the browser must not take what it has for the whole
	}
}

// written remembers whether anything was written.
type written struct {
	w   io.Writer
	any bool
}

func (o *written) Write(p []byte) (int, error) {
	o.any = true
	return o.w.Write(p)
}

// peaks gives the waveform to draw: for each channel its points, 0 to 255, in base64.
func (s *server) peaks(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUpDurable(w, r)
	if !ok {
		return
	}
	peaks, err := s.Media.Peaks(r.Context(), c.ID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(peaks) // the reader went away: nothing to do
}

// wave gives the small waveform of a row that came without.
func (s *server) wave(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUpDurable(w, r)
	if !ok {
		return
	}
	peaks, err := s.Media.Peaks(r.Context(), c.ID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, string(waveSVG(peaks))) // the reader went away: nothing to do
}
