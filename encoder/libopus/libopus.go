// Package libopus binds the little of libopus that a recorder needs: encoding one or two uncoupled mono streams into
// packets of 20 ms, many packets in one call.
//
// Two channels are two streams of a multistream packet that share nothing, because Opus at speech rates folds a stereo
// pair into one: at 16 kbit/s nothing of the separation is left, and who said what with it.
//
// The encoder's state lives in Go memory (libopus allows that: its state is one block without pointers into itself), so
// there is nothing to close.
package libopus

/*
#cgo pkg-config: opus
#cgo noescape linekeeper_opus_encode
#cgo nocallback linekeeper_opus_encode
#include <opus_multistream.h>

// The ctl functions of libopus take variable arguments, which cgo cannot call.
static int linekeeper_opus_init(void *state, opus_int32 rate, int channels, opus_int32 bits, int complexity,
                                opus_int32 *lookahead) {
	const unsigned char mapping[2] = {0, 1};
	OpusMSEncoder *e = state;
	int err = opus_multistream_encoder_init(e, rate, channels, channels, 0, mapping, OPUS_APPLICATION_VOIP);
	if (err == OPUS_OK) err = opus_multistream_encoder_ctl(e, OPUS_SET_BITRATE(bits));
	if (err == OPUS_OK) err = opus_multistream_encoder_ctl(e, OPUS_SET_COMPLEXITY(complexity));
	if (err == OPUS_OK) err = opus_multistream_encoder_ctl(e, OPUS_GET_LOOKAHEAD(lookahead));
	return err;
}

static int linekeeper_opus_encode(void *state, const opus_int16 *pcm, int channels, int frames, int packets,
                                  unsigned char *out, opus_int32 max, opus_int32 *sizes) {
	for (int i = 0; i < packets; i++) {
		int n = opus_multistream_encode(state, pcm, frames, out, max);
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

// Encoder encodes one stream of audio. It must not be used by two goroutines at once.
type Encoder struct {
	state     []uint64 // aligned as libopus wants it
	channels  int
	frames    int // of a packet
	lookahead int
}

// New makes an encoder of one or two channels at 8000, 12000, 16000, 24000 or 48000 Hz. Bits is bits a second of all
// channels together, complexity is 0 to 10.
func New(rate, channels, bits, complexity int) (*Encoder, error) {
	size := C.opus_multistream_encoder_get_size(C.int(channels), 0)
	if size <= 0 {
		return nil, fmt.Errorf("libopus: no encoder for %d channels", channels)
	}
	e := &Encoder{state: make([]uint64, (size+7)/8), channels: channels, frames: rate / PacketsPerSecond}
	var lookahead C.opus_int32
	err := C.linekeeper_opus_init(unsafe.Pointer(&e.state[0]), C.opus_int32(rate), C.int(channels), C.opus_int32(bits),
		C.int(complexity), &lookahead)
	if err != C.OPUS_OK {
		return nil, fmt.Errorf("libopus: make encoder (%d Hz, %d channels, %d bit/s, complexity %d): %s",
			rate, channels, bits, complexity, message(err))
	}
	e.lookahead = int(lookahead)
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
	err := C.linekeeper_opus_encode(unsafe.Pointer(&e.state[0]), (*C.opus_int16)(&samples[0]), C.int(e.channels),
		C.int(e.frames), C.int(len(sizes)), (*C.uchar)(&dst[0]), MaxPacket, (*C.opus_int32)(&sizes[0]))
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
