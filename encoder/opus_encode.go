package encoder

import (
	"fmt"

	"github.com/linekeeper/linekeeper/encoder/libopus"
	"github.com/linekeeper/linekeeper/encoder/ogg"
)

// A chunk of Opus is a page of one second.
const packetsPerPage = libopus.PacketsPerSecond

const (
	defaultOpusBits       = 16000
	defaultOpusComplexity = 5
)

// opusEncoder gathers a second of samples, encodes it in one call into C, and writes it as one page.
type opusEncoder struct {
	codec    *libopus.Encoder
	stream   ogg.Stream
	channels int
	scale    int64 // samples of 48 kHz in a frame

	pcm     []int16 // what is not yet encoded; its capacity is a page's worth
	body    []byte  // a page's packets, one after another
	sizes   []int32
	page    []byte // what is handed out; before the first page it holds the head's two pages
	frames  int64  // of the input, written
	covered int64  // of the input, in chunks
	granule int64
	preSkip int64
	err     error
}

func newOpusEncoder(cfg Config) (Encoder, error) {
	bits, complexity, err := opusSettings(cfg)
	if err != nil {
		return nil, err
	}
	codec, err := libopus.New(cfg.Rate, cfg.Channels, bits, complexity)
	if err != nil {
		return nil, fmt.Errorf("make Opus encoder: %w", err)
	}
	e := &opusEncoder{
		codec:    codec,
		stream:   ogg.Stream{Serial: cfg.Serial},
		channels: cfg.Channels,
		scale:    int64(opusRate / cfg.Rate),
		pcm:      make([]int16, 0, packetsPerPage*codec.PacketFrames()*cfg.Channels),
		body:     make([]byte, packetsPerPage*libopus.MaxPacket),
		sizes:    make([]int32, packetsPerPage),
	}
	e.preSkip = int64(codec.Lookahead()) * e.scale
	e.writeHead(cfg)
	return e, nil
}

func opusSettings(cfg Config) (bits, complexity int, err error) {
	const minBits, maxBits, maxComplexity = 6000, 128000, 10
	switch cfg.Rate {
	case 8000, 12000, 16000, 24000, 48000:
	default:
		return 0, 0, fmt.Errorf("rate of %d Hz for Opus: want 8000, 12000, 16000, 24000 or 48000", cfg.Rate)
	}
	if bits = cfg.BitsPerSecond; bits == 0 {
		bits = defaultOpusBits
	}
	if bits < minBits || bits > maxBits {
		return 0, 0, fmt.Errorf("%d bits a second for Opus: want %d to %d", bits, minBits, maxBits)
	}
	switch complexity = cfg.Complexity; complexity {
	case 0:
		complexity = defaultOpusComplexity
	case -1:
		complexity = 0
	}
	if complexity < 0 || complexity > maxComplexity {
		return 0, 0, fmt.Errorf("complexity %d: want 1 to %d, 0 for %d, or -1 for the least", complexity, maxComplexity, defaultOpusComplexity)
	}
	return bits, complexity, nil
}

func (e *opusEncoder) writeHead(cfg Config) {
	head := opusHead{channels: cfg.Channels, preSkip: int(e.preSkip), rate: cfg.Rate}.packet()
	tags := opusTags(libopus.Version(), cfg.Title)
	e.page = e.stream.AppendPage(nil, ogg.FlagFirst, 0, []int32{int32(len(head))}, head)
	e.page = e.stream.AppendPage(e.page, 0, 0, []int32{int32(len(tags))}, tags)
}

// Write is Encoder's.
func (e *opusEncoder) Write(samples []int16, emit func(Chunk) error) error {
	if e.err == nil {
		e.err = wholeFrames(len(samples), e.channels)
	}
	for e.err == nil && len(samples) > 0 {
		n := min(len(samples), cap(e.pcm)-len(e.pcm))
		e.pcm = append(e.pcm, samples[:n]...)
		samples = samples[n:]
		e.frames += int64(n / e.channels)
		if len(e.pcm) == cap(e.pcm) {
			e.err = e.writePage(0, emit)
		}
	}
	return e.err
}

// Close is Encoder's. The last packets are filled up with silence so that the codec's delay is got over, and the last
// page's position says where the audio really ends.
func (e *opusEncoder) Close(emit func(Chunk) error) error {
	err := e.err
	e.err = errClosed
	if err != nil {
		return err
	}
	packet := e.codec.PacketFrames() * e.channels
	needed := len(e.pcm) + e.codec.Lookahead()*e.channels
	needed = (needed + packet - 1) / packet * packet
	if needed > cap(e.pcm) {
		// The delay needs one packet more than a page holds.
		e.pcm = append(e.pcm, make([]int16, cap(e.pcm)-len(e.pcm))...)
		needed -= cap(e.pcm)
		if err := e.writePage(0, emit); err != nil {
			return err
		}
	}
	e.pcm = append(e.pcm, make([]int16, needed-len(e.pcm))...)
	return e.writePage(ogg.FlagLast, emit)
}

// writePage encodes all of pcm, which must be whole packets, and hands it out as a page.
func (e *opusEncoder) writePage(flags byte, emit func(Chunk) error) error {
	sizes := e.sizes[:len(e.pcm)/e.channels/e.codec.PacketFrames()]
	n, err := e.codec.Encode(e.body, sizes, e.pcm)
	if err != nil {
		return fmt.Errorf("encode Opus: %w", err)
	}
	e.granule += int64(len(e.pcm)/e.channels) * e.scale
	if flags == ogg.FlagLast {
		e.granule = e.preSkip + e.frames*e.scale
	}
	e.pcm = e.pcm[:0]
	e.page = e.stream.AppendPage(e.page, flags, e.granule, sizes, e.body[:n])
	covered := (e.granule - e.preSkip) / e.scale
	err = emit(Chunk{Data: e.page, Frames: covered - e.covered})
	e.covered = covered
	e.page = e.page[:0]
	return err
}
