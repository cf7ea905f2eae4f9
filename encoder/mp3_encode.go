package encoder

import (
	"fmt"
	"slices"

	"github.com/linekeeper/linekeeper/encoder/lame"
)

const defaultMP3Bits = 24000

// mp3Bits are the rates of MPEG-2 layer III, in kbit/s of all channels together.
func mp3Bits() []int { return []int{8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160} }

// mp3Encoder writes MP3 at 16 kHz, or at 24 kHz where the input's rate is above 16: lower and other rates cannot be
// decoded by go-mp3. LAME resamples. At these two rates and a constant bit rate all frames are equally long.
type mp3Encoder struct {
	codec     *lame.Encoder
	channels  int
	rate      int64 // of the input
	outRate   int64
	frameSize int
	perChunk  int // MP3 frames

	tag     []byte // goes before the first frame
	media   []byte // encoded, not yet handed out
	out     []byte // what is handed out
	frames  int64  // of the input, written
	played  int64  // samples of the output that the chunks hold
	covered int64  // frames of the input, in chunks
	err     error
}

func newMP3Encoder(cfg Config) (Encoder, error) {
	const lowest, highest = 8000, 48000
	if cfg.Rate < lowest || cfg.Rate > highest {
		return nil, fmt.Errorf("rate of %d Hz for MP3: want %d to %d", cfg.Rate, lowest, highest)
	}
	bits := cfg.BitsPerSecond
	if bits == 0 {
		bits = defaultMP3Bits
	}
	kbits := bits * cfg.Channels / 1000
	if bits%1000 != 0 || !slices.Contains(mp3Bits(), kbits) {
		return nil, fmt.Errorf("%d bits a second for each of %d channels of MP3: want, for all channels together, one of %v thousand",
			bits, cfg.Channels, mp3Bits())
	}
	outRate := 16000
	if cfg.Rate > outRate {
		outRate = 24000
	}
	codec, err := lame.New(cfg.Rate, outRate, cfg.Channels, kbits)
	if err != nil {
		return nil, fmt.Errorf("make MP3 encoder: %w", err)
	}
	return &mp3Encoder{
		codec:     codec,
		channels:  cfg.Channels,
		rate:      int64(cfg.Rate),
		outRate:   int64(outRate),
		frameSize: mp3FrameSize(kbits*1000, outRate),
		perChunk:  (outRate + lame.FrameSamples/2) / lame.FrameSamples,
		tag:       id3(cfg.Title),
	}, nil
}

// Write is Encoder's.
func (e *mp3Encoder) Write(samples []int16, emit func(Chunk) error) error {
	if e.err == nil {
		e.err = wholeFrames(len(samples), e.channels)
	}
	second := int(e.rate) * e.channels
	for e.err == nil && len(samples) > 0 {
		n := min(len(samples), second)
		e.frames += int64(n / e.channels)
		if e.media, e.err = e.codec.AppendEncoded(e.media, samples[:n]); e.err == nil {
			e.err = e.emitWhole(emit)
		}
		samples = samples[n:]
	}
	return e.err
}

// Close is Encoder's.
func (e *mp3Encoder) Close(emit func(Chunk) error) error {
	defer e.codec.Close()
	err := e.err
	e.err = errClosed
	if err != nil {
		return err
	}
	if e.media, err = e.codec.AppendFlushed(e.media); err != nil {
		return err
	}
	if err = e.emitWhole(emit); err != nil {
		return err
	}
	return e.emit(len(e.media)/e.frameSize, e.frames, emit)
}

// emitWhole hands out what whole chunks there are, and keeps at least one MP3 frame for the last chunk.
func (e *mp3Encoder) emitWhole(emit func(Chunk) error) error {
	for len(e.media) > e.perChunk*e.frameSize {
		covered := e.played + int64(e.perChunk*lame.FrameSamples) - lame.Delay
		covered = min(e.frames, covered*e.rate/e.outRate)
		if err := e.emit(e.perChunk, covered, emit); err != nil {
			return err
		}
	}
	return nil
}

// emit hands out so many MP3 frames, with which so many frames of the input can be played in all.
func (e *mp3Encoder) emit(frames int, covered int64, emit func(Chunk) error) error {
	size := frames * e.frameSize
	e.out = append(append(e.out[:0], e.tag...), e.media[:size]...)
	e.tag = nil
	e.media = append(e.media[:0], e.media[size:]...)
	e.played += int64(frames * lame.FrameSamples)
	err := emit(Chunk{Data: e.out, Frames: covered - e.covered})
	e.covered = covered
	return err
}

// mp3FrameSize is the length in bytes of a frame (ISO 13818-3, layer III), exact where the rate is 16 or 24 kHz.
func mp3FrameSize(bits, rate int) int { return lame.FrameSamples / 8 * bits / rate }

// id3 is an ID3v2.4 tag with the title in UTF-8, or nothing where there is none.
func id3(title string) []byte {
	if title == "" {
		return nil
	}
	const utf8, headSize = 3, 10
	text := append([]byte{utf8}, title...)
	tag := append([]byte("ID3\x04\x00\x00"), syncsafe(headSize+len(text))...)
	tag = append(append(tag, "TIT2"...), syncsafe(len(text))...)
	tag = append(tag, 0, 0) // the frame's flags
	return append(tag, text...)
}

// syncsafe writes n in 7 bits a byte, so that it never looks like the beginning of an MP3 frame.
func syncsafe(n int) []byte {
	return []byte{byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)}
}
