package scene

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// params is what a line is like: levels in dBFS, RMS.
type params struct {
	near, far             float64 // of speech
	tone, key, ring, data float64 // of the exchange's tones, of digits, of ringing, of caller ID
	click                 float64 // peak
	noise, idleNoise      float64 // while the handset is lifted, and not
	lean                  float64
	hum                   float64
	clip                  float64 // peak at which the tap clips
	disturbances          float64 // clicks a minute on the idle line
	contactLate           int     // frames by which the hook contact tells a move too late
}

// site is where a recorder stands.
type site struct {
	country country
	tap     Tap
	contact bool
	apart   bool // the sides are two channels
	params  params
}

// stage is where and when something happens.
type stage struct {
	r      *rand.Rand
	canvas canvas
	now    int // frame
}

// director lets things happen on one line.
type director struct {
	site
	stage
	exchange exchange
	ringing  ringing
	key      key
	voices   Voices

	call  *Call
	near  func() []float32
	far   func() []float32
	calls []*Call
	moves []Move
}

func newDirector(r *rand.Rand, c country, v Voices, card bool) *director {
	d := &director{stage: stage{r: r}, voices: v, exchange: newExchange(r), ringing: newRinging(r, c.ringHz), key: newKey(r)}
	d.site = site{country: c, tap: LineTap, contact: chance(r, 0.4)}
	if chance(r, 0.35) {
		d.tap = HandsetTap
	}
	d.apart = !card && chance(r, 0.1)
	d.params = newParams(r, d.tap)
	return d
}

func newParams(r *rand.Rand, tap Tap) params {
	level := uniform(r, -35, -5)
	p := params{near: level, far: level - uniform(r, 0, 8)}
	if chance(r, 0.2) { // the other end is the louder one
		p.near, p.far = p.far, p.near
	}
	p.tone = max(-40, p.far+uniform(r, -4, 6))
	p.key = max(-38, p.near+uniform(r, -4, 6))
	p.data = min(-6, max(-38, p.far+uniform(r, -2, 8)))
	p.ring = uniform(r, -28, -3)
	p.click = uniform(r, -25, -2)
	p.noise = min(p.near, p.far) - uniform(r, 12, 40)
	p.idleNoise = p.noise - uniform(r, 0, 15)
	if tap == HandsetTap {
		p.idleNoise -= 10
	}
	p.lean = uniform(r, 0, 0.8)
	switch {
	case chance(r, 0.3):
		p.hum = -120
	case chance(r, 0.15):
		p.hum = uniform(r, -45, -32)
	default:
		p.hum = uniform(r, -75, -45)
	}
	p.clip = 1
	if chance(r, 0.15) {
		p.clip = min(1, amplitude(max(p.near, p.far)+uniform(r, 4, 12))) // a person's peaks are some 12 dB above the level
	}
	if chance(r, 0.4) {
		p.disturbances = uniform(r, 0.3, 6)
	}
	p.contactLate = frames(uniform(r, 0, 0.03))
	return p
}

// about is the line in words.
func (s site) about() string {
	p := s.params
	text := fmt.Sprintf("%s, %s, speech %.0f and %.0f dBFS, noise %.0f (idle %.0f), ringing %.0f", s.country.name, s.tap, p.near, p.far, p.noise, p.idleNoise, p.ring)
	if p.hum > -100 {
		text += fmt.Sprintf(", hum %.0f", p.hum)
	}
	if p.clip < 1 {
		text += fmt.Sprintf(", clips at %.2f", p.clip)
	}
	if s.contact {
		text += ", hook contact"
	}
	if s.apart {
		text += ", sides apart"
	}
	return text
}

// traits are those that all calls of the line have.
func (s site) traits() (t []string) {
	p := s.params
	add := func(is bool, what string) {
		if is {
			t = append(t, what)
		}
	}
	add(s.contact, "hook contact")
	add(!s.contact && s.tap == LineTap, "line tap, no contact")
	add(!s.contact && s.tap == HandsetTap, "handset tap, no contact")
	weak := min(p.near, p.far)
	add(weak-p.noise < 18, "S/N 12 to 18 dB")
	add(weak < -35, "faint: below -35 dBFS")
	add(max(p.near, p.far) > -12, "loud: above -12 dBFS")
	add(p.clip < 1, "tap clips")
	add(p.hum > -45, "hum above -45 dBFS")
	add(s.apart, "sides apart")
	return t
}

// play is so many calls, with idle time around them.
func (d *director) play(calls int) {
	d.wait(8, 25)
	for i := range calls {
		kind := Incoming
		switch {
		case chance(d.r, 0.45):
			kind = Outgoing
		case d.tap == LineTap && chance(d.r, 0.3):
			kind = Missed
		}
		if i > 0 {
			kind = d.gap(kind)
		}
		d.begin(kind)
		switch kind {
		case Incoming, Missed:
			d.incoming()
		case Outgoing:
			d.outgoing()
		}
		d.call.End = int64(d.now)
	}
	d.wait(35, 50)
}

// gap is the idle time between two calls. One call follows upon another only where the tap can hear that it is another,
// by its ringing, dial tone or contact; over a handset tap nothing else tells two incoming calls apart.
func (d *director) gap(next Kind) Kind {
	if !chance(d.r, 0.2) {
		d.wait(28, 80)
		return next
	}
	if d.tap == HandsetTap && !d.contact {
		next = Outgoing
	}
	if last := d.calls[len(d.calls)-1]; last.Kind == Missed {
		d.wait(10, 16) // sooner, it would just go on ringing
	} else {
		d.wait(1.2, 7)
	}
	d.calls[len(d.calls)-1].trait("back to back")
	return next
}

// wait lets time pass.
func (s *stage) wait(from, to float64) { s.pass(frames(uniform(s.r, from, to))) }

func (s *stage) pass(frames int) {
	s.now += frames
	s.canvas.reach(s.now)
}

// put adds a sound at a level and lets its time pass.
func (s *stage) put(side int, sound []float32, level float64) {
	s.canvas.add(side, s.now, sound, amplitude(level))
	s.pass(len(sound))
}

func (d *director) begin(kind Kind) {
	d.call = &Call{Kind: kind, Begin: int64(d.now), OffHook: -1, FirstKey: -1, LastKey: -1, FirstWord: -1, LastWord: -1, OnHook: -1, Traits: d.traits()}
	if n := len(d.calls); n > 0 && kind != Missed {
		if last := d.calls[n-1].Traits; len(last) > 0 && last[len(last)-1] == "back to back" {
			d.call.trait("back to back")
		}
	}
	d.calls = append(d.calls, d.call)
	d.near, d.far = d.voices.Speaker(d.r), d.voices.Speaker(d.r)
}

// hook lifts the handset or puts it back.
func (d *director) hook(off bool) {
	d.canvas.add(near, d.now, click(d.r), amplitude(d.params.click))
	if off {
		d.call.OffHook = int64(d.now)
	} else {
		d.call.OnHook = int64(d.now)
	}
	d.tell(off)
}

func (d *director) tell(off bool) {
	if d.contact {
		d.moves = append(d.moves, Move{int64(d.now + d.params.contactLate), off})
	}
}

// finish adds noise, hum and disturbances, and makes the channels, so long.
func (d *director) finish(frames int) ([][]float32, Line) {
	d.canvas.reach(frames)
	line := Line{Country: d.country.name, Tap: d.tap, Contact: d.contact, Moves: d.moves, About: d.about()}
	for _, c := range d.calls {
		line.Calls = append(line.Calls, *c)
	}
	for n := d.params.disturbances / 60 * float64(frames) / Rate; n > 0; n-- {
		if at := d.r.IntN(frames - Rate); !inUse(d.calls, at) {
			d.canvas.add(near, at, click(d.r), amplitude(uniform(d.r, -45, -12)))
		}
	}
	channels := [][]float32{d.canvas.sides[near], d.canvas.sides[far]}
	if !d.apart {
		for i, v := range channels[far][:frames] {
			channels[near][i] += v
		}
		channels = channels[:1]
	}
	for i := range channels {
		channels[i] = channels[i][:frames]
		d.background(d.r, d.calls, channels[i])
	}
	return channels, line
}

func inUse(calls []*Call, at int) bool {
	for _, c := range calls {
		if int64(at) >= c.Begin && int64(at) < c.End {
			return true
		}
	}
	return false
}

// background adds noise and hum. The noise is louder while the line is in use: then the other end's room is heard too.
func (s site) background(r *rand.Rand, calls []*Call, channel []float32) {
	noise, hum := newHiss(r, s.params.lean), newMains(r, s.country.mainsHz)
	humLevel, level := amplitude(s.params.hum), amplitude(s.params.idleNoise)
	next := 0
	for i := range channel {
		for next < 2*len(calls) {
			c := calls[next/2]
			at, to := c.OffHook, s.params.noise
			if next%2 == 1 {
				at, to = c.OnHook, s.params.idleNoise
			}
			if at >= 0 && int64(i) < at {
				break
			}
			if at >= 0 {
				level = amplitude(to)
			}
			next++
		}
		channel[i] += float32(level*noise.next() + humLevel*hum.next())
	}
}

// tone sends so many frames of a tone.
func (d *director) tone(s sound, length int) {
	d.put(far, d.exchange.send(s, length), d.params.tone)
}

// speak lets a side say a sentence, and is its length in frames.
func (d *director) speak(side int) {
	speaker, level := d.near, d.params.near
	if side == far {
		speaker, level = d.far, d.params.far
	}
	sentence := overLine(speaker())
	if d.call.FirstWord < 0 {
		d.call.FirstWord = int64(d.now)
	}
	d.put(side, sentence, 20*math.Log10(max(1e-9, gainTo(sentence, level))))
	d.call.LastWord = int64(d.now)
}
