package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/line/tone"
)

// everyForm is the tones of all countries, as if one had them all.
func everyForm() (all []tone.Form, err error) {
	table, err := tone.BuiltIn()
	if err != nil {
		return nil, err
	}
	for _, country := range table.Countries() {
		all = append(all, table[country]...)
	}
	return all, nil
}

// measureTones sends each form of each country, 10 Hz and 8 % off by turns, to a receiver for that country. The others
// have no receiver that knows countries.
func (b *bench) measureTones() (rows [][]string, err error) {
	table, err := tone.BuiltIn()
	if err != nil {
		return nil, err
	}
	for _, snr := range []float64{30, 10, 5} {
		var hits, wrong []int
		forms := 0
		for seed := range b.seeds {
			right, others := 0, 0
			forms = 0
			for _, country := range table.Countries() {
				for _, f := range table[country] {
					forms++
					heard := tone.NewReceiver(table[country], rate).Feed(asSent(f, snr, uint64(seed*1000+forms)))
					if len(heard) > 0 && heard[0].Kind == f.Kind {
						right++
						heard = heard[1:]
					}
					others += len(heard)
				}
			}
			hits, wrong = append(hits, right), append(wrong, others)
		}
		rows = append(rows, b.ownRow(fmt.Sprintf("tones of %d countries, %g dB above white noise", len(table), snr), hits, wrong, forms, all))
	}
	return rows, nil
}

// ownRow is a row of what only ours hears: how much of what was sent, at each seed, and what else.
func (b *bench) ownRow(what string, hits, wrong []int, of int, reach reach) []string {
	want, is := of, "met"
	if reach == none {
		want = 0
	}
	for i := range hits {
		if hits[i] != want || wrong[i] > 0 {
			is = "missed"
		}
	}
	row := append([]string{what}, b.onlyOurs(spread(hits, of, wrong))...)
	row = append(row, reach.String(), is)
	fmt.Fprintln(os.Stderr, strings.Join(row, " | "))
	return row
}

// measureNotices sends the tone by which a recorder says that it records, three times each, in all the forms that texts
// have: 0.2 to 0.5 s, 12 to 18 s apart, 1260 to 1540 Hz; and then what is like it and is none.
func (b *bench) measureNotices() (rows [][]string) {
	const senders, times = 30, 3
	measure := func(what string, reach reach, sound func(r *rand.Rand) []float64, snr float64) {
		var hits, wrong []int
		for seed := range b.seeds {
			r := rand.New(rand.NewPCG(uint64(seed), 0x1400))
			right, others := 0, 0
			for i := range senders {
				samples := signal.Samples(signal.AddNoise(sound(r), signal.NoiseFor(noticeLevel, snr), uint64(seed*1000+i)))
				heard := len(tone.NewReceiver(nil, rate).Feed(samples))
				right += min(heard, times)
				others += max(0, heard-times)
			}
			hits, wrong = append(hits, right), append(wrong, others)
		}
		rows = append(rows, b.ownRow(what, hits, wrong, senders*times, reach))
	}
	beeps := func(r *rand.Rand, times int, least, most, near, far float64) []float64 {
		length := least + (most-least)*r.Float64()
		pause := near + (far-near)*r.Float64() - length
		hz := 1262 + 276*r.Float64() // as far as it may be, and 2 Hz to see it in
		return signal.Join(generator.Quiet(time.Second), generator.Cadence(times, noticeLevel, []float64{hz}, seconds(length), seconds(pause)))
	}
	for _, snr := range []float64{30, 10, 5} {
		measure(fmt.Sprintf("recording notices of any form, %g dB above white noise", snr), all,
			func(r *rand.Rand) []float64 { return beeps(r, times, 0.2, 0.5, 12, 18) }, snr)
	}
	measure("beeps of a notice's pitch that come every 2 to 10 s", none, func(r *rand.Rand) []float64 { return beeps(r, times, 0.2, 0.5, 2, 10) }, 30)
	measure("beeps of a notice's pitch that are 0.8 to 2 s long", none, func(r *rand.Rand) []float64 { return beeps(r, times, 0.8, 2, 12, 18) }, 30)
	return rows
}

const noticeLevel = -20.0

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// asSent is a form as an exchange sends it that is not quite right.
func asSent(f tone.Form, snr float64, seed uint64) []int16 {
	const level = -20.0
	off := [...]float64{0, 1, -1}[seed%3]
	var hz []float64
	for _, one := range f.Hz {
		hz = append(hz, one+10*off)
	}
	var times []time.Duration
	for _, d := range f.Times {
		times = append(times, time.Duration(math.Round(float64(d)*(1+0.08*off))))
	}
	sound := generator.Cadence(1, level, hz, 4*time.Second)
	switch {
	case len(times) == 2:
		sound = generator.Cadence(5, level, hz, times...)
	case len(times) > 2:
		sound = generator.Cadence(2, level, hz, times...)
	}
	sound = signal.Join(generator.Quiet(300*ms), sound, generator.Quiet(300*ms))
	return signal.Samples(signal.AddNoise(sound, signal.NoiseFor(level, snr), seed))
}
