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
	lightIdle      = "idle"
	lightOffline   = "offline"
	lightAlarm     = "alarm"
	lightFault     = "fault"
	lightUnknown   = "unknown"
)

// readLight tells which pattern was watched. Two whole rounds of it must be among the edges, or, where it changes less
// than every four seconds, one change.
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
	// An emulated board is late now and then.
	about := func(d, want time.Duration) bool { return d > want-want/3 && d < want+want/3+20*time.Millisecond }
	all := func(some []time.Duration, want time.Duration) bool {
		return len(some) > 1 && !slices.ContainsFunc(some, func(d time.Duration) bool { return !about(d, want) })
	}
	const ms = time.Millisecond
	switch {
	case len(edges) == 1 && edges[0].High:
		return lightRecording
	case len(edges) == 1:
		return lightDark
	case all(lit, 100*ms) && all(dark, 100*ms):
		return lightFault
	case all(lit, time.Second) && all(dark, time.Second):
		return lightOffline
	case all(lit, 200*ms) && len(dark) > 1 && about(slices.Min(dark), 300*ms) && about(slices.Max(dark), 2300*ms):
		return lightAlarm
	case len(lit) > 0 && slices.Max(lit) < 100*ms && (len(dark) == 0 && length > 4*time.Second || all(append(dark, dark...), 4950*ms)):
		return lightIdle
	}
	return lightUnknown
}
