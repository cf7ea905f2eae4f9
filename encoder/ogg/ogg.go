// Package ogg writes and reads the pages of an Ogg stream (RFC 3533), as far as Linekeeper's media need them: one
// logical stream, and no packet that goes over from one page to the next.
//
// So each page stands on its own, and a stream cut after any page is whole up to there.
package ogg

import "encoding/binary"

// Flags of a page.
const (
	FlagContinued = 1 // begins in the middle of a packet: never written here
	FlagFirst     = 2
	FlagLast      = 4
)

const (
	headSize    = 27
	maxLacing   = 255
	crcOffset   = 22
	lacingCount = 26
)

// MaxPacket is the size in bytes of the largest packet that fits a page alone.
const MaxPacket = maxLacing*255 - 1

// Stream numbers the pages of one logical stream.
type Stream struct {
	Serial   uint32
	sequence uint32
}

// AppendPage appends to dst the stream's next page and returns it. Body holds the packets one after another, sizes how
// long each is; granule is the position at the end of the last of them. The caller sees to it that the packets fit:
// size/255 + 1 of each, summed, must not exceed 255.
func (s *Stream) AppendPage(dst []byte, flags byte, granule int64, sizes []int32, body []byte) []byte {
	start := len(dst)
	dst = append(dst, "OggS"...)
	dst = append(dst, 0, flags) // version 0
	dst = binary.LittleEndian.AppendUint64(dst, uint64(granule))
	dst = binary.LittleEndian.AppendUint32(dst, s.Serial)
	dst = binary.LittleEndian.AppendUint32(dst, s.sequence)
	dst = append(dst, 0, 0, 0, 0, 0) // CRC and count of lacing values: below
	for _, n := range sizes {
		for ; n >= 255; n -= 255 {
			dst = append(dst, 255)
		}
		dst = append(dst, byte(n))
	}
	dst[start+lacingCount] = byte(len(dst) - start - headSize)
	dst = append(dst, body...)
	binary.LittleEndian.PutUint32(dst[start+crcOffset:], checksum(0, dst[start:]))
	s.sequence++
	return dst
}

// checksum goes on from crc over b. Ogg's CRC-32 has the usual polynomial, but unreflected, begun with 0 and not
// inverted: hash/crc32 cannot make it.
func checksum(crc uint32, b []byte) uint32 {
	for _, v := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>24)^v]
	}
	return crc
}

var crcTable = makeTable()

func makeTable() (t [256]uint32) {
	for i := range t {
		crc := uint32(i) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}
