package media

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// records goes through a call file and gives each record behind its header and key, with its place in the file, and what
// opens those that are sealed. The error is that of the file, or of take; nil: it was whole.
func records(file io.Reader, keys seal.Keys, take func(rec seal.Record, at int64, o *seal.Opener) error) (header call.Header, err error) {
	in := seal.NewReader(file)
	header, o, err := in.Unlock(keys)
	for err == nil {
		at := in.Offset()
		var rec seal.Record
		if rec, err = in.Next(); err == nil {
			err = take(rec, at, o)
		}
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return header, err
}

// recording is the media of a call: the bodies of its chunks, joined, as one stream to read and seek in. It knows where
// each chunk is, some fifty bytes a second of audio, and holds one of them.
type recording struct {
	file   io.ReadSeekCloser
	opener *seal.Opener
	header call.Header
	frames int64 // of the call as far as its chunks go, at the header's rate
	chunks []extent
	head   []byte // what the media begins with, where that is other than in the call file
	size   int64  // of the media
	at     int64  // where the next Read begins in the media

	held   int    // the chunk that is held; -1: none
	stored []byte // its record as it stands in the file
	media  []byte // its media: a part of stored
}

// extent is where a chunk is.
type extent struct {
	media  int64 // where it begins in the media
	length int64 // of its media
	file   int64 // where its record begins in the call file
	stored int   // bytes of its record
}

// newRecording goes through the call file, which from then on belongs to the recording. A file that is damaged or stops
// early gives what stands before, and the damage beside it; one without even a header, or sealed to nobody here, is an
// error.
func newRecording(file io.ReadSeekCloser, keys seal.Keys) (r *recording, damage, err error) {
	r = &recording{file: file, held: -1}
	var altered error
	r.header, damage = records(file, keys, func(rec seal.Record, at int64, o *seal.Opener) error {
		if r.opener = o; rec.Kind != call.KindChunk {
			return nil
		}
		stored := seal.HeadSize + len(rec.Body)
		r.frames = rec.Position + int64(rec.Frames)
		media, err := o.Open(rec.Body[:0], rec) // which finds damage now, and not when half of the call has been played
		if err != nil {
			if altered == nil {
				altered = fmt.Errorf("record %d is left out: %w", rec.Number, err)
			}
			return nil
		}
		x := extent{media: r.size, length: int64(len(media)), file: at, stored: stored}
		r.chunks = append(r.chunks, x)
		r.size += x.length
		return nil
	})
	damage = errors.Join(damage, altered)
	var noKey *seal.NoKeyError
	if r.header.Call.IsZero() || errors.As(damage, &noKey) {
		return nil, nil, fmt.Errorf("open call file: %w", damage)
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
		if err := r.hold(i); err != nil {
			return n, fmt.Errorf("read call file: %w", err)
		}
		part := p[n:]
		got := copy(part, r.media[r.at-r.chunks[i].media:])
		if r.at < int64(len(r.head)) {
			copy(part[:got], r.head[r.at:])
		}
		n, r.at = n+got, r.at+int64(got)
	}
	return n, nil
}

// hold reads a chunk and opens it.
func (r *recording) hold(i int) error {
	if r.held == i {
		return nil
	}
	r.held = -1
	x := r.chunks[i]
	if _, err := r.file.Seek(x.file, io.SeekStart); err != nil {
		return err
	}
	r.stored = slices.Grow(r.stored[:0], x.stored)[:x.stored]
	if _, err := io.ReadFull(r.file, r.stored); err != nil {
		return err
	}
	rec, err := seal.ParseRecord(r.stored)
	if err != nil {
		return err
	}
	if r.media, err = r.opener.Open(rec.Body[:0], rec); err != nil {
		return err
	}
	r.held = i
	return nil
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
