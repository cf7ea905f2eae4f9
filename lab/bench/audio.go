package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/talk"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/pcm"
)

// The audio of every row: one channel of a telephone line.
const (
	rate       = talk.Rate
	callLength = 3 * time.Minute
	callsApart = 30 * time.Second // longer than the recorder's hang-over of 20 s
)

var mono = pcm.Format{Rate: rate, Channels: 1}

// calls is a line that is in calls of three minutes with half a minute between them.
func (b *bench) calls(length time.Duration) []int16 {
	want := int(mono.Frames(length))
	var line []int16
	for len(line) < want {
		line = append(line, b.speaker.Talk(callsApart, callLength)...)
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

func writeWAV(dir, name string, samples []int16) (string, error) {
	file := filepath.Join(dir, name)
	bytes := pcm.AppendBytes(pcm.WAVHeader(mono, int64(len(samples))), samples)
	return file, os.WriteFile(file, bytes, 0o644)
}
