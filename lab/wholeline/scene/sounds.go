package scene

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/linekeeper/linekeeper/lab/signal"
)

var generator = signal.Generator{Rate: Rate}

// narrow takes over a sound of lab/signal.
func narrow(sound []float64) []float32 {
	out := make([]float32, len(sound))
	for i, v := range sound {
		out[i] = float32(v)
	}
	return out
}

// exchange is how one exchange sends its tones: frequencies and times are never quite those of the book, and what is
// modulated has its carrier or has not, for books do not say.
type exchange struct {
	hz, time, dirt float64
	carrier        bool
}

func newExchange(r *rand.Rand) exchange {
	e := exchange{hz: uniform(r, -6, 6), time: uniform(r, 0.95, 1.05), carrier: chance(r, 0.5)}
	if chance(r, 0.3) {
		e.dirt = uniform(r, 0.01, 0.06) // harmonics of an old one
	}
	return e
}

// rounds is how long so many of them last, in frames.
func (e exchange) rounds(s sound, n int) int {
	sum := 0.0
	for _, t := range s.times {
		sum += t
	}
	return n * frames(sum*e.time)
}

// send is so many frames of a tone, of RMS 1 while it is on.
func (e exchange) send(s sound, length int) []float32 {
	out := make([]float32, length)
	const depth = 0.8
	scale := math.Sqrt(2 / float64(len(s.hz)))
	switch {
	case s.by != 0 && e.carrier:
		scale = math.Sqrt2 / math.Sqrt(1+depth*depth/2)
	case s.by != 0:
		scale = 2
	}
	for i := range out {
		t := float64(i) / Rate
		gate := e.gate(s.times, t)
		if gate == 0 {
			continue
		}
		v := 0.0
		for _, hz := range s.hz {
			x := math.Sin(2 * math.Pi * (hz + e.hz) * t)
			v += x + e.dirt*(2*x*x-1)
		}
		switch beat := math.Sin(2 * math.Pi * s.by * t); {
		case s.by != 0 && e.carrier:
			v *= 1 + depth*beat
		case s.by != 0:
			v *= beat
		}
		out[i] = float32(gate * scale * v)
	}
	return out
}

// gate is 1 where a cadence is on, with flanks of 4 ms.
func (e exchange) gate(times []float64, t float64) float64 {
	if len(times) == 0 {
		return 1
	}
	sum := 0.0
	for _, d := range times {
		sum += d * e.time
	}
	t = math.Mod(t, sum)
	for i, d := range times {
		d *= e.time
		if t < d {
			if i%2 == 1 {
				return 0
			}
			return min(1, t/0.004, (d-t)/0.004)
		}
		t -= d
	}
	return 0
}

// ringing is the ring current of an exchange as a tap's front end hears it: driven far beyond what it takes, so that
// it is nearly square, and without its low frequencies. RMS is about 1 while it is on.
type ringing struct{ hz, drive, edge float64 }

func newRinging(r *rand.Rand, hz float64) ringing {
	return ringing{hz: hz * uniform(r, 0.97, 1.03), drive: math.Exp(uniform(r, 0.5, 3)), edge: uniform(r, 60, 350)}
}

// burst is so many frames of it. Bells ring on a little.
func (g ringing) burst(length int) []float32 {
	out := make([]float32, length)
	pass := math.Exp(-2 * math.Pi * g.edge / Rate)
	before, high := 0.0, 0.0
	for i := range out {
		v := math.Tanh(g.drive * math.Sin(2*math.Pi*g.hz*float64(i)/Rate))
		high = pass * (high + v - before)
		before = v
		out[i] = float32(high)
	}
	gain := float32(gainTo(out, 0))
	for i := range out {
		out[i] *= gain
	}
	return out
}

// click is a relay, a hook or a bad joint: a thump and a crack. Its peak is about 1.
func click(r *rand.Rand) []float32 {
	out := make([]float32, frames(uniform(r, 0.02, 0.09)))
	hz, fall, crack := uniform(r, 30, 180), uniform(r, 0.004, 0.02), uniform(r, 0.2, 0.9)
	for i := range out {
		t := float64(i) / Rate
		thump := math.Exp(-t/fall) * math.Cos(2*math.Pi*hz*t)
		out[i] = float32((1-crack)*thump + crack*math.Exp(-t/0.0012)*r.NormFloat64()*0.5)
	}
	return out
}

// key is how somebody, or a machine, keys digits.
type key struct {
	shape        signal.Shape
	on, off, jit float64 // seconds
}

func newKey(r *rand.Rand) key {
	k := key{shape: signal.Shape{
		Level: -1e-9, Twist: uniform(r, -3, 4), Low: uniform(r, -0.012, 0.012), High: uniform(r, -0.012, 0.012), // full level: the caller sets it
		Phases: [2]float64{r.Float64(), r.Float64()},
	}}
	if chance(r, 0.4) {
		k.on, k.off = uniform(r, 0.06, 0.1), uniform(r, 0.05, 0.1) // from a telephone's memory
	} else {
		k.on, k.off, k.jit = uniform(r, 0.07, 0.3), uniform(r, 0.12, 0.4), 0.6 // by hand
	}
	return k
}

// press is the digits, of RMS 1 while one is held.
func (k key) press(r *rand.Rand, digits string) (out []float32) {
	for i := range len(digits) {
		if i > 0 {
			out = append(out, make([]float32, frames(k.off*(1+k.jit*r.Float64())))...)
		}
		held := time.Duration(k.on * (1 + k.jit*r.Float64()) * float64(time.Second))
		out = append(out, narrow(generator.Digit(digits[i], held, k.shape))...)
	}
	return out
}

// digits are so many random ones.
func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

// message is a caller ID of RMS 1 as the country sends it, and the number that it shows; none where it was withheld.
func message(r *rand.Rand, id callerID, waiting bool) (sound []float32, number string) {
	number = digits(r, between(r, 6, 12))
	if id.modem == keys {
		return key{shape: signal.Shape{Level: -1e-9}, on: 0.07, off: 0.07}.press(r, "A"+number+"C"), number
	}
	t := signal.Transmission{Modem: signal.Bell202(), Level: -1e-9, Seizure: 300, Marks: 180, Tail: between(r, 2, 10), Stuff: between(r, 0, 3), Twist: uniform(r, -4, 3)}
	if id.modem == v23 {
		t.Modem = signal.V23()
	}
	t.Modem = t.Modem.Scaled(uniform(r, -0.008, 0.008))
	if waiting {
		t.Seizure, t.Marks = 0, 80
	}
	when := "1123" + digits(r, 1) + "7" + digits(r, 1) + "9"
	data := signal.MDMF(signal.Field{Type: 1, Text: when}, signal.Field{Type: 2, Text: number}, signal.Field{Type: 7, Text: "CALLER " + digits(r, 3)})
	switch {
	case chance(r, 0.08):
		number = ""
		data = signal.MDMF(signal.Field{Type: 1, Text: when}, signal.Field{Type: 4, Text: "P"})
	case id.modem == bell && !waiting && chance(r, 0.3):
		data = signal.SDMF(when, number)
	}
	return narrow(generator.FSK(t, data)), number
}
