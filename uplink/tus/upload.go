package tus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	tusVersion        = "1.0.0"
	statusBadChecksum = 460 // tus, checksum extension

	maxMismatches = 3 // as many times the same bytes are sent again before the call is parked
	maxUnanswered = 3 // as many times a complete upload may be without a receipt before it is sent again
	maxRounds     = 6 // requests that change nothing, in one Deliver
)

// state is where a transfer stands, as it is kept in the store.
type state struct {
	URL        string `json:"url,omitempty"`        // of the upload; empty: none
	Grew       bool   `json:"grew,omitempty"`       // it was made while the call was in progress: its hash was not said then
	Mismatches int    `json:"mismatches,omitempty"` // how often headquarters found another hash
	Unanswered int    `json:"unanswered,omitempty"` // how often the upload was complete and had no receipt
}

// upload is one Deliver.
type upload struct {
	t      *Transport
	f      uplink.File
	name   string // of the file, for a stock server
	state  state
	offset int64 // what headquarters has
	most   int64 // that it ever had

	deferred bool // headquarters has not been told the upload's length
}

// errAgain asks for another round: the state has changed.
var errAgain = errors.New("again")

// Deliver implements uplink.Transport.
func (t *Transport) Deliver(ctx context.Context, f uplink.File) (string, error) {
	u := &upload{t: t, f: f, name: wire.CallFileName(f.Call)}
	if f.State != nil && json.Unmarshal(f.State, &u.state) != nil {
		u.state = state{} // unreadable: from nothing, which is always right
	}
	return u.deliver(ctx)
}

func (u *upload) deliver(ctx context.Context) (string, error) {
	for idle := 0; idle < maxRounds; idle++ {
		receipt, err := u.round(ctx)
		if !errors.Is(err, errAgain) {
			return receipt, err
		}
		if u.offset > u.most {
			u.most, idle = u.offset, 0
		}
	}
	return "", &uplink.LaterError{Err: fmt.Errorf("upload: no progress after %d requests: headquarters contradicts itself", maxRounds)}
}

// round finds out where the upload stands and sends the rest.
func (u *upload) round(ctx context.Context) (string, error) {
	if u.state.URL == "" {
		receipt, err := u.create(ctx)
		if err != nil || receipt != "" {
			return receipt, err
		}
	} else if err := u.find(ctx); err != nil {
		return "", err
	}
	u.f.Progress(u.offset, u.offset)
	switch {
	case u.offset < u.f.Size, u.deferred && !u.f.Grows:
		return u.patch(ctx)
	case u.f.Grows:
		return "", nil
	case u.t.stock != "":
		return u.word(), nil
	}
	return u.fetchReceipt(ctx)
}

// create makes an upload and keeps its URL, or gives the receipt of a call that headquarters has already.
func (u *upload) create(ctx context.Context) (string, error) {
	req, err := u.request(ctx, http.MethodPost, u.t.creation(), nil)
	if err != nil {
		return "", err
	}
	u.deferred = u.f.Grows
	if u.deferred {
		req.Header.Set("Upload-Defer-Length", "1")
	} else {
		req.Header.Set("Upload-Length", strconv.FormatInt(u.f.Size, 10))
	}
	req.Header.Set("Upload-Metadata", u.metadata())
	r, err := u.t.do(req)
	switch {
	case err != nil:
		return "", err
	case r.status == http.StatusCreated:
		where, err := u.t.resolve(req.URL, r.header.Get("Location"))
		if err != nil {
			return "", err
		}
		u.state.URL, u.state.Grew, u.offset = where, u.f.Grows, 0
		return "", u.save()
	case r.status == http.StatusConflict:
		if receipt := r.header.Get(wire.HeaderReceipt); receipt != "" {
			return receipt, nil
		}
	case u.f.Grows && r.status/100 == 4 && r.status != http.StatusTooManyRequests:
		// Of what it takes no part it may still take the whole.
		return "", &uplink.RefusedError{Reason: "calls in progress: " + r.err().Error()}
	}
	return "", u.failed(r)
}

// resolve gives the upload's URL, which must be at headquarters: the call and the device's proof of identity go nowhere
// else.
func (t *Transport) resolve(asked *url.URL, location string) (string, error) {
	where, err := asked.Parse(location)
	if err != nil {
		return "", fmt.Errorf("upload's address %q: %w", location, err)
	}
	if location == "" || where.Scheme != t.base.Scheme || where.Host != t.base.Host || where.User != nil {
		return "", fmt.Errorf("upload's address %q is not at %s: refused; check headquarters' reverse proxy", location, t.base)
	}
	return where.String(), nil
}

// find says how much headquarters has: of a call in progress as it said last, in this connection, else it is asked.
func (u *upload) find(ctx context.Context) error {
	u.t.mu.Lock()
	at, known := u.t.growing[u.state.URL]
	u.t.mu.Unlock()
	if known && u.f.Grows && at <= u.f.Size {
		u.offset, u.deferred = at, true
		return nil
	}
	return u.head(ctx)
}

// head asks how much headquarters has.
func (u *upload) head(ctx context.Context) error {
	if where, err := u.t.resolve(u.t.base, u.state.URL); err != nil || where != u.state.URL {
		return u.forget() // headquarters has moved since
	}
	req, err := u.request(ctx, http.MethodHead, u.state.URL, nil)
	if err != nil {
		return err
	}
	r, err := u.t.do(req)
	if err != nil {
		return err
	}
	if r.status/100 != 2 {
		return u.failed(r)
	}
	length := r.header.Get("Upload-Length")
	offset, err := strconv.ParseInt(r.header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 || offset > u.f.Size || length != "" && length != strconv.FormatInt(u.f.Size, 10) {
		return u.forget() // of another file
	}
	u.offset, u.deferred = offset, length == "" && r.header.Get("Upload-Defer-Length") == "1"
	return nil
}

// patch sends the rest.
func (u *upload) patch(ctx context.Context) (string, error) {
	rest := u.f.Size - u.offset
	body := &body{r: io.NewSectionReader(u.f.Bytes, u.offset, rest), sent: u.offset, had: u.offset, tell: u.f.Progress}
	defer body.end()
	req, err := u.request(ctx, http.MethodPatch, u.state.URL, body)
	if err != nil {
		return "", err
	}
	if req.ContentLength = rest; rest == 0 {
		req.Body = http.NoBody // all of a call that was sent while it was in progress
	}
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	req.Header.Set("Upload-Offset", strconv.FormatInt(u.offset, 10))
	if u.deferred && !u.f.Grows {
		req.Header.Set("Upload-Length", strconv.FormatInt(u.f.Size, 10))
	}
	if u.state.Grew && !u.f.Grows {
		req.Header.Set(wire.HeaderSHA256, u.f.SHA256)
	}
	u.t.keep(u.state.URL, -1)
	r, err := u.t.do(req)
	if err != nil {
		return "", err
	}
	if r.status/100 == 2 && u.f.Grows {
		at, err := strconv.ParseInt(r.header.Get("Upload-Offset"), 10, 64)
		if err != nil || at != u.f.Size {
			return "", errAgain // it took a part
		}
		u.t.keep(u.state.URL, at)
		u.f.Progress(at, at)
		return "", nil
	}
	if r.status/100 == 2 {
		if u.t.stock != "" && r.header.Get("Upload-Offset") == strconv.FormatInt(u.f.Size, 10) {
			u.f.Progress(u.f.Size, u.f.Size)
			return u.word(), nil
		}
		if receipt := r.header.Get(wire.HeaderReceipt); receipt != "" {
			u.f.Progress(u.f.Size, u.f.Size)
			return receipt, nil
		}
		return "", errAgain // it took a part, or has no receipt: HEAD will tell
	}
	if r.status == http.StatusConflict {
		return "", errAgain // the offset is another
	}
	return "", u.failed(r)
}

// fetchReceipt is for a complete upload whose answer was lost.
func (u *upload) fetchReceipt(ctx context.Context) (string, error) {
	req, err := u.request(ctx, http.MethodGet, u.t.base.String()+wire.ReceiptPath(u.f.Call), nil)
	if err != nil {
		return "", err
	}
	r, err := u.t.do(req)
	if err != nil {
		return "", err
	}
	switch {
	case r.status == http.StatusOK:
		var a wire.ReceiptAnswer
		if err := wire.Decode(r.body, &a); err != nil {
			return "", fmt.Errorf("%s: %w", r.what, err)
		}
		return a.Receipt, nil
	case r.status != http.StatusNotFound:
		return "", u.failed(r)
	}
	if u.state.Unanswered++; u.state.Unanswered >= maxUnanswered {
		return "", u.forget()
	}
	if err := u.save(); err != nil {
		return "", err
	}
	return "", &uplink.LaterError{Err: errors.New("upload is complete, and headquarters has no receipt for it yet")}
}

// failed says what to do after an answer that is no success.
func (u *upload) failed(r *reply) error {
	switch r.status {
	case http.StatusNotFound, http.StatusGone:
		if u.state.URL == "" {
			return r.err() // no tus endpoint there
		}
		return u.forget()
	case http.StatusLocked: // headquarters has not noticed yet that the connection before is gone
		return &uplink.LaterError{After: r.retryAfter(), Err: r.err()}
	case statusBadChecksum:
		if u.state.Mismatches++; u.state.Mismatches >= maxMismatches {
			return u.refuse(fmt.Sprintf("the bytes arrived %d times with another SHA-256 than the manifest's", maxMismatches))
		}
		return u.forget()
	case http.StatusForbidden, http.StatusRequestEntityTooLarge:
		return u.refuse(fmt.Sprintf("%d %s%s", r.status, http.StatusText(r.status), r.reason()))
	default: // 401 too: it is the recorder that is not let in, or a headquarters whose clock is wrong, and no fault of the call
		return r.err()
	}
}

// forget starts again from nothing.
func (u *upload) forget() error {
	u.state.URL, u.state.Grew, u.state.Unanswered = "", false, 0
	if err := u.save(); err != nil {
		return err
	}
	return errAgain
}

// refuse ends the transfer. Nothing is kept of it, so that a call that is queued again starts afresh.
func (u *upload) refuse(reason string) error {
	if err := u.f.Save(nil); err != nil {
		return fmt.Errorf("forget the upload: %w", err)
	}
	return &uplink.RefusedError{Reason: strings.TrimSpace(reason)}
}

func (u *upload) save() error {
	b, err := json.Marshal(u.state)
	if err == nil {
		err = u.f.Save(b)
	}
	if err != nil {
		return fmt.Errorf("keep the upload's address: %w", err)
	}
	return nil
}

func (u *upload) request(ctx context.Context, method, where string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, where, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Tus-Resumable", tusVersion)
	return req, nil
}

// body is the rest of a call file. net/http may go on reading a request's body after it has given up the request, so
// the body is ended before the call file is closed.
type body struct {
	mu        sync.Mutex
	r         io.Reader // nil: ended
	sent, had int64
	tell      func(sent, acknowledged int64)
}

// mostAtOnce bounds a read of the body. HTTP/2 makes each read one DATA frame, and a receiver has nothing of a frame
// before it has all of it: where the whole rest went in one, a cut would waste the whole rest. One such frame with its
// head fills a TLS record.
const mostAtOnce = 4<<10 - 9

func (b *body) Read(p []byte) (int, error) {
	p = p[:min(len(p), mostAtOnce)]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errors.New("the request has ended")
	}
	n, err := b.r.Read(p)
	b.sent += int64(n)
	b.tell(b.sent, b.had)
	return n, err
}

func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}
