package capture

import (
	"math"
	"time"
)

const (
	paceWindow = time.Minute // that is measured
	mostOff    = 0.01        // crystals are within 0.0002; a thread that was late at one end of the window, within this
)

// pace measures whether a card delivers as many frames in a second as it says. One that does not, since its clock is
// broken or its driver lies, records everything out of tune and out of time, and nothing else would tell.
type pace struct {
	rate    int
	started bool
	begin   time.Duration // CLOCK_BOOTTIME
	frames  int64         // since then
	off     float64       // share of frames that were too many in the last window; 0: hardly any
}

// add takes n frames that were delivered now, and says whether off has changed. A loss before them begins a new window.
func (p *pace) add(now time.Duration, n int, loss bool) (changed bool) {
	if !p.started || loss {
		p.started, p.begin, p.frames = true, now, 0
		return false
	}
	p.frames += int64(n)
	took := now - p.begin
	if took < paceWindow {
		return false
	}
	was := p.off
	p.off = float64(p.frames)/(took.Seconds()*float64(p.rate)) - 1
	if math.Abs(p.off) < mostOff {
		p.off = 0
	}
	p.begin, p.frames = now, 0
	return p.off != was
}
