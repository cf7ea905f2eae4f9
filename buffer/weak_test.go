package buffer

import (
	"testing"
)

// TestWeakReceipt: a receiver's word that nobody signed releases as a receipt does, and what is kept of it says so.
func TestWeakReceipt(t *testing.T) {
	o := memoryOptions(newCard(1))
	r, _ := mustOpen(t, o)
	p := phone{t, r}
	held, free := p.call(4, 3000), p.call(4, 3000)
	noError(t, r.Sync())
	noError(t, r.Hold(held.id, "court"))
	const word = "tus: 3000 of 3000 bytes"
	for _, c := range []*talk{held, free} {
		receipt := c.receipt()
		receipt.Weak = word
		noError(t, r.Accept(receipt, ""))
	}
	for range 2 { // also after a restart
		noError(t, r.Sync())
		calls, err := r.Calls()
		noError(t, err)
		if len(calls) != 1 || !calls[0].Receipt || calls[0].Weak != word {
			t.Errorf("stored: %+v", calls)
		}
		noError(t, r.Close())
		r, _ = mustOpen(t, o)
	}
	noError(t, r.Close())
}
