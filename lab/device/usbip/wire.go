package usbip

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Wire is a telephone's wire: what is played on it is heard by the card that it goes into, for as long as it does. A
// sound goes on in real time with or without a card.
type Wire struct {
	mu       sync.Mutex
	begin    time.Time
	rate     int
	channels int
	samples  []int16 // interleaved
}

// NewWire makes a wire that is silent.
func NewWire() *Wire { return &Wire{} }

// Play plays a sound, in place of what is played now, and returns when it is over or ctx ends, which ends the sound. A
// card of another form hears nothing of it.
func (w *Wire) Play(ctx context.Context, rate, channels int, samples []int16) error {
	if rate <= 0 || channels <= 0 {
		return fmt.Errorf("play at %d Hz on %d channels", rate, channels)
	}
	w.mu.Lock()
	begin := time.Now()
	w.begin, w.rate, w.channels, w.samples = begin, rate, channels, samples
	w.mu.Unlock()
	timer := time.NewTimer(time.Duration(len(samples)/channels) * time.Second / time.Duration(rate))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		w.mu.Lock()
		if w.begin.Equal(begin) {
			w.samples = nil
		}
		w.mu.Unlock()
		return context.Cause(ctx)
	}
}

// ear is where in a wire's sound a stream listens. It finds the place when the sound begins and counts from there, so
// that no sample is heard twice or not at all.
type ear struct {
	wire   *Wire
	kind   Kind
	sound  time.Time // that it listens to
	offset int64     // of the stream's first frame in that sound
}

// hear gives the frames from a place in the stream on, which began at epoch.
func (e *ear) hear(epoch time.Time, from int64, frames int) []byte {
	out := make([]byte, 2*e.kind.Channels*frames)
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rate != e.kind.Rate || w.channels != e.kind.Channels {
		return out
	}
	if !e.sound.Equal(w.begin) {
		e.sound = w.begin
		e.offset = int64(epoch.Sub(w.begin).Seconds() * float64(e.kind.delivers()))
	}
	first := (e.offset + from) * int64(w.channels)
	for i := range frames * w.channels {
		if at := first + int64(i); at >= 0 && at < int64(len(w.samples)) {
			out[2*i], out[2*i+1] = byte(w.samples[at]), byte(uint16(w.samples[at])>>8)
		}
	}
	return out
}
