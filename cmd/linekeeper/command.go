package main

import (
	"fmt"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// obey does what headquarters wants of the recorder. All of it may be done twice.
func obey(ring *buffer.Ring, c wire.Command) error {
	switch c.Kind {
	case wire.CommandFetch:
		return ring.Ask(*c.Call)
	case wire.CommandFlag:
		return ring.Flag(*c.Call)
	case wire.CommandUnflag:
		return ring.Unflag(*c.Call)
	case wire.CommandHold:
		return ring.Hold(*c.Call, c.Why)
	case wire.CommandUnhold:
		return ring.Unhold(*c.Call)
	case wire.CommandRequeue:
		if c.Call != nil {
			return requeueOne(ring, *c.Call)
		}
		_, err := requeueAll(ring)
		return err
	}
	return c.Check() // which says that it is not known
}

// requeueOne has a parked call sent once more.
func requeueOne(ring *buffer.Ring, id call.ID) error {
	c, err := ring.Call(id)
	if err != nil {
		return err
	}
	if c.Parked == "" {
		return fmt.Errorf("call %s was not refused", id)
	}
	return ring.Requeue(id)
}

// requeueAll has all parked calls sent once more, and gives their number.
func requeueAll(ring *buffer.Ring) (n int, err error) {
	var parked []call.ID
	ring.EachWaiting(func(w call.Waiting) bool {
		if w.Parked {
			parked = append(parked, w.Call)
		}
		return true
	})
	for _, id := range parked {
		if err := ring.Requeue(id); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
