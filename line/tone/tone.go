// Package tone hears what an exchange says with tones: dial tone, ring-back, busy, reorder; and the tone by which a
// recorder gives notice that it records.
//
//	tones, err := tone.BuiltIn()       // and tones.Extend(data) for a file of the installer's own
//	r := tone.NewReceiver(tones["ke"], 8000)
//	for samples := range periods {
//		for _, t := range r.Feed(samples) {
//			// t.Kind is heard since frame t.Begin
//		}
//	}
//
// A Detector is the same for periods of a line, and gives marks.
//
// How it works. Two parts of the telephone band, around 470 and around 1400 Hz, are brought to 800 values a second; each
// 20 ms a spectrum over 80 ms shows whether they hold one or two lines and little else (band.go). Where that lasts it is
// a burst, whose edges are found to about 5 ms (burst.go). Bursts of a tone's frequencies that come at its times are the
// tone (cadence.go). Voices and music have lines too, but not for long at one frequency, and not in an even cadence.
//
// A tone is told once, when it is certain: one that goes on, after 1.5 s or when it is longer than any burst of the same
// frequencies; others after one round and the beginning of the next, four bursts where they are quick.
//
// Limits: rates that are multiples of 800; frequencies of 300 to 650 Hz that are 20 Hz off at most; times that are 18 %
// and 40 ms off; white noise 5 dB below the tone.
//
// It is pure: the same samples give the same tones whatever the sizes in which they are fed.
package tone

import "math"

// Tone is a tone that was heard.
type Tone struct {
	Kind   Kind
	Begin  int64 // frames since the receiver was made, lost ones included
	Frames int64 // up to now, where it goes on
}

// Receiver listens to one channel. Its zero value is not usable; see NewReceiver.
type Receiver struct {
	rate   int
	origin int64 // position of the bands' first frame
	frames int64 // since then
	low    highPass
	power  [window / hop]float64 // of the last hops, a ring
	hopped []float64             // the hop that is being filled

	exchange         bool // it has tones to be heard
	progress, notice *band
	bursts, beeps    burster
	tracker          *tracker
	noticer          noticer
	tones            []Tone
}

const (
	progressHz = 470.0
	noticeAt   = 1400.0
)

// NewReceiver makes a receiver for samples at rate frames a second, a multiple of 800: for the tones of a country, of which
// there may be none, and for notices.
func NewReceiver(forms []Form, rate int) *Receiver {
	return &Receiver{
		rate:     rate,
		low:      newHighPass(float64(rate)),
		hopped:   make([]float64, 0, rate/hopsASecond),
		exchange: len(forms) > 0,
		progress: newBand(progressHz, rate),
		notice:   newBand(noticeAt, rate),
		bursts:   burster{purity: 0.55},
		beeps:    burster{purity: 0.7},
		tracker:  newTracker(forms),
		noticer:  noticer{form: DefaultNotice()},
	}
}

// SetNotice says what is taken for a notice, where that is not DefaultNotice. It is called before Feed.
func (r *Receiver) SetNotice(n NoticeForm) { r.noticer.form = n }

// Feed takes the next samples and returns the tones that they made certain. They are valid until the next call.
func (r *Receiver) Feed(samples []int16) []Tone {
	r.tones = r.tones[:0]
	for _, s := range samples {
		r.hopped = append(r.hopped, r.low.feed(float64(s)*(1./32768)))
		r.frames++
		if len(r.hopped) == cap(r.hopped) {
			r.hop()
			r.hopped = r.hopped[:0]
		}
	}
	return r.tones
}

// hop looks at the last 80 ms.
func (r *Receiver) hop() {
	last := 0.0
	for _, v := range r.hopped {
		last += v * v / float64(len(r.hopped))
	}
	faint := last < leastLevel/4
	r.progress.feed(r.hopped, faint || !r.exchange)
	r.notice.feed(r.hopped, faint)
	r.power[r.bursts.now%len(r.power)] = last
	power := 0.0
	for _, p := range r.power {
		power += p / float64(len(r.power))
	}
	var progress, notice sight
	if power > leastLevel {
		r.notice.spectrum()
		notice = r.notice.look()
		if r.exchange {
			r.progress.spectrum()
			progress = r.progress.look()
		}
	}
	ended, ok := r.bursts.hop(progress, power)
	switch {
	case ok:
		r.track(ended)
	case r.bursts.is:
		r.track(r.bursts.burst)
	}
	if beep, ok := r.beeps.hop(notice, power); ok {
		for _, b := range r.noticer.add(beep) {
			r.tell(Notice, b.begin, b.end)
		}
	}
}

func (r *Receiver) track(b burst) {
	if kind, begin, end := r.tracker.add(b); kind != "" {
		r.tell(kind, begin, end)
	}
}

func (r *Receiver) tell(kind Kind, begin, end float64) {
	length := float64(r.rate) / hopsASecond
	from, to := int64(math.Round(begin*length)), min(r.frames, int64(math.Round(end*length)))
	r.tones = append(r.tones, Tone{Kind: kind, Begin: r.origin + from, Frames: max(0, to-from)})
}

// Lost says that frames are missing before the samples that Feed is given next. What was heard before is not put
// together with what comes.
func (r *Receiver) Lost(frames int64) {
	r.origin += r.frames + frames
	r.frames, r.hopped = 0, r.hopped[:0]
	r.low.z1, r.low.z2 = 0, 0
	r.power = [window / hop]float64{}
	r.progress.reset()
	r.notice.reset()
	r.bursts = burster{purity: r.bursts.purity}
	r.beeps = burster{purity: r.beeps.purity}
	r.tracker.forget()
	r.noticer = noticer{form: r.noticer.form}
}

// highPass takes away hum (transposed direct form II, of R. Bristow-Johnson's cookbook).
type highPass struct{ b0, b1, a1, a2, z1, z2 float64 }

func newHighPass(rate float64) highPass {
	const edge, q = 250.0, 0.7
	sin, cos := math.Sincos(2 * math.Pi * edge / rate)
	alpha := sin / (2 * q)
	return highPass{b0: (1 + cos) / 2 / (1 + alpha), b1: -(1 + cos) / (1 + alpha), a1: -2 * cos / (1 + alpha), a2: (1 - alpha) / (1 + alpha)}
}

func (h *highPass) feed(v float64) float64 {
	const nothing = 1e-25 // keeps the state off the denormal numbers of digital silence
	u := h.b0*v + h.z1
	h.z1 = h.b1*v - h.a1*u + h.z2 + nothing
	h.z2 = h.b0*v - h.a2*u
	return u
}
