package phone

import (
	"fmt"
	"math/rand/v2"

	"github.com/linekeeper/linekeeper/call"
)

// Places finds where in a sound some of its samples stand. The sound must be one in which nothing comes twice, such as
// Noise.
type Places struct {
	sound []int16
	at    map[[placeWindow]int16]int
}

const (
	placeWindow = 8  // samples that are looked up
	placeStep   = 64 // every so many samples a window is kept
)

// NewPlaces keeps the sound.
func NewPlaces(sound []int16) *Places {
	p := &Places{sound: sound, at: map[[placeWindow]int16]int{}}
	for i := 0; i+placeWindow <= len(sound); i += placeStep {
		p.at[[placeWindow]int16(sound[i:])] = i
	}
	return p
}

// Find says where the first sample of a part stands in the sound, and how many samples from there on are the same, one by
// one. None are where nothing of the part's beginning is in the sound; parts shorter than 71 samples may not be found.
func (p *Places) Find(part []int16) (at, same int) {
	for i := 0; i+placeWindow <= len(part) && i < placeStep; i++ {
		place, known := p.at[[placeWindow]int16(part[i:])]
		if at = place - i; !known || at < 0 {
			continue
		}
		for same < len(part) && at+same < len(p.sound) && part[same] == p.sound[at+same] {
			same++
		}
		return at, same
	}
	return 0, 0
}

// Loss is a gap of a call: how many frames it says were lost, and how many really were. Those at which a call begins or
// ends have nothing on the other side to be measured by.
type Loss struct {
	Says, Was int64
	Measured  bool
}

// Hear finds the parts of a call between its gaps in the sound, each of them whole and to the sample, and gives what was
// lost between them.
func (p *Places) Hear(samples []int16, gaps []call.Gap) (lost []Loss, err error) {
	from, last := int64(0), -1 // of the part in the call; in the sound the end of the part before, where there is one
	for i := range len(gaps) + 1 {
		upTo := int64(len(samples))
		if i < len(gaps) {
			upTo = gaps[i].Position
		}
		if from < 0 || upTo < from || upTo > int64(len(samples)) {
			return lost, fmt.Errorf("gaps %+v in a call of %d frames", gaps, len(samples))
		}
		part := samples[from:upTo]
		at, same := p.Find(part)
		if same != len(part) && err == nil {
			err = fmt.Errorf("frames %d to %d are not what was played: from frame %d of that on %d are", from, upTo, at, same)
		}
		if i > 0 {
			l := Loss{Says: gaps[i-1].Frames, Was: gaps[i-1].Frames, Measured: last >= 0 && same > 0}
			if l.Measured {
				l.Was = int64(at - last)
			}
			lost = append(lost, l)
		}
		if last = -1; same > 0 {
			last = at + same
		}
		if i < len(gaps) {
			from = upTo + gaps[i].Frames
		}
	}
	return lost, err
}

// Noise is samples in which nothing comes twice, the same for a seed, of some amplitude.
func Noise(n int, amplitude int16, seed uint64) []int16 {
	random := rand.New(rand.NewPCG(seed, 0x9015e))
	samples := make([]int16, n)
	for i := range samples {
		samples[i] = int16(random.IntN(2*int(amplitude)+1) - int(amplitude))
	}
	return samples
}
