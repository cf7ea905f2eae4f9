package call

// State is what a recorder shows of itself: on the light, in its status and to headquarters, always the same.
type State string

// The states, from the one that wins over all below it.
const (
	StateFault        State = "fault"        // no line can record, card failed, ring full and stopping
	StateProvisioning State = "provisioning" // reading or judging a stick
	StateRecording    State = "recording"
	StatePaused       State = "paused"  // card-data pause during a call
	StateAlarm        State = "alarm"   // a line has an alarm, or the clock is unknown
	StateOffline      State = "offline" // with calls waiting
	StateIdle         State = "idle"
)

// Conditions is what a state is made of.
type Conditions struct {
	Fault        bool // no line can record, card failed, ring full and stopping
	Provisioning bool
	Recording    bool // a line is in a call
	Paused       bool
	Alarm        bool // a line has an alarm, or the clock is unknown
	Offline      bool // headquarters is not reached
	Waiting      int  // calls that headquarters does not have
}

// State is the first that holds, from the top.
func (c Conditions) State() State {
	switch {
	case c.Fault:
		return StateFault
	case c.Provisioning:
		return StateProvisioning
	case c.Recording && c.Paused:
		return StatePaused
	case c.Recording:
		return StateRecording
	case c.Alarm:
		return StateAlarm
	case c.Offline && c.Waiting > 0:
		return StateOffline
	default:
		return StateIdle
	}
}
