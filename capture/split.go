package capture

import (
	"fmt"

	"github.com/linekeeper/linekeeper/pcm"
)

// splitter makes lines of a card's frames: picks each line's channels and brings them to the line's rate. All lines
// have the same number of frames at any time.
type splitter struct {
	from  pcm.Format
	rate  int
	lines []splitLine
}

type splitLine struct {
	channels   []int
	resamplers []*resampler
	side       []int16 // one channel, before it is interleaved
	out        []int16
}

func newSplitter(from pcm.Format, lines []LineConfig, rate int) (*splitter, error) {
	s := &splitter{from: from, rate: rate}
	for _, l := range lines {
		sl := splitLine{channels: l.Channels}
		for _, c := range l.Channels {
			if c >= from.Channels {
				return nil, fmt.Errorf("line %s wants channel %d, but there are %d, counted from 0", l.Name, c, from.Channels)
			}
			r, err := newResampler(from.Rate, rate)
			if err != nil {
				return nil, err
			}
			sl.resamplers = append(sl.resamplers, r)
		}
		s.lines = append(s.lines, sl)
	}
	return s, nil
}

// format is that of a line.
func (s *splitter) format(line int) pcm.Format {
	return pcm.Format{Rate: s.rate, Channels: len(s.lines[line].channels)}
}

// write takes interleaved frames of the card and returns how many frames of each line they yield; samples has them.
func (s *splitter) write(frames []int16) int {
	for i := range s.lines {
		l := &s.lines[i]
		l.collect(func(side int, dst []int16) []int16 {
			if len(frames) == 0 {
				return dst
			}
			return l.resamplers[side].write(dst, frames[l.channels[side]:], s.from.Channels)
		})
	}
	return len(s.lines[0].out) / len(s.lines[0].channels)
}

// flush is write for the end of the sound: it yields what the filters hold back, and makes them as new.
func (s *splitter) flush() int {
	for i := range s.lines {
		l := &s.lines[i]
		l.collect(func(side int, dst []int16) []int16 { return l.resamplers[side].flush(dst) })
	}
	s.reset()
	return len(s.lines[0].out) / len(s.lines[0].channels)
}

// reset forgets what came before: after a loss nothing may smear over the gap.
func (s *splitter) reset() {
	for _, l := range s.lines {
		for _, r := range l.resamplers {
			r.reset()
		}
	}
}

// samples are a line's, interleaved, of the last write or flush; valid until the next.
func (s *splitter) samples(line int) []int16 { return s.lines[line].out }

// collect interleaves what each side's resampler appends.
func (l *splitLine) collect(side func(side int, dst []int16) []int16) {
	if len(l.channels) == 1 {
		l.out = side(0, l.out[:0])
		return
	}
	n := len(l.channels)
	for c := range l.channels {
		l.side = side(c, l.side[:0])
		if c == 0 {
			if cap(l.out) < n*len(l.side) {
				l.out = make([]int16, n*len(l.side))
			}
			l.out = l.out[:n*len(l.side)]
		}
		for i, v := range l.side {
			l.out[i*n+c] = v
		}
	}
}
