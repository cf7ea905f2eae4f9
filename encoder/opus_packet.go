package encoder

import (
	"errors"
	"fmt"
)

var errPacketCut = errors.New("packet ends too early")

// opusSamples is how long a packet lasts, in samples of 48 kHz, by its first bytes (RFC 6716, section 3.1). In a packet
// of several streams that is the first one's, and all are equally long.
func opusSamples(packet []byte) (int64, error) {
	if len(packet) == 0 {
		return 0, errPacketCut
	}
	var frame int64
	switch config := packet[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [...]int64{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [...]int64{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	count := int64(1)
	switch packet[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(packet) < 2 {
			return 0, errPacketCut
		}
		count = int64(packet[1] & 0x3f)
	}
	if count == 0 || count*frame > maxPacketSamples {
		return 0, fmt.Errorf("packet of %d frames of %d samples", count, frame)
	}
	return count * frame, nil
}

// splitPacket takes the first packet off two streams' packets. It says its own length (RFC 6716, appendix B), in a field
// after its first byte that an ordinary packet does not have. The field is taken out by moving that byte up to the frame:
// packet is overwritten by that. Only packets of one frame are split, as Linekeeper writes no others.
func splitPacket(packet []byte) (first, rest []byte, err error) {
	if len(packet) < 2 {
		return nil, nil, errPacketCut
	}
	if packet[0]&3 != 0 {
		return nil, nil, fmt.Errorf("packet of several frames (first byte %02x) on the first of two sides", packet[0])
	}
	length, field := int(packet[1]), 1
	if length >= 252 { // two bytes (section 3.2.1)
		if len(packet) < 3 {
			return nil, nil, errPacketCut
		}
		length, field = length+4*int(packet[2]), 2
	}
	end := 1 + field + length
	if end > len(packet) {
		return nil, nil, errPacketCut
	}
	packet[field] = packet[0]
	return packet[field:end], packet[end:], nil
}
