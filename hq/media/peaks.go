package media

import (
	"context"
	"fmt"
	"math"

	"github.com/linekeeper/linekeeper/call"
)

// A waveform has at least half of maxPoints points, unless the call is shorter than that many frames: enough for a wide
// screen, and few to send.
const maxPoints = 2400

// Peaks is the waveform of a call: for each channel the loudest sample of each of equally long stretches, 0 to 255, as
// the square root of its part of full scale, so that quiet speech is seen. It decodes the call where the cache does not
// have it, which takes about 5 ms for each minute of a line.
func (m *Media) Peaks(ctx context.Context, id call.ID) ([][]byte, error) {
	if peaks, err := m.CachedPeaks(ctx, id); err == nil {
		return peaks, nil
	}
	select {
	case m.draw <- struct{}{}:
		defer func() { <-m.draw }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if peaks, err := m.CachedPeaks(ctx, id); err == nil {
		return peaks, nil // made while this one waited
	}
	r, err := m.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	audio, err := r.decode()
	if err != nil {
		return nil, fmt.Errorf("draw call %s: %w", id, err)
	}
	drawing := newDrawing(audio.format.Channels, maxPoints)
	if err := audio.each(ctx, func(samples []int16) error { drawing.add(samples); return nil }); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m.damaged(id, err)
		return drawing.finish(), nil // and not kept, as the reason may pass
	}
	peaks := drawing.finish()
	if err := m.cache.SavePeaks(ctx, id, packPeaks(peaks)); err != nil {
		m.log.Warn("a waveform could not be kept and will be drawn again", "call", id.String(), "error", err)
	}
	return peaks, nil
}

// CachedPeaks is the same from the cache only; hq.ErrNotFound: it is not there.
func (m *Media) CachedPeaks(ctx context.Context, id call.ID) ([][]byte, error) {
	packed, err := m.cache.Peaks(ctx, id)
	if err != nil {
		return nil, err
	}
	return unpackPeaks(packed)
}

// drawing finds the peaks of audio whose length is not known: when it has too many points it joins them in pairs and
// goes on with stretches of twice the length.
type drawing struct {
	points  [][]byte // of each channel
	most    int
	stretch int     // frames a point
	filled  int     // frames in the point being made
	loudest []int16 // of it, for each channel; below 0, as there is one more of these
}

func newDrawing(channels, most int) *drawing {
	return &drawing{points: make([][]byte, channels), most: most, stretch: 1, loudest: make([]int16, channels)}
}

func (d *drawing) add(samples []int16) {
	for at := 0; at < len(samples); at += len(d.loudest) {
		for c, s := range samples[at : at+len(d.loudest)] {
			d.loudest[c] = min(d.loudest[c], s, -max(s, -math.MaxInt16))
		}
		if d.filled++; d.filled == d.stretch {
			d.point()
		}
	}
}

func (d *drawing) point() {
	for c, s := range d.loudest {
		d.points[c] = append(d.points[c], byte(math.Round(255*math.Sqrt(-float64(s)/(math.MaxInt16+1)))))
		d.loudest[c] = 0
	}
	d.filled = 0
	if len(d.points[0]) < d.most {
		return
	}
	for c, points := range d.points {
		for i := range len(points) / 2 {
			points[i] = max(points[2*i], points[2*i+1])
		}
		d.points[c] = points[:len(points)/2]
	}
	d.stretch *= 2
}

func (d *drawing) finish() [][]byte {
	if d.filled > 0 {
		d.point()
	}
	return d.points
}

// packPeaks is how the cache keeps them: a version, the channels, then the points of one channel after the other.
func packPeaks(peaks [][]byte) []byte {
	packed := []byte{1, byte(len(peaks))}
	for _, points := range peaks {
		packed = append(packed, points...)
	}
	return packed
}

func unpackPeaks(packed []byte) ([][]byte, error) {
	if len(packed) < 2 || packed[0] != 1 || packed[1] == 0 || (len(packed)-2)%int(packed[1]) != 0 {
		return nil, fmt.Errorf("waveform in the cache is damaged (%d bytes)", len(packed))
	}
	points := (len(packed) - 2) / int(packed[1])
	peaks := make([][]byte, packed[1])
	for c := range peaks {
		peaks[c] = packed[2+c*points : 2+(c+1)*points]
	}
	return peaks, nil
}
