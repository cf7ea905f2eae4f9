// Package libopus binds the little of libopus that a recorder needs: encoding one or two uncoupled mono streams into
// packets of 20 ms, many packets in one call.
//
// Two channels are two streams of a multistream packet that share nothing, because Opus at speech rates folds a stereo
// pair into one: at 16 kbit/s nothing of the separation is left, and who said what with it.
//
// Each stream has an ordinary encoder, and the packets are put together here (RFC 6716, appendix B). libopus 1.3.1's own
// multistream encoder asks the processor for its features anew with each packet, which in a virtual machine costs as much
// as a third of the encoding.
//
// The encoders' state lives in Go memory (libopus allows that: it is one block without pointers into itself), so there is
// nothing to close.
package libopus

/*
#cgo pkg-config: opus
#cgo noescape linekeeper_opus_encode
#cgo nocallback linekeeper_opus_encode
#include <opus.h>
#include <string.h>

enum { linekeeper_max_frames = 960, linekeeper_max_stream = 1276 }; // 20 ms at 48 kHz; one frame and its head

// The ctl functions of libopus take variable arguments, which cgo cannot call.
static int linekeeper_opus_init(void *state, opus_int32 rate, opus_int32 bits, int complexity, opus_int32 *lookahead) {
	OpusEncoder *e = state;
	int err = opus_encoder_init(e, rate, 1, OPUS_APPLICATION_VOIP);
	if (err == OPUS_OK) err = opus_encoder_ctl(e, OPUS_SET_BITRATE(bits));
	if (err == OPUS_OK) err = opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(complexity));
	if (err == OPUS_OK) err = opus_encoder_ctl(e, OPUS_GET_LOOKAHEAD(lookahead));
	return err;
}

// Encodes a packet of two streams from interleaved samples. All but the last stream's packet say their own length: a
// packet of one frame (which 20 ms always are) has it after its first byte.
static int linekeeper_opus_pair(char *state, size_t stride, const opus_int16 *pcm, int frames, unsigned char *out,
                                opus_int32 max) {
	opus_int16 side[linekeeper_max_frames];
	unsigned char first[linekeeper_max_stream];
	for (int i = 0; i < frames; i++) side[i] = pcm[2 * i];
	int n = opus_encode((OpusEncoder *)state, side, frames, first, max / 2 - 2);
	if (n < 0) return n;
	if (n == 0 || (first[0] & 3) != 0) return OPUS_INTERNAL_ERROR;
	int frame = n - 1, at = 0;
	out[at++] = first[0];
	if (frame < 252) {
		out[at++] = frame;
	} else {
		out[at++] = 252 + (frame & 3);
		out[at++] = (frame - (252 + (frame & 3))) >> 2;
	}
	memcpy(out + at, first + 1, frame);
	at += frame;
	for (int i = 0; i < frames; i++) side[i] = pcm[2 * i + 1];
	n = opus_encode((OpusEncoder *)(state + stride), side, frames, out + at, max - at);
	return n < 0 ? n : at + n;
}

static int linekeeper_opus_encode(void *state, size_t stride, const opus_int16 *pcm, int channels, int frames,
                                  int packets, unsigned char *out, opus_int32 max, opus_int32 *sizes) {
	for (int i = 0; i < packets; i++) {
		int n = channels == 2 ? linekeeper_opus_pair(state, stride, pcm, frames, out, max)
		                      : opus_encode(state, pcm, frames, out, max);
		if (n < 0) return n;
		sizes[i] = n;
		out += n;
		pcm += frames * channels;
	}
	return OPUS_OK;
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// PacketsPerSecond is how many packets a second of audio becomes.
const PacketsPerSecond = 50

// MaxPacket is the size in bytes that no packet exceeds. A second of such packets fits one Ogg page: 50 packets of at
// most 5 lacing values each, of which a page has 255.
const MaxPacket = 5*255 - 1

// Version names the library, as it stands in a stream's vendor field.
func Version() string { return C.GoString(C.opus_get_version_string()) }

// Encoder encodes one recording. It must not be used by two goroutines at once.
type Encoder struct {
	state     []uint64 // of each channel, one after another, aligned as libopus wants it
	stride    int      // of a channel's state, in words
	channels  int
	frames    int // of a packet
	lookahead int
}

// New makes an encoder of one or two channels at 8000, 12000, 16000, 24000 or 48000 Hz. Bits is bits a second of each
// channel, complexity is 0 to 10.
func New(rate, channels, bits, complexity int) (*Encoder, error) {
	if channels != 1 && channels != 2 {
		return nil, fmt.Errorf("libopus: no encoder for %d channels", channels)
	}
	stride := (int(C.opus_encoder_get_size(1)) + 7) / 8
	e := &Encoder{state: make([]uint64, stride*channels), stride: stride, channels: channels, frames: rate / PacketsPerSecond}
	for c := range channels {
		var lookahead C.opus_int32
		err := C.linekeeper_opus_init(unsafe.Pointer(&e.state[c*stride]), C.opus_int32(rate), C.opus_int32(bits),
			C.int(complexity), &lookahead)
		if err != C.OPUS_OK {
			return nil, fmt.Errorf("libopus: make encoder (%d Hz, %d bit/s, complexity %d): %s", rate, bits, complexity, message(err))
		}
		e.lookahead = int(lookahead)
	}
	return e, nil
}

// Lookahead is by how many frames the decoded audio lags behind what was encoded.
func (e *Encoder) Lookahead() int { return e.lookahead }

// PacketFrames is how many frames a packet holds.
func (e *Encoder) PacketFrames() int { return e.frames }

// Encode encodes len(sizes) packets from samples, which must hold exactly as many. It writes them one after another to
// dst, their sizes to sizes, and returns how many bytes they take together. dst needs room for MaxPacket bytes a packet.
func (e *Encoder) Encode(dst []byte, sizes []int32, samples []int16) (int, error) {
	if len(sizes) == 0 {
		return 0, nil
	}
	if len(samples) != len(sizes)*e.frames*e.channels || len(dst) < len(sizes)*MaxPacket {
		return 0, fmt.Errorf("libopus: %d packets do not fit %d samples and %d bytes", len(sizes), len(samples), len(dst))
	}
	err := C.linekeeper_opus_encode(unsafe.Pointer(&e.state[0]), C.size_t(e.stride*8), (*C.opus_int16)(&samples[0]),
		C.int(e.channels), C.int(e.frames), C.int(len(sizes)), (*C.uchar)(&dst[0]), MaxPacket, (*C.opus_int32)(&sizes[0]))
	if err != C.OPUS_OK {
		return 0, fmt.Errorf("libopus: encode %d packets: %s", len(sizes), message(err))
	}
	total := 0
	for _, n := range sizes {
		total += int(n)
	}
	return total, nil
}

func message(err C.int) string { return C.GoString(C.opus_strerror(err)) }
