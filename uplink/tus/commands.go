package tus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// commandWait is how long headquarters may leave the question for commands without an answer: the longer, the fewer bytes
// it costs. The kernel's keep-alive keeps the connection known to what stands between.
const commandWait = 4 * time.Minute

// Commands implements uplink.Commander. Nothing moves while it waits, so that it is not under the watch of other
// requests: it just has its time.
func (t *Transport) Commands(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait+t.stall)
	defer cancel()
	where := fmt.Sprintf("%s%s?%s=%d", t.base, wire.PathCommands, wire.WaitParameter, int(commandWait.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "") // none
	const what = http.MethodGet + " " + wire.PathCommands
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2*wire.MaxEntryBatch+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	r := &reply{what: what, status: resp.StatusCode, header: resp.Header, body: body}
	switch {
	case r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed:
		return nil, &uplink.RefusedError{Reason: r.err().Error()} // a receiver of someone else's
	case r.status/100 != 2:
		return nil, r.err()
	}
	var list wire.CommandList
	if err := wire.Decode(body, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return list.Commands, nil
}

// Answer implements uplink.Commander. Headquarters knows the command no more: that is as good as an answer.
func (t *Transport) Answer(ctx context.Context, r wire.CommandResult) error {
	status, err := t.exchange(ctx, http.MethodPost, wire.CommandResultPath(r.Number), r, nil)
	if status == http.StatusNotFound {
		return nil
	}
	return err
}
