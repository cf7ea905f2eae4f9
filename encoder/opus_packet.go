package encoder

import (
	"errors"
	"fmt"
)

var errPacketCut = errors.New("Opus packet ends too early")

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
		return 0, fmt.Errorf("Opus packet of %d frames of %d samples", count, frame)
	}
	return count * frame, nil
}

// splitPacket takes the first packet off several streams' packets. All but the last stream's say their own length (RFC
// 6716, appendix B), in a field between head and frames that an ordinary packet does not have. It is taken out by moving
// the head up to the frames, so that nothing is copied but the head; packet is overwritten by that.
func splitPacket(packet []byte) (first, rest []byte, err error) {
	head, frames, padding, err := packetHead(packet)
	if err != nil {
		return nil, nil, err
	}
	last, field, err := frameLength(packet[head:])
	if err != nil {
		return nil, nil, err
	}
	end := head + field + padding
	if frames.same {
		end += frames.count * last
	} else {
		end += frames.others + last
	}
	if end > len(packet) {
		return nil, nil, errPacketCut
	}
	copy(packet[field:], packet[:head])
	return packet[field:end], packet[end:], nil
}

// packetFrames is what a packet's head says about its frames: that they are all as long as the last one, or how long
// the others are together.
type packetFrames struct {
	same   bool
	count  int
	others int
}

// packetHead reads a packet's head (RFC 6716, section 3.2): how many bytes it has, up to the field that appendix B adds,
// and how much padding follows the frames.
func packetHead(b []byte) (head int, frames packetFrames, padding int, err error) {
	if len(b) < 2 {
		return 0, frames, 0, errPacketCut
	}
	switch b[0] & 3 {
	case 0:
		return 1, packetFrames{same: true, count: 1}, 0, nil
	case 1:
		return 1, packetFrames{same: true, count: 2}, 0, nil
	case 2:
		n, field, err := frameLength(b[1:])
		return 1 + field, packetFrames{others: n}, 0, err
	}
	const variable, padded = 0x80, 0x40
	head = 2
	count := int(b[1] & 0x3f)
	for more := b[1]&padded != 0; more; head++ {
		if head >= len(b) {
			return 0, frames, 0, errPacketCut
		}
		more = b[head] == 255
		padding += min(int(b[head]), 254)
	}
	if b[1]&variable == 0 {
		return head, packetFrames{same: true, count: count}, padding, nil
	}
	for range count - 1 {
		n, field, err := frameLength(b[head:])
		if err != nil {
			return 0, frames, 0, err
		}
		head += field
		frames.others += n
	}
	return head, frames, padding, nil
}

// frameLength reads a length of one or two bytes (RFC 6716, section 3.2.1).
func frameLength(b []byte) (n, field int, err error) {
	switch {
	case len(b) >= 1 && b[0] < 252:
		return int(b[0]), 1, nil
	case len(b) >= 2:
		return int(b[0]) + 4*int(b[1]), 2, nil
	}
	return 0, 0, errPacketCut
}
