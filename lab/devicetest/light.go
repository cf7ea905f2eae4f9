// Package devicetest runs the recorder in a virtual device as an office has it: installed, started by systemd, with two
// lines, a light and a network, and with everything that an office does to it. Headquarters runs on the host.
//
// Its test has the build tag lab (`make lab`), since it needs QEMU.
package devicetest

import (
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
)

// The patterns of the light, by the states that they stand for in docs/operator-guide.md.
const (
	lightDark      = "dark"
	lightRecording = "recording"
	lightPaused    = "paused"
	lightIdle      = "idle"
	lightOffline   = "offline"
	lightAlarm     = "alarm"
	lightFault     = "fault"
	lightUnknown   = "unknown"
)

// readLight tells which pattern was watched. Two whole rounds of it must be among the edges, or, where it changes less
// than every four seconds, one change. An emulated board is late now and then, and what is late makes one interval longer
// and the next shorter: the median of the intervals counts.
func readLight(edges []device.Edge, length time.Duration) string {
	var lit, dark []time.Duration // whole intervals
	for i := 1; i+1 < len(edges); i++ {
		took := edges[i+1].At - edges[i].At
		if edges[i].High {
			lit = append(lit, took)
		} else {
			dark = append(dark, took)
		}
	}
	slices.Sort(lit)
	slices.Sort(dark)
	about := func(some []time.Duration, want time.Duration) bool {
		return len(some) > 0 && (median(some)-want).Abs() < want/3+20*time.Millisecond
	}
	const ms = time.Millisecond
	twice := len(lit) > 1 && len(dark) > 1
	half := len(dark) / 2
	switch {
	case len(edges) == 1 && edges[0].High:
		return lightRecording
	case len(edges) == 1:
		return lightDark
	case twice && about(lit, 900*ms) && median(dark) < 300*ms:
		return lightPaused
	case twice && about(lit, 100*ms) && about(dark, 100*ms):
		return lightFault
	case twice && about(lit, time.Second) && about(dark, time.Second):
		return lightOffline
	case twice && about(lit, 200*ms) && about(dark[:half], 300*ms) && about(dark[len(dark)-half:], 2300*ms):
		return lightAlarm
	case len(lit) > 0 && median(lit) < 150*ms && (len(dark) == 0 && length > 4*time.Second || about(dark, 4950*ms)):
		return lightIdle
	}
	return lightUnknown
}

// median is that of sorted durations, of which there is one.
func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// What the light says of a stick that is put in, a self-test, and a reset.
const (
	signReading  = "reading"  // two short blinks each second
	signAccepted = "accepted" // on for 3 s, once
	signRefused  = "refused"  // ten fast blinks, once

	signAsks      = "asks"       // three blinks, pause: whether to reset
	signAsksAgain = "asks again" // five blinks, pause: whether to lose calls
)

// readSigns tells which signs are among what was watched, each once, in their order.
func readSigns(edges []device.Edge) (signs []string) {
	const ms = time.Millisecond
	saw := func(sign string) {
		if !slices.Contains(signs, sign) {
			signs = append(signs, sign)
		}
	}
	blinks := 0
	var lit []time.Duration             // when it was lit, of late
	for i := 1; i+1 < len(edges); i++ { // whole intervals
		lasted := edges[i+1].At - edges[i].At
		near := func(want time.Duration) bool { return (lasted - want).Abs() < want/3+20*ms }
		if edges[i].High {
			for lit = append(lit, edges[i].At); edges[i].At-lit[0] > 2500*ms; {
				lit = lit[1:]
			}
		}
		if edges[i].High && near(150*ms) {
			blinks++
		} else if lasted > 500*ms {
			if !edges[i].High && near(1200*ms) && blinks == 3 {
				saw(signAsks)
			} else if !edges[i].High && near(1200*ms) && blinks == 5 {
				saw(signAsksAgain)
			}
			blinks = 0
		}
		switch {
		case edges[i].High && near(3000*ms):
			saw(signAccepted)
		case len(lit) >= 8: // no other sign blinks so often in that time, and of ten some may be late
			saw(signRefused)
		case !edges[i].High && near(650*ms) && i > 2 && !edges[i-2].High && (edges[i-1].At-edges[i-2].At-150*ms).Abs() < 70*ms:
			saw(signReading)
		}
	}
	return signs
}
