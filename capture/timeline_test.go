package capture

import (
	"math/rand/v2"
	"testing"
	"time"
)

const testPeriod = 200 * time.Millisecond

// simCard plays a card's part for a timeline: it has a clock of its own, delivers late, and loses frames.
type simCard struct {
	t      *testing.T
	line   timeline
	rng    *rand.Rand
	ppm    float64
	now    time.Duration
	frac   float64
	jitter time.Duration // a delivery is late by up to so much
	begun  time.Duration
	lost   int64
}

func newSimCard(t *testing.T, ppm float64, jitter time.Duration) *simCard {
	return &simCard{t: t, line: timeline{rate: 8000}, rng: rand.New(rand.NewPCG(5, 6)), ppm: ppm, now: time.Hour, begun: time.Hour, jitter: jitter}
}

// play delivers periods for d; the first after a loss if loss.
func (c *simCard) play(d time.Duration, loss bool) {
	for end := c.now + d; c.now < end; loss = false {
		c.now += testPeriod
		c.frac += 1600 * (1 + c.ppm/1e6)
		n := int(c.frac)
		c.frac -= float64(n)
		c.lost += c.line.add(c.now+time.Duration(c.rng.Int64N(int64(c.jitter)+1)), n, loss)
	}
}

// away lets d pass without a delivery, and with reports if the card is known to be gone.
func (c *simCard) away(d time.Duration, reports bool) {
	for end := c.now + d; c.now < end; {
		step := min(time.Second, end-c.now)
		c.now += step
		if reports {
			c.lost += c.line.away(c.now)
		}
	}
}

// check compares the position with real time; a drifting card's own time is real time to it.
func (c *simCard) check(what string, within time.Duration) {
	c.t.Helper()
	if off := c.line.duration(c.line.position) - (c.now - c.begun); off.Abs() > within {
		c.t.Errorf("%s: position is off by %v", what, off)
	}
}

func TestTimelineTakesDriftForWhatItIs(t *testing.T) {
	for _, ppm := range []float64{-300, -200, 0, 150, 200, 300} {
		c := newSimCard(t, ppm, 50*time.Millisecond)
		c.play(24*time.Hour, false)
		if c.lost != 0 {
			t.Errorf("%+.0f ppm: %d frames reported lost", ppm, c.lost)
		}
	}
}

func TestTimelineCountsLossesByTheClock(t *testing.T) {
	c := newSimCard(t, 0, 50*time.Millisecond)
	c.play(10*time.Second, false)
	c.away(3*time.Second, false) // an overrun
	c.play(10*time.Second, true)
	c.check("after an overrun", testPeriod)
	if want := int64(3 * 8000); c.lost < want-400 || c.lost > want+800 {
		t.Errorf("lost %d frames, want about %d", c.lost, want)
	}
	before := c.lost
	c.away(20*time.Second, true)
	if off := c.lost - before - 20*8000; off < -400 || off > 800 {
		t.Errorf("while away %d frames too many were reported", off)
	}
	c.play(10*time.Second, true)
	c.check("after the card was away", testPeriod)
}

func TestTimelineErrorsDoNotAddUp(t *testing.T) {
	c := newSimCard(t, 0, 80*time.Millisecond)
	for range 200 {
		c.play(time.Duration(c.rng.Int64N(int64(8*time.Second))), true)
		c.away(time.Duration(c.rng.Int64N(int64(4*time.Second))), c.rng.IntN(2) == 0)
	}
	c.play(time.Second, true)
	c.check("after 200 losses", testPeriod)
}

func TestTimelineFindsLossesThatNobodyReports(t *testing.T) {
	c := newSimCard(t, 200, 50*time.Millisecond)
	c.play(time.Minute, false)
	c.away(time.Second, false)
	c.play(20*time.Second, false)
	if c.lost < 7900 || c.lost > 8400 {
		t.Errorf("of a silent loss of 8000 frames %d were reported", c.lost)
	}
}

func TestTimelineOfACardThatIsAbsentAtFirst(t *testing.T) {
	c := newSimCard(t, 0, 20*time.Millisecond)
	c.line.begin(c.now)
	c.away(90*time.Second, true)
	if c.lost != 90*8000 {
		t.Errorf("%d frames reported lost in 90 s", c.lost)
	}
	c.play(10*time.Second, true)
	c.check("after the card came", testPeriod)
}
