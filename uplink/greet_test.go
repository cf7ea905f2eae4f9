package uplink_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// farLink is a link with a round trip of a second, of which no message has to wait for another's answer.
type farLink struct {
	*link
	alone bool // but over this one it has to
}

const roundTrip = time.Second

func (l farLink) Status(ctx context.Context, s wire.Status) error {
	time.Sleep(roundTrip)
	return l.link.Status(ctx, s)
}

func (l farLink) Open(ctx context.Context, s wire.Status, standing func()) error {
	if !l.alone {
		standing()
	}
	return l.Status(ctx, s)
}

func (l farLink) Have(ctx context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error) {
	if err := pass(ctx); err != nil {
		return wire.HaveAnswer{}, err
	}
	return l.link.Have(ctx, q)
}

func (l farLink) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	if err := pass(ctx); err != nil {
		return "", err
	}
	return l.link.Entries(ctx, b)
}

func pass(ctx context.Context) error {
	select {
	case <-time.After(roundTrip):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Status, have and the first entries are answered after one round trip together, or after one each.
func TestGreeting(t *testing.T) {
	for name, tc := range map[string]struct {
		alone bool
		want  time.Duration
	}{"together": {false, roundTrip}, "one after the other": {true, 3 * roundTrip}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				began := time.Now()
				var took time.Duration
				w.addCall()
				l := w.link("https")
				l.onEntries = func() (string, error) { took = time.Since(began); return "", nil }
				_, stop := w.runOver(farLink{l, tc.alone})
				time.Sleep(10 * time.Second)
				synctest.Wait()
				stop()
				if took != tc.want {
					t.Errorf("headquarters had the first entries after %v, want %v", took, tc.want)
				}
				if w.left() != 0 {
					t.Error("the call did not arrive")
				}
			})
		})
	}
}

// What a greeting brought counts only once the status is taken; a recorder that is refused is not connected.
func TestRefusedGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addCall()
		l := w.link("https")
		refusals := 0
		l.onStatus = func(s wire.Status) error {
			if refusals++; refusals == 1 {
				return errors.New("not you")
			}
			return nil
		}
		u, stop := w.runOver(farLink{l, false})
		time.Sleep(roundTrip + time.Millisecond)
		synctest.Wait()
		if s := u.Snapshot(); s.Link != "" || s.LastError == "" {
			t.Errorf("after a refusal: %+v", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := u.Snapshot(); s.Link == "" || s.Delivered != 1 {
			t.Errorf("once it is taken: %+v", s)
		}
		stop()
	})
}

var _ uplink.Pipelined = farLink{}
