// Package talk makes the audio that benchmarks record: two people who speak without an end on a telephone line.
package talk

import (
	"errors"
	"time"

	"github.com/linekeeper/linekeeper/lab/phone"
)

// Rate is that of all of it, in frames a second; it is of one channel.
const Rate = 8000

const (
	breath      = 400 * time.Millisecond
	callerSpeed = 0.85 // the other party is the same voice, lower
)

// Speaker deals out real sentences, and begins again when all were heard.
type Speaker struct {
	clips []phone.Clip
	next  int
	seed  uint64
}

// New takes the voices of this machine.
func New() (*Speaker, error) {
	voices, err := phone.FindVoices()
	if err != nil {
		return nil, err
	}
	clips, err := phone.Clips(voices, time.Second, 10*time.Second)
	if err == nil && len(clips) == 0 {
		err = errors.New("the voices of this machine have no sentence of 1 to 10 s")
	}
	return &Speaker{clips: clips}, err
}

// Talk is two people speaking in turns for about so long, after a time of quiet, over the line's noise and hum.
func (s *Speaker) Talk(quiet, length time.Duration) []int16 {
	call := phone.Call{Before: quiet}
	for spoken := time.Duration(0); spoken < length; s.next++ {
		clip := s.clips[s.next%len(s.clips)]
		side, speed := phone.Agent, 1.0
		if s.next%2 == 1 {
			side, speed = phone.Caller, callerSpeed
		}
		call.Steps = append(call.Steps, phone.SayAt(side, clip, speed), phone.Pause(breath))
		spoken += time.Duration(float64(clip.Duration())/speed) + breath
	}
	s.seed++
	return phone.Script{Calls: []phone.Call{call}}.Render(phone.Options{Rate: Rate, Seed: s.seed}).Samples
}

// Rotate is the same loop, begun elsewhere.
func Rotate(samples []int16, by int) []int16 {
	by %= len(samples)
	return append(append(make([]int16, 0, len(samples)), samples[by:]...), samples[:by]...)
}
