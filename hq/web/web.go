// Package web holds headquarters' pages: log in, find a call, see how it went, listen to it, take a copy, and see which
// recorders are there.
//
// Pages are rendered here with html/template and made lively in the browser by htmx (lists that refresh themselves,
// filters without a reload) and wavesurfer.js (the waveform one plays from). Both come from npm and are bundled with the
// style into assets/dist by `make assets`; a program built without them says so when it starts and on each page, which
// then still lists and plays.
//
//	handler := web.New(web.Config{Library: lib, Users: lib, Media: media, Zone: zone, Log: log})
//	server := &http.Server{Handler: handler, TLSConfig: …}
//
// It has to be served over HTTPS: the session's cookie is for that only. Everything but the login page and the assets
// asks for a session, by default and not handler by handler. Nothing that the pages show is left in the browser's cache.
package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// Library is what headquarters knows. Calls, receipts and recorders that it does not have are hq.ErrNotFound.
type Library interface {
	// Calls answers a query, newest first, with the place after the last one given; nil: there are no more.
	Calls(ctx context.Context, q hq.Query) ([]hq.Call, *hq.Cursor, error)
	Call(ctx context.Context, id call.ID) (hq.Call, error)
	// Receipt is the receipt of a durable call, as signed.
	Receipt(ctx context.Context, id call.ID) (string, error)
	Recorders(ctx context.Context) ([]hq.Recorder, error)
	// Tokens gives those that were made with bundles, newest first, at most limit of them.
	Tokens(ctx context.Context, limit int) ([]hq.Token, error)
}

// Users is who may log in, and who has. What it does not have is hq.ErrNotFound.
type Users interface {
	User(ctx context.Context, name string) (hq.User, error)
	AddSession(ctx context.Context, s hq.Session) error
	// Session finds a session by the SHA-256 of its token, in hex. Whether it has expired is checked here.
	Session(ctx context.Context, tokenSHA256 string) (hq.Session, error)
	EndSession(ctx context.Context, tokenSHA256 string) error
}

// Media gives the audio of durable calls and what is drawn of it.
type Media interface {
	// Original opens the audio as it was recorded; the caller closes it.
	Original(ctx context.Context, id call.ID) (io.ReadSeekCloser, error)
	// Convert writes the audio as opus, mp3, flac or wav. An error may come after a part was written.
	Convert(ctx context.Context, id call.ID, format string, w io.Writer) error
	// Peaks is the waveform: for each channel the loudest sample of each of equally long stretches, 0 to 255.
	Peaks(ctx context.Context, id call.ID) ([][]byte, error)
	// CachedPeaks is the same where it is at hand; hq.ErrNotFound where it would have to be made.
	CachedPeaks(ctx context.Context, id call.ID) ([][]byte, error)
	Marks(ctx context.Context, id call.ID) ([]call.Mark, error)
	// Arrived gives the header of a call that is not here whole, and how much of its audio there is; hq.ErrNotFound: none.
	Arrived(ctx context.Context, id call.ID) (call.Header, time.Duration, error)
}

// Commands is what is wanted of recorders.
type Commands interface {
	AddCommand(ctx context.Context, c hq.Command) (number uint64, err error)
	// CommandsOf gives the commands about a call, newest first.
	CommandsOf(ctx context.Context, id call.ID, limit int) ([]hq.Command, error)
	// Hold puts a call on hold or lets it go, and tells its recorder where that has to know; hq.ErrExists: it is so already.
	Hold(ctx context.Context, h hq.Hold) error
	// Holds gives what was said about a call's hold, newest first.
	Holds(ctx context.Context, id call.ID, limit int) ([]hq.Hold, error)
}

// Bundles makes what recorders are set up with.
type Bundles interface {
	// Make gives a bundle, as signed; hq.ErrRefused: there can be none such, and the error says why.
	Make(ctx context.Context, o hq.BundleOrder) (jws string, err error)
}

// Config is what the pages are made of.
type Config struct {
	Library  Library
	Commands Commands
	Bundles  Bundles
	Users    Users
	Media    Media
	Zone     *time.Location   // in which times are shown and dates are read; nil: the machine's
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger
}

type server struct {
	Config
	pages  pages
	assets assets
	login  *throttle
	hash   chan struct{} // holds one token for each password hash under way, which each take much memory
}

// New makes the handler of all pages.
func New(cfg Config) http.Handler {
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &server{Config: cfg, assets: loadAssets(dist), login: newThrottle(cfg.Now), hash: make(chan struct{}, 2)}
	s.pages = parsePages(s.assets)
	if !s.assets.built() {
		cfg.Log.Warn("the web pages' script and style are not in this program: pages will be plain. Run: make assets, and build again")
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.listPage)
	mux.HandleFunc("GET /calls/{id}", s.callPage)
	mux.HandleFunc("POST /calls/{id}/commands", s.command)
	mux.HandleFunc("POST /calls/{id}/hold", s.forAdmins(s.hold))
	mux.HandleFunc("GET /calls/{id}/audio", s.audio)
	mux.HandleFunc("GET /calls/{id}/peaks", s.peaks)
	mux.HandleFunc("GET /calls/{id}/wave", s.wave)
	mux.HandleFunc("GET /calls/{id}/download/{format}", s.download)
	mux.HandleFunc("GET /recorders", s.recordersPage)
	mux.HandleFunc("GET "+bundlesPath, s.forAdmins(s.bundlesPage))
	mux.HandleFunc("POST "+bundlesPath, s.forAdmins(s.makeBundle))
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET "+loginPath, s.loginPage)
	mux.HandleFunc("POST "+loginPath, s.logIn)
	mux.Handle("GET "+assetsPath, s.assets)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, "There is no such page", "The address may be mistyped, or the page was moved.")
	})

	// Fetch metadata tell a request of another site apart (net/http.CrossOriginProtection); it is refused before
	// the session is looked at.
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusForbidden, "Refused", "This request came from another website. Go to the page here and try again.")
	}))
	return headers(cross.Handler(s.withSession(mux)))
}

// headers sets what every answer carries. Pages replace the content security policy by their own.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// open says what is served without a session.
func open(path string) bool { return path == loginPath || strings.HasPrefix(path, assetsPath) }
