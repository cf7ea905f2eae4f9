package line

import (
	"fmt"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// inUse is what is heard while the handset is lifted: the room, the network and the far end add to the line's noise.
func inUse(parts ...[]int16) []int16 { return add(join(parts...), noise(9, seconds(parts...), -50)) }

// foreign is a dial tone that the table of tones does not have.
func foreign(seconds float64) []int16 { return tones(seconds, -19, 420) }

// TestWithoutAHook: what tells calls apart where no contact does. The hang-over is 20 s, so that a held call would be split
// and the calls of a line whose noise drops would not wait for it.
func TestWithoutAHook(t *testing.T) {
	first := [][]int16{dial(3), digits("5551234"), silence(2), ringBack(1), talk(12)}
	outgoing := inUse(first...)
	lasts := seconds(outgoing)
	for _, r := range []row{
		{name: "held in silence, and the line sounds as in the call", sound: [][]int16{silence(30), inUse(join(first...), silence(70), talk(10)), silence(40)},
			want: []span{{28, 30 + lasts + 81, call.BeganDialTone, call.EndedSilence}}},
		{name: "held in silence, and forgotten", sound: [][]int16{silence(30), inUse(join(first...), silence(120))},
			want: []span{{28, 30 + lasts + 1, call.BeganDialTone, call.EndedSilence}}},
		{name: "clicks after the call", sound: [][]int16{silence(30), outgoing, add(silence(80), clicks(3, 80, -12, 0.2))},
			want: []span{{28, 30 + lasts + 1, call.BeganDialTone, call.EndedSilence}}},
		{name: "the next number is dialled after a moment", sound: [][]int16{silence(30), outgoing, silence(3), inUse(silence(2), digits("5559876"), silence(2), talk(10)), silence(40)},
			want: []span{{28, 30 + lasts + 1, call.BeganDialTone, call.EndedNext}, {30 + lasts + 1, 30 + lasts + 19.1, call.BeganDigits, call.EndedSilence}}},
		{name: "a menu after a silence is none", sound: [][]int16{silence(30), inUse(join(first...), silence(12), digits("17"), talk(10)), silence(40)},
			want: []span{{28, 30 + lasts + 23.3, call.BeganDialTone, call.EndedSilence}}},
		{name: "the next number is keyed into a foreign dial tone", sound: [][]int16{silence(30), join(first...), silence(5), foreign(1), digits("5559876"), silence(2), talk(10), silence(40)},
			want: []span{{28, 30 + lasts + 5, call.BeganDialTone, call.EndedTone}, {30 + lasts + 5, 30 + lasts + 20.1, call.BeganDigits, call.EndedSilence}}},
		{name: "music that rings", sound: [][]int16{silence(30), inUse(join(first...), silence(4), bellRing(.5, -20), silence(1), talk(10)), silence(40)},
			want: []span{{28, 30 + lasts + 16.5, call.BeganDialTone, call.EndedSilence}}},
		{name: "it rings", sound: [][]int16{silence(30), outgoing, silence(4), bells(1), talk(10), silence(40)},
			want: []span{{28, 30 + lasts + 1, call.BeganDialTone, call.EndedNext}, {30 + lasts + 2, 30 + lasts + 21, call.BeganRing, call.EndedSilence}}},
	} {
		for _, period := range []int{800, 1600} {
			t.Run(fmt.Sprintf("%s/%d", r.name, period), func(t *testing.T) { r.check(t, r.run(t, period)) })
		}
	}
}
