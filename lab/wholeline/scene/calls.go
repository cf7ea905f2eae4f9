package scene

import (
	"math"
)

// incoming is a call that comes in, answered or not.
func (d *director) incoming() {
	missed := d.call.Kind == Missed
	if d.tap == LineTap {
		d.ring(missed)
	}
	if missed {
		return
	}
	d.call.Begin = min(d.call.Begin, int64(d.now))
	if d.tap == HandsetTap {
		d.call.Begin = int64(d.now)
	}
	d.hook(true)
	d.wait(0.25, 2.5)
	first := near
	if chance(d.r, 0.1) {
		first = far
	}
	d.converse(first)
	d.hangUp()
}

// ring is the ringing, with caller ID before it or between the first two, until the handset is lifted or nobody did.
func (d *director) ring(missed bool) {
	id := d.country.callerID
	sends := chance(d.r, 0.75)
	var number string
	var data []float32
	if sends {
		data, number = message(d.r, id, false)
		d.call.Number = number
	}
	if sends && id.early {
		if chance(d.r, 0.5) { // the battery is reversed
			d.canvas.add(far, d.now, click(d.r), amplitude(d.params.click))
			d.wait(0.1, 0.4)
		}
		d.put(far, data, d.params.data)
		d.wait(0.25, 0.9)
	}
	rounds := between(d.r, 1, 6)
	if missed {
		rounds = between(d.r, 2, 8)
	}
	d.call.Rings = rounds
	for i := range rounds {
		last := i == rounds-1
		for k, t := range d.country.ring {
			length := frames(t)
			answer := last && !missed && k >= len(d.country.ring)-2
			switch {
			case answer && k%2 == 0 && chance(d.r, 0.3): // while it rings
				d.put(far, d.ringing.burst(frames(t*uniform(d.r, 0.4, 0.95))), d.params.ring)
				if i == 0 && !id.early {
					d.call.Number = "" // it was answered before the number came
				}
				return
			case k%2 == 0:
				d.put(far, d.ringing.burst(length), d.params.ring)
			case answer:
				d.pass(int(float64(length) * uniform(d.r, 0.1, 0.9)))
			case last && missed && k == len(d.country.ring)-1:
			case i == 0 && k == 1 && sends && !id.early && rounds > 1:
				d.pass(frames(0.5))
				d.put(far, data, d.params.data)
				d.pass(max(frames(0.2), length-frames(0.5)-len(data)))
			default:
				d.pass(length)
			}
		}
	}
	if sends && !id.early && rounds == 1 {
		d.call.Number = "" // it was answered, or given up, before the number came
	}
}

// outgoing is a call that is made here.
func (d *director) outgoing() {
	d.hook(true)
	d.pass(frames(uniform(d.r, 0.05, 0.4)))
	d.call.Dialled = digits(d.r, between(d.r, 3, 13))
	tones := frames(uniform(d.r, 0.8, 4))
	d.canvas.add(far, d.now, d.exchange.send(d.country.dial, tones+frames(uniform(d.r, 0, 0.06))), amplitude(d.params.tone))
	d.pass(tones)
	d.call.FirstKey = int64(d.now)
	d.keys(d.call.Dialled)
	d.call.LastKey = int64(d.now)
	d.wait(0.6, 5)
	switch what := d.r.Float64(); {
	case what < 0.08:
		d.call.trait("the other end is busy")
		d.tone(d.country.busy, d.exchange.rounds(d.country.busy, between(d.r, 3, 12)))
		d.hook(false)
		return
	case what < 0.14:
		d.call.trait("nobody answers")
		d.tone(d.country.ringBack, d.exchange.rounds(d.country.ringBack, between(d.r, 2, 6)))
		d.hook(false)
		return
	}
	round := d.exchange.rounds(d.country.ringBack, 1)
	d.tone(d.country.ringBack, int(float64(round)*uniform(d.r, 0.6, 5)))
	if chance(d.r, 0.4) {
		d.canvas.add(far, d.now, click(d.r), amplitude(d.params.click-10))
	}
	d.wait(0.2, 1.8)
	d.converse(far)
	d.hangUp()
}

// keys keys digits here.
func (d *director) keys(keys string) {
	d.call.Digits += keys
	d.put(near, d.key.press(d.r, keys), d.params.key)
}

// converse is talk in turns, and what may happen in it.
func (d *director) converse(side int) {
	until := d.now + frames(uniform(d.r, 6, 50))
	things := []func(){}
	for _, one := range []struct {
		of    float64
		thing func()
	}{{0.3, d.hold}, {0.3, d.silence}, {0.15, d.menu}, {0.15, d.waiting}} {
		if chance(d.r, one.of) {
			things = append(things, one.thing)
		}
	}
	d.r.Shuffle(len(things), func(i, k int) { things[i], things[k] = things[k], things[i] })
	for d.speak(side); d.now < until || len(things) > 0; d.speak(side) {
		d.wait(0.15, 1.4)
		if len(things) > 0 && chance(d.r, 0.35) {
			things[0]()
			things = things[1:]
		}
		if !chance(d.r, 0.25) {
			side = 1 - side
		}
	}
}

// hold is music on hold, or nothing, between two clicks.
func (d *director) hold() {
	d.canvas.add(far, d.now, click(d.r), amplitude(d.params.click-12))
	d.wait(0.3, 2)
	if chance(d.r, 0.7) {
		d.call.trait("music on hold")
		music := overLine(d.voices.Music(d.r, frames(uniform(d.r, 8, 60))))
		level := d.params.far + uniform(d.r, -6, 2)
		d.put(far, music, 20*math.Log10(max(1e-9, gainTo(music, level))))
	} else {
		d.call.trait("silent hold")
		d.wait(6, 18)
	}
	d.wait(0.3, 2)
	d.canvas.add(far, d.now, click(d.r), amplitude(d.params.click-12))
}

// silence is that nobody speaks.
func (d *director) silence() {
	if chance(d.r, 0.35) {
		d.call.trait(LongSilence)
		d.pass(frames(22 * math.Exp(uniform(d.r, 0, math.Log(120./22)))))
		return
	}
	d.call.trait("silence of 8 to 18 s")
	d.wait(8, 18)
}

// menu is keys pressed in the call.
func (d *director) menu() {
	d.call.trait("keys in the call")
	d.wait(0.1, 0.5)
	d.keys(digits(d.r, between(d.r, 1, 5)))
	d.wait(0.3, 1.5)
}

// waiting is another call that waits. The telephone mutes itself while it hears the number, so that a handset tap does
// not hear it.
func (d *director) waiting() {
	if d.country.callerID.modem == keys {
		return
	}
	d.call.trait("call waiting")
	d.wait(0.2, 0.5)
	d.put(far, d.exchange.send(tone(440), frames(0.3)), d.params.tone)
	d.wait(0.02, 0.1)
	d.put(far, narrow(generator.Alert(85e6, 0)), d.params.data)
	d.wait(0.15, 0.3)
	data, number := message(d.r, d.country.callerID, true)
	if d.tap == LineTap {
		d.put(far, data, d.params.data)
		if number != "" {
			d.call.Waiting = append(d.call.Waiting, number)
		}
	} else {
		d.pass(len(data))
	}
	d.wait(0.2, 1)
	if chance(d.r, 0.4) {
		d.flash()
	}
}

// flash takes the other call: the hook is down for a moment, which the exchange hears, and ends no call.
func (d *director) flash() {
	d.call.trait("hook flash")
	d.canvas.add(near, d.now, click(d.r), amplitude(d.params.click))
	d.tell(false)
	d.wait(0.1, 0.6)
	d.canvas.add(near, d.now, click(d.r), amplitude(d.params.click))
	d.tell(true)
	d.wait(0.5, 1.5)
	d.far = d.voices.Speaker(d.r)
}

// hangUp ends a call, from here or from the other end, of which the exchange tells with a tone, or does not.
func (d *director) hangUp() {
	d.wait(0.2, 1.5)
	if chance(d.r, 0.5) {
		d.hook(false)
		return
	}
	d.canvas.add(far, d.now, click(d.r), amplitude(d.params.click-10))
	d.wait(0.3, 4)
	tone := d.country.busy
	switch {
	case chance(d.r, 0.2):
		tone = d.country.reorder
	case chance(d.r, 0.15):
		tone = d.country.dial
	}
	if chance(d.r, 0.8) {
		length := frames(uniform(d.r, 1, 30))
		d.tone(tone, length)
		d.call.Tone = length >= frames(4)
		if d.call.Tone {
			d.call.trait("tone after the other end hung up")
		}
	}
	d.wait(0.1, 0.5)
	d.hook(false)
}
