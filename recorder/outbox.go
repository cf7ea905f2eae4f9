package recorder

import (
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// item is what is to be stored: a record of a call, or the end entry of one.
type item struct {
	record call.Record
	end    *ending
}

// ending is what the end entry of a call is made of.
type ending struct {
	header   call.Header
	manifest call.Manifest
}

// outbox stores items in order. What cannot be stored now waits, and everything after it.
type outbox struct {
	store func(item) error
	items []item
	bytes int
	limit int
	err   error // why the last attempt failed; nil where it did not
}

func (o *outbox) put(it item) {
	if len(o.items) == 0 && o.attempt(it) {
		return
	}
	o.items = append(o.items, it)
	o.bytes += len(it.record.Data)
}

// drain stores what waits, as far as it can.
func (o *outbox) drain() {
	n := 0
	for n < len(o.items) && o.attempt(o.items[n]) {
		o.bytes -= len(o.items[n].record.Data)
		n++
	}
	o.items = slices.Delete(o.items, 0, n)
}

func (o *outbox) attempt(it item) bool {
	o.err = o.store(it)
	return o.err == nil
}

func (o *outbox) empty() bool { return len(o.items) == 0 }

func (o *outbox) full() bool { return o.bytes >= o.limit }
