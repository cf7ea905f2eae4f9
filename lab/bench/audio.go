package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/pcm"
)

// The audio of every row: one channel of a telephone line.
const (
	rate        = 8000
	callLength  = 3 * time.Minute
	callsApart  = 30 * time.Second // longer than the recorder's hang-over of 20 s
	breath      = 400 * time.Millisecond
	callerSpeed = 0.85 // the other party is the same voice, lower
)

var mono = pcm.Format{Rate: rate, Channels: 1}

// speaker deals out real sentences, and begins again when all were heard.
type speaker struct {
	clips []phone.Clip
	next  int
	seed  uint64
}

func newSpeaker() (*speaker, error) {
	voices, err := phone.FindVoices()
	if err != nil {
		return nil, err
	}
	clips, err := phone.Clips(voices, time.Second, 10*time.Second)
	if err == nil && len(clips) == 0 {
		err = errors.New("the voices of this machine have no sentence of 1 to 10 s")
	}
	return &speaker{clips: clips}, err
}

// talk is two people speaking in turns for about so long, after a time of quiet, over the line's noise and hum.
func (s *speaker) talk(quiet, length time.Duration) []int16 {
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
	return phone.Script{Calls: []phone.Call{call}}.Render(phone.Options{Rate: rate, Seed: s.seed}).Samples
}

// calls is a line that is in calls of three minutes with half a minute between them.
func (s *speaker) calls(length time.Duration) []int16 {
	want := int(mono.Frames(length))
	var line []int16
	for len(line) < want {
		line = append(line, s.talk(callsApart, callLength)...)
	}
	return line[:want]
}

// idle is a line on which nothing is heard but its noise and hum.
func idle(length time.Duration) []int16 {
	minute := phone.Script{After: time.Minute}.Render(phone.Options{Rate: rate}).Samples
	return repeat(minute, int(mono.Frames(length)))
}

func repeat(samples []int16, frames int) []int16 {
	out := make([]int16, 0, frames)
	for len(out) < frames {
		out = append(out, samples[:min(len(samples), frames-len(out))]...)
	}
	return out
}

// rotate is the same loop, begun elsewhere.
func rotate(samples []int16, by int) []int16 {
	by %= len(samples)
	return append(append(make([]int16, 0, len(samples)), samples[by:]...), samples[:by]...)
}

func writeWAV(dir, name string, samples []int16) (string, error) {
	file := filepath.Join(dir, name)
	bytes := pcm.AppendBytes(pcm.WAVHeader(mono, int64(len(samples))), samples)
	return file, os.WriteFile(file, bytes, 0o644)
}
