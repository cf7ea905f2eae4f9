package encoder

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	mp3 "github.com/hajimehoshi/go-mp3"

	"github.com/linekeeper/linekeeper/encoder/lame"
	"github.com/linekeeper/linekeeper/pcm"
)

// mp3Decoder gives go-mp3 whole frames and makes of its answer what was encoded: it always answers with two channels,
// and the first samples are the codec's delay.
type mp3Decoder struct {
	frames *mp3Frames
	codec  *mp3.Decoder
	format pcm.Format
	skip   int    // frames still to drop: the delay
	buf    []byte // from go-mp3
}

// go-mp3 answers with frames of two samples of 16 bits.
const mp3Bytes = 4

func newMP3Decoder(r *bufio.Reader) (*mp3Decoder, error) {
	frames, err := newMP3Frames(r)
	if err != nil {
		return nil, err
	}
	codec, err := mp3.NewDecoder(frames)
	if frames.err != nil && !errors.Is(frames.err, io.EOF) {
		err = frames.err
	}
	if err != nil {
		return nil, err
	}
	return &mp3Decoder{frames: frames, codec: codec, format: frames.head.format(), skip: lame.Delay}, nil
}

func (d *mp3Decoder) Format() pcm.Format { return d.format }

func (d *mp3Decoder) Read(dst []int16) (int, error) {
	for {
		n, err := d.read(len(dst) / d.format.Channels)
		if err != nil {
			return 0, err
		}
		drop := min(d.skip, n)
		d.skip -= drop
		if n -= drop; n == 0 {
			continue
		}
		b := d.buf[drop*mp3Bytes:]
		for i := range n {
			for c := range d.format.Channels {
				dst[i*d.format.Channels+c] = int16(binary.LittleEndian.Uint16(b[i*mp3Bytes+2*c:]))
			}
		}
		return n * d.format.Channels, nil
	}
}

// read takes up to so many frames from go-mp3, which keeps to whole ones, into buf.
func (d *mp3Decoder) read(frames int) (int, error) {
	d.buf = slices.Grow(d.buf[:0], frames*mp3Bytes)[:frames*mp3Bytes]
	n, err := d.codec.Read(d.buf)
	if errors.Is(err, io.EOF) && d.frames.err != nil {
		err = d.frames.err // go-mp3 takes damage for the end in places
	}
	return n / mp3Bytes, err
}

// mp3Head is the head of a frame.
type mp3Head uint32

const (
	mp3FixedBits = 0xfffe0cc0 // of a head: sync, version, layer, rate, mode
	mp3Sync      = 0xfff20000 // MPEG-2, layer III
	mp3SyncBits  = 0xfffe0000
)

func (h mp3Head) format() pcm.Format {
	const single = 3
	f := pcm.Format{Channels: 2}
	if h>>6&3 == single {
		f.Channels = 1
	}
	switch h >> 10 & 3 {
	case 1:
		f.Rate = 24000
	case 2:
		f.Rate = 16000
	}
	return f
}

// size is the length in bytes of a frame at 16 or 24 kHz; 0 for a rate of bits that does not exist.
func (h mp3Head) size() int {
	index := int(h >> 12 & 15)
	if index == 0 || index > len(mp3Bits()) {
		return 0
	}
	return mp3FrameSize(mp3Bits()[index-1]*1000, h.format().Rate) + int(h>>9&1)
}

// mp3Frames reads the frames of an MP3 one by one, since go-mp3 on its own would look for something like a frame in
// whatever it is given, and takes 22.05 kHz for noise without an error.
type mp3Frames struct {
	r      *bufio.Reader
	head   mp3Head // of the first frame
	offset int64
	frame  []byte // what of the frame is not yet read
	buf    []byte
	err    error
}

func newMP3Frames(r *bufio.Reader) (*mp3Frames, error) {
	f := &mp3Frames{r: r}
	if err := f.skipTag(); err != nil {
		return nil, err
	}
	head, err := f.peek()
	if err != nil {
		return nil, err
	}
	if head&mp3SyncBits != mp3Sync || head.format().Rate == 0 {
		return nil, fmt.Errorf("first frame begins with %08x: want MPEG-2 layer III at 16 or 24 kHz", uint32(head))
	}
	f.head = head
	return f, nil
}

// skipTag passes over an ID3v2 tag.
func (f *mp3Frames) skipTag() error {
	const headSize = 10
	b, err := f.r.Peek(headSize)
	if len(b) < headSize || string(b[:3]) != "ID3" {
		if errors.Is(err, io.EOF) {
			err = nil // too short for a tag, perhaps not for what follows
		}
		return err
	}
	size := headSize + int(b[6]&0x7f)<<21 + int(b[7]&0x7f)<<14 + int(b[8]&0x7f)<<7 + int(b[9]&0x7f)
	n, err := f.r.Discard(size)
	f.offset = int64(n)
	return err
}

// peek looks at the next frame's head.
func (f *mp3Frames) peek() (mp3Head, error) {
	b, err := f.r.Peek(4)
	if len(b) == 4 {
		return mp3Head(binary.BigEndian.Uint32(b)), nil
	}
	if len(b) > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// Read reads on within a frame, or begins the next. It is not an io.Seeker on purpose: go-mp3 would read all of it.
func (f *mp3Frames) Read(p []byte) (int, error) {
	if len(f.frame) == 0 && f.err == nil {
		f.err = f.next()
	}
	if len(f.frame) == 0 {
		return 0, f.err
	}
	n := copy(p, f.frame)
	f.frame = f.frame[n:]
	return n, nil
}

func (f *mp3Frames) next() error {
	head, err := f.peek()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("frame at byte %d: %w", f.offset, err)
	}
	if head&mp3FixedBits != f.head&mp3FixedBits || head.size() == 0 {
		return fmt.Errorf("frame at byte %d begins with %08x, the first one with %08x: damaged", f.offset, uint32(head), uint32(f.head))
	}
	size := head.size()
	f.buf = slices.Grow(f.buf[:0], size)[:size]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return fmt.Errorf("frame at byte %d: %w", f.offset, err)
	}
	f.offset += int64(size)
	f.frame = f.buf
	return nil
}
