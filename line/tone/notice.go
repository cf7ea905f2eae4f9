package tone

import (
	"fmt"
	"math"
	"time"
)

// NoticeForm is what is taken for the tone by which a recorder says that it records: bursts of one pitch, all of one
// length, that come again and again. Each is from and to.
type NoticeForm struct {
	Hz      [2]float64
	Length  [2]time.Duration
	Spacing [2]time.Duration // from one's beginning to the next's
}

// DefaultNotice has room for FS-1037's half a second of 1400 Hz every 15 s, and for other texts' 0.2 s, 12 to 18 s and 1260
// to 1540 Hz. Germany has 0.08 s, which is too short to be told from a voice.
func DefaultNotice() NoticeForm {
	return NoticeForm{
		Hz:      [2]float64{1260, 1540},
		Length:  [2]time.Duration{200 * time.Millisecond, 500 * time.Millisecond},
		Spacing: [2]time.Duration{12 * time.Second, 18 * time.Second},
	}
}

// What a notice may be: what the receiver's band holds, and what can be told from voices.
const (
	noticeLowest   = 1200.0
	noticeHighest  = 1600.0
	noticeShortest = 150 * time.Millisecond
	noticeLongest  = 2 * time.Second
	noticeOften    = 3 * time.Second
	noticeSeldom   = 2 * time.Minute
)

// Check says what cannot be heard of a form.
func (n NoticeForm) Check() error {
	switch {
	case !(n.Hz[0] >= noticeLowest && n.Hz[0] <= n.Hz[1] && n.Hz[1] <= noticeHighest):
		return fmt.Errorf("a notice of %g to %g Hz: from and to are needed, between %g and %g", n.Hz[0], n.Hz[1], noticeLowest, noticeHighest)
	case n.Length[0] < noticeShortest || n.Length[0] > n.Length[1] || n.Length[1] > noticeLongest:
		return fmt.Errorf("a notice that is %v to %v long: from and to are needed, between %v and %v", n.Length[0], n.Length[1], noticeShortest, noticeLongest)
	case n.Spacing[0] < noticeOften || n.Spacing[0] > n.Spacing[1] || n.Spacing[1] > noticeSeldom:
		return fmt.Errorf("notices that are %v to %v apart: from and to are needed, between %v and %v", n.Spacing[0], n.Spacing[1], noticeOften, noticeSeldom)
	}
	return nil
}

// noticer tells notices. One burst alone may be anything; from the second on each is told, and the first with the second.
type noticer struct {
	form NoticeForm
	last burst
	have bool
	told bool
}

const (
	noticeHz   = 12.0 // by which two differ at most
	noticeHops = 3.0
)

// By how much a burst may be shorter or longer than its form says, and two be nearer or farther.
const (
	noticeShorter = 50 * time.Millisecond
	noticeLonger  = 150 * time.Millisecond
	noticeApart   = 500 * time.Millisecond
)

// add takes a burst that has ended and returns the notices that it makes known.
func (n *noticer) add(b burst) (notices []burst) {
	if b.cut || b.low < n.form.Hz[0] || b.high > n.form.Hz[1] || b.high-b.low > noticeHz ||
		b.hops() < hops(n.form.Length[0]-noticeShorter) || b.hops() > hops(n.form.Length[1]+noticeLonger) {
		return nil
	}
	apart := b.begin - n.last.begin
	same := n.have && math.Abs(b.low-n.last.low) <= noticeHz && math.Abs(b.hops()-n.last.hops()) <= noticeHops
	switch {
	case same && apart >= hops(n.form.Spacing[0]-noticeApart) && apart <= hops(n.form.Spacing[1]+noticeApart):
		if !n.told {
			notices = append(notices, n.last)
		}
		n.last, n.told = b, true
		return append(notices, b)
	case same || !n.have || apart > hops(n.form.Spacing[1]+noticeApart): // what comes too often is something else
		n.last, n.have, n.told = b, true, false
	}
	return nil
}

func hops(d time.Duration) float64 { return d.Seconds() * hopsASecond }
