package encoder

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/pion/opus"

	"github.com/linekeeper/linekeeper/encoder/ogg"
	"github.com/linekeeper/linekeeper/pcm"
)

const (
	pageSamples      = opusRate // of 48 kHz, in every page but the last
	maxPacketSamples = 120 * 48 // of 48 kHz: a packet is at most 120 ms
)

// opusDecoder decodes Ogg Opus at the rate that was encoded: Opus decodes to any of its rates, so nothing is resampled.
//
// pion/opus v0.1.0 follows libopus closely in speech (55 dB over 51 min of it at 8 kHz, no second below 30 dB), but not in
// pure tones that come out of silence at 8 kHz: the first second of a sweep came out 8 dB too loud, that of a ring-back
// tone (440 and 480 Hz) 1 dB.
type opusDecoder struct {
	pages   *ogg.Reader
	format  pcm.Format
	scale   int64 // samples of 48 kHz in a frame
	preSkip int64 // samples of 48 kHz
	codecs  []opus.Decoder
	serial  uint32

	next     uint32   // sequence of the page that should come
	position int64    // at the end of the page read, in samples of 48 kHz
	packets  [][]byte // of that page, not yet decoded
	silence  int64    // frames still to make for lost pages, before the packets

	skip  int64 // frames still to drop: the codec's delay
	given int64 // frames
	end   int64 // frames in all, once the last page told

	pcm     []int16 // decoded and not yet read
	room    []int16 // what pcm is a part of
	channel []int16 // one channel of a packet
}

func newOpusDecoder(r io.Reader) (*opusDecoder, error) {
	d := &opusDecoder{pages: ogg.NewReader(r)}
	page, err := d.headPage(0)
	if err != nil {
		return nil, err
	}
	head, err := parseOpusHead(page.Packets[0])
	if err != nil {
		return nil, err
	}
	if page, err = d.headPage(1); err != nil {
		return nil, err
	}
	if tags := page.Packets[0]; len(tags) < 8 || string(tags[:8]) != "OpusTags" {
		return nil, errors.New("the second packet is no OpusTags")
	}
	rate := head.rate
	switch rate {
	case 8000, 12000, 16000, 24000, opusRate:
	default:
		rate = opusRate // the head's rate is a hint only (RFC 7845, section 5.1)
	}
	d.format = pcm.Format{Rate: rate, Channels: head.channels}
	d.scale = int64(opusRate / rate)
	d.skip = int64(head.preSkip) / d.scale
	d.preSkip = int64(head.preSkip)
	d.end = math.MaxInt64
	d.channel = make([]int16, maxPacketSamples/int(d.scale))
	d.room = make([]int16, len(d.channel)*head.channels)
	for range head.channels {
		codec, err := opus.NewDecoderWithOutput(rate, 1)
		if err != nil {
			return nil, err
		}
		d.codecs = append(d.codecs, codec)
	}
	return d, nil
}

// headPage reads one of the first two pages, which hold a packet each.
func (d *opusDecoder) headPage(sequence uint32) (*ogg.Page, error) {
	page, err := d.pages.Next()
	if err != nil {
		return nil, err
	}
	if sequence == 0 {
		d.serial = page.Serial
	}
	if page.Serial != d.serial || page.Sequence != sequence || len(page.Packets) != 1 {
		return nil, fmt.Errorf("page %d of stream %08x with %d packets, where the head should be", page.Sequence, page.Serial, len(page.Packets))
	}
	d.next = sequence + 1
	return page, nil
}

func (d *opusDecoder) Format() pcm.Format { return d.format }

func (d *opusDecoder) Read(dst []int16) (int, error) {
	for len(d.pcm) == 0 {
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(dst, d.pcm)
	d.pcm = d.pcm[n:]
	return n, nil
}

// fill makes a stretch of silence, decodes a packet, or reads a page.
func (d *opusDecoder) fill() error {
	switch {
	case d.given >= d.end:
		return io.EOF
	case d.silence > 0:
		n := min(d.silence, int64(len(d.channel)))
		d.silence -= n
		d.pcm = d.room[:n*int64(d.format.Channels)]
		clear(d.pcm)
	case len(d.packets) > 0:
		if err := d.decode(d.packets[0]); err != nil {
			return err
		}
		d.packets = d.packets[1:]
	default:
		return d.readPage()
	}
	frames := int64(len(d.pcm) / d.format.Channels)
	drop := min(d.skip, frames)
	d.skip -= drop
	keep := min(frames-drop, d.end-d.given)
	d.given += keep
	d.pcm = d.pcm[drop*int64(d.format.Channels):][:keep*int64(d.format.Channels)]
	return nil
}

// readPage takes in the next page and finds out what was lost before it: every page but the last is a second long.
func (d *opusDecoder) readPage() error {
	page, err := d.pages.Next()
	if err != nil {
		return err
	}
	lost := page.Sequence - d.next
	if page.Serial != d.serial || lost > maxLost {
		return fmt.Errorf("page %d of stream %08x: want page %d of stream %08x", page.Sequence, page.Serial, d.next, d.serial)
	}
	d.next = page.Sequence + 1
	before := d.position + int64(lost)*pageSamples
	d.silence = int64(lost) * pageSamples / d.scale
	d.position = before
	for _, packet := range page.Packets {
		samples, err := opusSamples(packet)
		if err != nil {
			return err
		}
		d.position += samples
	}
	d.packets = page.Packets
	if page.Flags&ogg.FlagLast != 0 {
		if page.Granule > d.position || page.Granule < max(before, d.preSkip) {
			return fmt.Errorf("last page ends at %d, with audio from %d to %d", page.Granule, before, d.position)
		}
		d.end = (page.Granule - d.preSkip) / d.scale
		return nil
	}
	if page.Granule != d.position {
		return fmt.Errorf("page %d ends at %d, by its packets at %d", page.Sequence, page.Granule, d.position)
	}
	return nil
}

// decode decodes one packet into pcm: with two sides, one packet of either, of which the first says its own length.
func (d *opusDecoder) decode(packet []byte) error {
	channels, frames := d.format.Channels, 0
	for i := range d.codecs {
		stream := packet
		if i < channels-1 {
			var err error
			if stream, packet, err = splitPacket(packet); err != nil {
				return err
			}
		}
		n, err := d.codecs[i].DecodeToInt16(stream, d.channel)
		if err != nil {
			return err
		}
		if i > 0 && n != frames {
			return fmt.Errorf("sides of %d and %d frames in one packet", frames, n)
		}
		frames = n
		for k, v := range d.channel[:n] {
			d.room[k*channels+i] = v
		}
	}
	d.pcm = d.room[:frames*channels]
	return nil
}
