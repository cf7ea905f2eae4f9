// Package lame binds the little of libmp3lame that a recorder needs: MP3 of MPEG-2 at 16 or 24 kHz, at a constant rate,
// in frames that stand on their own.
package lame

/*
#cgo LDFLAGS: -lmp3lame
#cgo noescape linekeeper_lame_encode
#cgo nocallback linekeeper_lame_encode
#include <stdarg.h>
#include <stddef.h>
#include <lame/lame.h>

// What LAME would otherwise write to standard error.
static void linekeeper_lame_quiet(const char *format, va_list args) { (void)format; (void)args; }

static lame_t linekeeper_lame_new(int in_rate, int out_rate, int channels, int kbits) {
	lame_t l = lame_init();
	if (l == NULL) return NULL;
	lame_set_errorf(l, linekeeper_lame_quiet);
	lame_set_debugf(l, linekeeper_lame_quiet);
	lame_set_msgf(l, linekeeper_lame_quiet);
	lame_set_num_channels(l, channels);
	lame_set_in_samplerate(l, in_rate);
	lame_set_out_samplerate(l, out_rate);
	lame_set_mode(l, channels == 1 ? MONO : STEREO); // never joint stereo: sides stay apart
	lame_set_VBR(l, vbr_off);
	lame_set_brate(l, kbits);
	lame_set_disable_reservoir(l, 1);           // no frame needs another
	lame_set_bWriteVbrTag(l, 0);                // no length in the head
	lame_set_write_id3tag_automatic(l, 0);
	if (lame_init_params(l) < 0) {
		lame_close(l);
		return NULL;
	}
	return l;
}

static int linekeeper_lame_encode(lame_t l, short *pcm, int channels, int frames, unsigned char *out, int size) {
	if (frames == 0) return lame_encode_flush(l, out, size);
	if (channels == 2) return lame_encode_buffer_interleaved(l, pcm, frames, out, size);
	return lame_encode_buffer(l, pcm, pcm, frames, out, size);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"
)

// FrameSamples is how many samples of each channel, at the rate of the MP3, one of its frames holds (MPEG-2, layer III).
const FrameSamples = 576

// Delay is by how many samples, at the rate of the MP3, decoded audio lags behind what was encoded: LAME's delay and that
// of every decoder (see LAME's documentation of its tag).
const Delay = 576 + 529

// Encoder encodes one stream of audio. It must not be used by two goroutines at once.
type Encoder struct {
	lame     C.lame_t
	channels int
	inRate   int
	outRate  int
	cleanup  runtime.Cleanup
}

// New makes an encoder of one or two channels. The rate of the MP3 is 16000 or 24000 Hz, kbits is for all channels
// together, in units of 1000 bits a second.
func New(inRate, outRate, channels, kbits int) (*Encoder, error) {
	l := C.linekeeper_lame_new(C.int(inRate), C.int(outRate), C.int(channels), C.int(kbits))
	if l == nil {
		return nil, fmt.Errorf("libmp3lame: no encoder from %d Hz to %d Hz, %d channels, %d kbit/s", inRate, outRate, channels, kbits)
	}
	e := &Encoder{lame: l, channels: channels, inRate: inRate, outRate: outRate}
	e.cleanup = runtime.AddCleanup(e, func(l C.lame_t) { C.lame_close(l) }, l)
	return e, nil
}

// AppendEncoded encodes whole frames of samples and appends what MP3 is ready to dst.
func (e *Encoder) AppendEncoded(dst []byte, samples []int16) ([]byte, error) {
	if len(samples) == 0 {
		return dst, nil
	}
	return e.encode(dst, (*C.short)(&samples[0]), len(samples)/e.channels)
}

// AppendFlushed appends what is left to dst. Nothing can be encoded after that.
func (e *Encoder) AppendFlushed(dst []byte) ([]byte, error) {
	return e.encode(dst, nil, 0)
}

func (e *Encoder) encode(dst []byte, pcm *C.short, frames int) ([]byte, error) {
	if e.lame == nil {
		return dst, errors.New("libmp3lame: encoder is closed")
	}
	room := frames*e.outRate/e.inRate*5/4 + 7200 // as lame.h asks for
	dst = slices.Grow(dst, room)
	n := C.linekeeper_lame_encode(e.lame, pcm, C.int(e.channels), C.int(frames),
		(*C.uchar)(unsafe.SliceData(dst[len(dst):cap(dst)])), C.int(cap(dst)-len(dst)))
	runtime.KeepAlive(e)
	if n < 0 {
		return dst, fmt.Errorf("libmp3lame: encode %d frames: error %d", frames, int(n))
	}
	return dst[:len(dst)+int(n)], nil
}

// Close frees the encoder. It may be called again.
func (e *Encoder) Close() {
	if e.lame == nil {
		return
	}
	e.cleanup.Stop()
	C.lame_close(e.lame)
	e.lame = nil
}
