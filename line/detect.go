package line

import (
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// Detector is what a site may have beside the voice on its lines. It is fed every period of the line, in order, and
// answers with what it has found, in order of position; a mark's Position is in the line's frames (as the period's is),
// at or before the end of the period, and may lie before its beginning. Periods without samples tell of a loss. The
// marks are valid until the next call.
//
// A detector that listens is pure. A hook contact does not listen: it answers with what its pin did since the last
// period.
type Detector interface {
	Feed(p pcm.Period) []call.Mark
}

// The values of marks that a hook gives (call.MarkHook).
const (
	OffHook = "off-hook"
	OnHook  = "on-hook"
)

// Detectors are those that a site has beside the voice; nil where it has none.
type Detectors struct {
	// Hook knows when the handset is lifted. With it, calls begin off-hook and end on-hook, and voice does not count.
	Hook Detector

	// These are heard on the line, and become marks of the call.
	Tones    Detector // dial, ring-back, busy
	Digits   Detector // DTMF
	CallerID Detector
}

func (d Detectors) each(yield func(Detector) bool) {
	for _, one := range [...]Detector{d.CallerID, d.Tones, d.Digits, d.Hook} {
		if one != nil && !yield(one) {
			return
		}
	}
}
