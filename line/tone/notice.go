package tone

import "math"

// noticer tells the tone by which a recorder says that it records: bursts of about 1400 Hz, some 15 s apart. One alone
// may be anything; from the second on each is told, and the first with the second.
type noticer struct {
	last burst
	have bool
	told bool
}

// Other texts than FS-1037's half a second every 15 s have 0.2 s, spacings of 12 to 18 s and 1260 to 1540 Hz. Germany has
// 0.08 s, which is too short to be told from a voice.
const (
	noticeLow   = 1260.0
	noticeHigh  = 1540.0
	noticeLeast = 0.15 * hopsASecond
	noticeMost  = 0.65 * hopsASecond
	spacedLeast = 11.5 * hopsASecond
	spacedMost  = 18.5 * hopsASecond
	noticeHz    = 12.0 // by which two differ at most
	noticeHops  = 3.0
)

// add takes a burst that has ended and returns the notices that it makes known.
func (n *noticer) add(b burst) (notices []burst) {
	if b.cut || b.low < noticeLow || b.high > noticeHigh || b.high-b.low > noticeHz ||
		b.hops() < noticeLeast || b.hops() > noticeMost {
		return nil
	}
	apart := b.begin - n.last.begin
	same := n.have && math.Abs(b.low-n.last.low) <= noticeHz && math.Abs(b.hops()-n.last.hops()) <= noticeHops
	switch {
	case same && apart >= spacedLeast && apart <= spacedMost:
		if !n.told {
			notices = append(notices, n.last)
		}
		n.last, n.told = b, true
		return append(notices, b)
	case same || !n.have || apart > spacedMost: // what comes too often is something else
		n.last, n.have, n.told = b, true, false
	}
	return nil
}
