package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

var noon = time.Date(2026, 11, 23, 12, 5, 12, 0, time.UTC)

// fake is a library, its users, and media, in memory.
type fake struct {
	calls     []hq.Call // newest first
	recorders []hq.Recorder
	users     []hq.User
	sessions  map[string]hq.Session
	marks     []call.Mark
	arrived   time.Duration // of calls that are not here whole
	audio     []byte
	peaks     map[call.ID][][]byte // drawn already
	convert   func(format string, w io.Writer) error
	commands  []hq.Command
	holds     []hq.Hold // newest first
	tokens    []hq.Token
	ordered   []hq.BundleOrder
	refused   error // what every order of a bundle is answered with
	broken    error // what every question is answered with
	asked     []hq.Query
}

func (f *fake) Calls(_ context.Context, q hq.Query) (page []hq.Call, next *hq.Cursor, err error) {
	f.asked = append(f.asked, q)
	for _, c := range f.calls {
		if q.Site != "" && c.Site != q.Site || q.Before != nil && !c.Began.Before(q.Before.Began) {
			continue
		}
		if len(page) == q.Limit {
			last := page[len(page)-1]
			return page, &hq.Cursor{Began: last.Began, ID: last.ID}, f.broken
		}
		page = append(page, c)
	}
	return page, nil, f.broken
}

func (f *fake) Call(_ context.Context, id call.ID) (hq.Call, error) {
	i := slices.IndexFunc(f.calls, func(c hq.Call) bool { return c.ID == id })
	if i < 0 {
		return hq.Call{}, errors.Join(f.broken, hq.ErrNotFound)
	}
	return f.calls[i], f.broken
}

func (f *fake) AddCommand(_ context.Context, c hq.Command) (uint64, error) {
	c.Number, c.Given = uint64(len(f.commands)+1), noon
	f.commands = append([]hq.Command{c}, f.commands...)
	return c.Number, f.broken
}

func (f *fake) CommandsOf(context.Context, call.ID, int) ([]hq.Command, error) {
	return f.commands, f.broken
}
func (f *fake) Hold(_ context.Context, h hq.Hold) error {
	if len(f.holds) > 0 && f.holds[0].On == h.On {
		return hq.ErrExists
	}
	h.At = noon
	f.holds = append([]hq.Hold{h}, f.holds...)
	return f.broken
}
func (f *fake) Holds(context.Context, call.ID, int) ([]hq.Hold, error) { return f.holds, f.broken }
func (f *fake) Tokens(context.Context, int) ([]hq.Token, error)        { return f.tokens, f.broken }
func (f *fake) Make(_ context.Context, o hq.BundleOrder) (string, error) {
	f.ordered = append(f.ordered, o)
	return "signed.bundle.jws", f.refused
}
func (f *fake) Receipt(context.Context, call.ID) (string, error) { return "signed.receipt.jws", nil }
func (f *fake) Recorders(context.Context) ([]hq.Recorder, error) { return f.recorders, f.broken }
func (f *fake) Arrived(context.Context, call.ID) (call.Header, time.Duration, error) {
	if f.arrived == 0 {
		return call.Header{}, 0, hq.ErrNotFound
	}
	return call.Header{Codec: call.Opus, Channels: 1, Rate: 8000}, f.arrived, nil
}

func (f *fake) Marks(context.Context, call.ID) ([]call.Mark, error) { return f.marks, nil }
func (f *fake) Peaks(context.Context, call.ID) ([][]byte, error)    { return [][]byte{{0, 128, 255}}, nil }
func (f *fake) CachedPeaks(_ context.Context, id call.ID) ([][]byte, error) {
	if peaks, ok := f.peaks[id]; ok {
		return peaks, nil
	}
	return nil, hq.ErrNotFound
}

func (f *fake) Original(context.Context, call.ID) (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(f.audio), io.NopCloser(nil)}, nil
}

func (f *fake) Convert(_ context.Context, _ call.ID, format string, w io.Writer) error {
	return f.convert(format, w)
}

func (f *fake) User(_ context.Context, name string) (hq.User, error) {
	for _, u := range f.users {
		if u.Name == name {
			return u, nil
		}
	}
	return hq.User{}, hq.ErrNotFound
}

func (f *fake) AddSession(_ context.Context, s hq.Session) error {
	f.sessions[s.TokenSHA256] = s
	return nil
}

func (f *fake) Session(_ context.Context, token string) (hq.Session, error) {
	if s, ok := f.sessions[token]; ok {
		return s, nil
	}
	return hq.Session{}, hq.ErrNotFound
}

func (f *fake) EndSession(_ context.Context, token string) error {
	delete(f.sessions, token)
	return nil
}

// site is the pages over a fake, and a browser's way to ask for them.
type site struct {
	*fake
	t       *testing.T
	handler http.Handler
	now     time.Time
	log     bytes.Buffer
	cookie  string // of a session
}

const testPassword = "correct horse"

// testHash is a cheap one, for the tests to be fast.
var testHash = "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" +
	base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(testPassword), []byte("0123456789abcdef"), 1, 64, 1, 32))

func newSite(t *testing.T) *site {
	s := &site{t: t, now: noon, fake: &fake{
		sessions: map[string]hq.Session{}, peaks: map[call.ID][][]byte{},
		users: []hq.User{{Name: "ana", Password: testHash}}, audio: []byte("OggS and so on, twenty-four"),
	}}
	s.convert = func(format string, w io.Writer) error {
		_, err := io.WriteString(w, "as "+format)
		return err
	}
	s.handler = New(Config{
		Library: s.fake, Commands: s.fake, Bundles: s.fake, Users: s.fake, Media: s.fake, Zone: time.FixedZone("CAT", 2*3600),
		Now: func() time.Time { return s.now }, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	return s
}

// loggedIn is a site with a session.
func loggedIn(t *testing.T) *site {
	s := newSite(t)
	s.cookie = "token"
	s.sessions[tokenHash(s.cookie)] = hq.Session{User: "ana", Expires: s.now.Add(time.Hour)}
	return s
}

// ask sends a request as a browser does; headers are name, value, name, value...
func (s *site) ask(method, target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, "https://hq.example"+target, strings.NewReader(form.Encode()))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if s.cookie != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: s.cookie})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *site) get(target string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(http.MethodGet, target, nil, headers...)
}

// add puts a durable call of 65 s into the library, a minute before those that are there.
func (s *site) add(change func(*hq.Call)) hq.Call {
	n := len(s.calls)
	c := hq.Call{
		ID: call.ID{15: byte(n), 14: byte(n >> 8)}, Device: "7K3M9QXA", Site: "Lichinga", Line: "line1", Number: uint64(n), Stage: hq.StageDurable,
		Began: noon.Add(-time.Duration(n) * time.Minute), Grade: call.GradeNTP, Duration: 65 * time.Second,
		BeganBy: call.BeganVoice, EndedBy: call.EndedSilence, Codec: call.Opus, Channels: 1, Rate: 8000,
		Size: 130000, SHA256: fmt.Sprintf("%064x", n), Received: noon, Via: "https",
	}
	if change != nil {
		change(&c)
	}
	s.calls = append(s.calls, c)
	return c
}

func wants(t *testing.T, page string, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(page, piece) {
			t.Errorf("the page lacks %q", piece)
		}
	}
}

func lacks(t *testing.T, page string, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if strings.Contains(page, piece) {
			t.Errorf("the page has %q", piece)
		}
	}
}
