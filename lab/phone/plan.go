package phone

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// DemoLoop is a short, varied loop of calls on one line, for ever to be repeated: an incoming call that is over 13 s
// after the start, an outgoing one with dialled digits, another incoming one. They end with a hang-over of 5 s, and
// last about 70 s in all.
func DemoLoop(voices []Voice, rate int) (Audio, error) {
	clips, err := Clips(voices, 1500*time.Millisecond, 4*time.Second)
	if err != nil {
		return Audio{}, err
	}
	if len(clips) < 12 {
		return Audio{}, fmt.Errorf("the voices have only %d sentences of 1.5 to 4 s, 12 are needed; install asterisk-core-sounds-en-wav", len(clips))
	}
	d := &dealer{random: rand.New(rand.NewPCG(7, 0xde30)), clips: clips}
	const between = 9 * time.Second
	script := Script{
		After: between,
		Calls: []Call{
			{
				Before: 1200 * time.Millisecond, Incoming: true,
				Steps: append([]Step{ShortRing(), Pause(1500 * time.Millisecond)}, d.talk(8*time.Second, 0.82)...),
			},
			{
				Before: between,
				Steps: append([]Step{
					DialTone(1200 * time.Millisecond), Pause(300 * time.Millisecond), Digits("0215550142"),
					Pause(time.Second), RingBack(1), Pause(1500 * time.Millisecond),
				}, d.talk(10*time.Second, 0.88)...),
			},
			{
				Before: between, Incoming: true,
				Steps: append([]Step{Ring(1), Pause(1500 * time.Millisecond)}, d.talk(12*time.Second, 0.78)...),
			},
		},
	}
	return script.Render(Options{Rate: rate, Seed: 7}), nil
}

// dealer gives out clips, none twice.
type dealer struct {
	random *rand.Rand
	clips  []Clip
}

// deal takes a random clip that is no longer than longest; false where none is left.
func (d *dealer) deal(longest time.Duration) (Clip, bool) {
	fitting := 0
	for i := range d.clips {
		if d.clips[i].Duration() <= longest {
			d.clips[i], d.clips[fitting] = d.clips[fitting], d.clips[i]
			fitting++
		}
	}
	if fitting == 0 {
		return Clip{}, false
	}
	i := d.random.IntN(fitting)
	c := d.clips[i]
	d.clips = append(d.clips[:i], d.clips[i+1:]...)
	return c, true
}

// talk is agent and caller speaking in turns, for at most so long. The caller is the same voice at another speed, so
// that the two are told apart.
func (d *dealer) talk(longest time.Duration, callerSpeed float64) (steps []Step) {
	const breath = 400 * time.Millisecond
	for side, speed := Agent, 1.0; ; side, speed = 1-side, 1+callerSpeed-speed {
		c, ok := d.deal(time.Duration(float64(longest) * speed))
		if !ok {
			return steps
		}
		if len(steps) > 0 {
			steps = append(steps, Pause(breath))
		}
		steps = append(steps, SayAt(side, c, speed))
		longest -= time.Duration(float64(c.Duration())/speed) + breath
		if longest < 0 {
			return steps
		}
	}
}

// PlanOptions is what the lines of a test carry.
type PlanOptions struct {
	Lines, Calls int           // calls on each line
	Rate         int           // frames a second
	Apart        bool          // the sides of each line are two channels
	Shortest     time.Duration // of a call; 0: 6 s
	Longest      time.Duration // of a call; 0: 9 s
	Pause        time.Duration // between calls, at least; 0: 8 s. Longer than the recorder's hang-over.
	After        time.Duration // silence at the end; 0: as Pause
	Seed         uint64
}

// Plan makes the audio of some lines, each with its calls; no clip is heard twice, so that each call is known by what
// is said in it. Lines begin at different times, and so are in calls at once but not in step.
func Plan(voices []Voice, o PlanOptions) ([]Audio, error) {
	o.Shortest = orDefault(o.Shortest, 6*time.Second)
	o.Longest = orDefault(o.Longest, 9*time.Second)
	o.Pause = orDefault(o.Pause, 8*time.Second)
	o.After = orDefault(o.After, o.Pause)
	const shortestClip = time.Second
	clips, err := Clips(voices, shortestClip, o.Longest)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x97a4))
	d := &dealer{random: random, clips: clips}
	lines := make([]Audio, o.Lines)
	for i := range lines {
		script := Script{After: o.After}
		for n := range o.Calls {
			steps, err := d.callOf(o.Shortest, o.Longest)
			if err != nil {
				return nil, fmt.Errorf("plan call %d of line %d: %w", n, i, err)
			}
			before := o.Pause + time.Duration(random.Int64N(int64(time.Second)))
			if n == 0 {
				before = 3*time.Second + time.Duration(i)*o.Shortest/3
			}
			script.Calls = append(script.Calls, Call{Before: before, Steps: steps})
		}
		lines[i] = script.Render(Options{Rate: o.Rate, Apart: o.Apart, Seed: o.Seed + uint64(i)})
	}
	return lines, nil
}

// callOf is talk in turns that lasts from shortest to longest.
func (d *dealer) callOf(shortest, longest time.Duration) (steps []Step, err error) {
	length, side := time.Duration(0), Agent
	for length < shortest {
		const pause = 500 * time.Millisecond
		if len(steps) > 0 {
			steps = append(steps, Pause(pause))
			length += pause
		}
		c, ok := d.deal(longest - length)
		if !ok {
			return nil, fmt.Errorf("no sentence is left that fits into the %v to %v that a call lasts; install more voices (asterisk-core-sounds-fr-wav)", shortest, longest)
		}
		steps = append(steps, Say(side, c))
		length += c.Duration()
		side = 1 - side
	}
	return steps, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Interleave puts lines that share a card beside each other, channel by channel; shorter ones end with silence. Their
// rates must be equal.
func Interleave(lines ...Audio) []int16 {
	frames, channels := 0, 0
	for _, a := range lines {
		frames = max(frames, len(a.Samples)/a.Format.Channels)
		channels += a.Format.Channels
	}
	out := make([]int16, frames*channels)
	first := 0
	for _, a := range lines {
		for i, s := range a.Samples {
			frame, channel := i/a.Format.Channels, i%a.Format.Channels
			out[frame*channels+first+channel] = s
		}
		first += a.Format.Channels
	}
	return out
}
