// Package media makes of call files what people use: the recorded audio as a stream that a browser can seek in, copies
// as Opus, MP3, FLAC or WAV, the waveform, and the marks.
//
//	m := media.New(files, cache, keys, log)
//	audio, err := m.Original(ctx, id)           // for http.ServeContent: the chunks of the call file, joined
//	err = m.Convert(ctx, id, "mp3", w)          // decodes and encodes as it writes; the recorded bytes where they fit
//	peaks, err := m.Peaks(ctx, id)              // decodes once, then from the cache
//
// No call is held in memory: a call file is gone through once for where its chunks are, and read from there. A damaged
// call file gives what stands before the damage, and the log says so.
package media

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// Files keeps call files.
type Files interface {
	// Open opens the call file of a durable call, or the beginning of another's; hq.ErrNotFound: there is none. The caller
	// closes it.
	Open(ctx context.Context, id call.ID) (io.ReadSeekCloser, error)
}

// Cache keeps what was drawn of a call. It may lose it.
type Cache interface {
	Peaks(ctx context.Context, id call.ID) ([]byte, error) // hq.ErrNotFound: not there
	SavePeaks(ctx context.Context, id call.ID, peaks []byte) error
}

// Keys gives the keys that open calls, as they are now.
type Keys func() (seal.Keys, error)

// WAV is a format of copies beside the codecs.
const WAV = "wav"

// Media gives the audio of calls. It is safe for concurrent use.
type Media struct {
	files Files
	cache Cache
	keys  Keys
	log   *slog.Logger
	draw  chan struct{} // holds a token while a waveform is made: they wait for each other, not the rest for them
}

// New makes a Media.
func New(files Files, cache Cache, keys Keys, log *slog.Logger) *Media {
	return &Media{files: files, cache: cache, keys: keys, log: log, draw: make(chan struct{}, 1)}
}

// Original opens the audio as it was recorded, in the call's codec; FLAC with its length filled in. The caller closes
// it.
func (m *Media) Original(ctx context.Context, id call.ID) (io.ReadSeekCloser, error) {
	r, err := m.open(ctx, id)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Arrived says what there is in a call's file, which need not be whole: its header, and how much audio. hq.ErrNotFound:
// there is no file, or not even its header.
func (m *Media) Arrived(ctx context.Context, id call.ID) (call.Header, time.Duration, error) {
	file, err := m.files.Open(ctx, id)
	if err != nil {
		return call.Header{}, 0, fmt.Errorf("open call %s: %w", id, err)
	}
	defer func() { _ = file.Close() }() // only read
	keys, err := m.keys()
	if err != nil {
		return call.Header{}, 0, fmt.Errorf("open call %s: %w", id, err)
	}
	var frames int64
	header, err := records(file, keys, func(rec seal.Record, _ int64, _ *seal.Opener) error {
		if rec.Kind == call.KindChunk {
			frames = rec.Position + int64(rec.Frames)
		}
		return nil
	})
	if header.Rate == 0 {
		return call.Header{}, 0, fmt.Errorf("what has arrived of call %s has no header yet: %w: %w", id, hq.ErrNotFound, err)
	}
	return header, time.Duration(float64(frames) / float64(header.Rate) * float64(time.Second)), nil
}

// Marks gives the marks of a call in the order in which they happened.
func (m *Media) Marks(ctx context.Context, id call.ID) ([]call.Mark, error) {
	file, err := m.files.Open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open call %s: %w", id, err)
	}
	defer func() { _ = file.Close() }() // only read
	keys, err := m.keys()
	if err != nil {
		return nil, fmt.Errorf("open call %s: %w", id, err)
	}
	var marks []call.Mark
	_, err = records(file, keys, func(rec seal.Record, _ int64, o *seal.Opener) error {
		if rec.Kind != call.KindMark {
			return nil
		}
		body, err := o.Open(rec.Body[:0], rec)
		if err != nil {
			return err
		}
		var mark call.Mark
		if err := json.Unmarshal(body, &mark); err != nil {
			return fmt.Errorf("mark in record %d: %w", rec.Number, err)
		}
		marks = append(marks, mark)
		return nil
	})
	m.damaged(id, err)
	return marks, nil
}

// Convert writes a call's audio as opus, mp3, flac or wav: the recorded bytes where that is how it was recorded. Where
// the error comes after bytes were written, they are a part of the audio.
func (m *Media) Convert(ctx context.Context, id call.ID, format string, w io.Writer) error {
	r, err := m.open(ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	if format == string(r.header.Codec) {
		_, err = io.Copy(w, r)
	} else {
		var audio *audio
		if audio, err = r.decode(ctx); err == nil {
			err = convert(ctx, audio, format, "Call "+id.String(), w)
			m.damaged(id, audio.damage)
		}
	}
	if err != nil {
		return fmt.Errorf("convert call %s to %s: %w", id, format, err)
	}
	return nil
}

func convert(ctx context.Context, audio *audio, format, title string, w io.Writer) error {
	if format == WAV {
		if _, err := w.Write(pcm.WAVHeader(audio.format, audio.left)); err != nil {
			return err
		}
		var raw []byte
		return audio.each(ctx, func(samples []int16) error {
			raw = pcm.AppendBytes(raw[:0], samples)
			_, err := w.Write(raw)
			return err
		})
	}
	e, err := encoder.New(encoder.Config{
		Codec: format, Rate: audio.format.Rate, Channels: audio.format.Channels, Title: title,
	})
	if err != nil {
		return err
	}
	emit := func(c encoder.Chunk) error {
		_, err := w.Write(c.Data)
		return err
	}
	err = audio.each(ctx, func(samples []int16) error { return e.Write(samples, emit) })
	if closed := e.Close(emit); err == nil { // it has to be closed in any case
		err = closed
	}
	return err
}

// damaged logs what is wrong with a call file that was read as far as it goes.
func (m *Media) damaged(id call.ID, err error) {
	if err != nil {
		m.log.Warn("a call file is not whole: what stands before is used", "call", id.String(), "error", err)
	}
}

func (m *Media) open(ctx context.Context, id call.ID) (*recording, error) {
	file, err := m.files.Open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open call %s: %w", id, err)
	}
	keys, err := m.keys()
	if err != nil {
		_ = file.Close() // only read
		return nil, fmt.Errorf("open call %s: %w", id, err)
	}
	r, damage, err := newRecording(file, keys)
	if err != nil {
		_ = file.Close() // only read
		return nil, fmt.Errorf("open call %s: %w", id, err)
	}
	m.damaged(id, damage)
	return r, nil
}
