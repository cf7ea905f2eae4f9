package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
)

// systemClock gives anchors: what the kernel says of time since boot, of wall time, and of how far that can be believed.
type systemClock struct{ bootID string }

func newSystemClock() (systemClock, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return systemClock{}, fmt.Errorf("read boot ID: %w", err)
	}
	return systemClock{bootID: strings.TrimSpace(string(id))}, nil
}

// Anchor is now.
func (c systemClock) Anchor() call.Anchor {
	return call.Anchor{BootID: c.bootID, BootTime: bootTime(), Wall: time.Now().UTC(), Grade: clockGrade()}
}

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // cannot happen: the clock is in every kernel since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// gradeClock remembers how far the clock can be believed: the question costs system calls, and the answer changes
// seldom.
type gradeClock struct {
	mu    sync.Mutex
	asked time.Time
	grade call.Grade
}

// Grade is the answer of at most ten seconds ago.
func (g *gradeClock) Grade() call.Grade {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.grade == "" || time.Since(g.asked) > 10*time.Second {
		g.asked, g.grade = time.Now(), clockGrade()
	}
	return g.grade
}

// clockGrade asks the kernel whether something synchronises its clock, and, since the unit's sandbox refuses that
// question, systemd-timesyncd's mark; without, a real-time clock gives RTC.
func clockGrade() call.Grade {
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0 {
		return call.GradeNTP
	}
	if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
		return call.GradeNTP
	}
	if _, err := os.Stat("/dev/rtc0"); err == nil {
		return call.GradeRTC
	}
	return call.GradeNone
}
