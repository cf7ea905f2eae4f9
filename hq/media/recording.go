package media

import (
	"bytes"
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

// records goes through a call file and gives each record, with the offset of its body in the file and what opens those that
// are sealed (nil: nothing is). The error is that of the file, or of take; nil: it was whole.
func records(file io.Reader, keys seal.Keys, take func(rec seal.Record, body int64, o *seal.Opener) error) error {
	in := seal.NewReader(file)
	var header seal.Record
	var o *seal.Opener
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch rec.Kind {
		case call.KindHeader:
			header = rec
			header.Body = bytes.Clone(rec.Body)
		case call.KindKey:
			if o, err = keys.Unlock(header, rec); err != nil {
				return err
			}
		}
		if err := take(rec, in.Offset()-int64(len(rec.Body)), o); err != nil {
			return err
		}
	}
}

// plain gives a record's body in clear.
func plain(o *seal.Opener, rec seal.Record) ([]byte, error) {
	if o == nil {
		return rec.Body, nil
	}
	return o.Open(nil, rec)
}

// recording is the media of a call: the bodies of its chunks, joined, as one stream to read and seek in. It knows where
// each chunk is, some fifty bytes a second of audio, and holds one of them.
type recording struct {
	file   io.ReadSeekCloser
	opener *seal.Opener // nil: the call is in clear
	header call.Header
	frames int64 // of the call as far as its chunks go, at the header's rate
	chunks []extent
	head   []byte // what the media begins with, where that is other than in the call file
	size   int64  // of the media
	at     int64  // where the next Read begins in the media

	held   int    // the chunk that is held; -1: none
	sealed []byte // as it stands in the file
	media  []byte // in clear
}

// extent is where a chunk is.
type extent struct {
	record seal.Record // without its body
	media  int64       // where it begins in the media
	length int64       // of its media
	file   int64       // where its body begins in the call file
	stored int         // bytes of its body
}

// newRecording goes through the call file, which from then on belongs to the recording. A file that is damaged or stops
// early gives what stands before, and the damage beside it; one without even a header, or sealed to nobody here, is an
// error.
func newRecording(file io.ReadSeekCloser, keys seal.Keys) (r *recording, damage, err error) {
	r = &recording{file: file, held: -1}
	damage = records(file, keys, func(rec seal.Record, body int64, o *seal.Opener) (err error) {
		r.opener = o
		switch rec.Kind {
		case call.KindHeader:
			if r.header, err = rec.Header(); err != nil {
				return fmt.Errorf("header: %w", err)
			}
		case call.KindChunk:
			x := extent{record: rec, media: r.size, length: int64(len(rec.Body)), file: body, stored: len(rec.Body)}
			if o != nil {
				x.length -= seal.Overhead
			}
			x.record.Body = nil
			r.chunks = append(r.chunks, x)
			r.size += x.length
			r.frames = rec.Position + int64(rec.Frames)
		}
		return nil
	})
	var noKey *seal.NoKeyError
	if r.header.Call.IsZero() || errors.As(damage, &noKey) {
		return nil, nil, fmt.Errorf("open call file: %w", damage)
	}
	if r.header.Codec == call.FLAC {
		err = r.fillInLength()
	}
	return r, damage, err
}

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
func (r *recording) hold(i int) (err error) {
	if r.held == i {
		return nil
	}
	r.held = -1
	x := r.chunks[i]
	if _, err := r.file.Seek(x.file, io.SeekStart); err != nil {
		return err
	}
	r.sealed = slices.Grow(r.sealed[:0], x.stored)[:x.stored]
	if _, err := io.ReadFull(r.file, r.sealed); err != nil {
		return err
	}
	x.record.Body = r.sealed
	r.media = r.sealed
	if r.opener != nil {
		if r.media, err = r.opener.Open(r.media[:0:0], x.record); err != nil {
			return err
		}
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
