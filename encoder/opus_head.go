package encoder

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// opusRate is what positions in Ogg Opus count in, whatever the rate of the audio (RFC 7845, section 4).
const opusRate = 48000

// opusHead is the first packet of an Ogg Opus stream (RFC 7845, section 5.1).
type opusHead struct {
	channels int
	preSkip  int // samples of 48 kHz that the codec's delay puts before the first of the input
	rate     int // of the input
}

// packet writes the head. One channel is mapping family 0; two are family 1 with two streams, neither of them coupled,
// which players show as left and right.
func (h opusHead) packet() []byte {
	b := append([]byte("OpusHead"), 1, byte(h.channels))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.preSkip))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.rate))
	b = append(b, 0, 0) // output gain: none
	if h.channels == 1 {
		return append(b, 0)
	}
	return append(b, 1, 2, 0, 0, 1) // family, streams, coupled ones, stream of the left and of the right channel
}

// parseOpusHead reads a head of the kinds that packet writes.
func parseOpusHead(b []byte) (opusHead, error) {
	if len(b) < 19 || string(b[:8]) != "OpusHead" {
		return opusHead{}, errors.New("not Ogg Opus: the first packet is no OpusHead")
	}
	if b[8]>>4 != 0 {
		return opusHead{}, fmt.Errorf("OpusHead of version %d", b[8])
	}
	h := opusHead{
		channels: int(b[9]),
		preSkip:  int(binary.LittleEndian.Uint16(b[10:])),
		rate:     int(binary.LittleEndian.Uint32(b[12:])),
	}
	switch {
	case b[18] == 0 && h.channels == 1:
	case b[18] == 1 && h.channels == 2 && len(b) >= 23 && string(b[19:23]) == "\x02\x00\x00\x01":
	default:
		return opusHead{}, fmt.Errorf("OpusHead of %d channels, mapping family %d: want one channel, or two uncoupled streams", h.channels, b[18])
	}
	return h, nil
}

// opusTags is the second packet of an Ogg Opus stream (RFC 7845, section 5.2).
func opusTags(vendor, title string) []byte {
	return append([]byte("OpusTags"), vorbisComment(vendor, title)...)
}

// vorbisComment is what Opus and FLAC keep their tags in.
func vorbisComment(vendor, title string) []byte {
	comments := []string{"ENCODER=linekeeper"}
	if title != "" {
		comments = append(comments, "TITLE="+title)
	}
	b := appendString(nil, vendor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(comments)))
	for _, c := range comments {
		b = appendString(b, c)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}
