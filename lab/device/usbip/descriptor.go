package usbip

import (
	"encoding/binary"
	"unicode/utf16"
)

// Requests of USB 2.0, table 9-4, and of Audio 1.0, table A-9.
const (
	getStatus        = 0x00
	clearFeature     = 0x01
	getDescriptor    = 0x06
	getConfiguration = 0x08
	setConfiguration = 0x09
	getInterface     = 0x0a
	setInterface     = 0x0b

	audioSetCurrent = 0x01
	audioGetCurrent = 0x81
)

// Kinds of requests: whose they are, what they are about, and which way their data goes.
const (
	toDevice       = 0x00
	toInterface    = 0x01
	toEndpoint     = 0x02
	audioToPoint   = 0x22
	fromDevice     = 0x80
	fromInterface  = 0x81
	fromEndpoint   = 0x82
	audioFromPoint = 0xa2
)

const soundEndpoint = 1 // capture; 0x81 with its direction

// The Linux Foundation's number for an audio gadget: no driver treats it as anything special.
const (
	vendor  = 0x1d6b
	product = 0x0101
)

// descriptor is what a card says of itself, or nil.
func (k Kind) descriptor(value uint16) []byte {
	switch value >> 8 {
	case 1:
		return []byte{
			18, 1, 0x10, 0x01, 0, 0, 0, 64, vendor & 0xff, vendor >> 8, product & 0xff, product >> 8,
			0x00, 0x01, 1, 2, 0, 1,
		}
	case 2:
		return k.configuration()
	case 3:
		switch value & 0xff {
		case 0:
			return []byte{4, 3, 0x09, 0x04}
		case 1:
			return text("Linekeeper")
		case 2:
			return text("Lab card")
		}
	}
	return nil
}

func text(s string) []byte {
	units := utf16.Encode([]rune(s))
	out := []byte{byte(2 + 2*len(units)), 3}
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// configuration is one telephone line that goes to a USB stream: no mixer, one format.
func (k Kind) configuration() []byte {
	_, longest := k.packet()
	shape := byte(0) // of the channels: mono says nothing, stereo says left and right
	if k.Channels == 2 {
		shape = 3
	}
	parts := [][]byte{
		{9, 4, 0, 0, 0, 1, 1, 0, 0},                                       // interface 0: audio control
		{9, 0x24, 1, 0, 1, 30, 0, 1, 1},                                   // Audio 1.0, 30 bytes of units, stream in interface 1
		{12, 0x24, 2, 1, 0x01, 0x05, 0, byte(k.Channels), shape, 0, 0, 0}, // terminal 1: phone line
		{9, 0x24, 3, 2, 0x01, 0x01, 0, 1, 0},                              // terminal 2: USB stream, from 1
		{9, 4, 1, 0, 0, 1, 2, 0, 0},                                       // interface 1: no stream
		{9, 4, 1, 1, 1, 1, 2, 0, 0},                                       // or, as its alternate, a stream
		{7, 0x24, 1, 2, 1, 1, 0},                                          // of terminal 2, PCM
		{11, 0x24, 2, 1, byte(k.Channels), 2, 16, 1, byte(k.Rate), byte(k.Rate >> 8), byte(k.Rate >> 16)},
		{9, 5, 0x80 | soundEndpoint, 5, byte(longest), byte(longest >> 8), 1, 0, 0}, // isochronous, asynchronous, each ms
		{7, 0x25, 1, 0x81, 0, 0, 0}, // with a rate that can be asked for; packets may be as long as that, whatever the rate
	}
	out := []byte{9, 2, 0, 0, 2, 1, 0, 0x80, 50}
	for _, p := range parts {
		out = append(out, p...)
	}
	binary.LittleEndian.PutUint16(out[2:], uint16(len(out)))
	return out
}
