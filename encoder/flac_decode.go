package encoder

import (
	"fmt"
	"io"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"

	"github.com/linekeeper/linekeeper/pcm"
)

// flacDecoder reads FLAC of 16 bits in frames of a fixed size, which are numbered.
type flacDecoder struct {
	stream *flac.Stream
	format pcm.Format
	next   uint64       // number of the frame that should come
	lost   int64        // frames of PCM still to make up for, before frame
	frame  *frame.Frame // what was decoded
	at     int          // of which so many frames of PCM were read
}

func newFLACDecoder(r io.Reader) (*flacDecoder, error) {
	stream, err := flac.New(r)
	if err != nil {
		return nil, err
	}
	info := stream.Info
	if info.NChannels < 1 || info.NChannels > 2 || info.BitsPerSample != 16 || info.SampleRate == 0 || info.BlockSizeMax != flacBlock {
		return nil, fmt.Errorf("%d channels of %d bits at %d Hz in blocks of %d: want one or two of 16 bits in blocks of %d",
			info.NChannels, info.BitsPerSample, info.SampleRate, info.BlockSizeMax, flacBlock)
	}
	return &flacDecoder{
		stream: stream,
		format: pcm.Format{Rate: int(info.SampleRate), Channels: int(info.NChannels)},
		frame:  new(frame.Frame),
	}, nil
}

func (d *flacDecoder) Format() pcm.Format { return d.format }

func (d *flacDecoder) Read(dst []int16) (int, error) {
	if d.lost == 0 && d.at == int(d.frame.BlockSize) {
		if err := d.readFrame(); err != nil {
			return 0, err
		}
	}
	channels := d.format.Channels
	frames := len(dst) / channels
	if d.lost > 0 {
		n := int(min(d.lost, int64(frames)))
		d.lost -= int64(n)
		clear(dst[:n*channels])
		return n * channels, nil
	}
	n := min(frames, int(d.frame.BlockSize)-d.at)
	for c, sub := range d.frame.Subframes {
		for i, v := range sub.Samples[d.at : d.at+n] {
			dst[i*channels+c] = int16(v)
		}
	}
	d.at += n
	return n * channels, nil
}

// readFrame reads the next frame and finds out what was lost before it.
func (d *flacDecoder) readFrame() error {
	f, err := d.stream.ParseNext()
	if err != nil {
		return err
	}
	if !f.HasFixedBlockSize || f.BlockSize == 0 || f.BlockSize > flacBlock || len(f.Subframes) != d.format.Channels || f.BitsPerSample != 16 {
		return fmt.Errorf("frame %d of %d channels, %d bits, %d samples is not of this stream", f.Num, len(f.Subframes), f.BitsPerSample, f.BlockSize)
	}
	lost := f.Num - d.next
	if int64(lost) < 0 || int64(lost)*flacBlock > maxLost*int64(d.format.Rate) {
		return fmt.Errorf("frame %d follows frame %d", f.Num, d.next)
	}
	d.next = f.Num + 1
	d.lost = int64(lost) * flacBlock
	d.frame, d.at = f, 0
	return nil
}
