package line

import "github.com/linekeeper/linekeeper/call"

// keyed takes a digit. On a line without a hook it begins a call, with its dial tone where there was one. Nobody can key A
// to D: with them the exchange tells who calls, and what it keys is no digit of the call.
func (l *Line) keyed(m call.Mark) {
	if len(l.keys) > 0 || len(m.Value) == 1 && m.Value[0] >= 'A' {
		l.keyedID(m)
		return
	}
	l.nextCall(m)
	if !l.inCall && (!l.hook.is || l.hook.off) {
		from := m.Position
		if m.Position-l.dialTone < l.lookBack-l.preRoll {
			from = l.dialTone
		}
		l.begin(from, call.BeganDigits)
		l.call.voice = max(l.call.voice, m.Position+m.Frames)
	}
	l.keep(m)
	c := &l.call
	switch {
	case !l.inCall:
	case c.incoming && !c.answered:
		l.silent(m)
	case !c.incoming:
		if c.number.over(m.Position, l.second) {
			l.dialled(m.Position)
		}
		c.number.add(m, c, l.second)
	}
}

// keyedID takes a digit by which the exchange may tell who calls.
func (l *Line) keyedID(m call.Mark) {
	if n := len(l.keys); n > 0 && m.Position-l.keys[n-1].Position > l.second {
		l.releaseKeys()
		l.keyed(m)
		return
	}
	if !l.inCall && !l.hook.is {
		l.begin(m.Position, call.BeganCallerID)
		l.call.incoming = true
	}
	l.keys = append(l.keys, m)
	if l.inCall && l.call.incoming && !l.call.answered {
		l.silent(m)
	}
	if id, ok := l.keyedIDs.Mark(m); ok {
		l.keys = l.keys[:0]
		l.identified(id)
	}
}

// releaseKeys marks the digits that were not the exchange's.
func (l *Line) releaseKeys() {
	keys := l.keys
	l.keys = nil
	for _, m := range keys {
		l.keep(m)
	}
}
