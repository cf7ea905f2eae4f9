package capture

import (
	"math"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

const (
	// The delivery of audio lags behind the clock by some part of a period, more or less. Its least value over so
	// long a time is taken for the lag.
	lagWindow = 5 * time.Second

	// A lag that has grown by more than this from one window to the next is a loss that nobody reported: a sound
	// card's clock drifts by some ms in that time.
	lagJump = 250 * time.Millisecond
)

// timeline counts a line's frames and, where frames were lost, finds out from the clock how many, so that positions
// stay true to real time within a period. It says nothing of a sound card's clock that runs a little fast or slow:
// it follows the lag of the delivery behind the clock, and measures each loss against that.
//
// All times are CLOCK_BOOTTIME.
type timeline struct {
	rate     int
	position int64 // frames, lost ones included
	started  bool

	// lag is the least one of this window and of the one before; windowEnd is when this one ends.
	lag, lagBefore time.Duration
	windowEnd      time.Duration

	// After a loss the lag has to be learned anew (settling); until then target is what it should be. offset is by
	// how much the lag differs from what it should be, from then on: without it the errors of many losses would add
	// up.
	settling       bool
	target, offset time.Duration
}

const noLag = time.Duration(math.MaxInt64)

// begin makes now the time of position 0. Without it, that of the first frame is.
func (t *timeline) begin(now time.Duration) {
	t.started = true
	t.settle(now, now)
}

// away counts the frames that went by until now without being delivered.
func (t *timeline) away(now time.Duration) (lost int64) {
	if !t.settling {
		t.settle(t.expected(), now)
	}
	return t.catchUp(now)
}

// add counts n frames that were delivered now, after a loss or not, and returns how many were lost before them.
func (t *timeline) add(now time.Duration, n int, loss bool) (lost int64) {
	if !t.started {
		t.started = true
		t.settle(t.lagAt(now, int64(n)), now)
	}
	if now >= t.windowEnd && !loss {
		loss = t.turnWindow(now)
	}
	if loss {
		if !t.settling {
			t.settle(t.expected(), now)
		} else {
			t.settle(t.target, now)
		}
		lost = t.catchUp(now - t.duration(int64(n)))
	}
	t.position += int64(n)
	t.lag = min(t.lag, t.lagAt(now, 0))
	return lost
}

// catchUp brings the position to where it should be at now.
func (t *timeline) catchUp(now time.Duration) int64 {
	late := t.lagAt(now, 0) - t.target
	if late <= 0 {
		return 0
	}
	lost := pcm.Format{Rate: t.rate}.Frames(late)
	t.position += lost
	return lost
}

// turnWindow ends a window; it reports a loss that shows only in the lag.
func (t *timeline) turnWindow(now time.Duration) (loss bool) {
	if t.lag == noLag { // nothing was delivered in it
		t.windowEnd = now + lagWindow
		return false
	}
	if t.settling {
		t.settling, t.offset, t.lagBefore = false, t.target-t.lag, t.lag
	} else if t.lag-t.lagBefore > lagJump {
		t.settle(t.lagBefore+t.offset, now)
		return true
	}
	t.lagBefore, t.lag, t.windowEnd = t.lag, noLag, now+lagWindow
	return false
}

// settle begins to learn the lag anew.
func (t *timeline) settle(target, now time.Duration) {
	t.settling, t.target = true, target
	t.lag, t.windowEnd = noLag, now+lagWindow
}

// expected is what the lag should be.
func (t *timeline) expected() time.Duration {
	return min(t.lag, t.lagBefore) + t.offset
}

func (t *timeline) lagAt(now time.Duration, more int64) time.Duration {
	return now - t.duration(t.position+more)
}

func (t *timeline) duration(frames int64) time.Duration {
	return pcm.Format{Rate: t.rate}.Duration(frames)
}
