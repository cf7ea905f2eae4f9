package ingest

import (
	"errors"
	"net/http"
	"net/http/httptest"
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
