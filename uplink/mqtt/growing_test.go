package mqtt_test

import (
	"fmt"
	"testing"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/wire"
)

// grown is the file of a call in progress, as far as it goes now.
func (c *callFile) grown(size int64) uplink.File {
	f := c.file()
	f.Size, f.SHA256, f.Grows = size, "", true
	return f
}

// TestCallInProgress has a call of which whole segments go out as they come, over two connections, and the rest at its end.
func TestCallInProgress(t *testing.T) {
	for _, size := range []int{20*wire.SegmentSize + 100, 20 * wire.SegmentSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newReceiver(t)
			tr := connect(t, r, mqtt.Options{})
			c := newCall(size)
			for grown := int64(3000); grown <= 20*wire.SegmentSize; grown += 3000 {
				if receipt, err := tr.Deliver(t.Context(), c.grown(grown)); err != nil || receipt != "" {
					t.Fatalf("%d bytes: %q, %v", grown, receipt, err)
				}
				if whole := grown / wire.SegmentSize * wire.SegmentSize; c.acked != whole {
					t.Fatalf("of %d bytes %d are acknowledged, want %d", grown, c.acked, whole)
				}
				if grown == 90_000 {
					_ = tr.Close()
					if err := tr.Status(t.Context(), wire.Status{Device: device, Online: true}); err != nil {
						t.Fatal(err)
					}
				}
			}
			deliver(t, r, tr, c)
			if segments, again, attempts := r.sent(); segments != (size+wire.SegmentSize-1)/wire.SegmentSize || again > 0 || attempts != 1 {
				t.Errorf("%d segments, %d of them again, %d attempts", segments, again, attempts)
			}
		})
	}
}

// TestRestartWhileInProgress loses what was not saved: those segments are sent again, with the same boundaries.
func TestRestartWhileInProgress(t *testing.T) {
	r := newReceiver(t)
	c := newCall(30 * wire.SegmentSize)
	for _, grown := range []int64{7 * wire.SegmentSize, 25*wire.SegmentSize + 5} {
		tr := connect(t, r, mqtt.Options{})
		if _, err := tr.Deliver(t.Context(), c.grown(grown)); err != nil {
			t.Fatal(err)
		}
		_ = tr.Close()
	}
	deliver(t, r, connect(t, r, mqtt.Options{}), c)
	if _, again, attempts := r.sent(); again > 16 || attempts != 1 {
		t.Errorf("%d segments again, %d attempts", again, attempts)
	}
}
