package pcm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// WAVHeaderSize is what WAVHeader takes, in bytes.
const WAVHeaderSize = 44

// WAVHeader is the head of a WAV file (RIFF, PCM, 16 bits) that holds so many frames. Frames below 0 stand for a length
// that is not known yet: the fields then hold the greatest value, which players read as "to the end of the file".
func WAVHeader(f Format, frames int64) []byte {
	size := uint32(math.MaxUint32 - WAVHeaderSize)
	if bytes := frames * int64(f.Channels) * 2; frames >= 0 && bytes < int64(size) {
		size = uint32(bytes)
	}
	block := f.Channels * 2
	h := make([]byte, 0, WAVHeaderSize)
	h = append(h, "RIFF"...)
	h = binary.LittleEndian.AppendUint32(h, size+WAVHeaderSize-8)
	h = append(h, "WAVEfmt "...)
	h = binary.LittleEndian.AppendUint32(h, 16)
	h = binary.LittleEndian.AppendUint16(h, 1) // WAVE_FORMAT_PCM
	h = binary.LittleEndian.AppendUint16(h, uint16(f.Channels))
	h = binary.LittleEndian.AppendUint32(h, uint32(f.Rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(f.Rate*block))
	h = binary.LittleEndian.AppendUint16(h, uint16(block))
	h = binary.LittleEndian.AppendUint16(h, 16)
	h = append(h, "data"...)
	return binary.LittleEndian.AppendUint32(h, size)
}

// WAVReader reads the samples of a WAV file of 16-bit PCM.
type WAVReader struct {
	Format Format
	Frames int64 // as the head says; -1 where it says "to the end"
	r      io.Reader
	buf    []byte
}

// NewWAVReader reads the head of a WAV file, up to its first sample. Other chunks before the data are passed over.
func NewWAVReader(r io.Reader) (*WAVReader, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read WAV head: %w", err)
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, errors.New("not a WAV file: it does not begin with RIFF and WAVE")
	}
	w := &WAVReader{r: r}
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			return nil, fmt.Errorf("read WAV head: no data chunk: %w", err)
		}
		size := binary.LittleEndian.Uint32(chunk[4:])
		switch string(chunk[:4]) {
		case "fmt ":
			if err := w.readFormat(size); err != nil {
				return nil, err
			}
		case "data":
			if w.Format.Rate == 0 {
				return nil, errors.New("WAV file has its data before its format")
			}
			w.Frames = int64(size) / int64(w.Format.Channels*2)
			if size == 0 || size >= math.MaxUint32-2*WAVHeaderSize {
				w.Frames = -1
			} else {
				w.r = io.LimitReader(r, w.Frames*int64(w.Format.Channels*2))
			}
			return w, nil
		default:
			if _, err := io.CopyN(io.Discard, r, int64(size)+int64(size&1)); err != nil {
				return nil, fmt.Errorf("read WAV chunk %q: %w", chunk[:4], err)
			}
		}
	}
}

func (w *WAVReader) readFormat(size uint32) error {
	if size < 16 || size > 1024 {
		return fmt.Errorf("WAV format chunk of %d bytes", size)
	}
	b := make([]byte, size+size&1)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return fmt.Errorf("read WAV format: %w", err)
	}
	const pcmTag, extensible = 1, 0xFFFE
	tag, bits := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[14:])
	w.Format = Format{Rate: int(binary.LittleEndian.Uint32(b[4:])), Channels: int(binary.LittleEndian.Uint16(b[2:]))}
	if tag == extensible && size >= 26 {
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	if tag != pcmTag || bits != 16 {
		return fmt.Errorf("WAV file has format %d with %d bits a sample: only 16-bit PCM (format 1) is read; convert it with: sox IN.wav -b 16 -e signed OUT.wav", tag, bits)
	}
	if w.Format.Channels < 1 || w.Format.Channels > 32 || w.Format.Rate < 1000 || w.Format.Rate > 768000 {
		return fmt.Errorf("WAV file claims %d channels at %d Hz", w.Format.Channels, w.Format.Rate)
	}
	return nil
}

// Read fills dst with whole frames and returns how many samples it read; io.EOF after the last.
func (w *WAVReader) Read(dst []int16) (int, error) {
	want := len(dst) / w.Format.Channels * w.Format.Channels * 2
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	n, err := io.ReadFull(w.r, w.buf[:want])
	samples := n / (2 * w.Format.Channels) * w.Format.Channels
	for i := range samples {
		dst[i] = int16(binary.LittleEndian.Uint16(w.buf[2*i:]))
	}
	if samples > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = nil
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return samples, err
}

// AppendBytes appends samples to dst as they stand in a WAV file: 16 bits, little-endian.
func AppendBytes(dst []byte, samples []int16) []byte {
	for _, s := range samples {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(s))
	}
	return dst
}
