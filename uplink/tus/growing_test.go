package tus_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/tus"
)

// grown is the file of a call in progress, as far as it goes now.
func (c *callFile) grown(size int64) uplink.File {
	f := c.file()
	f.Size, f.SHA256, f.Grows = size, "", true
	return f
}

// TestCallInProgress has a call that grows, whose end brings more or nothing more, and a connection that is cut between.
func TestCallInProgress(t *testing.T) {
	const size = 100_000
	bothHTTP(t, func(t *testing.T, http2 bool) {
		for _, last := range []int64{60_000, size} {
			for _, cut := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d,cut=%v", last, cut), func(t *testing.T) {
					h := newHeadquarters(t, http2)
					tr := connect(t, h, tus.Options{})
					c := newCall(size)
					for _, grown := range []int64{10_000, 30_000, 30_000, 30_001, last} {
						if cut && grown == last {
							h.cut.left.Store(9_000)
						}
						for receipt, err := tr.Deliver(t.Context(), c.grown(grown)); err != nil || receipt != ""; receipt, err = tr.Deliver(t.Context(), c.grown(grown)) {
							if !cut || grown != last {
								t.Fatalf("%d bytes: %q, %v", grown, receipt, err)
							}
						}
						if c.acked != grown {
							t.Errorf("%d bytes are acknowledged, want %d", c.acked, grown)
						}
					}
					deliver(t, h, tr, c)
					if n := h.count(http.MethodPost); n != 1 {
						t.Errorf("%d uploads were made", n)
					}
					if heads := h.count(http.MethodHead); !cut && heads != 1 {
						t.Errorf("asked %d times how far it is: want once, at the end", heads)
					}
				})
			}
		}
	})
}

// TestNoCallsInProgress has a receiver without creation-defer-length, which takes the call when it has ended.
func TestNoCallsInProgress(t *testing.T) {
	h := newHeadquarters(t, true)
	h.spoil = []spoiler{answer(http.MethodPost, 1, http.StatusBadRequest)}
	tr := connect(t, h, tus.Options{})
	c := newCall(20_000)
	var refused *uplink.RefusedError
	if _, err := tr.Deliver(t.Context(), c.grown(10_000)); !errors.As(err, &refused) {
		t.Errorf("%v, want refused", err)
	}
	deliver(t, h, tr, c)
}
