package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// shelf holds one call file, and what was drawn of it.
type shelf struct {
	id     call.ID
	file   []byte
	opened int
	peaks  []byte
	full   bool // keeps nothing
}

type openFile struct{ *bytes.Reader }

func (openFile) Close() error { return nil }

func (s *shelf) Open(_ context.Context, id call.ID) (io.ReadSeekCloser, error) {
	if id != s.id {
		return nil, hq.ErrNotFound
	}
	s.opened++
	return openFile{bytes.NewReader(s.file)}, nil
}

func (s *shelf) Peaks(_ context.Context, id call.ID) ([]byte, error) {
	if id != s.id || s.peaks == nil {
		return nil, hq.ErrNotFound
	}
	return s.peaks, nil
}

func (s *shelf) SavePeaks(_ context.Context, _ call.ID, peaks []byte) error {
	if s.full {
		return errors.New("disk full")
	}
	s.peaks = peaks
	return nil
}

const rate = 8000

// recorded is a call file made as a recorder makes it, and what went into it.
type recorded struct {
	*shelf
	key     seal.Key
	log     bytes.Buffer
	media   []byte
	samples []int16
	ends    []int   // of the records, in the file
	frames  []int64 // that the chunks up to each record cover
}

func (r *recorded) open() *Media {
	return New(r.shelf, r.shelf, func() (seal.Keys, error) { return seal.Keys{r.key}, nil }, slog.New(slog.NewTextHandler(&r.log, nil)))
}

// record makes a call of so many seconds: a tone, of another pitch on each side, that is silent in the second second.
func record(t testing.TB, codec call.Codec, channels int, seconds float64) *recorded {
	t.Helper()
	key, _, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	r := recordTo(t, seal.Recipients{key.Recipient()}, codec, channels, seconds)
	r.key = key
	return r
}

// recordTo seals it to somebody, or to nobody.
func recordTo(t testing.TB, to seal.Recipients, codec call.Codec, channels int, seconds float64) *recorded {
	t.Helper()
	h := call.Header{Call: call.NewID(), Device: "7K3M9QXA", Line: "line1", Codec: codec, Channels: channels, Rate: rate}
	r := &recorded{shelf: &shelf{id: h.Call}}
	for i := range int(seconds * rate) {
		for c := range channels {
			level := 12000.0
			if i/rate == 1 {
				level = 0
			}
			r.samples = append(r.samples, int16(level*math.Sin(2*math.Pi*float64(400+300*c)*float64(i)/rate)))
		}
	}
	position := int64(0)
	add := func(rec call.Record, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r.file = append(r.file, rec.Data...)
		r.ends, r.frames = append(r.ends, len(r.file)), append(r.frames, position)
	}
	w, first, err := seal.NewWriter(h, to)
	for _, rec := range first {
		add(rec, err)
	}
	e, err := encoder.New(encoder.Config{Codec: string(codec), Rate: rate, Channels: channels})
	if err != nil {
		t.Fatal(err)
	}
	emit := func(c encoder.Chunk) error {
		rec, err := w.Chunk(position, uint32(c.Frames), c.Data)
		position += c.Frames
		add(rec, err)
		r.media = append(r.media, c.Data...)
		return nil
	}
	if err := e.Write(r.samples, emit); err != nil {
		t.Fatal(err)
	}
	add(w.Mark(call.Mark{Kind: call.MarkDigits, Position: 4000, Value: "42#"}))
	if err := e.Close(emit); err != nil {
		t.Fatal(err)
	}
	add(w.Mark(call.Mark{Kind: call.MarkHook, Position: position, Value: "on-hook"}))
	add(w.End(call.End{Reason: call.EndedOnHook, Frames: position}))
	return r
}

func each(t *testing.T, f func(t *testing.T, codec call.Codec, channels int)) {
	for _, codec := range []call.Codec{call.Opus, call.MP3, call.FLAC} {
		for channels, name := range map[int]string{1: "one side", 2: "two sides"} {
			t.Run(string(codec)+" "+name, func(t *testing.T) { f(t, codec, channels) })
		}
	}
}

func TestOriginalCanBeReadAndSoughtInLikeAFile(t *testing.T) {
	each(t, func(t *testing.T, codec call.Codec, channels int) {
		r := record(t, codec, channels, 3.3)
		original, err := r.open().Original(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		want := r.media
		if codec == call.FLAC {
			want = bytes.Clone(want)
			binary.BigEndian.PutUint32(want[flacSamples+1:], uint32(len(r.samples)/channels))
			if bytes.Equal(want, r.media) {
				t.Fatal("the recorded FLAC had its length already: the test shows nothing")
			}
		}
		if err := iotest.TestReader(original, want); err != nil {
			t.Error(err)
		}
		if err := original.Close(); err != nil {
			t.Error(err)
		}
	})
}

// power is how much there is of a pitch in each second of one channel.
func power(f pcm.Format, samples []int16, channel int, pitch float64) (seconds []float64) {
	frames := len(samples) / f.Channels
	for from := 0; from+f.Rate <= frames; from += f.Rate {
		var re, im float64
		for i := from; i < from+f.Rate; i++ {
			v, angle := float64(samples[i*f.Channels+channel]), 2*math.Pi*pitch*float64(i)/float64(f.Rate)
			re, im = re+v*math.Cos(angle), im+v*math.Sin(angle)
		}
		seconds = append(seconds, 2*math.Hypot(re, im)/float64(f.Rate))
	}
	return seconds
}

func readAll(t *testing.T, format string, media []byte) (pcm.Format, []int16) {
	t.Helper()
	var f pcm.Format
	var read func([]int16) (int, error)
	if format == WAV {
		w, err := pcm.NewWAVReader(bytes.NewReader(media))
		if err != nil {
			t.Fatal(err)
		}
		if w.Frames != int64(len(media)-pcm.WAVHeaderSize)/int64(2*w.Format.Channels) {
			t.Errorf("WAV head says %d frames of %d bytes", w.Frames, len(media))
		}
		f, read = w.Format, w.Read
	} else {
		d, err := encoder.NewDecoder(format, bytes.NewReader(media))
		if err != nil {
			t.Fatal(err)
		}
		f, read = d.Format(), d.Read
	}
	var samples []int16
	block := make([]int16, 1000)
	for {
		n, err := read(block)
		samples = append(samples, block[:n]...)
		if errors.Is(err, io.EOF) {
			return f, samples
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestConvertKeepsLengthAndSides(t *testing.T) {
	const seconds = 3.5
	each(t, func(t *testing.T, codec call.Codec, channels int) {
		r := record(t, codec, channels, seconds)
		for _, format := range []string{"opus", "mp3", "flac", "wav"} {
			var out bytes.Buffer
			if err := r.open().Convert(t.Context(), r.id, format, &out); err != nil {
				t.Fatal(format, err)
			}
			f, samples := readAll(t, format, out.Bytes())
			frames := len(samples) / f.Channels
			slack := 0
			if format == "mp3" {
				slack = f.Rate * 72 / 1000
			}
			if want := int(seconds * float64(f.Rate)); f.Channels != channels || frames < want || frames > want+slack {
				t.Fatalf("%s: %d channels, %d frames, want %d channels and %d to %d frames", format, f.Channels, frames, channels, want, want+slack)
			}
			for c := range channels {
				own, other := power(f, samples, c, float64(400+300*c)), power(f, samples, c, float64(700-300*c))
				if own[0] < 9000 || own[2] < 9000 || own[1] > 600 || other[0] > own[0]/100 || other[2] > own[2]/100 {
					t.Errorf("%s: channel %d holds %.0f of its own tone, second by second, and %.0f of the other's", format, c, own, other)
				}
			}
			if codec == call.FLAC && format == WAV && !slices.Equal(samples, r.samples) {
				t.Error("WAV of a FLAC recording is not what was recorded, bit by bit")
			}
		}
	})
}

func TestConvertGivesTheRecordedBytesWhereTheyFit(t *testing.T) {
	for _, codec := range []call.Codec{call.Opus, call.MP3} {
		r := record(t, codec, 2, 1.5)
		var out bytes.Buffer
		if err := r.open().Convert(t.Context(), r.id, string(codec), &out); err != nil || !bytes.Equal(out.Bytes(), r.media) {
			t.Errorf("%s: %d bytes, want the %d recorded ones (%v)", codec, out.Len(), len(r.media), err)
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	r := record(t, call.Opus, 1, 1)
	if err := r.open().Convert(t.Context(), call.NewID(), "wav", io.Discard); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("call that is not there: %v", err)
	}
	if err := r.open().Convert(t.Context(), r.id, "midi", io.Discard); err == nil || !strings.Contains(err.Error(), "midi") {
		t.Errorf("format that is none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.open().Convert(ctx, r.id, "wav", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	full := errors.New("full")
	if err := r.open().Convert(t.Context(), r.id, "mp3", failing{full}); !errors.Is(err, full) {
		t.Errorf("nowhere to write: %v", err)
	}
}

type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

func TestPeaksAreDrawnOnceAndThenCached(t *testing.T) {
	each(t, func(t *testing.T, codec call.Codec, channels int) {
		r := record(t, codec, channels, 3)
		if _, err := r.open().CachedPeaks(t.Context(), r.id); !errors.Is(err, hq.ErrNotFound) {
			t.Fatalf("before it was drawn: %v", err)
		}
		peaks, err := r.open().Peaks(t.Context(), r.id)
		if err != nil || len(peaks) != channels {
			t.Fatalf("%d channels: %v", len(peaks), err)
		}
		for c, points := range peaks {
			loud, quiet := points[len(points)/6], points[len(points)/2]
			if loud < 80 || loud > 110 || quiet > 8 { // 12000 of 32768 is 93 of 255
				t.Errorf("channel %d: %d where the tone is, %d where it is silent", c, loud, quiet)
			}
		}
		again, err := r.open().Peaks(t.Context(), r.id)
		if err != nil || r.opened != 1 || len(again) != channels || !bytes.Equal(again[channels-1], peaks[channels-1]) {
			t.Errorf("drawn again: the call file was opened %d times (%v)", r.opened, err)
		}
	})
}

func TestPeaksComeThroughWithoutTheCache(t *testing.T) {
	r := record(t, call.Opus, 2, 1)
	for _, damaged := range [][]byte{{}, {1}, {1, 0, 5}, {2, 1, 5}, {1, 2, 5, 5, 5}} {
		r.peaks = damaged
		if peaks, err := r.open().Peaks(t.Context(), r.id); err != nil || len(peaks) != 2 {
			t.Errorf("cache holding %v: %d channels, %v", damaged, len(peaks), err)
		}
	}
	r.peaks, r.full = nil, true
	if peaks, err := r.open().Peaks(t.Context(), r.id); err != nil || len(peaks) != 2 || !strings.Contains(r.log.String(), "disk full") {
		t.Errorf("cache that keeps nothing: %d channels, %v, logged %q", len(peaks), err, r.log.String())
	}
}

func TestMarks(t *testing.T) {
	r := record(t, call.Opus, 1, 2)
	marks, err := r.open().Marks(t.Context(), r.id)
	if err != nil || len(marks) != 2 || marks[0].Value != "42#" || marks[1].Kind != call.MarkHook {
		t.Errorf("%+v, %v", marks, err)
	}
}

// A call file cut at any place, or with a wrong byte at any record's head, gives the audio of what stands before.
func TestDamagedCallFiles(t *testing.T) {
	whole := record(t, call.FLAC, 1, 4)
	check := func(name string, file []byte, frames int64) {
		t.Helper()
		r := &recorded{shelf: &shelf{id: whole.id, file: file}, key: whole.key}
		var out bytes.Buffer
		err := r.open().Convert(t.Context(), r.id, WAV, &out)
		if frames == 0 {
			if err == nil {
				t.Errorf("%s: no error, though there is no audio", name)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		_, samples := readAll(t, WAV, out.Bytes())
		if int64(len(samples)) != frames || !slices.Equal(samples, whole.samples[:frames]) {
			t.Errorf("%s: %d samples, or others than were recorded; want %d", name, len(samples), frames)
		}
		if !strings.Contains(r.log.String(), "not whole") {
			t.Errorf("%s: the log says nothing", name)
		}
		if _, err := r.open().Marks(t.Context(), r.id); err != nil {
			t.Errorf("%s: marks: %v", name, err)
		}
		if peaks, err := r.open().Peaks(t.Context(), r.id); err != nil || len(peaks) != 1 || len(peaks[0]) == 0 {
			t.Errorf("%s: peaks: %v", name, err)
		}
	}
	for i, end := range whole.ends[:len(whole.ends)-1] {
		frames := whole.frames[i]
		check("cut after a record", whole.file[:end], frames)
		check("cut in a record's head", whole.file[:end+10], frames)
		damaged := bytes.Clone(whole.file)
		damaged[end] = 99 // the kind of the next record
		check("damaged head", damaged, frames)
	}
	check("nothing at all", nil, 0)
	check("not a call file", []byte(strings.Repeat("no", 100)), 0)
}

func TestDamagedMediaEndsInSilence(t *testing.T) {
	r := recordTo(t, nil, call.Opus, 1, 4)
	from := r.ends[2] + seal.HeadSize // the third chunk's media
	for i := range 40 {
		r.file[from+i] ^= 0xff
	}
	var out bytes.Buffer
	if err := r.open().Convert(t.Context(), r.id, WAV, &out); err != nil {
		t.Fatal(err)
	}
	f, samples := readAll(t, WAV, out.Bytes())
	if len(samples) != len(r.samples) {
		t.Errorf("%d samples, want %d", len(samples), len(r.samples))
	}
	if p := power(f, samples, 0, 400); p[0] < 9000 {
		t.Errorf("tone before the damage: %.0f", p)
	}
}

// A sealed chunk that was altered is left out; what stands around it is heard.
func TestAlteredChunkIsLeftOut(t *testing.T) {
	r := record(t, call.FLAC, 1, 4)
	r.file[r.ends[2]+seal.HeadSize+5] ^= 1 // in the body of a chunk
	var out bytes.Buffer
	if err := r.open().Convert(t.Context(), r.id, WAV, &out); err != nil {
		t.Fatal(err)
	}
	_, samples := readAll(t, WAV, out.Bytes())
	from, to := r.frames[2], r.frames[3]
	if len(samples) != len(r.samples) || !slices.Equal(samples[:from], r.samples[:from]) || !slices.Equal(samples[to:], r.samples[to:]) {
		t.Errorf("%d samples, or others than stand around the chunk from %d to %d", len(samples), from, to)
	}
	if !strings.Contains(r.log.String(), "left out") {
		t.Errorf("the log does not say that a chunk was left out: %s", &r.log)
	}
}

func FuzzRecording(f *testing.F) {
	f.Add(recordTo(f, nil, call.FLAC, 1, 1.5).file)
	f.Add(recordTo(f, nil, call.Opus, 2, 1.5).file)
	f.Fuzz(func(t *testing.T, file []byte) {
		r, _, err := newRecording(openFile{bytes.NewReader(file)}, nil)
		if err != nil {
			return
		}
		media, err := io.ReadAll(r)
		if err != nil || int64(len(media)) != r.size {
			t.Fatalf("%d bytes of %d: %v", len(media), r.size, err)
		}
		if _, err := r.Seek(r.size/2, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); err != nil || !bytes.Equal(rest, media[r.size/2:]) {
			t.Fatalf("from the middle: %d bytes, %v", len(rest), err)
		}
	})
}
