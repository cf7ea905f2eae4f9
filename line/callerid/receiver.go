package callerid

import "math"

// Receiver listens to one channel for messages sent by frequency shift keying. Its zero value is not usable; see
// NewReceiver.
type Receiver struct {
	rate     int
	position int64 // of the next sample
	low      highPass
	clean    []float64 // what was fed, without hum
	trigger  trigger
	alert    alert
	band     *band

	reading  bool
	fitter   fitter
	fast     float64 // the sender's mark: 0.01 is 1 % too high
	origin   int64   // position of the reading's first sample
	state    state
	messages []Message
}

// state is how far a message is read, in the inner rate's frames.
type state struct {
	seek    float64 // where the first start bit is tried next; while there is no byte yet
	lost    int     // bits without mark or message
	bytes   []byte
	last    fit
	next    float64 // where the next start bit is expected
	before  int     // the bits before that, the last of them the lowest
	stuffed int     // mark bits since the last byte and its stop bit
	share   float64 // of the fits, their mean so far
	weak    int     // bytes in a row that were hardly there
}

const (
	leastShare  = 0.4  // of the energy that mark bits or a byte hold at least; 0 dB above noise it is 0.6
	leastFirst  = 0.25 // for looking closer
	shareFirst  = 1.15 // by which a byte is better than marks that go on
	shareLate   = 1.04 // by which a mark bit in the place of a start bit is better
	longestRun  = 15   // bits without anything until it is given up
	window      = 0.35 // bits by which a start bit is early or late
	fine        = 0.125
	coarse      = 0.25
	pull        = 0.4 // by which the timing follows each byte's own
	stretching  = 0.1 // by which the length of a bit follows it
	mostStuffed = 20  // mark bits between two bytes; 10 are usual where there are any
)

// NewReceiver makes a receiver for samples at rate frames a second: 8000, or a multiple of it.
func NewReceiver(rate int) *Receiver {
	return &Receiver{rate: rate, low: newHighPass(rate), trigger: newTrigger(rate), alert: newAlert(rate), band: newBand(rate)}
}

// Feed takes the next samples and returns the messages that they ended, in order. They are valid until the next call.
func (r *Receiver) Feed(samples []int16) []Message {
	r.messages = r.messages[:0]
	r.clean = r.low.feed(r.clean[:0], samples)
	for clean := r.clean; len(samples) > 0; {
		used := r.feed(samples, clean)
		r.alert.feed(clean[:used], r.position)
		r.position += int64(used)
		samples, clean = samples[used:], clean[used:]
	}
	return r.messages
}

// feed uses some of the samples and says how many.
func (r *Receiver) feed(samples []int16, clean []float64) int {
	if !r.reading {
		used, tone := r.trigger.feed(clean)
		if tone >= 0 {
			r.start([...]modem{bell202, v23}[tone], r.position+int64(used))
		}
		return used
	}
	for i, s := range samples {
		if z, due := r.band.feed(s); due {
			r.fitter.append(z)
			if r.read(); !r.reading {
				return i + 1
			}
		}
	}
	return len(samples)
}

// Lost says that frames are missing before the samples that Feed is given next: a message that is being read ends, and
// is told as damaged if it was far enough. What is returned is valid until the next call.
func (r *Receiver) Lost(frames int64) []Message {
	r.messages = r.messages[:0]
	if r.reading {
		r.finish()
	}
	r.low = newHighPass(r.rate)
	r.trigger.reset()
	r.alert.reset()
	r.position += frames
	return r.messages
}

func (r *Receiver) start(m modem, at int64) {
	r.reading, r.origin = true, at
	r.band.reset()
	r.fast = r.trigger.fast(m)
	r.fitter.start(m, r.fast)
	bytes := r.state.bytes[:0]
	// The filter needs its length to fill.
	r.state = state{seek: (context + 4) * r.fitter.bit, bytes: bytes}
}

func (r *Receiver) stop() {
	r.reading = false
	r.trigger.reset()
}

// read goes on as far as what was heard allows.
func (r *Receiver) read() {
	for r.reading {
		if len(r.state.bytes) == 0 {
			if !r.readFirst() {
				return
			}
		} else if !r.readNext() {
			return
		}
	}
}

// heard says whether all is there up to a moment.
func (r *Receiver) heard(t float64) bool { return float64(r.fitter.end()) > t+2 }

// readFirst looks for the end of the mark bits.
func (r *Receiver) readFirst() bool {
	s := &r.state
	if !r.heard(s.seek + 20*r.fitter.bit) {
		return false
	}
	marks := r.fitter.idle(s.seek)
	one, _ := r.fitter.fit(s.seek, 7)
	s.seek += coarse * r.fitter.bit
	if one.share > shareFirst*marks && one.share > leastFirst {
		// The start bit is here or later: that the byte's last bits are not marks was enough.
		best := r.fitter.first(s.seek, r.fast)
		if best.share > leastShare {
			r.take(best, best.at)
			r.fitter.follow(best)
			return true
		}
		r.fitter.tune(r.fast)
	}
	if s.lost++; marks > leastShare {
		s.lost = 0
	}
	if s.lost > longestRun/coarse {
		r.stop()
	}
	r.fitter.forget(int(s.seek - (context+1)*r.fitter.bit))
	return true
}

// readNext reads the byte after the last, or finds that it begins a bit later: that bit is a mark.
func (r *Receiver) readNext() bool {
	s := &r.state
	if !r.heard(s.next + (10+window)*r.fitter.bit) {
		return false
	}
	best, mark := r.fitter.best(s.next-window*r.fitter.bit, s.next+window*r.fitter.bit, fine*r.fitter.bit, s.before)
	if mark > shareLate*best.share {
		s.before = s.before<<1&7 | 1
		s.next += r.fitter.bit
		if s.stuffed++; s.stuffed > mostStuffed {
			r.finish()
		}
		return true
	}
	r.take(best, s.next)
	if r.reading {
		r.fitter.follow(best)
	}
	r.fitter.forget(int(s.next - (context+2)*r.fitter.bit))
	return true
}

// take takes a byte, whose start bit was expected at a moment.
func (r *Receiver) take(f fit, expected float64) {
	s := &r.state
	n := float64(len(s.bytes))
	s.bytes = append(s.bytes, f.value)
	s.share = (s.share*n + f.share) / (n + 1)
	s.last = f
	s.before, s.stuffed = int(f.value>>6&1)<<2|int(f.value>>7)<<1|1, 0
	late := f.at - expected
	r.fitter.bit += stretching * late / 10
	s.next = expected + pull*late + 10*r.fitter.bit
	if s.weak++; f.share >= leastShare {
		s.weak = 0
	}
	switch {
	case !known(s.bytes[0]):
		r.stop()
	case s.weak > 1 || len(s.bytes) > 1 && len(s.bytes) == int(s.bytes[1])+3:
		r.finish()
	}
}

// finish tells the message that was read.
func (r *Receiver) finish() {
	s := &r.state
	if len(s.bytes) < 3 || !known(s.bytes[0]) {
		r.stop()
		return
	}
	m := parse(s.bytes[:len(s.bytes)-s.weak])
	step := float64(r.rate) / inner
	end := r.origin + int64(math.Round((s.last.at+10*r.fitter.bit)*step))
	m.Modem = r.fitter.modem.name
	m.Position = r.origin - int64(triggerBlocks+triggerRun-1)*int64(r.trigger.block)
	m.Frames = end - m.Position
	m.Waiting = r.alert.before(m.Position)
	if m.Intact || s.share > 0.5 && len(m.Raw) > 3 {
		r.messages = append(r.messages, m)
	}
	r.stop()
}
