package encoder

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/pcm"
)

// Decoder reads media that an Encoder wrote.
//
// Media that ends after any chunk decodes to what its chunks cover. Where chunks are missing in between, Opus and FLAC
// say how much, and silence stands in for it, so that what follows keeps its time; MP3 cannot say it, and what follows
// moves up. Bytes that are damaged are an error, after everything before them was read.
//
// Opus and FLAC decode to exactly as many frames as were encoded. MP3 has no place for a length that is known only at
// the end: up to two of its frames (72 ms) of silence follow.
type Decoder interface {
	// Format is that of the samples read. Its rate is the one that was encoded, but for MP3, which is 16 or 24 kHz.
	Format() pcm.Format

	// Read fills dst with interleaved samples of whole frames and returns how many samples it read, and io.EOF after
	// the last. It may read less than dst holds; dst must hold at least a frame. After an error it only repeats that.
	Read(dst []int16) (int, error)
}

// maxLost is the longest stretch of lost audio, in seconds, that silence stands in for. More is no gap but damage, and
// must not make headquarters decode silence for days.
const maxLost = 4 * 3600

// NewDecoder reads the head of media of a codec, which is opus, mp3 or flac. It reads from r in small pieces and does
// not close it.
func NewDecoder(codec string, r io.Reader) (d Decoder, err error) {
	defer func() {
		if v := recover(); v != nil {
			d, err = nil, panicked(codec, v)
		}
	}()
	br := bufio.NewReader(r)
	switch codec {
	case codecOpus:
		d, err = newOpusDecoder(br)
	case codecMP3:
		d, err = newMP3Decoder(br)
	case codecFLAC:
		d, err = newFLACDecoder(br)
	default:
		return nil, unknownCodec(codec)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // media that is not even a head
	}
	if err != nil {
		return nil, fmt.Errorf("read head of %s media: %w", codec, err)
	}
	return &guard{codec: codec, decoder: d}, nil
}

// guard makes errors of the panics of decoding libraries, as what headquarters decodes comes from outside: go-mp3 v0.3.4
// goes past the end of a table (index 38 of 38) where side information is damaged. The others have not been seen to
// panic, and are not trusted either.
type guard struct {
	codec   string
	decoder Decoder
	err     error
}

func (g *guard) Format() pcm.Format { return g.decoder.Format() }

func (g *guard) Read(dst []int16) (n int, err error) {
	if g.err != nil {
		return 0, g.err
	}
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, panicked(g.codec, v)
		}
		g.err = err
	}()
	channels := g.decoder.Format().Channels
	if len(dst) < channels {
		return 0, io.ErrShortBuffer
	}
	n, err = g.decoder.Read(dst[:len(dst)/channels*channels])
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("decode %s: %w", g.codec, err)
	}
	return n, err
}

func panicked(codec string, v any) error {
	return fmt.Errorf("decode %s: the media is damaged: %v", codec, v)
}
