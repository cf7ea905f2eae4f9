package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/powercut"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
)

func lineConfig(i int, begin int64, random *rand.Rand) recorder.LineConfig {
	d := &detector{random: random}
	d.next = begin + d.pause()
	return recorder.LineConfig{
		Name: fmt.Sprintf("line %d", i+1), Format: format, Codec: call.Opus, Detector: d,
		NewEncoder: func(call.ID) (recorder.Encoder, error) { return &encoder{random: random}, nil },
	}
}

// detector makes calls up, with digits in some of them.
type detector struct {
	random *rand.Rand
	inCall bool
	next   int64 // frame at which a call begins or ends
	events []call.Event
}

func (d *detector) pause() int64 {
	return format.Frames(time.Second) + d.random.Int64N(format.Frames(8*time.Second))
}

// Feed implements recorder.Detector.
func (d *detector) Feed(p pcm.Period) []call.Event {
	d.events = d.events[:0]
	end := p.Position + int64(p.Frames())
	if d.inCall && d.random.IntN(20) == 0 {
		d.events = append(d.events, call.Event{
			Kind: call.EventMark, Position: p.Position, Mark: call.Mark{Kind: call.MarkDigits, Value: "1"},
		})
	}
	if d.next > end {
		return d.events
	}
	e := call.Event{Kind: call.EventBegan, Position: max(0, d.next-format.Frames(time.Second)), Reason: call.BeganVoice} // its pre-roll
	length := format.Frames(time.Second) + d.random.Int64N(format.Frames(30*time.Second))
	if d.inCall {
		e = call.Event{Kind: call.EventEnded, Position: d.next, Reason: call.EndedSilence}
		length = d.pause()
	}
	d.inCall, d.next = !d.inCall, end+length
	d.events = append(d.events, e)
	return d.events
}

// encoder gives chunks of the size of Opus' at 16 kbit/s, of bytes that nothing compresses.
type encoder struct {
	random *rand.Rand
	frames int64
	data   []byte
}

// Write implements recorder.Encoder.
func (e *encoder) Write(samples []int16, emit func(recorder.Chunk) error) error {
	e.frames += int64(len(samples))
	for size := format.Frames(powercut.ChunkLength); e.frames >= size; e.frames -= size {
		if err := e.chunk(size, emit); err != nil {
			return err
		}
	}
	return nil
}

// Close implements recorder.Encoder.
func (e *encoder) Close(emit func(recorder.Chunk) error) error {
	if e.frames == 0 {
		return nil
	}
	return e.chunk(e.frames, emit)
}

func (e *encoder) chunk(frames int64, emit func(recorder.Chunk) error) error {
	e.data = e.data[:0]
	for range 1500 + e.random.IntN(1000) {
		e.data = append(e.data, byte(e.random.Uint32()))
	}
	return emit(recorder.Chunk{Data: e.data, Frames: frames})
}
