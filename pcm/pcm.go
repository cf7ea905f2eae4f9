// Package pcm holds linear audio: its format, the periods in which a sound card delivers it, the splitting of a card's
// channels, and WAV files.
//
// A sample is one value of one channel, signed 16 bits. A frame is one sample of each channel; counts of frames end in
// Frames. Samples of several channels stand interleaved: frame by frame, channel by channel.
package pcm

import "time"

// Format is what one needs to know to read samples.
type Format struct {
	Rate     int // frames a second
	Channels int // samples in a frame
}

// Frames is how many whole frames last d.
func (f Format) Frames(d time.Duration) int64 {
	return int64(d) * int64(f.Rate) / int64(time.Second)
}

// Duration is how long frames last.
func (f Format) Duration(frames int64) time.Duration {
	seconds, rest := frames/int64(f.Rate), frames%int64(f.Rate)
	return time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/time.Duration(f.Rate)
}

// Period is what one interrupt of a sound card delivers.
type Period struct {
	Format Format

	// Position counts the frames from the start of the capture to the first frame here, lost ones included: it is the
	// previous period's Position and length plus LostFrames, also across the re-opening of a card.
	Position int64

	// LostFrames were lost just before this period: overrun, or the time the card was away. While a card is away,
	// periods without samples report the loss as it grows.
	LostFrames int64

	// Cause is why, where LostFrames is not 0: call.CauseOverrun and its like.
	Cause string

	// At is the monotonic time (CLOCK_BOOTTIME, since boot) at which the last frame was delivered.
	At time.Duration

	// Samples belongs to whoever delivers the period, who may use it again as soon as the receiver returns:
	// a receiver that keeps samples copies them.
	Samples []int16
}

// Frames is how many frames the period holds.
func (p Period) Frames() int { return len(p.Samples) / p.Format.Channels }

// Pick appends to dst the named channels (counted from 0) of interleaved samples, in the order named, and returns it.
func Pick(dst, samples []int16, channels int, pick ...int) []int16 {
	for at := 0; at+channels <= len(samples); at += channels {
		for _, c := range pick {
			dst = append(dst, samples[at+c])
		}
	}
	return dst
}

// Mix appends to dst the mean of all channels of each frame and returns it.
func Mix(dst, samples []int16, channels int) []int16 {
	if channels == 1 {
		return append(dst, samples...)
	}
	for at := 0; at+channels <= len(samples); at += channels {
		sum := 0
		for _, s := range samples[at : at+channels] {
			sum += int(s)
		}
		dst = append(dst, int16(sum/channels))
	}
	return dst
}
