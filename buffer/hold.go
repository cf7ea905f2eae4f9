package buffer

import (
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// Park notes that headquarters refuses a call, and why. It stays, and is passed over.
func (r *Ring) Park(id call.ID, why string) error {
	if why == "" {
		why = "refused"
	}
	return changeState(r, "park", id, func(s *callState) { s.Parked = why })
}

// Requeue lets a parked call be sent again.
func (r *Ring) Requeue(id call.ID) error {
	return changeState(r, "requeue", id, func(s *callState) { s.Parked = "" })
}

// Hold keeps a call from being given up, also after its receipt, and notes why. Holds have a share of the ring
// (Options.HoldShare); beyond it they still hold, and Status says so.
func (r *Ring) Hold(id call.ID, why string) error {
	if why == "" {
		return errors.New("hold a call: it must be said why")
	}
	return changeState(r, "hold", id, func(s *callState) { s.Hold = why })
}

// Unhold ends a hold. A call that was receipted meanwhile is released.
func (r *Ring) Unhold(id call.ID) error {
	return changeState(r, "unhold", id, func(s *callState) { s.Hold = "" })
}

// Ask notes that headquarters has asked for a call: it is sent before others, also if it was refused before.
func (r *Ring) Ask(id call.ID) error {
	return changeState(r, "ask for", id, func(s *callState) { s.Asked, s.Parked = true, "" })
}

// Flag marks a call as of interest, so that it is sent before others.
func (r *Ring) Flag(id call.ID) error {
	return changeState(r, "flag", id, func(s *callState) { s.Flag = true })
}

// Unflag takes the mark off.
func (r *Ring) Unflag(id call.ID) error {
	return changeState(r, "unflag", id, func(s *callState) { s.Flag = false })
}

// changeState changes what is to be remembered of a call. A call whose release is on its way to the card is not known any
// more.
func changeState(r *Ring, what string, id call.ID, change func(*callState)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.table.calls[id]
	if c == nil || c.leaves() {
		return fmt.Errorf("%s call %v: %w", what, id, ErrUnknownCall)
	}
	before := c.state()
	state := before
	change(&state)
	if state.Parked == before.Parked && state.Hold == before.Hold && state.Asked == before.Asked && state.Flag == before.Flag {
		return nil
	}
	it := noteItem(note{Op: opCall, Call: &c.id, callState: state})
	if state.Hold == "" && c.receipt {
		it = noteItem(note{Op: opReceipt, Call: &c.id, Receipt: state.Kept, Where: r.space.standing(c.where())})
	}
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("%s call %v: %w", what, id, err)
	}
	r.table.setState(c, state)
	r.queue.put(it)
	return nil
}
