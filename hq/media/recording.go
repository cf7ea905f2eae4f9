package media

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// records goes through a call file and gives each record with the offset of its body in the file. The error is that of
// the file, or of take; nil: it was whole.
func records(file io.Reader, take func(rec seal.Record, body int64) error) error {
	in := seal.NewReader(file)
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(rec, in.Offset()-int64(len(rec.Body))); err != nil {
			return err
		}
	}
}

// recording is the media of a call: the bodies of its chunks, joined, as one stream to read and seek in. It knows where
// each chunk is, 24 bytes a second of audio, and holds none of them.
type recording struct {
	file   io.ReadSeekCloser
	header call.Header
	frames int64 // that the chunks cover, at the header's rate
	chunks []extent
	head   []byte // what the media begins with, where that is other than in the call file
	size   int64  // of the media
	at     int64  // where the next Read begins in the media
}

// extent is where a chunk's bytes are.
type extent struct {
	media  int64 // where they begin in the media
	file   int64 // where they begin in the call file
	length int64
}

// newRecording goes through the call file, which from then on belongs to the recording. A file that is damaged or stops
// early gives what stands before, and the damage beside it; one without even a header is an error.
func newRecording(file io.ReadSeekCloser) (r *recording, damage, err error) {
	r = &recording{file: file}
	damage = records(file, func(rec seal.Record, body int64) error {
		switch rec.Kind {
		case call.KindHeader:
			if err := json.Unmarshal(rec.Body, &r.header); err != nil {
				return fmt.Errorf("header: %w", err)
			}
		case call.KindChunk:
			length := int64(len(rec.Body))
			r.chunks = append(r.chunks, extent{media: r.size, file: body, length: length})
			r.size += length
			r.frames += int64(rec.Frames)
		}
		return nil
	})
	if r.header.Call.IsZero() {
		return nil, nil, fmt.Errorf("read header: %w", damage)
	}
	if r.header.Codec == call.FLAC {
		err = r.fillInLength()
	}
	return r, damage, err
}

// Offsets in FLAC's head (RFC 9639, section 8): the mark, the head of the first block, STREAMINFO.
const (
	flacHead    = 4 + 4 + 18 // up to and with the total number of samples
	flacSamples = flacHead - 5
)

// fillInLength writes the length into the head of FLAC media, which the recorder could not know when it wrote that: a
// browser does not show how long a call is without it. Media that says its length, or is none, stays as it is.
func (r *recording) fillInLength() error {
	head := make([]byte, flacHead)
	if _, err := io.ReadFull(r, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	r.at = 0
	// The number has 36 bits, of which the uppermost share a byte with what stands before.
	samples := head[flacSamples:]
	if string(head[:4]) != "fLaC" || head[4]&0x7f != 0 || samples[0]&0x0f != 0 || binary.BigEndian.Uint32(samples[1:]) != 0 || r.frames >= 1<<36 {
		return nil
	}
	samples[0] |= byte(r.frames >> 32)
	binary.BigEndian.PutUint32(samples[1:], uint32(r.frames))
	r.head = head
	return nil
}

// Read implements io.Reader.
func (r *recording) Read(p []byte) (n int, err error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	i := sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].media+r.chunks[i].length > r.at })
	for ; i < len(r.chunks) && n < len(p); i++ {
		inside := r.at - r.chunks[i].media
		part := p[n:min(int64(len(p)), int64(n)+r.chunks[i].length-inside)]
		if _, err := r.file.Seek(r.chunks[i].file+inside, io.SeekStart); err != nil {
			return n, fmt.Errorf("read call file: %w", err)
		}
		got, err := io.ReadFull(r.file, part)
		if r.at < int64(len(r.head)) {
			copy(part[:got], r.head[r.at:])
		}
		n, r.at = n+got, r.at+int64(got)
		if err != nil {
			return n, fmt.Errorf("read call file: %w", err)
		}
	}
	return n, nil
}

// Seek implements io.Seeker.
func (r *recording) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("seek in recording: whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in recording: to %d", offset)
	}
	r.at = offset
	return offset, nil
}

// Close closes the call file.
func (r *recording) Close() error { return r.file.Close() }

// audio is decoded media, of exactly the length that the chunks claim: codecs that fill up their last frame (MP3) are
// cut, media that is shorter than it claims, or damaged, ends in silence.
type audio struct {
	decoder encoder.Decoder
	format  pcm.Format
	left    int64 // frames still to come
	damage  error // why the rest is silence
}

// decode reads the media from where it stands; the context ends it.
func (r *recording) decode(ctx context.Context) (*audio, error) {
	d, err := r.decoder(ctx)
	if err != nil {
		return nil, err
	}
	format := d.Format()
	return &audio{decoder: d, format: format, left: r.frames * int64(format.Rate) / int64(r.header.Rate)}, nil
}

func (r *recording) decoder(ctx context.Context) (encoder.Decoder, error) {
	d, err := encoder.NewDecoder(string(r.header.Codec), cancelable{ctx, r})
	if err != nil {
		return nil, err
	}
	if channels := d.Format().Channels; channels != r.header.Channels {
		return nil, fmt.Errorf("media of %d channels in a call of %d", channels, r.header.Channels)
	}
	return d, nil
}

// cancelable is a reader that fails once nobody waits for it any more.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// each gives all samples in turn, interleaved, whole frames; they are valid until take returns.
func (a *audio) each(ctx context.Context, take func(samples []int16) error) error {
	block := make([]int16, 4096*a.format.Channels)
	channels := int64(a.format.Channels)
	for ended := false; a.left > 0; {
		part := block[:min(int64(len(block)), a.left*channels)]
		n := len(part)
		if ended {
			clear(part)
		} else {
			var err error
			n, err = a.decoder.Read(part)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if ended = err != nil; ended && !errors.Is(err, io.EOF) {
				a.damage = err
			}
		}
		a.left -= int64(n) / channels
		if err := take(part[:n]); err != nil {
			return err
		}
	}
	return nil
}
