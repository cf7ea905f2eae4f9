package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/signal"
)

// trial is a row: signals, and what is to be heard in them.
type trial struct {
	what   string
	signal func(seed uint64) [][]int16 // each is heard by a fresh receiver
	hear   func(c contender, samples []int16) ([]string, error)
	truth  []string
	reach  reach
}

// reach is a target.
type reach int

const (
	all    reach = iota // of what was sent, and nothing else
	none                // of it
	best                // as many as the better of the others, at every seed
	record              // what it is; no target
)

func (r reach) String() string {
	return [...]string{"all", "0", "the better of the two", "-"}[r]
}

const ms = time.Millisecond

var generator = signal.Generator{Rate: rate}

// digitTrials are 200 digits each, 50 ms on and 50 ms off where nothing else is said.
func digitTrials() (trials []trial) {
	var truth []string
	for i := range 200 {
		truth = append(truth, string(signal.Keys[(i*7+i/16)%16]))
	}
	keys := strings.Join(truth, "")
	rail := 0.0 // dBFS at which the tap clips
	add := func(what string, snr float64, on, off time.Duration, s signal.Shape, reach reach) {
		peak := math.Pow(10, rail/20)
		trials = append(trials, trial{what, func(seed uint64) [][]int16 {
			s.Phases = [2]float64{float64(seed) * .37, float64(seed) * .71}
			sound := signal.Join(generator.Digits(keys, on, off, s), generator.Quiet(200*ms))
			sound = signal.AddNoise(sound, signal.NoiseFor(signal.DefaultLevel, snr), seed)
			return [][]int16{signal.Samples(signal.Clip(sound, peak))}
		}, func(c contender, samples []int16) ([]string, error) { return c.digits(samples) }, truth, reach})
	}
	for _, snr := range []float64{0, 3, 5, 8} {
		target := all
		if snr == 0 {
			target = record
		}
		add(fmt.Sprintf("digits, %g dB above white noise", snr), snr, 50*ms, 50*ms, signal.Shape{}, target)
	}
	for _, twist := range []float64{-10, -8, -6, 4, 6, 8} {
		add(fmt.Sprintf("digits, twist %+g dB", twist), 25, 50*ms, 50*ms, signal.Shape{Twist: twist}, all)
	}
	for _, off := range []float64{0.015, -0.015, 0.018} {
		add(fmt.Sprintf("digits, %+.1f %% off", 100*off), 25, 50*ms, 50*ms, signal.Shape{Low: off, High: off}, all)
	}
	add("digits, low -1.5 %, high +1.5 %", 25, 50*ms, 50*ms, signal.Shape{Low: -.015, High: .015}, all)
	add("digits, 1.5 % off, 5 dB above white noise", 5, 50*ms, 50*ms, signal.Shape{Low: .015, High: .015}, record)
	for _, off := range []float64{0.035, -0.035} {
		add(fmt.Sprintf("digits, %+.1f %% off", 100*off), 25, 50*ms, 50*ms, signal.Shape{Low: off, High: off}, none)
	}
	add("digits, only the low tone 3.5 % off", 25, 50*ms, 50*ms, signal.Shape{Low: .035}, none)
	for _, over := range []float64{4, 8} {
		rail = signal.DefaultLevel + 6.02 - over // the peaks of two sines lie 6 dB above their level
		add(fmt.Sprintf("digits, 25 dB above white noise, clipped by %g dB", over), 25, 50*ms, 50*ms, signal.Shape{}, all)
	}
	rail = 0
	add("digits of 40 ms, pauses of 40 ms", 25, 40*ms, 40*ms, signal.Shape{}, all)
	add("digits of 50 ms, pauses of 30 ms", 25, 50*ms, 30*ms, signal.Shape{}, all)
	add("digits of 23 ms", 25, 23*ms, 70*ms, signal.Shape{}, none)
	return trials
}

// callerTrials are 40 messages each, with date, number and name. The ten mark bits at the end are what
// multimon-ng needs to see the last byte.
func callerTrials() (trials []trial) {
	var truth []string
	var messages [][]byte
	for i := range 40 {
		number, name := fmt.Sprint(5550100+i*7919), fmt.Sprintf("CALLER %02d", i)
		truth = append(truth, "11231752/"+number+"/"+name)
		messages = append(messages, signal.MDMF(signal.Field{Type: 1, Text: "11231752"}, signal.Field{Type: 2, Text: number}, signal.Field{Type: 7, Text: name}))
	}
	each := func(what, modem string, t func(i int) signal.Transmission, snr float64) {
		trials = append(trials, trial{what, func(seed uint64) (pieces [][]int16) {
			for i, m := range messages {
				begin := 300*ms + time.Duration((seed*31+uint64(i)*17)%100)*ms/10
				sound := signal.Join(generator.Quiet(begin), generator.FSK(t(i), m), generator.Quiet(400*ms))
				noise := signal.NoiseFor(signal.DefaultLevel, snr)
				pieces = append(pieces, signal.Samples(signal.AddNoise(sound, noise, seed*1000+uint64(i))))
			}
			return pieces
		}, func(c contender, samples []int16) ([]string, error) { return c.callers(samples, modem) }, truth, best})
	}
	add := func(what, modem string, t signal.Transmission, snr float64) {
		each(what, modem, func(int) signal.Transmission { return t }, snr)
	}
	ring := func(m signal.Modem) signal.Transmission {
		return signal.Transmission{Modem: m, Seizure: 300, Marks: 180, Tail: 10}
	}
	bell, v23 := signal.Bell202(), signal.V23()
	for _, snr := range []float64{3, 4, 5, 6, 7, 8, 12} {
		add(fmt.Sprintf("caller ID Bell 202, %g dB above white noise", snr), "bell", ring(bell), snr)
	}
	for _, snr := range []float64{3, 4, 6, 8, 10, 15} {
		add(fmt.Sprintf("caller ID V.23, %g dB above white noise", snr), "v23", ring(v23), snr)
	}
	add("Bell 202, clock 1 % fast, 8 dB", "bell", ring(bell.Scaled(.01)), 8)
	add("V.23, clock 1 % slow, 8 dB", "v23", ring(v23.Scaled(-.01)), 8)
	add("Bell 202, space 6 dB fainter, 15 dB", "bell", signal.Transmission{Modem: bell, Seizure: 300, Marks: 180, Tail: 10, Twist: -6}, 15)
	add("Bell 202, call waiting, 8 dB", "bell", signal.Transmission{Modem: bell, Marks: 80, Tail: 10}, 8)
	// Telcordia GR-30 allows up to ten mark bits between two bytes; each message has another number of them.
	stuffed := func(m signal.Modem) func(i int) signal.Transmission {
		return func(i int) signal.Transmission {
			t := ring(m)
			t.Stuff = i % 11
			return t
		}
	}
	for _, snr := range []float64{4, 5, 6, 8, 12} {
		each(fmt.Sprintf("Bell 202, 0 to 10 mark bits between bytes, %g dB", snr), "bell", stuffed(bell), snr)
	}
	for _, snr := range []float64{4, 6, 10, 15} {
		each(fmt.Sprintf("V.23, 0 to 10 mark bits between bytes, %g dB", snr), "v23", stuffed(v23), snr)
	}
	return trials
}
