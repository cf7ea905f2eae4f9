package callerid

import (
	"math"
	"math/cmplx"
)

// trigger finds the mark bits that come before every message: a steady tone of 1200 or 1300 Hz. It is all that runs on
// an idle line, so one correlation at 1250 Hz, in blocks of 5 ms, must do for
// both.
type trigger struct {
	rate   int
	block  int
	table  []float64
	sum    complex128
	power  float64
	filled int
	blocks int
	sums   [triggerBlocks]complex128
	powers [triggerBlocks]float64
	runs   [2]int // windows in a row with the tone of bell202, of v23
}

const (
	triggerBlocks = 5    // 25 ms
	triggerRun    = 3    // windows in a row: 35 ms
	triggerShare  = 0.3  // of the power that the tone holds; at 5 dB above noise and 1 % off it holds 0.5
	triggerPower  = 1e-6 // -60 dBFS
	mostFast      = 0.02
)

func newTrigger(rate int) trigger {
	t := trigger{rate: rate, block: rate / 200}
	const tone = 1250.0
	for i := range t.block {
		sin, cos := math.Sincos(2 * math.Pi * tone * float64(i) / float64(rate))
		t.table = append(t.table, cos, -sin)
	}
	return t
}

func (t *trigger) reset() {
	t.sum, t.power, t.filled, t.blocks = 0, 0, 0, 0
	t.sums, t.powers, t.runs = [triggerBlocks]complex128{}, [triggerBlocks]float64{}, [2]int{}
}

// feed takes samples without hum, of which it uses those to the end of a block, and says how many it used and which tone is there:
// 0 Bell 202's mark, 1 V.23's, -1 none.
func (t *trigger) feed(samples []float64) (used, tone int) {
	n := min(len(samples), t.block-t.filled)
	table := t.table[2*t.filled:]
	re, im, power := 0.0, 0.0, 0.0
	for i, v := range samples[:n] {
		re += v * table[2*i]
		im += v * table[2*i+1]
		power += v * v
	}
	t.sum += complex(re, im)
	t.power += power
	if t.filled += n; t.filled < t.block {
		return n, -1
	}
	slot := t.blocks % triggerBlocks
	t.sums[slot], t.powers[slot] = t.sum, t.power
	t.blocks++
	t.sum, t.power, t.filled = 0, 0, 0
	return n, t.judge()
}

// judge looks at the last blocks. Each block's phase counts from its own beginning: 1200 Hz make 6 turns in a block, and
// 1300 Hz six and a half.
func (t *trigger) judge() int {
	total := 0.0
	for _, p := range t.powers {
		total += p
	}
	frames := float64(triggerBlocks * t.block)
	if total < triggerPower*frames {
		t.runs = [2]int{}
		return -1
	}
	var bell, etsi complex128
	for i := range triggerBlocks {
		s := t.sums[(t.blocks+i)%triggerBlocks]
		bell += s
		if i%2 == 1 {
			s = -s
		}
		etsi += s
	}
	found := -1
	for i, sum := range [2]complex128{bell, etsi} {
		share := 2 * (real(sum)*real(sum) + imag(sum)*imag(sum)) / (frames * total)
		if share < triggerShare {
			t.runs[i] = 0
		} else if t.runs[i]++; t.runs[i] >= triggerRun {
			found = i
		}
	}
	return found
}

// fast is by which part a modem's mark is too high: 0.01 is 1 %. Over three blocks a tone that is 10 Hz off turns by
// about a seventh.
func (t *trigger) fast(m modem) float64 {
	const lag = 3
	var turn complex128
	for i := range triggerBlocks - lag {
		a, b := t.sums[(t.blocks+i)%triggerBlocks], t.sums[(t.blocks+i+lag)%triggerBlocks]
		turn += b * complex(real(a), -imag(a))
	}
	if m == v23 {
		turn = -turn // half a turn a block
	}
	off := cmplx.Phase(turn) / (2 * math.Pi * lag * float64(t.block)) * float64(t.rate)
	return max(-mostFast, min(mostFast, off/(m.mark+middle)))
}

// highPass takes away a hum, which may be louder than what the exchange sends: 31 dB at 50 Hz, 14 dB at 150 Hz. It is two
// of one pole, one after the other.
type highPass struct{ keep, in, middle, out float64 }

const highPassEdge = 300.0 // Hz

func newHighPass(rate int) highPass {
	return highPass{keep: math.Exp(-2 * math.Pi * highPassEdge / float64(rate))}
}

// feed appends what it lets through of samples, 1 being full scale.
func (h *highPass) feed(clean []float64, samples []int16) []float64 {
	const nothing = 1e-25 // keeps the state off the denormal numbers of digital silence
	in, middle, out := h.in, h.middle, h.out
	for _, s := range samples {
		v := float64(s) * (1. / 32768)
		once := h.keep*(middle+v-in) + nothing
		out = h.keep*(out+once-middle) + nothing
		in, middle = v, once
		clean = append(clean, out)
	}
	h.in, h.middle, h.out = in, middle, out
	return clean
}
