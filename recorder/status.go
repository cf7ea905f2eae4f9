package recorder

import (
	"math"
	"slices"
	"strings"
	"sync"
)

// Silence is the level, in dBFS, of a line that is silent or gives no frames.
const Silence = -100

// What an alarm says, one or several, separated by "; ". Those of the detector are added.
const (
	AlarmNoAudio   = "no frames: the card is away"
	AlarmNotStored = "nothing can be stored: the ring takes no more"
	AlarmQuiet     = "no call for many business hours"
)

// Status is the state of a line.
type Status struct {
	Line       string
	Recording  bool
	Paused     bool      // a card-data pause: nothing that is heard is kept
	Fault      bool      // a call goes on that cannot be recorded, as nothing can be stored
	Alarm      string    // empty: none
	Levels     []float64 // RMS of the last second in dBFS, of each channel (side)
	LostFrames int64     // since the line was made
	Calls      int64     // that began since the line was made
}

// Status of the line. It is safe for concurrent use.
func (l *Line) Status() Status {
	l.mu.Lock()
	s := l.status
	l.mu.Unlock()
	s.Levels = l.levels.get()
	return s
}

// publish brings the status up to date, and tells of an alarm that came or went.
func (l *Line) publish() {
	var all []string
	if l.time.audio < l.time.end {
		all = append(all, AlarmNoAudio)
	}
	notStored := l.out.err != nil || !l.out.empty()
	if notStored {
		all = append(all, AlarmNotStored)
	}
	if l.detectorAlarm != "" {
		all = append(all, l.detectorAlarm)
	}
	if l.idle.quiet {
		all = append(all, AlarmQuiet)
	}
	what := strings.Join(all, "; ")
	l.mu.Lock()
	s := &l.status
	changed := s.Alarm != what
	s.Alarm = what
	s.Recording = l.rec != nil
	s.Paused = l.pause.on
	s.Fault = l.rec == nil && l.wanted.on && notStored
	s.LostFrames, s.Calls = l.lost, l.calls
	l.mu.Unlock()
	if changed {
		l.logAlarm(what)
		l.cfg.Observer.Alarm(l.Name, what)
	}
}

func (l *Line) logAlarm(what string) {
	log := l.cfg.Log.With("line", l.Name)
	switch {
	case what == "":
		log.Info("line is well again")
	case l.out.err != nil:
		log.Warn("line has an alarm", "alarm", what, "error", l.out.err)
	default:
		log.Warn("line has an alarm", "alarm", what)
	}
}

// levels measures the level of each channel, a second at a time.
type levels struct {
	rate   int
	sums   []int64 // of squares: 2^63 is 300 hours of full scale at 8 kHz
	frames int

	mu   sync.Mutex
	last []float64
}

func newLevels(rate, channels int) *levels {
	v := &levels{rate: rate, last: make([]float64, channels), sums: make([]int64, channels)}
	v.take()
	return v
}

func (v *levels) get() []float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.last)
}

// hear takes the samples of a period; none while the card is away.
func (v *levels) hear(samples []int16) {
	channels := len(v.sums)
	for c := range v.sums {
		sum := int64(0)
		for i := c; i < len(samples); i += channels {
			s := int64(samples[i])
			sum += s * s
		}
		v.sums[c] += sum
	}
	if v.frames += len(samples) / channels; len(samples) == 0 {
		clear(v.sums)
		v.take()
	} else if v.frames >= v.rate {
		v.take()
	}
}

// take makes levels of the sums.
func (v *levels) take() {
	v.mu.Lock()
	defer v.mu.Unlock()
	const full = 32768 * 32768
	for c, sum := range v.sums {
		v.last[c] = Silence
		if sum > 0 {
			v.last[c] = max(Silence, 10*math.Log10(float64(sum)/float64(v.frames)/full))
		}
	}
	clear(v.sums)
	v.frames = 0
}
