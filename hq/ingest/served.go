package ingest

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
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
	b := &begun{ReadCloser: r.Body, begun: make(chan struct{})}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
		b.begin()
	}()
	r = r.WithContext(context.WithValue(r.Context(), begunKey{}, b))
	r.Body = b
	h.ServeHTTP(s, r)
}

// begun is the body of a request that tells when it is first read, or will not be any more.
type begun struct {
	io.ReadCloser
	once  sync.Once
	begun chan struct{} // closed then
}

type begunKey struct{}

func (b *begun) begin() { b.once.Do(func() { close(b.begun) }) }

// Read implements io.Reader.
func (b *begun) Read(p []byte) (int, error) {
	b.begin()
	return b.ReadCloser.Read(p)
}

// locker lets a request be asked for an upload's lock only once it reads its body: tusd looks for that body, to end it,
// beside the goroutine that sets it.
type locker struct{ handler.Locker }

// NewLock implements handler.Locker.
func (l locker) NewLock(id string) (handler.Lock, error) {
	inner, err := l.Locker.NewLock(id)
	return lockOf{inner}, err
}

type lockOf struct{ inner handler.Lock }

// Lock implements handler.Lock.
func (l lockOf) Lock(ctx context.Context, release func()) error {
	b, ok := ctx.Value(begunKey{}).(*begun)
	if !ok {
		return l.inner.Lock(ctx, release)
	}
	return l.inner.Lock(ctx, func() {
		go func() {
			<-b.begun
			release()
		}()
	})
}

// Unlock implements handler.Lock.
func (l lockOf) Unlock() error { return l.inner.Unlock() }
