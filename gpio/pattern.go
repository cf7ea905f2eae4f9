package gpio

import "time"

// Pattern is how a light goes on and off. Its zero value is Off.
type Pattern int

// The patterns: one for each row of the table of states, by how they look.
const (
	Off         Pattern = iota // no power, or not running
	FastBlink                  // 5 Hz. Fault: no line can record, card failed, ring full and stopping
	DoubleBlink                // two short blinks each second. A provisioning stick is being read or judged
	LongOn                     // on for 3 s, once. The stick was accepted, the self-test passed, the recorder was reset
	TenBlinks                  // ten fast blinks, once. The stick was refused, the self-test failed, nothing was reset
	ThreeBlinks                // three blinks, pause. It asks whether to reset: let go of the button, and hold it again
	FiveBlinks                 // five blinks, pause. It asks once more, as calls would be lost
	On                         // steadily on. Recording
	OnWithDark                 // on, with a short dark moment each second. Card-data pause during a call
	TwoBlinks                  // two blinks, long pause. A line has an alarm, or the clock is unknown
	SlowBlink                  // 0.5 Hz. Offline with calls waiting
	Flash                      // a short flash every 5 s. Idle, all well
)

// shape is how long a light is on, off, on, off and so on, from its beginning.
type shape struct {
	times []time.Duration
	once  bool // then off, instead of again
}

func (p Pattern) shape() shape {
	const ms = time.Millisecond
	switch p {
	case FastBlink:
		return shape{times: []time.Duration{100 * ms, 100 * ms}}
	case DoubleBlink:
		return shape{times: []time.Duration{100 * ms, 150 * ms, 100 * ms, 650 * ms}}
	case LongOn:
		return shape{times: []time.Duration{3000 * ms}, once: true}
	case TenBlinks:
		var ten []time.Duration
		for range 10 {
			ten = append(ten, 100*ms, 100*ms)
		}
		return shape{times: ten, once: true}
	case ThreeBlinks:
		return blinks(3)
	case FiveBlinks:
		return blinks(5)
	case On:
		return shape{times: []time.Duration{time.Hour}}
	case OnWithDark:
		return shape{times: []time.Duration{900 * ms, 100 * ms}}
	case TwoBlinks:
		return shape{times: []time.Duration{200 * ms, 300 * ms, 200 * ms, 2300 * ms}}
	case SlowBlink:
		return shape{times: []time.Duration{1000 * ms, 1000 * ms}}
	case Flash:
		return shape{times: []time.Duration{50 * ms, 4950 * ms}}
	default:
		return shape{once: true}
	}
}

// blinks is some blinks that can be counted, and a pause.
func blinks(count int) (s shape) {
	for range count {
		s.times = append(s.times, 150*time.Millisecond, 200*time.Millisecond)
	}
	s.times[len(s.times)-1] = 1200 * time.Millisecond
	return s
}

// Three lights that show record, link and fault apart say more than one can: each has its own pattern.

// RecordLight is what the record light of three shows.
func RecordLight(recording, paused bool) Pattern {
	switch {
	case recording && paused:
		return OnWithDark
	case recording:
		return On
	default:
		return Off
	}
}

// LinkLight is what the link light of three shows: on while headquarters is reached, off while it is not and has
// everything.
func LinkLight(offline bool, waiting int) Pattern {
	switch {
	case !offline:
		return On
	case waiting > 0:
		return SlowBlink
	default:
		return Off
	}
}

// FaultLight is what the fault light of three shows. A short flash says that the recorder runs and all is well.
func FaultLight(fault, alarm bool) Pattern {
	switch {
	case fault:
		return FastBlink
	case alarm:
		return TwoBlinks
	default:
		return Flash
	}
}
