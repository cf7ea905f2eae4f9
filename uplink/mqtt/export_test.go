package mqtt

import "time"

// SetStall changes Options.Stall between two uses, and gives what it was: a machine under load takes its time to connect,
// and for an answer that is never given any time is long enough.
func (t *Transport) SetStall(d time.Duration) (was time.Duration) {
	was, t.opts.Stall = t.opts.Stall, d
	return was
}

// MostWindow is how many messages may be without an answer at the most.
const MostWindow = mostWindow
