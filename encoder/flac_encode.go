package encoder

import (
	"bytes"
	"fmt"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/mewkiz/flac/meta"
)

// flacBlock is how many frames of PCM a FLAC frame holds, but for the last. The library has one Rice parameter for each
// FLAC frame, so short ones follow speech better: 38.2 MB an hour at 8 kHz, where 4096 gives 41.2 and flac -5 38.8.
const flacBlock = 1024

// flacEncoder writes FLAC frames of a fixed size, and leaves the length and the checksum of the whole out of the head, as
// FLAC allows, since both are known only at the end.
type flacEncoder struct {
	codec    *flac.Encoder
	out      bytes.Buffer // what was encoded and not yet handed out
	frame    frame.Frame
	perChunk int // FLAC frames

	filled  int   // frames of PCM that wait in the subframes' samples
	encoded int   // FLAC frames in out
	frames  int64 // frames of PCM in out
	err     error
}

func newFLACEncoder(cfg Config) (Encoder, error) {
	const lowest, highest = 8000, 48000
	if cfg.Rate < lowest || cfg.Rate > highest {
		return nil, fmt.Errorf("rate of %d Hz for FLAC: want %d to %d", cfg.Rate, lowest, highest)
	}
	e := &flacEncoder{perChunk: (cfg.Rate + flacBlock/2) / flacBlock}
	info := &meta.StreamInfo{
		BlockSizeMin:  flacBlock,
		BlockSizeMax:  flacBlock,
		SampleRate:    uint32(cfg.Rate),
		NChannels:     uint8(cfg.Channels),
		BitsPerSample: 16,
	}
	tags := &meta.VorbisComment{Vendor: "mewkiz/flac", Tags: [][2]string{{"ENCODER", "linekeeper"}}}
	if cfg.Title != "" {
		tags.Tags = append(tags.Tags, [2]string{"TITLE", cfg.Title})
	}
	// Any length but 0 will do: the library writes the right one, but takes a block of length 0 for an empty one.
	block := &meta.Block{Header: meta.Header{Type: meta.TypeVorbisComment, Length: 1}, Body: tags}
	codec, err := flac.NewEncoder(&e.out, info, block)
	if err != nil {
		return nil, fmt.Errorf("make FLAC encoder: %w", err)
	}
	e.codec = codec
	e.frame.Header = frame.Header{
		HasFixedBlockSize: true,
		SampleRate:        info.SampleRate,
		Channels:          frame.ChannelsMono,
		BitsPerSample:     info.BitsPerSample,
	}
	if cfg.Channels == 2 {
		e.frame.Channels = frame.ChannelsLR
	}
	if cfg.Rate == 24000 {
		e.frame.SampleRate = 0 // as the head says: the library's decoder logs a line for each frame that names this rate
	}
	for range cfg.Channels {
		e.frame.Subframes = append(e.frame.Subframes, &frame.Subframe{Samples: make([]int32, flacBlock)})
	}
	return e, nil
}

// Write is Encoder's.
func (e *flacEncoder) Write(samples []int16, emit func(Chunk) error) error {
	channels := len(e.frame.Subframes)
	if e.err == nil {
		e.err = wholeFrames(len(samples), channels)
	}
	for e.err == nil && len(samples) > 0 {
		n := min(len(samples)/channels, flacBlock-e.filled)
		for c, sub := range e.frame.Subframes {
			for i := range n {
				sub.Samples[e.filled+i] = int32(samples[i*channels+c])
			}
		}
		samples = samples[n*channels:]
		if e.filled += n; e.filled == flacBlock {
			e.err = e.encode()
		}
		if e.err == nil && e.encoded == e.perChunk {
			e.err = e.emit(emit)
		}
	}
	return e.err
}

// Close is Encoder's.
func (e *flacEncoder) Close(emit func(Chunk) error) error {
	err := e.err
	e.err = errClosed
	if err != nil {
		return err
	}
	if e.filled > 0 {
		if err := e.encode(); err != nil {
			return err
		}
	}
	if e.out.Len() == 0 {
		return nil
	}
	return e.emit(emit)
}

// encode makes a FLAC frame of what is filled.
func (e *flacEncoder) encode() error {
	e.frame.BlockSize = uint16(e.filled)
	for _, sub := range e.frame.Subframes {
		sub.Samples = sub.Samples[:e.filled]
		sub.NSamples = e.filled
		sub.SubHeader = frame.SubHeader{Pred: frame.PredVerbatim} // the library looks for something better
	}
	if err := e.codec.WriteFrame(&e.frame); err != nil {
		return fmt.Errorf("encode FLAC: %w", err)
	}
	for _, sub := range e.frame.Subframes {
		sub.Samples = sub.Samples[:flacBlock]
	}
	e.frames += int64(e.filled)
	e.filled = 0
	e.encoded++
	return nil
}

func (e *flacEncoder) emit(emit func(Chunk) error) error {
	err := emit(Chunk{Data: e.out.Bytes(), Frames: e.frames})
	e.out.Reset()
	e.frames = 0
	e.encoded = 0
	return err
}
