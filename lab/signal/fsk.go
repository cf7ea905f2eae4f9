package signal

import (
	"math"
	"time"
)

// Modem is how caller ID is sent by frequency shift keying.
type Modem struct {
	Mark, Space float64 // Hz
	Baud        float64
}

// Bell202 and V23 are the two of telephony: North America's, and ETSI EN 300 659-1's.
func Bell202() Modem { return Modem{1200, 2200, 1200} }

// V23 is ETSI's.
func V23() Modem { return Modem{1300, 2100, 1200} }

// Scaled is a modem whose clock is wrong: 0.01 is 1 % fast, in frequencies and rate alike.
func (m Modem) Scaled(by float64) Modem {
	return Modem{m.Mark * (1 + by), m.Space * (1 + by), m.Baud * (1 + by)}
}

// Transmission is how a message is sent.
type Transmission struct {
	Modem   Modem
	Level   float64 // dBFS; 0 stands for DefaultLevel
	Seizure int     // alternating bits before the marks: 300, and none for call waiting
	Marks   int     // mark bits before the message: 180, and 80 for call waiting
	Stuff   int     // more mark bits between two bytes than the stop bit
	Twist   float64 // dB by which space is stronger than mark, as long lines and cards have it
	Tail    int     // mark bits after the message
}

// FSK sends bytes: 8 bits, least significant first, between a start bit (space) and a stop bit (mark). The phase goes on
// over all changes of frequency.
func (g Generator) FSK(t Transmission, message []byte) []float64 {
	if t.Level == 0 {
		t.Level = DefaultLevel
	}
	var bits []bool
	for i := range t.Seizure {
		bits = append(bits, i%2 == 1) // it begins with space
	}
	marks := func(n int) {
		for range n {
			bits = append(bits, true)
		}
	}
	marks(t.Marks)
	for _, b := range message {
		bits = append(bits, false)
		for i := range 8 {
			bits = append(bits, b>>i&1 == 1)
		}
		marks(1 + t.Stuff)
	}
	marks(t.Tail)

	var o oscillator
	var out []float64
	end, owed := 0.0, 0.0 // of the bit, in samples; cycles by which the last bit's frequency reaches into the next sample
	for _, mark := range bits {
		begin := end
		end += float64(g.Rate) / t.Modem.Baud
		step, gain := t.Modem.Space/float64(g.Rate), t.Level+t.Twist/2
		if mark {
			step, gain = t.Modem.Mark/float64(g.Rate), t.Level-t.Twist/2
		}
		// The sample after a change has gone with both frequencies, each for its part of the time.
		o.next(owed + (float64(len(out))-begin)*step)
		for float64(len(out)) < end {
			out = append(out, math.Sqrt2*decibels(gain)*o.next(step))
		}
		o.next(-step) // the last step went beyond the end
		owed = (end - float64(len(out)-1)) * step
	}
	return out
}

// SDMF is a single-data-message-format caller ID: date and time as MMDDHHMM, and the number.
func SDMF(when, number string) []byte { return checked(0x04, []byte(when+number)) }

// Field is one of a multiple-data-message-format caller ID.
type Field struct {
	Type byte
	Text string
}

// MDMF is such a message.
func MDMF(fields ...Field) []byte {
	var body []byte
	for _, f := range fields {
		body = append(body, f.Type, byte(len(f.Text)))
		body = append(body, f.Text...)
	}
	return checked(0x80, body)
}

// checked puts type and length before, and after it the byte that makes the sum of all 0 modulo 256.
func checked(kind byte, body []byte) []byte {
	m := append([]byte{kind, byte(len(body))}, body...)
	sum := byte(0)
	for _, b := range m {
		sum += b
	}
	return append(m, -sum)
}

// Alert is the tone that tells a telephone in a call that another is waiting: 2130 and 2750 Hz.
func (g Generator) Alert(d time.Duration, level float64) []float64 {
	return g.Cadence(1, level, []float64{2130, 2750}, d)
}
