package main

import (
	"fmt"
	"math"
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
		verdict := "met"
		for i := range hits {
			if hits[i] != forms || wrong[i] > 0 {
				verdict = "missed"
			}
		}
		row := []string{fmt.Sprintf("tones of %d countries, %g dB above white noise", len(table), snr)}
		row = append(row, b.onlyOurs(spread(hits, forms, wrong))...)
		row = append(row, "all", verdict)
		fmt.Fprintln(os.Stderr, strings.Join(row, " | "))
		rows = append(rows, row)
	}
	return rows, nil
}

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
