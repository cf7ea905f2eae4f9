package pcm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func chunk(id string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func fmtBody(tag, channels uint16, rate uint32, bits uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag)
	b = binary.LittleEndian.AppendUint16(b, channels)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*uint32(channels)*uint32(bits)/8)
	b = binary.LittleEndian.AppendUint16(b, channels*bits/8)
	return binary.LittleEndian.AppendUint16(b, bits)
}

func riff(chunks ...[]byte) []byte {
	body := append([]byte("WAVE"), bytes.Join(chunks, nil)...)
	return chunk("RIFF", body)
}

// read gives all samples, some at a time, and the error that ended them, nil for io.EOF.
func read(w *WAVReader, at int) ([]int16, error) {
	var all []int16
	buf := make([]int16, at*w.Format.Channels+w.Format.Channels-1)
	for {
		n, err := w.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if n == 0 {
			return all, errors.New("no samples and no error")
		}
	}
}

func TestWAVRoundTrip(t *testing.T) {
	for _, f := range []Format{{8000, 1}, {44100, 2}, {96000, 8}} {
		samples := make([]int16, 1000*f.Channels)
		for i := range samples {
			samples[i] = int16(i*7919 - 20000)
		}
		for _, frames := range []int64{1000, -1} {
			file := AppendBytes(WAVHeader(f, frames), samples)
			if frames > 0 && binary.LittleEndian.Uint32(file[4:]) != uint32(len(file)-8) {
				t.Errorf("%v: RIFF size %d of a file of %d", f, binary.LittleEndian.Uint32(file[4:]), len(file))
			}
			for _, at := range []int{1, 7, 333, 5000} {
				w, err := NewWAVReader(iotest.HalfReader(bytes.NewReader(file)))
				if err != nil {
					t.Fatal(err)
				}
				if w.Format != f || w.Frames != frames {
					t.Errorf("read %v and %d frames, wrote %v and %d", w.Format, w.Frames, f, frames)
				}
				if got, err := read(w, at); err != nil || !slices.Equal(got, samples) {
					t.Errorf("%v, %d frames at a time: got %d samples, %v", f, at, len(got), err)
				}
			}
		}
	}
}

func TestWAVHeaderOfWhatDoesNotFit(t *testing.T) {
	h := WAVHeader(Format{48000, 2}, 1<<31)
	if len(h) != WAVHeaderSize {
		t.Fatalf("%d bytes", len(h))
	}
	w, err := NewWAVReader(bytes.NewReader(h))
	if err != nil || w.Frames != -1 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestWAVWithOtherChunks(t *testing.T) {
	samples := []int16{1, -2, 3, -4}
	extensible := append(fmtBody(0xFFFE, 2, 48000, 16), 22, 0, 16, 0, 3, 0, 0, 0, 1, 0)
	extensible = append(extensible, make([]byte, 14)...)
	for name, file := range map[string][]byte{
		"a list before":      riff(chunk("LIST", []byte("odd")), chunk("fmt ", fmtBody(1, 2, 8000, 16)), chunk("data", AppendBytes(nil, samples))),
		"a list after":       riff(chunk("fmt ", fmtBody(1, 2, 8000, 16)), chunk("data", AppendBytes(nil, samples)), chunk("LIST", []byte("even"))),
		"an extended format": riff(chunk("fmt ", extensible), chunk("data", AppendBytes(nil, samples))),
		"an odd format":      riff(chunk("fmt ", append(fmtBody(1, 2, 8000, 16), 0)), chunk("data", AppendBytes(nil, samples))),
	} {
		w, err := NewWAVReader(bytes.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := read(w, 100); err != nil || !slices.Equal(got, samples) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestWAVDamagedHeads(t *testing.T) {
	good := riff(chunk("fmt ", fmtBody(1, 1, 8000, 16)), chunk("data", []byte{1, 2}))
	for cut := range WAVHeaderSize {
		if _, err := NewWAVReader(bytes.NewReader(good[:cut])); err == nil {
			t.Errorf("a head of %d bytes was taken", cut)
		}
	}
	data := chunk("data", []byte{1, 2})
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"another file":    {append([]byte("OggS"), make([]byte, 100)...), "not a WAV file"},
		"RIFF, not WAVE":  {append([]byte("RIFF\x00\x00\x00\x00AVI "), make([]byte, 100)...), "not a WAV file"},
		"data first":      {riff(data), "before its format"},
		"8 bits":          {riff(chunk("fmt ", fmtBody(1, 1, 8000, 8)), data), "8 bits"},
		"float":           {riff(chunk("fmt ", fmtBody(3, 1, 8000, 32)), data), "format 3"},
		"mu-law":          {riff(chunk("fmt ", fmtBody(7, 1, 8000, 8)), data), "sox"},
		"no channels":     {riff(chunk("fmt ", fmtBody(1, 0, 8000, 16)), data), "0 channels"},
		"too many":        {riff(chunk("fmt ", fmtBody(1, 1000, 8000, 16)), data), "1000 channels"},
		"no rate":         {riff(chunk("fmt ", fmtBody(1, 1, 0, 16)), data), "0 Hz"},
		"an absurd rate":  {riff(chunk("fmt ", fmtBody(1, 1, 1<<31, 16)), data), "Hz"},
		"a short format":  {riff(chunk("fmt ", make([]byte, 8)), data), "format chunk of 8 bytes"},
		"a giant format":  {append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 0xFF, 0xFF, 0xFF, 0xFF), "format chunk of"},
		"a giant chunk":   {append([]byte("RIFF\x00\x00\x00\x00WAVEjunk"), 0xFF, 0xFF, 0xFF, 0xFF), "junk"},
		"no data":         {riff(chunk("fmt ", fmtBody(1, 1, 8000, 16))), "no data chunk"},
		"ends in a chunk": {riff(chunk("LIST", []byte("abcd")))[:22], "LIST"},
	} {
		_, err := NewWAVReader(bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestWAVCutInItsData(t *testing.T) {
	f := Format{8000, 2}
	samples := []int16{1, 2, 3, 4, 5, 6}
	file := AppendBytes(WAVHeader(f, 3), samples)
	for cut := WAVHeaderSize; cut <= len(file); cut++ {
		w, err := NewWAVReader(bytes.NewReader(file[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		want := samples[:(cut-WAVHeaderSize)/4*2] // whole frames only
		if got, err := read(w, 2); err != nil || !slices.Equal(got, want) {
			t.Errorf("cut at %d: %v, %v, want %v", cut, got, err, want)
		}
	}
}

func TestWAVReadError(t *testing.T) {
	file := AppendBytes(WAVHeader(Format{8000, 1}, 100), make([]int16, 10))
	w, err := NewWAVReader(io.MultiReader(bytes.NewReader(file), iotest.ErrReader(errors.New("disk broke"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(w, 5); err == nil || !strings.Contains(err.Error(), "disk broke") {
		t.Errorf("the error was %v", err)
	}
}

func FuzzNewWAVReader(f *testing.F) {
	f.Add(AppendBytes(WAVHeader(Format{8000, 1}, 4), []int16{1, 2, 3, 4}))
	f.Add(AppendBytes(WAVHeader(Format{48000, 2}, -1), []int16{1, 2, 3, 4}))
	f.Add(riff(chunk("LIST", []byte("odd")), chunk("fmt ", fmtBody(0xFFFE, 2, 8000, 16)), chunk("data", []byte{1, 2, 3})))
	f.Add(riff(chunk("fmt ", fmtBody(1, 32, 768000, 16)), chunk("data", make([]byte, 100))))
	f.Fuzz(func(t *testing.T, file []byte) {
		w, err := NewWAVReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		if w.Format.Channels < 1 || w.Format.Rate < 1 || w.Frames < -1 {
			t.Fatalf("%+v", w)
		}
		got, err := read(w, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(got)%w.Format.Channels != 0 || len(got)*2 > len(file) {
			t.Fatalf("%d samples of %d channels from %d bytes", len(got), w.Format.Channels, len(file))
		}
		if w.Frames >= 0 && int64(len(got)) > w.Frames*int64(w.Format.Channels) {
			t.Fatalf("%d samples, but the head says %d frames", len(got), w.Frames)
		}
	})
}
