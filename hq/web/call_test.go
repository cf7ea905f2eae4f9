package web

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

func TestCallPage(t *testing.T) {
	s := loggedIn(t)
	s.marks = []call.Mark{
		{Kind: call.MarkDigits, Position: 8000 * 30, Value: "0258#"}, {Kind: call.MarkVoice, Position: 8000},
		{Kind: call.MarkGap, Position: 80000, Frames: 4000, Value: call.CauseOverrun},
	}
	c := s.add(func(c *hq.Call) {
		c.Channels, c.Sides = 2, []string{"agent", "caller"}
		c.Gaps = []call.Gap{{Position: 80000, Frames: 4000, Cause: call.CauseOverrun}}
	})
	id := c.ID.String()
	page := s.get("/calls/" + id).Body.String()
	wants(t, page, "Lichinga <span>line1</span>", "Monday 23 November 2026, 14:05:12", "2026-11-23 12:05:12 UTC",
		`data-peaks="/calls/`+id+`/peaks" data-seconds="65" data-sides="2"`, `src="/calls/`+id+`/audio"`,
		">Agent</span><span>Caller<", `<rect class="gap" x="153.8`, "0.5 s lost: the recorder was too busy",
		`data-seek="30"`, "<b>Digits</b> 0258#", "voice · ", "silence", "1:05", "65.000 s", "synchronised", "8000 Hz, the sides kept apart",
		"over HTTPS", "130 KB", "130000 bytes", c.SHA256, "signed.receipt.jws", id,
		`href="/calls/`+id+`/download/opus"`, `href="/calls/`+id+`/download/mp3"`, `href="/calls/`+id+`/download/wav"`)
	lacks(t, page, "<b>Gap</b> overrun", "every 4s", "download/flac")

	s.calls[0].Codec, s.calls[0].Channels = call.FLAC, 1
	wants(t, s.get("/calls/"+id).Body.String(), "download/flac", `data-sides="0"`)
}

func TestCallPageWaitsForTheAudio(t *testing.T) {
	for _, stage := range []hq.Stage{hq.StageBegan, hq.StageEnded} {
		s := loggedIn(t)
		id := s.add(func(c *hq.Call) { c.Stage = stage }).ID.String()
		page := s.get("/calls/" + id).Body.String()
		wants(t, page, "The audio is on its way", `hx-get="/calls/`+id+`" hx-trigger="every`)
		lacks(t, page, "<audio", "download", "signed.receipt.jws")
		for _, part := range []string{"/audio", "/peaks", "/wave", "/download/mp3"} {
			if w := s.get("/calls/" + id + part); w.Code != http.StatusNotFound {
				t.Errorf("%s of a call that is not here: %d", part, w.Code)
			}
		}
		s.calls[0].Stage = hq.StageDurable
		w := s.get("/calls/"+id, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Source", "section#live")
		if w.Header().Get("HX-Refresh") != "true" {
			t.Errorf("when it has arrived: %q", w.Header())
		}
	}
}

// TestWhatHasArrivedOfACall is heard and saved before the call is here whole, or ever is.
func TestWhatHasArrivedOfACall(t *testing.T) {
	s := loggedIn(t)
	s.arrived = 83 * time.Second
	s.fake.marks = []call.Mark{{Kind: call.MarkCallerID, Position: 16_000, Value: "the caller"}}
	id := s.add(func(c *hq.Call) {
		*c = hq.Call{ID: c.ID, Site: c.Site, Line: c.Line, Stage: hq.StageBegan, Began: c.Began}
	}).ID.String()
	wants(t, s.get("/").Body.String(), "incomplete", "The first 1:23 of the audio are here.")
	page := s.get("/calls/" + id).Body.String()
	wants(t, page, "The first 1:23 are here", `<audio src="/calls/`+id+`/audio"`, "download/opus", "the caller", "0:02")
	w := s.get("/calls/" + id + "/audio")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "audio/ogg; codecs=opus" || w.Header().Get("ETag") != "" {
		t.Errorf("audio: %d %q", w.Code, w.Header())
	}
	if w := s.get("/calls/" + id + "/peaks"); w.Code != http.StatusNotFound {
		t.Errorf("a waveform of a call that grows: %d", w.Code)
	}
}

func TestCallThatIsNotThere(t *testing.T) {
	s := loggedIn(t)
	for _, id := range []string{"x", "00000000000000000000000000", call.NewID().String(), "..%2f..%2fetc%2fpasswd"} {
		for _, part := range []string{"", "/audio", "/peaks", "/wave", "/download/opus"} {
			if w := s.get("/calls/" + id + part); w.Code != http.StatusNotFound {
				t.Errorf("%s%s: %d", id, part, w.Code)
			}
		}
	}
}

func TestAudioCanBeAskedForInParts(t *testing.T) {
	s := loggedIn(t)
	c := s.add(nil)
	target := "/calls/" + c.ID.String() + "/audio"
	all := string(s.audio)
	for name, test := range map[string]struct {
		header []string
		code   int
		body   string
	}{
		"all":             {nil, 200, all},
		"the beginning":   {[]string{"Range", "bytes=0-3"}, 206, "OggS"},
		"from a place on": {[]string{"Range", "bytes=5-"}, 206, all[5:]},
		"the end":         {[]string{"Range", "bytes=-4"}, 206, all[len(all)-4:]},
		"beyond the end":  {[]string{"Range", "bytes=1000-"}, 416, ""},
		"the same still":  {[]string{"Range", "bytes=0-3", "If-Range", `"` + c.SHA256 + `"`}, 206, "OggS"},
		"another by now":  {[]string{"Range", "bytes=0-3", "If-Range", `"other"`}, 200, all},
	} {
		w := s.get(target, test.header...)
		if w.Code != test.code || test.body != "" && w.Body.String() != test.body {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		if test.code < 300 && (w.Header().Get("Content-Type") != "audio/ogg; codecs=opus" || w.Header().Get("Accept-Ranges") != "bytes" || w.Header().Get("Content-Disposition") != "") {
			t.Errorf("%s: %q", name, w.Header())
		}
	}
}

func TestDownloads(t *testing.T) {
	s := loggedIn(t)
	id := s.add(nil).ID.String()
	for format, want := range map[string]struct{ contentType, body string }{
		"opus": {"audio/ogg; codecs=opus", string(s.audio)}, "mp3": {"audio/mpeg", "as mp3"},
		"wav": {"audio/wav", "as wav"}, "flac": {"audio/flac", "as flac"},
	} {
		w := s.get("/calls/" + id + "/download/" + format)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want.contentType || w.Body.String() != want.body {
			t.Errorf("%s: %d %q %q", format, w.Code, w.Header(), w.Body)
		}
		if name := fileName(t, w); name != "2026-11-23_14-05-12_Lichinga_line1."+format {
			t.Errorf("%s is saved as %q", format, name)
		}
	}
	if w := s.ask(http.MethodHead, "/calls/"+id+"/download/mp3", nil); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
	if w := s.get("/calls/" + id + "/download/midi"); w.Code != http.StatusNotFound {
		t.Errorf("a format that is none: %d", w.Code)
	}
}

func TestDownloadThatFails(t *testing.T) {
	s := loggedIn(t)
	id := s.add(nil).ID.String()
	s.convert = func(string, io.Writer) error { return errors.New("no encoder") }
	w := s.get("/calls/" + id + "/download/mp3")
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Disposition") != "" {
		t.Errorf("before the first byte: %d %q", w.Code, w.Header())
	}
	s.convert = func(_ string, w io.Writer) error {
		_, _ = io.WriteString(w, "a part")
		return errors.New("disk gone")
	}
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // what net/http compares it with
			t.Error("a copy that broke off ends like a whole one")
		}
	}()
	s.get("/calls/" + id + "/download/mp3")
}

func TestSpotsStayOnTheTimeline(t *testing.T) {
	c := hq.Call{Rate: 8000, Duration: 10 * time.Second, Gaps: []call.Gap{{Position: 40000, Frames: 8000}}}
	list := spots(c, []call.Mark{{Kind: call.MarkHook, Position: 8000}})
	if len(list) != 2 || list[0].Left != 100 || list[1].Left != 500 || list[1].Width != 100 || !list[1].Gap {
		t.Errorf("%+v", list)
	}
	if list := spots(hq.Call{Gaps: c.Gaps}, nil); list != nil {
		t.Errorf("on a call of no length: %+v", list)
	}
}
