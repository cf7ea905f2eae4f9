// Package tus delivers call files over HTTPS with tus 1.0 (https://tus.io/protocols/resumable-upload), and beside them
// status, entries and questions, as docs/protocols.md has them. Headquarters' own endpoint and any tus server behind the
// same paths can receive.
//
//	t, err := tus.New("https://hq.example:8444", tlsConfig, tus.Options{})
//
// A transfer is a POST without a body, whose answer (the upload's URL) is made durable, and then one PATCH with all the
// rest. After a cut HEAD says how far it got, and another PATCH goes on from there. A call in progress is an upload of
// deferred length, to which each PATCH adds what is new; that after its end declares the length and the hash. One connection carries everything
// (HTTP/2 where headquarters has it). No request has a time limit of its own, since a link may be very slow; each is
// given up once nothing has moved over the connection for Options.Stall.
package tus

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// Name is the transport's name in status and logs.
const Name = "https"

const maxReason = 200 // bytes of headquarters' words in an error

// Options may be left zero.
type Options struct {
	Traffic *uplink.Traffic // where what goes is counted and held down; nil: nowhere

	Stall time.Duration // a request is given up after nothing has moved for so long, at the most; 0: uplink.Silence
}

// Transport implements uplink.Transport.
type Transport struct {
	base    *url.URL
	client  *http.Client
	network uplink.Network
	stall   time.Duration
	stock   string // where a server that is not headquarters makes uploads, see Stock; empty: it is headquarters

	mu      sync.Mutex
	growing map[string]int64 // how much headquarters has of calls in progress, by the upload's URL; as this connection knows
}

// New gives a transport to headquarters' address for recorders, https://HOST[:PORT][/PREFIX]. cfg holds the device's
// certificate and headquarters' authority; it is not changed. Nothing is connected yet.
func New(address string, cfg *tls.Config, opts Options) (*Transport, error) {
	base, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil {
		return nil, fmt.Errorf("headquarters' address: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("headquarters' address %q: want https://HOST:PORT", address)
	}
	if opts.Stall == 0 {
		opts.Stall = uplink.Silence
	}
	t := &Transport{base: base, stall: opts.Stall}
	t.network.Traffic = opts.Traffic
	proxy := uplink.ProxyFromEnvironment()
	t.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         t.network.Dial,
			Proxy:               func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
			TLSClientConfig:     uplink.TLS(cfg),
			TLSHandshakeTimeout: opts.Stall,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

// Name implements uplink.Transport.
func (t *Transport) Name() string { return Name }

// Lost implements uplink.Transport: HTTP has no connection to lose.
func (t *Transport) Lost() <-chan struct{} { return nil }

// Close implements uplink.Transport.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.growing = nil
	t.mu.Unlock()
	t.client.CloseIdleConnections()
	t.network.Cut()
	return nil
}

// keep remembers how much headquarters has of a call in progress; -1: that is not certain.
func (t *Transport) keep(upload string, offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if offset < 0 {
		delete(t.growing, upload)
		return
	}
	if t.growing == nil {
		t.growing = make(map[string]int64)
	}
	t.growing[upload] = offset
}

// Status implements uplink.Transport.
func (t *Transport) Status(ctx context.Context, s wire.Status) error {
	_, err := t.exchange(ctx, http.MethodPut, wire.PathStatus, s, nil)
	return err
}

// Open implements uplink.Pipelined. Over HTTP/1.1 other requests would only open connections of their own, so there they
// wait.
func (t *Transport) Open(ctx context.Context, s wire.Status, standing func()) error {
	var shared atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			c, ok := i.Conn.(*tls.Conn)
			shared.Store(ok && c.ConnectionState().NegotiatedProtocol == "h2")
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil && shared.CompareAndSwap(true, false) {
				standing()
			}
		},
	})
	return t.Status(ctx, s)
}

// Have implements uplink.Transport.
func (t *Transport) Have(ctx context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error) {
	var a wire.HaveAnswer
	_, err := t.exchange(ctx, http.MethodPost, wire.PathHave, q, &a)
	return a, err
}

// Entries implements uplink.Transport.
func (t *Transport) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	var a wire.ReceiptAnswer
	if status, err := t.exchange(ctx, http.MethodPost, wire.PathEntries, b, &a); err != nil {
		if status == http.StatusBadRequest || status == http.StatusForbidden {
			return "", &uplink.RefusedError{Reason: err.Error()}
		}
		return "", err
	}
	return a.Receipt, nil
}

// exchange sends a message, packed, and reads the answer into answer, unless that is nil.
func (t *Transport) exchange(ctx context.Context, method, path string, message, answer any) (status int, err error) {
	body, err := wire.Pack(message)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r, err := t.do(req)
	if err != nil {
		return 0, err
	}
	if r.status/100 != 2 {
		return r.status, r.err()
	}
	if answer == nil {
		return r.status, nil
	}
	if err := wire.Decode(r.body, answer); err != nil {
		return r.status, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return r.status, nil
}

// reply is an answer, read to its end.
type reply struct {
	what   string // method and path
	status int
	header http.Header
	body   []byte
}

// do sends a request under the watchdog and reads the answer, which is bounded.
func (t *Transport) do(req *http.Request) (*reply, error) {
	ctx, stop := t.network.Watch(req.Context(), t.stall)
	defer stop()
	what := req.Method + " " + req.URL.Path
	req.Header.Set("User-Agent", "") // none
	resp, err := t.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, t.failed(ctx, what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2*wire.MaxEntryBatch+1))
	// A refusal counts even where its text was cut off; so does a receipt, which stands in the header.
	if err != nil && resp.StatusCode/100 == 2 && resp.Header.Get(wire.HeaderReceipt) == "" {
		return nil, t.failed(ctx, what, err)
	}
	return &reply{what: what, status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// failed says why a request came to nothing, and makes sure that the next one gets a new connection.
func (t *Transport) failed(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, uplink.ErrStalled) {
		err = cause
		t.network.Cut() // cancelling a request of HTTP/2 leaves its dead connection in use
	}
	t.client.CloseIdleConnections()
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // method and URL are named below
	}
	return fmt.Errorf("%s: %w", what, err)
}

// err says what an answer that is no success means.
func (r *reply) err() error {
	err := fmt.Errorf("%s: headquarters answered %d %s%s", r.what, r.status, http.StatusText(r.status), r.reason())
	if r.status == http.StatusTooManyRequests || r.status >= 500 {
		return &uplink.BusyError{After: r.retryAfter(), Err: err}
	}
	return err
}

// reason is what a person may read in the answer: ReceiptAnswer.Error, or the first line of its text.
func (r *reply) reason() string {
	var a wire.ReceiptAnswer
	var text string
	if json.Unmarshal(r.body, &a) == nil {
		text = a.Error
	} else {
		text, _, _ = strings.Cut(string(r.body), "\n")
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// retryAfter reads Retry-After, which is seconds or a date.
func (r *reply) retryAfter() time.Duration {
	v := r.header.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		return time.Duration(min(s, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
