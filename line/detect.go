package line

import (
	"cmp"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// Detector is what a site may have beside the voice on its lines. It is fed the line's periods, in order, and answers
// with what it has found, in order of position; a mark's Position is in the line's frames (as the period's is), at or
// before the end of the period, and may lie before its beginning. Periods without samples tell of a loss. The marks are
// valid until the next call.
//
// A detector that listens is pure, and is fed pieces of 20 ms at most. A hook contact does not listen: it is fed the
// periods as they come, and answers with what its pin did since the last one.
type Detector interface {
	Feed(p pcm.Period) []call.Mark
}

// The values of marks that a hook gives (call.MarkHook).
const (
	OffHook = "off-hook"
	OnHook  = "on-hook"
)

// Detectors are those that a site has beside the voice and the bell; nil where it has none.
type Detectors struct {
	// Hook knows when the handset is lifted: a contact, or a USB handset's key. With it, calls last from off-hook to
	// on-hook, and voice does not count.
	Hook Detector

	// These are heard on the line, and become marks of the call.
	Tones    Detector // dial, ring-back, busy, reorder: line/tone
	Digits   Detector // DTMF: line/dtmf
	CallerID Detector // line/callerid
}

// listening are those that are fed pieces.
func (d Detectors) listening(yield func(Detector) bool) {
	for _, one := range [...]Detector{d.CallerID, d.Tones, d.Digits} {
		if one != nil && !yield(one) {
			return
		}
	}
}

// marks are what the detectors have found and the audio has not reached yet, in order.
type marks []call.Mark

// add adds marks. Those of one position are ordered by their kind, so that the order does not depend on the periods.
func (m *marks) add(found []call.Mark) {
	if len(found) == 0 {
		return
	}
	*m = append(*m, found...)
	slices.SortStableFunc(*m, func(a, b call.Mark) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Kind, b.Kind))
	})
}

// next takes the first that lies at or before a position.
func (m *marks) next(position int64) (first call.Mark, ok bool) {
	if len(*m) == 0 || (*m)[0].Position > position {
		return call.Mark{}, false
	}
	first = (*m)[0]
	*m = slices.Delete(*m, 0, 1)
	return first, true
}
