package media

import (
	"context"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq"
)

// maxPoints is enough for a wide screen, and few to send. A long call has between half of it and all.
const maxPoints = 2400

// Peaks is the waveform of a call: for each channel the loudest sample of each of equally long stretches, 0 to 255 (full
// scale). It decodes the call where the cache does not have it, which takes about 30 ms for each minute of a line.
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
	decoder, err := r.decoder(ctx)
	if err != nil {
		return nil, fmt.Errorf("draw call %s: %w", id, err)
	}
	peaks, err := encoder.ReadPeaks(decoder, maxPoints)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m.damaged(id, err)
		return peaks.Channels, nil // and not kept, as the reason may pass
	}
	if err := m.cache.SavePeaks(ctx, id, packPeaks(peaks.Channels)); err != nil {
		m.log.Warn("a waveform could not be kept and will be drawn again", "call", id.String(), "error", err)
	}
	return peaks.Channels, nil
}

// CachedPeaks is the same from the cache only; hq.ErrNotFound: it is not there, or damaged.
func (m *Media) CachedPeaks(ctx context.Context, id call.ID) ([][]byte, error) {
	packed, err := m.cache.Peaks(ctx, id)
	if err != nil {
		return nil, err
	}
	return unpackPeaks(packed)
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
		return nil, fmt.Errorf("waveform in the cache is damaged (%d bytes): as if %w", len(packed), hq.ErrNotFound)
	}
	points := (len(packed) - 2) / int(packed[1])
	peaks := make([][]byte, packed[1])
	for c := range peaks {
		peaks[c] = packed[2+c*points : 2+(c+1)*points]
	}
	return peaks, nil
}
