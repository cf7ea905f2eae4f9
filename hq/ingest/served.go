package ingest

import (
	"net/http"
	"sync"
	"time"
)

// served is a response whose deadlines can be set until its handler has returned, and not afterwards. tusd sets them from a
// goroutine of its own when another request takes the upload over, and of a response over HTTP/2 nothing is left by then:
// net/http panics, where nobody recovers.
type served struct {
	http.ResponseWriter
	mu   sync.Mutex
	over bool

	read, write time.Time // the deadlines that were set; zero: none
}

// Unwrap lets http.ResponseController find what is not here.
func (s *served) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// SetReadDeadline is found by http.ResponseController.
func (s *served) SetReadDeadline(t time.Time) error {
	return s.move(&s.read, t, (*http.ResponseController).SetReadDeadline)
}

// SetWriteDeadline is found by http.ResponseController.
func (s *served) SetWriteDeadline(t time.Time) error {
	return s.move(&s.write, t, (*http.ResponseController).SetWriteDeadline)
}

// slack is by how much a deadline may come early: tusd moves both at each read.
const slack = time.Second

func (s *served) move(last *time.Time, t time.Time, set func(*http.ResponseController, time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return http.ErrHandlerTimeout
	}
	if ahead := t.Sub(*last); ahead >= 0 && ahead < slack {
		return nil
	}
	*last = t
	return set(http.NewResponseController(s.ResponseWriter), t)
}

// serveWhile has a handler serve a request, whatever it leaves running.
func serveWhile(h http.Handler, w http.ResponseWriter, r *http.Request) {
	s := &served{ResponseWriter: w}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
	}()
	h.ServeHTTP(s, r)
}
