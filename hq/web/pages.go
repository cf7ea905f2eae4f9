package web

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates/*.html
var templates embed.FS

// pages are the templates, one set a page: the layout and the page's own.
type pages map[string]*template.Template

func parsePages(a assets) pages {
	p := pages{}
	for _, name := range []string{"login", "calls", "call", "recorders", "bundles", "message"} {
		p[name] = template.Must(template.New(name).Funcs(template.FuncMap{"asset": a.addressOf}).
			ParseFS(templates, "templates/layout.html", "templates/"+name+".html"))
	}
	return p
}

// layout is what every page shows around its content.
type layout struct {
	Title, Page, User, Nonce string
	Plain                    bool // the assets are not built
	Content                  any
}

// show renders a whole page.
func (s *server) show(w http.ResponseWriter, r *http.Request, status int, page, title string, content any) {
	nonce := rand.Text()
	var out bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&out, "layout.html", layout{
		Title: title, Page: page, User: userOf(r), Nonce: nonce, Plain: !s.assets.built(), Content: content,
	}); err != nil {
		s.Log.Error("a page could not be rendered", "page", page, "error", err)
		http.Error(w, "This page could not be made. The server's log says why.", http.StatusInternalServerError)
		return
	}
	// The nonce is for the style that wavesurfer.js puts into its shadow tree; nothing else is inline.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the reader went away: nothing to do
}

// live is a part of a page that asks for itself again and is exchanged where it has changed.
type live struct {
	Address string
	Tag     string // of the body: what it has already
	Body    template.HTML
}

// liveID is the element that holds it.
const liveID = "live"

// showLive renders a page whose content is one live part, or that part alone where htmx asks for it.
func (s *server) showLive(w http.ResponseWriter, r *http.Request, status int, page, title string, frame liveFrame, content any) {
	var body bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&body, "body", content); err != nil {
		s.broken(w, r, fmt.Errorf("render %s: %w", page, err))
		return
	}
	sum := sha256.Sum256(append(body.Bytes(), frame.Address...))
	part := live{Address: frame.Address, Tag: hex.EncodeToString(sum[:8]), Body: template.HTML(body.String())}
	if r.Header.Get("HX-Request-Type") != "partial" {
		frame.Live = part
		s.show(w, r, status, page, title, frame)
		return
	}
	w.Header().Set("HX-PTag", part.Tag)
	if r.Header.Get("HX-Source") == "section#"+liveID && r.Header.Get("HX-PTag") == part.Tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := s.pages[page].ExecuteTemplate(w, "live", part); err != nil {
		s.Log.Error("a page could not be rendered", "page", page, "error", err)
	}
}

// liveFrame is a page around a live part.
type liveFrame struct {
	Address string      // where the part asks for itself; empty: it stays as it is
	Filter  *filterView // the list of calls only
	Bundle  *bundleForm // the page of bundles only
	Admin   bool        // of the recorders only: whoever looks may add one
	Hold    *holdView   // of a call only
	Live    live        // filled in by showLive
}

type message struct {
	Title, Text string
}

// fail shows an error that the person at the browser can do something about.
func (s *server) fail(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	s.show(w, r, status, "message", title, message{title, text})
}

// broken shows and logs an error that they cannot.
func (s *server) broken(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is waiting for the answer
	}
	s.Log.Error("a page failed", "path", r.URL.Path, "error", err)
	s.fail(w, r, http.StatusInternalServerError, "Something went wrong here", "Headquarters could not answer. Its log says why; try again in a moment.")
}
