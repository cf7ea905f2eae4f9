package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// The control socket answers HTTP on a Unix socket: what the running recorder tells `linekeeper status`, `calls`,
// `meter`, `pause`, `hold` and (courier.Path) `courier`. Only its user and root may open it.
const (
	controlStatus = "/status" // statusReport
	controlCalls  = "/calls"  // []callReport
	controlPause  = "/pause"  // POST a pauseRequest, answered with a pauseAnswer
	controlHold   = "/hold"   // POST a holdRequest, answered with a holdAnswer
	controlStick  = "/stick"  // POST a stickRequest

	controlUplink  = "/uplink"  // POST a linkRequest, answered with a linkAnswer
	controlRequeue = "/requeue" // POST a requeueRequest, answered with a requeueAnswer
)

// statusReport is all that `linekeeper status` shows.
type statusReport struct {
	wire.Status
	Light  string       `json:"light"` // the pin, or why there is no light
	Cards  []cardReport `json:"cards"`
	Sync   time.Time    `json:"last_sync"`
	Uplink string       `json:"uplink"` // what it does now, in words

	Delivery *deliveryReport `json:"delivery,omitempty"` // nil: it delivers to nobody
	Receiver string          `json:"receiver,omitempty"` // where it is not headquarters: who, and what its receipts are worth
}

// cardReport is a sound card.
type cardReport struct {
	Device   string        `json:"device"`
	Port     string        `json:"usb_port,omitempty"`
	Buffer   time.Duration `json:"buffer_ns"` // of the card
	Open     bool          `json:"open"`
	Rate     int           `json:"rate"`
	Reopened int64         `json:"reopened"`
	Overruns int64         `json:"overruns"`
	Error    string        `json:"error,omitempty"`
}

// callReport is a call that stands in the ring.
type callReport struct {
	Call     call.ID       `json:"call"`
	Line     string        `json:"line"`
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"duration_ns,omitempty"`
	Size     int64         `json:"size"`
	State    string        `json:"state"`          // recording, waiting, delivered, parked: why
	Hold     string        `json:"hold,omitempty"` // why it is on hold
	Ended    call.Reason   `json:"ended,omitempty"`
}

// serveControl answers on the socket until ctx ends. A socket that a dead program left behind is taken over; a live one
// is an error.
func serveControl(ctx context.Context, path string, handler http.Handler, log *slog.Logger) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder of control socket: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("control socket %s is answered by another recorder: stop it, or set another `control`", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(path)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on control socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// askControl gets one answer from the running recorder.
func askControl(ctx context.Context, socket, path string, into any) error {
	return sendControl(ctx, socket, http.MethodGet, path, nil, into)
}

// tellControl has the running recorder do something, and gets its answer.
func tellControl(ctx context.Context, socket, path string, what, into any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return sendControl(ctx, socket, http.MethodPost, path, bytes.NewReader(body), into)
}

func sendControl(ctx context.Context, socket, method, path string, body io.Reader, into any) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://recorder"+path, body)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no recorder answers on %s: start it with `linekeeper run`, or name its settings file with --config: %w", socket, errNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no right to open %s: run this as root or as the recorder's user", socket)
	case err != nil:
		return fmt.Errorf("ask the recorder on %s: %w", socket, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the recorder on %s for %s: %s", socket, path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

var errNotRunning = errors.New("not running")

// answerJSON is a control handler over a function that gives what to tell.
func answerJSON[T any](tell func() (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		v, err := tell()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, v)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(into)
}
