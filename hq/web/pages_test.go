package web

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

var rowPattern = regexp.MustCompile(`<tr class="call" id="call-([0-9A-Z]{26})">`)

func rows(page string) (ids []string) {
	for _, match := range rowPattern.FindAllStringSubmatch(page, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

func TestListShowsCalls(t *testing.T) {
	s := loggedIn(t)
	c := s.add(func(c *hq.Call) {
		c.Gaps, c.Recovered = []call.Gap{{Position: 8000, Frames: 4000, Cause: call.CauseOverrun}}, true
	})
	s.peaks[c.ID] = [][]byte{{0, 200, 0}}
	undrawn := s.add(func(c *hq.Call) { c.BeganBy, c.Duration = call.BeganContinued, 2*time.Hour+61*time.Second })
	s.add(func(c *hq.Call) { c.Stage, c.Duration = hq.StageBegan, 0 })
	s.add(func(c *hq.Call) { c.Stage, c.Grade = hq.StageEnded, call.GradeNone })
	page := s.get("/").Body.String()
	wants(t, page,
		`href="/calls/`+c.ID.String()+`"`, `<time datetime="2026-11-23T12:05:12Z" title="2026-11-23 12:05:12 UTC">14:05:12</time>`,
		"Monday 23 November 2026", "<b>Lichinga</b>", "line1", ">1:05<", ">2:01:01<", "silence", "recovered", "1 gap", "0.5 s of audio were lost",
		"continued", "in progress", "on its way", "clock not set", `<svg class="wave"`,
		`hx-get="/calls/`+undrawn.ID.String()+`/wave"`, `data-play="/calls/`+c.ID.String()+`/audio"`)
	if n := strings.Count(page, "data-play="); n != 2 {
		t.Errorf("%d of 4 calls can be listened to, want those 2 that are here", n)
	}
	if n := strings.Count(page, `class="day"`); n != 1 {
		t.Errorf("%d headings for one day", n)
	}
}

func TestListPagesAreGaplessAndWithoutRepeats(t *testing.T) {
	s := loggedIn(t)
	want := map[string]bool{}
	for i := range 2*pageLength + 60 {
		short := i%3 == 1
		c := s.add(func(c *hq.Call) {
			switch {
			case short && i%2 == 0:
				c.Duration = 0
			case short:
				c.Short = true // a noise that was taken for a call: its recorder says so
			}
		})
		if !short {
			want[c.ID.String()] = true
		}
	}
	next, pages := "/", 0
	for ; next != ""; pages++ {
		page := s.get(next).Body.String()
		ids := rows(page)
		for _, id := range ids {
			if !want[id] {
				t.Errorf("page %d: call %s is short or came before", pages, id)
			}
			delete(want, id)
		}
		next = ""
		if match := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(page); match != nil {
			next = strings.ReplaceAll(match[1], "&amp;", "&")
			if len(ids) != pageLength {
				t.Errorf("page %d has %d calls, want %d", pages, len(ids), pageLength)
			}
			wants(t, page, " short calls not shown")
		}
	}
	if len(want) != 0 || pages != 3 {
		t.Errorf("%d calls are on none of the %d pages", len(want), pages)
	}
}

func TestListOfNothingButShortCallsEnds(t *testing.T) {
	s := loggedIn(t)
	s.recorders = []hq.Recorder{{Device: "7K3M9QXA", Site: "Lichinga"}}
	for range 25 * pageLength {
		s.add(func(c *hq.Call) { c.Duration = 0 })
	}
	page := s.get("/").Body.String()
	if len(rows(page)) != 0 || len(s.asked) > 25 {
		t.Errorf("%d calls shown, %d questions asked", len(rows(page)), len(s.asked))
	}
	wants(t, page, "No calls yet", "1000 short calls not shown", "Older calls")
	asked := s.get("/?short=1").Body.String()
	if n := len(rows(asked)); n != pageLength {
		t.Errorf("%d shown when asked for", n)
	}
	wants(t, asked, `>short</`)
}

func TestListAsksTheLibraryWhatTheFormSays(t *testing.T) {
	s := loggedIn(t)
	s.get("/?q=+maria+&site=Lichinga&line=line2&from=2026-11-01&to=2026-11-30")
	zone := time.FixedZone("CAT", 2*3600)
	got := s.asked[0]
	if got.Text != "maria" || got.Site != "Lichinga" || got.Line != "line2" || got.Limit != pageLength || got.Before != nil ||
		!got.From.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, zone)) || !got.To.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, zone)) {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"/?from=yesterday", "/?to=2026-13-99", "/?before=x", "/?before=1-2", "/?before=99999999999999999999-" + call.ID{}.String(), "/?q=" + strings.Repeat("%F0%9F%98%80", 500)} {
		if w := s.get(bad); w.Code != http.StatusOK {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
}

func TestListRefreshesItself(t *testing.T) {
	s := loggedIn(t)
	s.add(nil)
	whole := s.get("/?site=Lichinga").Body.String()
	wants(t, whole, "<!doctype html>", `hx-get="/?site=Lichinga" hx-trigger="every`)
	tag := regexp.MustCompile(`hx-ptag="([^"]+)"`).FindStringSubmatch(whole)[1]
	poll := func(tag, source string) *httptest.ResponseRecorder {
		return s.get("/?site=Lichinga", "HX-Request", "true", "HX-Request-Type", "partial", "HX-Source", source, "HX-PTag", tag)
	}
	if w := poll(tag, "section#live"); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("nothing new: %d, %d bytes", w.Code, w.Body.Len())
	}
	if w := poll(tag, "form#filter"); w.Code != http.StatusOK || w.Header().Get("HX-Replace-Url") != "/?site=Lichinga" {
		t.Errorf("the form asks: %d %q", w.Code, w.Header())
	}
	s.add(nil)
	w := poll(tag, "section#live")
	if w.Code != http.StatusOK || w.Header().Get("HX-PTag") == tag || len(rows(w.Body.String())) != 2 {
		t.Errorf("a new call: %d, tag %q, %d rows", w.Code, w.Header().Get("HX-PTag"), len(rows(w.Body.String())))
	}
	lacks(t, w.Body.String(), "<!doctype html>", "<form")

	older := s.get("/?before=" + url.QueryEscape(formatCursor(hq.Cursor{Began: noon, ID: call.ID{1}}))).Body.String()
	lacks(t, older, "every 4s")
	wants(t, older, "Newest calls")
}

func TestListSaysWhatToDoWhenItIsEmpty(t *testing.T) {
	s := loggedIn(t)
	wants(t, s.get("/").Body.String(), "No recorder yet")
	wants(t, s.get("/recorders").Body.String(), "No recorder yet")
	s.recorders = []hq.Recorder{{Device: "7K3M9QXA", Site: "Lichinga"}}
	wants(t, s.get("/").Body.String(), "No calls yet")
	wants(t, s.get("/?q=x").Body.String(), "No call matches", "Show all calls")
}

// What recorders send is text, whatever it looks like.
func TestHostileNamesAreText(t *testing.T) {
	s := loggedIn(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	s.marks = []call.Mark{{Kind: call.MarkKind(evil), Position: 80, Value: evil}}
	c := s.add(func(c *hq.Call) {
		c.Site, c.Line, c.Device, c.BeganBy, c.EndedBy = evil, evil, evil, evil, evil
		c.Channels, c.Sides, c.SHA256, c.Via, c.Codec = 2, []string{evil, evil}, evil, evil, evil
		c.Gaps = []call.Gap{{Position: 1, Frames: 1, Cause: evil}}
	})
	s.recorders = []hq.Recorder{{Device: evil, Site: evil, Seen: noon, Via: evil, Status: &wire.Status{
		Online: true, State: evil, Software: evil, Reasons: []string{evil}, Lines: []wire.LineStatus{{Line: evil, Alarm: evil}},
	}}}
	for _, target := range []string{"/", "/?q=" + url.QueryEscape(evil) + "&site=" + url.QueryEscape(evil) + "&from=" + url.QueryEscape(evil),
		"/calls/" + c.ID.String(), "/recorders", "/calls/" + url.PathEscape(evil), "/login?next=" + url.QueryEscape(evil)} {
		w := s.get(target)
		lacks(t, w.Body.String(), "<script>alert", "<img src=x")
		unquoted := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(w.Body.String(), `""`)
		for _, handler := range regexp.MustCompile(`<[^>]*\son[a-z]+=`).FindAllString(unquoted, -1) {
			t.Errorf("%s: a handler stands in the page: %s", target, handler)
		}
	}
	s.cookie = ""
	lacks(t, logIn(s, evil, "x").Body.String(), "<script>alert", "<img src=x")
	s = loggedIn(t)
	c = s.add(func(c *hq.Call) { c.Site, c.Line = "../../"+evil+"\r\nSet-Cookie: a=b", "/etc/passwd" })
	w := s.get("/calls/" + c.ID.String() + "/download/wav")
	if name := fileName(t, w); name != "2026-11-23_14-05-12_script-alert-1-script-img-src-x-onerror-_etc-passwd.wav" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("saved as %q with %q", name, w.Header())
	}
}

func fileName(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(w.Header().Get("Content-Disposition"))
	if err != nil || kind != "attachment" {
		t.Fatalf("Content-Disposition %q: %v", w.Header().Get("Content-Disposition"), err)
	}
	return parameters["filename"]
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	s := loggedIn(t)
	id := s.add(nil).ID.String()
	for _, target := range []string{"/", "/calls/" + id, "/calls/" + id + "/audio", "/calls/" + id + "/peaks", "/calls/" + id + "/download/mp3",
		"/recorders", "/nothing", "/assets/nothing.js", "/login"} {
		h := s.get(target).Header()
		policy := h.Get("Content-Security-Policy")
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(policy, "default-src 'none';") ||
			!strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || h.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %q", target, h)
		}
	}
	page := s.get("/calls/" + id)
	nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(page.Header().Get("Content-Security-Policy"))[1]
	if again := s.get("/calls/" + id).Header().Get("Content-Security-Policy"); strings.Contains(again, nonce) {
		t.Error("the nonce is the same twice")
	}
	lacks(t, page.Body.String(), " style=", "<style", "<script>")
}

func TestErrorsAreShownAndLogged(t *testing.T) {
	s := loggedIn(t)
	id := s.add(nil).ID.String()
	s.broken = errors.New("the disk is gone")
	for _, target := range []string{"/", "/recorders", "/calls/" + id, "/calls/" + id + "/audio"} {
		s.log.Reset()
		w := s.get(target)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "disk") || !strings.Contains(s.log.String(), "the disk is gone") {
			t.Errorf("%s: %d, logged %q", target, w.Code, s.log.String())
		}
	}
}

func TestRecorders(t *testing.T) {
	s := loggedIn(t)
	status := func(state call.State) *wire.Status { return &wire.Status{Online: true, State: state} }
	for want, rec := range map[string]hq.Recorder{
		"never seen": {}, "offline": {Seen: noon, Status: &wire.Status{}}, "there": {Seen: noon, Via: "https"},
		"not heard": {Seen: noon.Add(-time.Hour), Status: status(call.StateIdle)}, "fault": {Seen: noon, Status: status(call.StateFault)},
		"idle": {Seen: noon, Status: status(call.StateIdle)},
	} {
		rec.Device, rec.Site = "7K3M9QXA", "Lichinga"
		s.recorders = []hq.Recorder{rec}
		wants(t, s.get("/recorders").Body.String(), "7K3M9QXA", "<h2>Lichinga <span class=\"badge", ">"+want+"</span>")
	}
	s.recorders = []hq.Recorder{{Device: "7K3M9QXA", Site: "Lichinga", Seen: noon.Add(-2 * time.Minute), Via: "mqtt", Status: &wire.Status{
		Online: true, State: call.StateAlarm, Software: "0.1.0", Reasons: []string{"line2: no frames"},
		Lines:   []wire.LineStatus{{Line: "line1", Recording: true, Calls: 1}, {Line: "line2", Alarm: "no frames", Lost: 5}},
		Waiting: wire.Waiting{Calls: 3, Bytes: 1500000, Parked: 1, Cost: 1560000, Rate: 1150, Done: noon.Add(time.Hour), Refused: []wire.Refused{{Call: call.ID{9}, Reason: "413 too <large>"}}}, Ring: wire.RingStatus{SizeBytes: 4e9, FreeBytes: 3e9, FreeHours: 412},
		Selftest: &wire.Selftest{Time: noon, Failed: []string{"hum, line2: 50 Hz"}},
		Health:   &wire.Health{UnderVoltage: true, Temperature: 51.4, Uptime: 3 * 86400, Boots: 12, Reset: wire.ResetPower},
	}}}
	wants(t, s.get("/recorders").Body.String(), "2 min ago</time> over MQTT", "line2: no frames", "in a call", "1 call<", "some audio lost",
		"3 calls, 1.5 MB; 1 call parked", `<a href="/calls/`+call.ID{9}.String()+`">`, "413 too &lt;large&gt;", "the supply is too weak, 51 °C, up 3 days, boot 12, the power was lost before it", "412 h of calls, 3.0 GB of 4.0 GB", "0.1.0",
		"1.6 MB of the link, 22 min at 1 KB a second; done 23 Nov 2026, 15:05:12", ">failed<", "23 Nov 2026, 14:05:12", "<br>hum, line2: 50 Hz")
}

func TestForecastOfWhatIsNotKnown(t *testing.T) {
	s := loggedIn(t)
	s.recorders = []hq.Recorder{{Device: "7K3M9QXA", Site: "Lichinga", Seen: noon, Via: "https", Status: &wire.Status{Online: true, State: call.StateIdle}}}
	lacks(t, s.get("/recorders").Body.String(), "Delivery")
	s.recorders[0].Status.Waiting = wire.Waiting{Calls: 1, Bytes: 900, Cost: 2000}
	wants(t, s.get("/recorders").Body.String(), "2 KB of the link; how long is not known")
	s.recorders[0].Status.Waiting.Rate = 1
	wants(t, s.get("/recorders").Body.String(), "2 KB of the link, 33 min at 1 bytes a second</dd>")
}

func TestAssets(t *testing.T) {
	a := loadAssets(fstest.MapFS{
		"assets/dist/app.js": {Data: []byte("js")}, "assets/dist/app.css": {Data: []byte("css")}, "assets/dist/.keep": {}, "assets/dist/x.map": {Data: []byte("map")},
	})
	if a.built() {
		t.Error("half of it is missing")
	}
	get := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		return w
	}
	w := get(a.addressOf("app.js"))
	if w.Code != http.StatusOK || w.Body.String() != "js" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%d %q", w.Code, w.Header())
	}
	if w := get("/assets/app.js?v=old"); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "" {
		t.Errorf("under an old address: %d %q", w.Code, w.Header())
	}
	for _, target := range []string{"/assets/.keep", "/assets/x.map", "/assets/", "/assets/call.js"} {
		if w := get(target); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

func TestProgramWithoutAssetsSaysSo(t *testing.T) {
	s := loggedIn(t)
	srv := &server{Config: Config{Log: nil}, assets: assets{}}
	srv.pages = parsePages(srv.assets)
	w := httptest.NewRecorder()
	srv.show(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), http.StatusOK, "message", "x", message{})
	wants(t, w.Body.String(), "make assets")
	lacks(t, w.Body.String(), "<script", "stylesheet")
	if !loadAssets(dist).built() {
		wants(t, s.log.String(), "make assets")
	}
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0:00", 1499 * time.Millisecond: "0:01", 59*time.Second + 600*time.Millisecond: "1:00", time.Hour: "1:00:00", 26*time.Hour + 5*time.Second: "26:00:05"} {
		if got := length(d); got != want {
			t.Errorf("length of %s: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "just now", 90 * time.Second: "1 min ago", 3 * time.Hour: "3 h ago", 72 * time.Hour: "3 days ago"} {
		if got := ago(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for bytes, want := range map[int64]string{999: "999 bytes", 12345: "12 KB", 1234567: "1.2 MB", 4e9: "4.0 GB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for name, want := range map[string]string{"Lichinga": "Lichinga", "São Tomé / Príncipe": "São-Tomé-Príncipe", "...": "unnamed", "": "unnamed"} {
		if got := plainName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := title("émile"); got != "Émile" {
		t.Error(got)
	}
	if got := waveSVG(nil) + waveSVG([][]byte{{}}); got != "" {
		t.Errorf("a waveform of nothing: %s", got)
	}
	for _, points := range []int{1, 2, waveBars - 1, waveBars, 5000} {
		wants(t, string(waveSVG([][]byte{bytes.Repeat([]byte{255}, points)})), `d="M0 1h2v38h-2zM3 1h2v38h-2z`)
	}
}

func TestPeaksAndWave(t *testing.T) {
	s := loggedIn(t)
	id := s.add(nil).ID.String()
	if w := s.get("/calls/" + id + "/peaks"); w.Header().Get("Content-Type") != "application/json" || strings.TrimSpace(w.Body.String()) != `["AID/"]` {
		t.Errorf("%q %s", w.Header(), w.Body)
	}
	wants(t, s.get("/calls/"+id+"/wave").Body.String(), `<svg class="wave"`)
}
