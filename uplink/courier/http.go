package courier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Path is where the recorder answers the carrier, on its control socket.
const Path = "/courier/"

// receiptsAtOnce is how many receipts are handed over in one request.
const receiptsAtOnce = 200

// Handler answers a Client.
func (d *Desk) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"index", func(w http.ResponseWriter, r *http.Request) {
		jws, err := d.Index(r.Context())
		reply(w, jws, err)
	})
	mux.HandleFunc("GET "+Path+"entries/{after}", func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.ParseUint(r.PathValue("after"), 10, 64)
		var run Entries
		if err == nil {
			run, err = d.Entries(r.Context(), after)
		}
		reply(w, run, err)
	})
	mux.HandleFunc("POST "+Path+"receipts", func(w http.ResponseWriter, r *http.Request) {
		var receipts []string
		var a Accepted
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*receiptsAtOnce*wire.MaxCourierReceipt)).Decode(&receipts)
		if err == nil {
			a, err = d.Accept(r.Context(), receipts)
		}
		reply(w, a, err)
	})
	mux.HandleFunc("GET "+Path+"calls/{call}", func(w http.ResponseWriter, r *http.Request) {
		id, err := call.ParseID(r.PathValue("call"))
		var file io.ReadCloser
		if err == nil {
			file, err = d.Call(r.Context(), id)
		}
		if err != nil {
			reply(w, nil, err)
			return
		}
		defer file.Close()
		if _, err := io.Copy(w, file); err != nil {
			panic(http.ErrAbortHandler) // so that the carrier sees a call that was cut, and none that is short
		}
	})
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a carrier that is gone asks again
}

// Client is the recorder behind its control socket.
type Client struct{ http *http.Client }

var _ Recorder = (*Client)(nil)

// NewClient asks the recorder through a client that connects to its control socket whatever the address.
func NewClient(c *http.Client) *Client { return &Client{c} }

// Accept implements Recorder.
func (c *Client) Accept(ctx context.Context, receipts []string) (Accepted, error) {
	a := Accepted{Calls: []call.ID{}, Refused: []string{}}
	for len(receipts) > 0 {
		n := min(len(receipts), receiptsAtOnce)
		body, err := json.Marshal(receipts[:n])
		if err != nil {
			return a, err
		}
		var some Accepted
		if err := c.ask(ctx, http.MethodPost, "receipts", body, &some); err != nil {
			return a, err
		}
		a.Calls, a.Refused, a.Entries = append(a.Calls, some.Calls...), append(a.Refused, some.Refused...), a.Entries+some.Entries
		receipts = receipts[n:]
	}
	return a, nil
}

// Index implements Recorder.
func (c *Client) Index(ctx context.Context) (jws string, err error) {
	return jws, c.ask(ctx, http.MethodGet, "index", nil, &jws)
}

// Entries implements Recorder.
func (c *Client) Entries(ctx context.Context, after uint64) (e Entries, err error) {
	return e, c.ask(ctx, http.MethodGet, "entries/"+strconv.FormatUint(after, 10), nil, &e)
}

// Call implements Recorder.
func (c *Client) Call(ctx context.Context, id call.ID) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, "calls/"+id.String(), nil)
}

func (c *Client) ask(ctx context.Context, method, what string, body []byte, into any) error {
	answer, err := c.do(ctx, method, what, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("ask the recorder for %s: %w", what, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, what string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://recorder"+Path+what, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the recorder for %s: %w", what, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	why, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	return nil, fmt.Errorf("ask the recorder for %s: %w", what, errors.Join(errors.New(strings.TrimSpace(string(why))), err, answer.Body.Close()))
}
