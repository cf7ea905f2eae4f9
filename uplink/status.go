package uplink

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/wire"
)

func (s *session) status() wire.Status {
	status := s.cfg.Status()
	if s.cfg.Health != nil {
		status.HealthLog = s.cfg.Health.After(wire.MaxHealth)
	}
	status.Device, status.Online, status.Waiting.Link = s.cfg.Device, true, s.transport.Name()
	return status
}

// watchStatus sends the status whenever what matters in it has changed, and at the latest every StatusEvery. It ends
// with ctx, or with the reason in watched when the link has failed: a transfer under way is left to find that out for
// itself.
func (s *session) watchStatus(ctx context.Context, sent wire.Status) {
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wakeStatus:
		case <-time.After(time.Until(last.Add(s.cfg.StatusEvery))):
		}
		if same(s.status(), sent) && time.Since(last) < s.cfg.StatusEvery {
			continue
		}
		select { // what changes fast is said at a bounded rate, and the last of it is not left out
		case <-ctx.Done():
			return
		case <-time.After(time.Until(last.Add(s.cfg.StatusPause))):
		}
		now := s.status()
		if err := s.say(ctx, now); err != nil {
			if ctx.Err() == nil {
				s.watched <- fmt.Errorf("send status: %w", err)
			}
			return
		}
		sent, last = now, time.Now()
	}
}

// say sends a status, and notes which lines of the log it brought.
func (s *session) say(ctx context.Context, now wire.Status) error {
	return s.said(now, s.transport.Status(ctx, now))
}

func (s *session) said(now wire.Status, err error) error {
	if n := len(now.HealthLog); err == nil && n > 0 {
		s.cfg.Health.Told(now.HealthLog[n-1].Number)
	}
	return err
}

// same leaves out what changes all the time.
func same(a, b wire.Status) bool {
	return essence(a) == essence(b)
}

func essence(s wire.Status) string {
	s.Health, s.HealthLog = nil, nil
	s.Time, s.Ring, s.Waiting.Bytes, s.Waiting.Entries = time.Time{}, wire.RingStatus{}, 0, 0
	s.Waiting.Cost, s.Waiting.Rate, s.Waiting.Done = 0, 0, time.Time{}
	lines := make([]wire.LineStatus, len(s.Lines))
	for i, l := range s.Lines {
		l.LevelDB, l.Lost = 0, 0
		lines[i] = l
	}
	s.Lines = lines
	b, _ := json.Marshal(s) // cannot fail: text, numbers that are finite, and times
	return string(b)
}
