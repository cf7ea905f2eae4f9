package buffer

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// A segment of version 1, as docs/format-ring.md has it, written on 2026-11-23: the first bytes of its head, its records,
// and its directory. Every later version reads it.
const (
	vectorHead    = "4c4b5345474d4e5401000000000001000807060504030201020000000500000000000000c566977200000000"
	vectorRecords = "4c520100d6b21b1d050000002b0000110000000000000000000000000000000000000000000000007b226f70223a362c226c617374223a" +
		"332c226a7773223a22616a4d3d222c226163636570746564223a337d004c5201004d10b72c050000003300000100000000000000000044" +
		"3214c74254b635cf84653a56d7c07b2263616c6c223a223031323334353637383941424344454647484a4b4d4e50515230222c226c696e" +
		"65223a226465736b227d004c520100dd1190600500000007000003010000003300000000443214c74254b635cf84653a56d7c061206368" +
		"756e6b004c5201008fce0f110500000002000005020000003a00000000443214c74254b635cf84653a56d7c07b7d00004c520100beb1ee" +
		"d105000000d50000100400000000000000000000000000000000000000000000007b2276223a312c2274797065223a22656e64222c2264" +
		"6576696365223a22222c2265706f6368223a2230343130363130353052334747222c226e756d626572223a342c226174223a7b22626f6f" +
		"74223a22222c22626f6f745f74696d65223a302c2277616c6c223a22303030312d30312d30315430303a30303a30305a222c2267726164" +
		"65223a22227d2c2263616c6c223a223031323334353637383941424344454647484a4b4d4e50515230222c226d616e6966657374223a7b" +
		"2273697a65223a36302c22736861323536223a2273756d227d7d0000004c5201006744ecb4050000007300001100000000000000000000" +
		"00000000000000000000000000007b226f70223a342c2263616c6c223a223031323334353637383941424344454647484a4b4d4e505152" +
		"30222c22686f6c64223a22636f757274222c22686f6c6573223a5b7b227265636f7264223a312c227265636f726473223a312c226f6666" +
		"736574223a35312c2273697a65223a377d5d7d00"
	vectorDirectory = "00443214c74254b635cf84653a56d7c00000000003000000000000003c00000054100000e0100000010000000000000011060000001000" +
		"002b000000030000000000000000000000000000000000000000000000100000000c110000d5000000040000000000000000443214c742" +
		"54b635cf84653a56d7c0110400000c12000073000000000000000000000000443214c74254b635cf84653a56d7c001000000040000004c" +
		"4b4449524543540807060504030201020000000500000000200000010000000300000001000000010000002461a116"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	noError(t, err)
	return b
}

// The vector opens with its directory and without, and says: ledger at 4, accepted up to 3, one call on hold, whose
// second record is a hole of seven bytes.
func TestVectorOfVersion1(t *testing.T) {
	for name, directory := range map[string][]byte{"directory": unhex(t, vectorDirectory), "records": nil} {
		t.Run(name, func(t *testing.T) {
			segment := make([]byte, minSegment)
			copy(segment, unhex(t, vectorHead))
			copy(segment[pageSize:], unhex(t, vectorRecords))
			copy(segment[minSegment-len(directory):], directory)
			c := newCard(1)
			n := &inode{view: segment, disk: bytes.Clone(segment)}
			c.names["/card/ring/"+segmentName(2)], c.saved["/card/ring/"+segmentName(2)] = n, n
			o := memoryOptions(c)
			o.SegmentBytes, o.SizeBytes = minSegment, 8*minSegment
			o.Hole = func(first, records uint32, size int64) []byte { return []byte("<hole!>") }
			r, rec := mustOpen(t, o)
			if s := r.State(); s.Epoch != 0x0102030405060708 || s.Last != 4 || len(rec.Damaged)+len(rec.LostEntries)+rec.Torn > 0 {
				t.Errorf("state %+v, recovered %+v", s, rec)
			}
			id, err := call.ParseID("0123456789ABCDEFGHJKMNPQR0")
			noError(t, err)
			s := storedAs(t, r, id)
			if s.Header.Line != "desk" || s.Hold != "court" || !s.Ended || s.Size != 60 || s.Manifest == nil || s.Parked == "" {
				t.Errorf("stored %+v", s)
			}
			if got := string(readCall(t, r, id)); got != `{"call":"0123456789ABCDEFGHJKMNPQR0","line":"desk"}<hole!>{}` {
				t.Errorf("the call's file is %s", got)
			}
			if e, err := r.Entries(9); err != nil || len(e) != 1 || e[0].Number != 4 {
				t.Errorf("entries %v, %v", e, err)
			}
			if r.writer.open != nil != (directory == nil) || r.space.generation != 5 {
				t.Errorf("generation %d", r.space.generation)
			}
		})
	}
}
