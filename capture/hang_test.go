package capture

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCardThatHangsInOpening: a driver that does not return is an alarm, and the lines' timelines go on.
func TestCardThatHangsInOpening(t *testing.T) {
	runFake(t, &fakeCard{}, func(f *fakeCard, c *Card, h *heard) {
		time.Sleep(5*time.Second + time.Millisecond)
		holds := make(chan struct{})
		f.set(func(f *fakeCard) {
			f.holds = holds
			close(f.current.gone)
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := c.Status(); s.Open || !strings.Contains(s.Err, "driver") || s.LostFrames < 58*8000 {
			t.Errorf("while it hangs: %+v", s)
		}
		h.near("position while it hangs", h.next, 65*8000)
		if h.longest > 2*time.Second {
			t.Errorf("nothing was said for %v", h.longest)
		}
		f.set(func(f *fakeCard) { f.holds = nil })
		close(holds)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := c.Status(); !s.Open || s.Err != "" || s.Reopened != 1 {
			t.Errorf("when the driver goes on: %+v", s)
		}
		h.at(70 * time.Second)
	})
}

// TestRunEndsWhileOpeningHangs: and what was opened after all is closed.
func TestRunEndsWhileOpeningHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holds := make(chan struct{})
		fake := &fakeCard{holds: holds}
		begun := time.Now()
		runFakeIn(t, fake, Config{Device: "fake"}, func(*fakeCard, *Card, *heard) { time.Sleep(10 * time.Second) })
		if took := time.Since(begun); took > 10*time.Second+closeDeadline {
			t.Errorf("Run ended after %v", took)
		}
		close(holds)
		synctest.Wait()
		select {
		case <-fake.current.done:
		default:
			t.Error("the card was left open")
		}
	})
}
