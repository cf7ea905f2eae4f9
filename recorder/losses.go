package recorder

import (
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// lossInterval is how often losses outside calls are entered into the ledger at most.
const lossInterval = time.Minute

// losses are what a line has lost outside calls and the ledger does not know yet: one gap a cause, the sum of several.
type losses struct {
	cfg      *Config
	line     string
	interval int64 // frames
	due      int64 // position from which on they may be entered
	gaps     []call.Gap
}

func (s *losses) add(g call.Gap) {
	for i := range s.gaps {
		if s.gaps[i].Cause == g.Cause {
			s.gaps[i].Frames += g.Frames
			return
		}
	}
	s.gaps = append(s.gaps, g)
}

// enter enters the losses into the ledger at a position. It does not push past what waits for the ring.
func (s *losses) enter(position int64, out *outbox) {
	for len(s.gaps) > 0 && out.empty() {
		g := s.gaps[0]
		_, err := s.cfg.add(call.Entry{Type: call.EntryGap, Anchor: s.cfg.Clock.Anchor(), Line: s.line, Gap: &g})
		if out.err = err; err != nil {
			return
		}
		s.cfg.Observer.Gap(s.line, false, g)
		s.gaps = slices.Delete(s.gaps, 0, 1)
		s.due = position + s.interval
	}
}
