package recorder

import (
	"math"
	"strings"
)

// Silence is the level, in dBFS, of a line that is silent or gives no frames.
const Silence = -100

// What an alarm says, one or both, separated by "; ".
const (
	AlarmNoAudio   = "no frames: the card is away"
	AlarmNotStored = "nothing can be stored: the ring takes no more"
)

// Status is the state of a line.
type Status struct {
	Line       string
	Recording  bool
	Fault      bool      // a call goes on that cannot be recorded, as nothing can be stored
	Alarm      string    // empty: none
	Levels     []float64 // RMS of the last second in dBFS, of each channel (side)
	LostFrames int64     // since the line was made
	Calls      int64     // that began since the line was made
}

// Status of the line. It is safe for concurrent use.
func (l *Line) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Levels = append([]float64(nil), l.levels.last...)
	return s
}

// publish brings the status up to date, and tells of an alarm that came or went.
func (l *Line) publish() {
	noAudio, notStored := l.time.audio < l.time.end, l.out.err != nil || !l.out.empty()
	l.mu.Lock()
	s := &l.status
	s.Recording = l.rec != nil
	s.Fault = l.rec == nil && l.wanted.on && notStored
	s.LostFrames, s.Calls = l.lost, l.calls
	changed := l.noAudio != noAudio || l.notStored != notStored
	if changed {
		s.Alarm = alarm(noAudio, notStored)
		l.noAudio, l.notStored = noAudio, notStored
	}
	what := s.Alarm
	l.mu.Unlock()
	if changed {
		l.cfg.Log.Warn("alarm of a line", "line", l.Name, "alarm", what, "error", l.out.err)
		l.observer.Alarm(l.Name, what)
	}
}

func alarm(noAudio, notStored bool) string {
	var what []string
	if noAudio {
		what = append(what, AlarmNoAudio)
	}
	if notStored {
		what = append(what, AlarmNotStored)
	}
	return strings.Join(what, "; ")
}

// levels measures the level of each channel, a second at a time.
type levels struct {
	rate   int
	last   []float64 // guarded by the line's lock
	sums   []int64   // of squares: 2^63 is 300 hours of full scale at 8 kHz
	frames int
}

func newLevels(rate, channels int) levels {
	v := levels{rate: rate, last: make([]float64, channels), sums: make([]int64, channels)}
	v.silence()
	return v
}

func (v *levels) silence() {
	for i := range v.last {
		v.last[i], v.sums[i] = Silence, 0
	}
	v.frames = 0
}

// hear adds samples and says whether a second is full.
func (v *levels) hear(samples []int16) bool {
	channels := len(v.sums)
	for c := range v.sums {
		sum := int64(0)
		for i := c; i < len(samples); i += channels {
			s := int64(samples[i])
			sum += s * s
		}
		v.sums[c] += sum
	}
	v.frames += len(samples) / channels
	return v.frames >= v.rate
}

// take makes a level of the sums.
func (v *levels) take() {
	const full = 32768 * 32768
	for c, sum := range v.sums {
		v.last[c], v.sums[c] = Silence, 0
		if sum > 0 {
			v.last[c] = max(Silence, 10*math.Log10(float64(sum)/float64(v.frames)/full))
		}
	}
	v.frames = 0
}
