package signal

import (
	"fmt"
	"math"
	"time"
)

// Shape is how a digit differs from a perfect one.
type Shape struct {
	Level  float64    // dBFS of both tones together; 0 stands for DefaultLevel
	Twist  float64    // dB by which the high tone is stronger than the low
	Low    float64    // by which the low tone is too high: 0.015 is 1.5 %
	High   float64    // and the high one
	Phases [2]float64 // cycles, where the tones begin
}

// keypad is ITU-T Q.23: a row is a low tone, a column a high one.
var keypad = map[byte][2]float64{
	'1': {697, 1209}, '2': {697, 1336}, '3': {697, 1477}, 'A': {697, 1633},
	'4': {770, 1209}, '5': {770, 1336}, '6': {770, 1477}, 'B': {770, 1633},
	'7': {852, 1209}, '8': {852, 1336}, '9': {852, 1477}, 'C': {852, 1633},
	'*': {941, 1209}, '0': {941, 1336}, '#': {941, 1477}, 'D': {941, 1633},
}

// Keys are all digits of DTMF.
const Keys = "0123456789*#ABCD"

// Digit is one DTMF digit for so long. It panics on what is none.
func (g Generator) Digit(key byte, d time.Duration, s Shape) []float64 {
	tones, ok := keypad[key]
	if !ok {
		panic(fmt.Sprintf("signal: %q is no DTMF digit", key))
	}
	if s.Level == 0 {
		s.Level = DefaultLevel
	}
	ratio := math.Pow(10, s.Twist/10)
	low := s.Level - 10*math.Log10(1+ratio)
	return g.Sines(d, []Component{{tones[0] * (1 + s.Low), low}, {tones[1] * (1 + s.High), low + s.Twist}}, s.Phases[:]...)
}

// Digits are digits with pauses before, between and after them.
func (g Generator) Digits(keys string, on, off time.Duration, s Shape) []float64 {
	out := g.Quiet(off)
	for i := range len(keys) {
		out = append(out, g.Digit(keys[i], on, s)...)
		out = append(out, g.Quiet(off)...)
	}
	return out
}
