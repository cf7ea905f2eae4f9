package ingest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestDeadlineOfAResponseThatIsOver: over HTTP/2, as recorders come, it would end the program.
func TestDeadlineOfAResponseThatIsOver(t *testing.T) {
	left := make(chan http.ResponseWriter, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveWhile(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("while it is served: %v", err)
			}
			left <- w
		}), w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	answer, err := server.Client().Get(server.URL)
	if err != nil || answer.ProtoMajor != 2 {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	server.Close() // waits for the handler
	c := http.NewResponseController(<-left)
	for _, set := range []func(time.Time) error{c.SetReadDeadline, c.SetWriteDeadline} {
		if err := set(time.Now()); !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// TestLockIsAskedForOnceTheBodyIsRead: before, tusd's own way to end a request races with how it begins.
func TestLockIsAskedForOnceTheBodyIsRead(t *testing.T) {
	asked := make(chan struct{})
	serveWhile(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var inner recordedLock
		if err := (lockOf{&inner}).Lock(r.Context(), func() { close(asked) }); err != nil {
			t.Fatal(err)
		}
		inner.release() // as another request does, which wants the upload
		runtime.Gosched()
		select {
		case <-asked:
			t.Error("asked for the lock before the body was read")
		default:
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		<-asked
	}), httptest.NewRecorder(), httptest.NewRequest(http.MethodPatch, "/", strings.NewReader("bytes")))
}

// recordedLock is a lock that nobody else wants; it keeps how its holder is asked for it.
type recordedLock struct{ release func() }

func (l *recordedLock) Lock(_ context.Context, release func()) error {
	l.release = release
	return nil
}

func (*recordedLock) Unlock() error { return nil }
