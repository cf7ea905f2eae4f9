package uplink

import (
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Weak is a Transport to a receiver that is not headquarters and signs nothing: a stock tus server, an EMQX. What its
// Entries and Deliver give is no receipt but the receiver's word, in text. It is taken for one all the same, since
// somebody has chosen so in the settings, and what it releases is marked with it: call.Receipt.Weak.
type Weak interface {
	Transport
	// Weak says what its word is worth, for people.
	Weak() string
}

// IsWeak says whether a transport's word is taken without a signature: for what it is, never for what came over it.
func IsWeak(t Transport) bool {
	_, weak := t.(Weak)
	return weak
}

// receipt checks what the transport gave for what was sent: a receipt, or a weak receiver's word for want.
func (s *session) receipt(word string, want call.Receipt) (call.Receipt, error) {
	if !IsWeak(s.transport) {
		return s.verify(word)
	}
	want.Device, want.Time, want.Weak = s.cfg.Device, time.Now().UTC(), word
	return want, nil
}
