package callerid

import (
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// Keyed reads caller ID that the exchange sends as DTMF digits before it rings or between two rings, in the forms of many
// countries:
//
//	A number C            A number D redirect B info C       A number #
//	D number C            B info C                           number #
//
// Info 00 stands for a number that is not available, 10 for one that is withheld. Nobody can key A to D, so all forms but
// the last are certain; the last is also what a person dials, and is read only where the line is known to send it, and
// before the handset is lifted. The zero value reads all but the last.
type Keyed struct {
	Bare bool  // number # is read too
	Gap  int64 // frames between two digits that end what was begun; 0: 8000, a second at 8 kHz

	keys       []byte
	begin, end int64
}

const (
	mostKeys  = 64
	leastBare = 3 // digits of a number without letters
)

// Mark takes the next digit of the line, a mark as line/dtmf gives it, and returns the caller ID that it completes.
func (k *Keyed) Mark(digit call.Mark) (call.Mark, bool) {
	if len(digit.Value) != 1 {
		return call.Mark{}, false
	}
	m, ok := k.key(digit.Value[0], digit.Position, digit.Frames)
	if !ok {
		return call.Mark{}, false
	}
	return call.Mark{Kind: call.MarkCallerID, Position: m.Position, Frames: m.Frames, Value: m.Value()}, true
}

func (k *Keyed) key(key byte, position, frames int64) (Message, bool) {
	gap := k.Gap
	if gap == 0 {
		gap = 8000
	}
	if len(k.keys) > 0 && position-k.end > gap {
		k.keys = k.keys[:0]
	}
	begins := key == 'A' || key == 'D' && !k.within('A') || key == 'B' && !k.within('A') && !k.within('D')
	switch {
	case begins || k.Bare && len(k.keys) == 0 && isDigit(key):
		k.keys, k.begin = k.keys[:0], position
	case len(k.keys) == 0:
		return Message{}, false
	case len(k.keys) == mostKeys:
		k.keys = k.keys[:0]
		return Message{}, false
	}
	k.keys = append(k.keys, key)
	k.end = position + frames
	if key != 'C' && key != '#' {
		return Message{}, false
	}
	m, ok := readKeys(string(k.keys), k.Bare)
	m.Position, m.Frames = k.begin, k.end-k.begin
	m.Raw = append(Bytes(nil), k.keys...)
	k.keys = k.keys[:0]
	return m, ok
}

// within says whether a letter was keyed already.
func (k *Keyed) within(letter byte) bool { return strings.IndexByte(string(k.keys), letter) >= 0 }

func isDigit(key byte) bool { return key >= '0' && key <= '9' }

// readKeys reads what was keyed, the end included.
func readKeys(keys string, bare bool) (Message, bool) {
	m := Message{Form: DTMF, Intact: true}
	body := keys[:len(keys)-1]
	if body != "" && isDigit(body[0]) {
		m.Number = body
		return m, bare && keys[len(keys)-1] == '#' && len(body) >= leastBare && !strings.ContainsAny(body, "ABCD*")
	}
	first := byte(0)
	for body != "" {
		letter := body[0]
		n := strings.IndexAny(body[1:], "ABCD*#") + 1
		if n == 0 {
			n = len(body)
		}
		value := body[1:n]
		switch {
		case letter == 'A' || letter == 'D' && first == 0:
			m.Number = value
		case letter == 'D':
			m.Redirect = value
		case letter == 'B' && value == "00":
			m.NoNumber = Unavailable
		case letter == 'B' && value == "10":
			m.NoNumber = Private
		case letter == 'B':
			m.NoNumber = value
		default:
			return m, false
		}
		if first == 0 {
			first = letter
		}
		body = body[n:]
	}
	if m.Number != "" {
		m.NoNumber = ""
	}
	return m, m.Number != "" || m.NoNumber != ""
}
