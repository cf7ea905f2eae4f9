package usbip

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Commands and answers of the protocol, which is big-endian throughout (Documentation/usb/usbip_protocol.rst).
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4

	headerSize = 48
	packetSize = 16

	longestTransfer = 1 << 20 // bytes; the drivers here ask for some hundreds
	mostPackets     = 1024    // USBIP_MAX_ISO_PACKETS
)

// Results of a transfer, errno(3) as Linux numbers them.
const (
	done    int32 = 0
	stalled int32 = -32  // EPIPE
	unasked int32 = -104 // ECONNRESET: taken back by the driver
)

// command is what the driver asks for: a transfer, or that one is taken back.
type command struct {
	seq      uint32
	unlink   uint32 // the seq of what is taken back; 0: this is a transfer
	in       bool
	endpoint uint32
	length   int // of the data, at most
	setup    setup
	data     []byte   // that goes out
	packets  []packet // of an isochronous transfer
}

// setup is how a transfer on endpoint 0 begins (USB 2.0, 9.3).
type setup struct {
	kind, request        byte
	value, index, length uint16
}

// packet is a part of an isochronous transfer: where its data stands, and how much there may be, in bytes.
type packet struct{ offset, length uint32 }

// readCommand reads the next command; io.EOF where the driver has hung up.
func readCommand(r io.Reader) (command, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return command{}, err
	}
	word := func(n int) uint32 { return binary.BigEndian.Uint32(head[4*n:]) }
	c := command{seq: word(1), in: word(3) == 1, endpoint: word(4)}
	switch word(0) {
	case cmdUnlink:
		c.unlink = word(5)
		return c, nil
	case cmdSubmit:
	default:
		return c, fmt.Errorf("read a command: %d is none", word(0))
	}
	length, packets := word(6), word(8)
	if packets == ^uint32(0) { // the protocol's other way to say that it is not isochronous
		packets = 0
	}
	if length > longestTransfer || packets > mostPackets {
		return c, fmt.Errorf("read a command: %d bytes in %d packets", length, packets)
	}
	c.length = int(length)
	tail := head[40:]
	c.setup = setup{
		kind: tail[0], request: tail[1], value: binary.LittleEndian.Uint16(tail[2:]),
		index: binary.LittleEndian.Uint16(tail[4:]), length: binary.LittleEndian.Uint16(tail[6:]),
	}
	if !c.in {
		c.data = make([]byte, length)
		if _, err := io.ReadFull(r, c.data); err != nil {
			return c, fmt.Errorf("read a command's data: %w", err)
		}
	}
	for range packets {
		var p [packetSize]byte
		if _, err := io.ReadFull(r, p[:]); err != nil {
			return c, fmt.Errorf("read a command's packets: %w", err)
		}
		c.packets = append(c.packets, packet{binary.BigEndian.Uint32(p[:]), binary.BigEndian.Uint32(p[4:])})
	}
	return c, nil
}

// appendHeader appends the header of an answer; of the words that follow the sequence number and the three that are of
// no meaning in an answer, the rest is zero.
func appendHeader(to []byte, kind, seq uint32, words ...uint32) []byte {
	var head [headerSize]byte
	for i, word := range append([]uint32{kind, seq, 0, 0, 0}, words...) {
		binary.BigEndian.PutUint32(head[4*i:], word)
	}
	return append(to, head[:]...)
}

// appendResult answers a transfer that is not isochronous, with the data that comes in.
func appendResult(to []byte, c command, status int32, data []byte) []byte {
	length := len(c.data)
	if c.in {
		length = len(data)
	}
	return append(appendHeader(to, retSubmit, c.seq, uint32(status), uint32(length)), data...)
}

// appendPackets answers an isochronous transfer: each packet's data and result.
func appendPackets(to []byte, c command, status int32, data [][]byte) []byte {
	total, failed := 0, uint32(0)
	for _, d := range data {
		total += len(d)
	}
	if status != done {
		failed = uint32(len(c.packets))
	}
	to = appendHeader(to, retSubmit, c.seq, uint32(done), uint32(total), 0, uint32(len(c.packets)), failed)
	for _, d := range data {
		to = append(to, d...)
	}
	for i, p := range c.packets {
		for _, word := range []uint32{p.offset, p.length, uint32(len(data[i])), uint32(status)} {
			to = binary.BigEndian.AppendUint32(to, word)
		}
	}
	return to
}

// appendUnlinked answers that a transfer is taken back.
func appendUnlinked(to []byte, seq uint32, status int32) []byte {
	return appendHeader(to, retUnlink, seq, uint32(status))
}
