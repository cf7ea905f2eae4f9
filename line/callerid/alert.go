package callerid

import "math"

// alert finds the tone that announces a waiting call (CAS, or DT-AS at ETSI): 2130 and 2750 Hz for about 100 ms.
type alert struct {
	rate, block int
	tables      [2][]float64
	sums        [2]complex128
	power       float64
	filled      int
	run         int   // blocks in a row that are the tone
	end         int64 // position of the end of the last alert, where there was one
	heard       bool
}

const (
	alertShare  = 0.6  // of a block's power that both tones hold
	alertEach   = 0.1  // and each
	alertPower  = 3e-6 // -55 dBFS
	alertLeast  = 0.065
	alertMost   = 0.135 // seconds
	alertWithin = 1.0   // seconds until the message's mark bits; the telephone answers in between
)

func newAlert(rate int) alert {
	a := alert{rate: rate, block: rate / 200}
	for i, hz := range [...]float64{2130, 2750} {
		for n := range a.block {
			sin, cos := math.Sincos(2 * math.Pi * hz * float64(n) / float64(rate))
			a.tables[i] = append(a.tables[i], cos, -sin)
		}
	}
	return a
}

func (a *alert) reset() { *a = alert{rate: a.rate, block: a.block, tables: a.tables} }

// feed takes samples without hum, the first of which stands at a position.
func (a *alert) feed(samples []float64, position int64) {
	for len(samples) > 0 {
		n := min(len(samples), a.block-a.filled)
		var re, im [2]float64
		low, high := a.tables[0][2*a.filled:], a.tables[1][2*a.filled:]
		for i, v := range samples[:n] {
			re[0] += v * low[2*i]
			im[0] += v * low[2*i+1]
			re[1] += v * high[2*i]
			im[1] += v * high[2*i+1]
			a.power += v * v
		}
		for i := range a.sums {
			a.sums[i] += complex(re[i], im[i])
		}
		samples, position = samples[n:], position+int64(n)
		if a.filled += n; a.filled == a.block {
			a.judge(position)
		}
	}
}

// judge looks at a block that ends at a position.
func (a *alert) judge(position int64) {
	frames := float64(a.block)
	var share [2]float64
	for i, s := range a.sums {
		share[i] = 2 * (real(s)*real(s) + imag(s)*imag(s)) / (frames * max(a.power, 1e-12))
	}
	is := a.power > alertPower*frames && share[0]+share[1] > alertShare && min(share[0], share[1]) > alertEach
	a.sums, a.power, a.filled = [2]complex128{}, 0, 0
	if is {
		a.run++
		return
	}
	seconds := float64(a.run*a.block) / float64(a.rate)
	if seconds >= alertLeast && seconds <= alertMost {
		a.end, a.heard = position-int64(a.block), true
	}
	a.run = 0
}

// before says whether an alert ended shortly before a position.
func (a *alert) before(position int64) bool {
	return a.heard && position-a.end <= int64(alertWithin*float64(a.rate))
}
