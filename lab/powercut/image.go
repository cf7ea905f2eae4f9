package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
)

const blockSize = 4096

// block is never changed once it is in an image, so that images share them.
type block [blockSize]byte

// Image is what a card holds, in memory but for what is zero.
type Image struct {
	size   int64
	blocks map[int64]*block // by offset / blockSize
}

// NewImage is a card of zeros.
func NewImage(size int64) *Image {
	return &Image{size: size, blocks: make(map[int64]*block)}
}

// ReadImage reads a card.
func ReadImage(name string) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read card: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read card: %w", err)
	}
	m := NewImage(st.Size())
	b := make([]byte, 256*blockSize)
	for at := int64(0); at < m.size; {
		n, err := f.ReadAt(b[:min(int64(len(b)), m.size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read card: %w", err)
		}
		if n == 0 {
			return nil, fmt.Errorf("read card %s: %w", name, io.ErrUnexpectedEOF)
		}
		if err := m.Write(at, b[:n]); err != nil {
			return nil, err
		}
		at += int64(n)
	}
	return m, nil
}

// Clone is an image that changes on its own.
func (m *Image) Clone() *Image { return &Image{size: m.size, blocks: maps.Clone(m.blocks)} }

// Size in bytes.
func (m *Image) Size() int64 { return m.size }

// Write puts data at the offset; it keeps nothing of data.
func (m *Image) Write(at int64, data []byte) error {
	if at < 0 || int64(len(data)) > m.size-at {
		return fmt.Errorf("write %d bytes at %d of a card of %d", len(data), at, m.size)
	}
	for len(data) > 0 {
		in := int(at % blockSize)
		n := min(blockSize-in, len(data))
		m.put(at/blockSize, in, data[:n])
		at, data = at+int64(n), data[n:]
	}
	return nil
}

func (m *Image) put(number int64, in int, data []byte) {
	old := m.blocks[number]
	if old == nil && isZero(data) {
		return
	}
	if len(data) == blockSize && isZero(data) {
		delete(m.blocks, number)
		return
	}
	b := new(block)
	if old != nil {
		*b = *old
	}
	copy(b[in:], data)
	m.blocks[number] = b
}

// Zero makes a stretch zeros.
func (m *Image) Zero(at, length int64) error {
	if at < 0 || length < 0 || length > m.size-at {
		return fmt.Errorf("discard %d bytes at %d of a card of %d", length, at, m.size)
	}
	for length > 0 {
		in := at % blockSize
		n := min(blockSize-in, length)
		m.put(at/blockSize, int(in), zeros[:n])
		at, length = at+n, length-n
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (m *Image) ReadAt(b []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, errors.New("read card: negative offset")
	}
	for n < len(b) {
		if at >= m.size {
			return n, io.EOF
		}
		in := at % blockSize
		part := b[n:min(len(b), n+int(min(blockSize-in, m.size-at)))]
		if have := m.blocks[at/blockSize]; have != nil {
			copy(part, have[in:])
		} else {
			clear(part)
		}
		n, at = n+len(part), at+int64(len(part))
	}
	return n, nil
}

// WriteFile writes the card to a new file, with holes for what is zero.
func (m *Image) WriteFile(name string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(m.size); err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	for number, b := range m.blocks {
		at := number * blockSize
		if _, err := f.WriteAt(b[:min(blockSize, m.size-at)], at); err != nil {
			return fmt.Errorf("write card: %w", err)
		}
	}
	return nil
}

var zeros block // never changes

func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
