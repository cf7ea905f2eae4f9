package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Page is a page that was read.
type Page struct {
	Flags    byte
	Granule  int64
	Serial   uint32
	Sequence uint32
	Packets  [][]byte // valid until the next page is read; the reader has no more use for the bytes
}

// Reader reads the pages of a stream.
type Reader struct {
	r      io.Reader
	offset int64
	page   Page
	buf    [headSize + maxLacing + maxLacing*255]byte
}

// NewReader reads pages from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next reads one page. It returns io.EOF at the end of the last page, and an error that says where where the bytes are
// no whole, undamaged page.
func (r *Reader) Next() (*Page, error) {
	n, err := io.ReadFull(r.r, r.buf[:headSize])
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("page at byte %d, after %d bytes: %w", r.offset, n, err)
	}
	page, size, err := r.read()
	if err != nil {
		return nil, fmt.Errorf("page at byte %d: %w", r.offset, err)
	}
	r.offset += int64(size)
	return page, nil
}

// read reads the rest of the page whose head stands in buf.
func (r *Reader) read() (*Page, int, error) {
	if string(r.buf[:5]) != "OggS\x00" {
		return nil, 0, fmt.Errorf("begins with %q: want OggS, version 0", r.buf[:5])
	}
	body := headSize + int(r.buf[lacingCount])
	if _, err := io.ReadFull(r.r, r.buf[headSize:body]); err != nil {
		return nil, 0, torn(err)
	}
	lacing := r.buf[headSize:body]
	size := body
	for _, n := range lacing {
		size += int(n)
	}
	if _, err := io.ReadFull(r.r, r.buf[body:size]); err != nil {
		return nil, 0, torn(err)
	}
	want := binary.LittleEndian.Uint32(r.buf[crcOffset:])
	clear(r.buf[crcOffset : crcOffset+4])
	if got := checksum(0, r.buf[:size]); got != want {
		return nil, 0, fmt.Errorf("damaged: checksum %08x, its head says %08x", got, want)
	}
	p := &r.page
	p.Flags = r.buf[5]
	p.Granule = int64(binary.LittleEndian.Uint64(r.buf[6:]))
	p.Serial = binary.LittleEndian.Uint32(r.buf[14:])
	p.Sequence = binary.LittleEndian.Uint32(r.buf[18:])
	p.Packets = p.Packets[:0]
	if p.Flags&FlagContinued != 0 || len(lacing) > 0 && lacing[len(lacing)-1] == 255 {
		return nil, 0, errors.New("a packet goes over the edge of the page: Linekeeper writes none such")
	}
	start := body
	for _, n := range lacing {
		body += int(n)
		if n < 255 {
			p.Packets = append(p.Packets, r.buf[start:body:body])
			start = body
		}
	}
	return p, size, nil
}

// torn makes of the end of the stream within a page what it is.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
