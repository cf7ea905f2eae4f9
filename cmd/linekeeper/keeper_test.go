package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
)

var discard = slog.New(slog.DiscardHandler)

// TestWatchdogIsFedByProgress: what stands still stops the feeding, and a ring with nothing to sync does not.
func TestWatchdogIsFedByProgress(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		name         string
		pumps, syncs bool
		queued       int64
		fedLast      bool // after two minutes
	}{
		{"all goes on", true, true, 100, true},
		{"nothing to sync", true, false, 0, true},
		{"the pump stands", false, true, 100, false},
		{"the sync stands", true, false, 100, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dog := watchdog{patience: 90 * time.Second, pumped: begin, synced: begin}
			pumps, ring := int64(0), buffer.Status{QueuedBytes: c.queued}
			for s := range 120 {
				if c.pumps {
					pumps++
				}
				if c.syncs {
					ring.LastSync = at(s)
				}
				dog.feed(at(s), pumps, ring)
			}
			if fed := at(119).Sub(dog.fed) < 30*time.Second; fed != c.fedLast {
				t.Errorf("fed lately: %t, want %t", fed, c.fedLast)
			}
		})
	}
}

func TestEveryStateHasALight(t *testing.T) {
	for _, s := range []call.State{call.StateFault, call.StateProvisioning, call.StateRecording, call.StatePaused, call.StateAlarm, call.StateOffline, call.StateIdle} {
		if _, has := patterns[s]; !has {
			t.Errorf("state %s has no pattern", s)
		}
	}
}
