// Package encoder turns linear audio into media and back: Ogg Opus, MP3 and FLAC.
//
//	e, err := encoder.New(encoder.Config{Codec: "opus", Rate: 8000, Channels: 2, Serial: serial})
//	...
//	err = e.Write(samples, keep)  // as often as there are samples; keep gets a chunk about once a second
//	err = e.Close(keep)           // the rest
//
// An encoder never goes back: what it has handed out stays as it is. The chunks one after another are the media, and a
// media stream that ends after any of its chunks is whole up to there, without being mended. That is why FLAC and MP3
// carry no length in their heads.
//
// Two channels are the two sides of a call and stay apart: Opus encodes them as two streams that share nothing (channel
// mapping family 1 of RFC 7845), MP3 as left and right without joint stereo.
//
// A Decoder reads such media, also media that stops early. It is for headquarters' waveforms, downloads and checks; it
// is no decoder for media from elsewhere.
package encoder

import (
	"errors"
	"fmt"
)

// The codecs.
const (
	codecOpus = "opus"
	codecMP3  = "mp3"
	codecFLAC = "flac"
)

// Config is what an encoder is made from. The zero value of the fields after Channels is a good choice.
type Config struct {
	Codec    string // opus, mp3 or flac
	Rate     int    // frames a second of the samples given
	Channels int    // 1, or 2 for the two sides of a call

	// BitsPerSecond is for each channel. 0 stands for 16000 (Opus) or 24000 (MP3). FLAC takes what it needs and has no
	// use for it.
	BitsPerSecond int

	// Complexity is libopus's, from 1 to 10; 0 stands for 5, and -1 for libopus's 0.
	Complexity int

	Serial uint32 // of the Ogg stream: any number, best another one for each call
	Title  string // stands in the media's tags where it is not empty
}

// Chunk is a stretch of media: about a second, the last one less.
type Chunk struct {
	Data []byte // valid until emit returns

	// Frames is how many more frames of the input, after those of the chunks before, can be played with this chunk. As
	// codecs look ahead, the first chunk of Opus and MP3 has a little less than a second. The sum over all chunks is
	// what was written.
	Frames int64
}

// Encoder encodes one call's audio. It must not be used by two goroutines at once.
//
// An error, also one that emit returned, ends the encoding: the encoder gives the same error from then on.
type Encoder interface {
	// Write takes interleaved samples of whole frames and calls emit for each chunk that they complete. It keeps
	// nothing of samples.
	Write(samples []int16, emit func(Chunk) error) error

	// Close emits the rest and ends the media. It must be called once, also after an error, as it frees what the codec
	// holds.
	Close(emit func(Chunk) error) error
}

var errClosed = errors.New("encoder is closed")

// maxTitle in bytes keeps the tags of Opus well within one page.
const maxTitle = 1000

// New makes an encoder. An error names the values that are allowed.
func New(cfg Config) (Encoder, error) {
	if cfg.Channels != 1 && cfg.Channels != 2 {
		return nil, fmt.Errorf("%d channels: want 1, or 2 for two sides", cfg.Channels)
	}
	if len(cfg.Title) > maxTitle {
		return nil, fmt.Errorf("title of %d bytes: want at most %d", len(cfg.Title), maxTitle)
	}
	switch cfg.Codec {
	case codecOpus:
		return newOpusEncoder(cfg)
	case codecMP3:
		return newMP3Encoder(cfg)
	case codecFLAC:
		return newFLACEncoder(cfg)
	}
	return nil, unknownCodec(cfg.Codec)
}

func unknownCodec(codec string) error {
	return fmt.Errorf("unknown codec %q: want opus, mp3 or flac", codec)
}

// wholeFrames says whether so many samples are whole frames, which every encoder asks of what it is given.
func wholeFrames(samples, channels int) error {
	if samples%channels != 0 {
		return fmt.Errorf("%d samples are no whole frames of %d channels", samples, channels)
	}
	return nil
}
