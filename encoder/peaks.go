package encoder

import (
	"errors"
	"io"
)

// Peaks is a small picture of a recording, from which a waveform is drawn.
type Peaks struct {
	Rate      int   // frames a second
	Frames    int64 // in all
	PerBucket int64 // frames in a bucket; the last one may have fewer

	// Channels has a byte a bucket for each channel: the greatest magnitude of its samples, 255 for full scale. All
	// channels have the same number of buckets. (encoding/json writes each as base64.)
	Channels [][]byte
}

const (
	peaksPerSecond = 20
	fullScale      = 32768
)

// ReadPeaks reads d to its end: 20 buckets a second, or so many fewer that there are at most so many as most, which is
// at least 2. It holds nothing but the buckets. With an error come the peaks of what was read before it.
func ReadPeaks(d Decoder, most int) (Peaks, error) {
	f := d.Format()
	p := &peaks{
		Peaks: Peaks{Rate: f.Rate, PerBucket: max(1, int64(f.Rate/peaksPerSecond)), Channels: make([][]byte, f.Channels)},
		most:  max(2, most) &^ 1, // even, so that pairs can be joined
	}
	buf := make([]int16, 4096*f.Channels)
	for {
		n, err := d.Read(buf)
		p.add(buf[:n])
		if errors.Is(err, io.EOF) {
			return p.Peaks, nil
		}
		if err != nil {
			return p.Peaks, err
		}
	}
}

type peaks struct {
	Peaks
	most   int
	filled int64 // frames in the last bucket
}

func (p *peaks) add(samples []int16) {
	channels := len(p.Channels)
	for at := 0; at+channels <= len(samples); at += channels {
		last := len(p.Channels[0]) - 1
		if last < 0 || p.filled == p.PerBucket {
			last = p.next()
		}
		for c, v := range samples[at : at+channels] {
			p.Channels[c][last] = max(p.Channels[c][last], level(v))
		}
		p.filled++
		p.Frames++
	}
}

// next begins a bucket and returns its number. Where there is no room, each two buckets become one first.
func (p *peaks) next() int {
	if len(p.Channels[0]) >= p.most {
		p.PerBucket *= 2
		for c, b := range p.Channels {
			for i := range len(b) / 2 {
				b[i] = max(b[2*i], b[2*i+1])
			}
			p.Channels[c] = b[:len(b)/2]
		}
	}
	for c := range p.Channels {
		p.Channels[c] = append(p.Channels[c], 0)
	}
	p.filled = 0
	return len(p.Channels[0]) - 1
}

func level(v int16) byte {
	magnitude := int(v)
	if magnitude < 0 {
		magnitude = -magnitude
	}
	return byte((magnitude*255 + fullScale/2) / fullScale)
}
