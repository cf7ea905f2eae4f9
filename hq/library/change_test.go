package library

import (
	"context"
	"errors"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// TestOneThatFailsLeavesTheOthers of its transaction as they are: they are made without it, in their order.
func TestOneThatFailsLeavesTheOthers(t *testing.T) {
	l := open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var waiting []*change
	add := func(ctx context.Context, device call.DeviceID, fail error) {
		waiting = append(waiting, &change{ctx, func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, saveRecorder, string(device), []byte(key), "an office", int64(0))
			return errors.Join(err, fail)
		}, make(chan error, 1)})
	}
	add(t.Context(), "AAAAAAAA", nil)
	add(t.Context(), "BBBBBBBB", hq.ErrRefused)
	add(ended, "CCCCCCCC", nil)
	add(t.Context(), "DDDDDDDD", nil)
	l.queue(waiting...)
	for i, want := range []error{nil, hq.ErrRefused, context.Canceled, nil} {
		if err := <-waiting[i].done; !errors.Is(err, want) {
			t.Errorf("change %d: %v, want %v", i, err, want)
		}
	}
	for device, known := range map[call.DeviceID]bool{"AAAAAAAA": true, "BBBBBBBB": false, "CCCCCCCC": false, "DDDDDDDD": true} {
		if _, err := l.Recorder(t.Context(), device); known != (err == nil) {
			t.Errorf("recorder %s: %v", device, err)
		}
	}
	must(t, l.Saw(t.Context(), "DDDDDDDD", "https")) // the next one begins anew
}
