// Package ring hears on a tapped line that the telephone rings: the exchange's ring current, whose 15 to 35 Hz a tap
// passes on as they are, clipped, or as the spikes of a transformer that they drive into saturation.
//
//	d := ring.New(8000)
//	for samples := range periods {
//		for _, burst := range d.Feed(samples) {
//			// it rang from frame burst.Begin up to burst.End
//		}
//		begin, ringing := d.Ringing() // it rings now
//	}
//
// How it works. The channel below 200 Hz is brought to 400 values a second. A ring current is the same again, upside
// down, after half its period (it is alternating current, and what it drives is symmetric), and that is what is looked
// for, each 20 ms over the last 160 ms. Speech and music that have come over a line hold nothing so low, and mains hum is
// upside down earlier.
//
// Some countries ring with 50 Hz, as mains hum has: that is a ring where it comes at once, 8 dB above what was there, and
// goes again within seconds.
//
// A ring is certain after 0.3 s, and has ended when it is fainter by 10 dB for 60 ms or another sound. Limits: rings of 15
// to 35 Hz and of 50 Hz; bursts of 0.3 s and more; a tap whose transformer or card takes away all below 200 Hz; hum that
// is switched on, without even harmonics, rings once.
//
// It is pure: the same samples give the same bursts whatever the sizes in which they are fed.
package ring

import "math"

// Burst is a stretch in which it rings, in frames since the detector was made, lost ones included.
type Burst struct{ Begin, End int64 }

const (
	innerRate = 400 // values a second, roughly
	hop       = 8   // values: 20 ms
	window    = 64  // values that are compared: 160 ms
	leastHalf = 6   // values: half a period of 33 Hz
	mostHalf  = 14  // of 14.3 Hz
	mainsHalf = 4   // of 50 Hz
	kept      = window + 2*mostHalf + 1
	memory    = 20 // hops of which the power is known

	upsideDown = -0.7 // correlation after half a period, at most
	again      = 0.75 // after a whole one, at least
	nearly     = 0.75 // of the deepest correlation: the first so deep is half a period
	leastPower = 1e-5 // -50 dBFS below 200 Hz
	leastShare = 0.03 // of the channel's power
	certain    = 3    // hops
	fainter    = 0.1  // 10 dB
	over       = 3    // hops that are fainter
	other      = 8    // hops that are something else

	mainsLeast  = 1e-4 // -40 dBFS: what a ring of 50 Hz has at least
	mainsSmooth = 0.35 // correlation from one value to the next: a voice of 150 Hz has less
	mainsRise   = 6.0  // 8 dB above the least of the last 6 s
	floorHops   = 25   // of a block of the least: 0.5 s
	floors      = 12   // blocks
	floorsHad   = 4    // blocks that must have been heard
)

// Detector listens to one channel. Its zero value is not usable; see New.
type Detector struct {
	step     int // frames to a value
	taps     []float64
	recent   []float64 // the last samples, twice, so that the last len(taps) always stand in a row
	at       int
	phase    int
	position int64
	settled  int // values since the start or the last loss

	values  [kept]float64 // a ring
	power   float64       // of the channel, of the hop that is being filled
	hops    int
	lows    [memory]float64 // power below 200 Hz of the last hops
	powers  [memory]float64 // power of the channel
	floor   [floors]float64 // the least power below 200 Hz of each block; a ring
	are     int             // hops in a row that ring
	not     int             // while it rings: hops in a row that do not
	faint   int             // and that are fainter
	ringing bool
	burst   Burst
	past    int64   // the end of the last burst or loss, which no burst begins before
	level   float64 // of the burst: its power, the most of any hop
	bursts  []Burst
}

// New makes a detector for samples at rate frames a second: 2000 or more.
func New(rate int) *Detector {
	d := &Detector{step: max(1, (rate+innerRate/2)/innerRate)}
	const edge = 160.0 // Hz, of half the amplitude
	half := int(0.017 * float64(rate))
	sum := 0.0
	for i := -half; i <= half; i++ {
		v, x := 1.0, 2*math.Pi*edge/float64(rate)*float64(i)
		if i != 0 {
			v = math.Sin(x) / x
		}
		a := math.Pi * float64(i) / float64(half+1)
		v *= 0.42 + 0.5*math.Cos(a) + 0.08*math.Cos(2*a) // Blackman: what would be folded back is 60 dB down
		d.taps = append(d.taps, v)
		sum += v
	}
	for i := range d.taps {
		d.taps[i] /= sum
	}
	d.recent = make([]float64, 2*len(d.taps))
	return d
}

// Ringing says whether it rings now, and since when.
func (d *Detector) Ringing() (begin int64, ok bool) { return d.burst.Begin, d.ringing }

// Feed takes the next samples and returns the bursts that ended, in order. They are valid until the next call.
func (d *Detector) Feed(samples []int16) []Burst {
	d.bursts = d.bursts[:0]
	n := len(d.taps)
	for _, s := range samples {
		v := float64(s) * (1. / 32768)
		d.recent[d.at], d.recent[d.at+n] = v, v
		if d.at++; d.at == n {
			d.at = 0
		}
		d.position++
		if d.phase++; d.phase < d.step {
			continue
		}
		d.phase = 0
		d.value(d.recent[d.at : d.at+n])
	}
	return d.bursts
}

// value makes the next value of the last samples.
func (d *Detector) value(recent []float64) {
	// The taps are symmetric, and four sums do not wait for each other: this is a quarter of the work on an idle line.
	half := len(recent) / 2 // before the tap in the middle
	first, last, taps := recent[:half], recent[len(recent)-half:], d.taps[:half]
	sum := [4]float64{d.taps[half] * recent[half]}
	i := 0
	for ; i+4 <= half; i += 4 {
		t, f, l := taps[i:i+4:i+4], first[i:i+4:i+4], last[half-i-4:half-i:half-i]
		sum[0] += t[0] * (f[0] + l[3])
		sum[1] += t[1] * (f[1] + l[2])
		sum[2] += t[2] * (f[2] + l[1])
		sum[3] += t[3] * (f[3] + l[0])
	}
	for ; i < half; i++ {
		sum[0] += taps[i] * (first[i] + last[half-1-i])
	}
	power := 0.0
	for _, v := range recent[len(recent)-d.step:] {
		power += v * v
	}
	d.power += power / float64(d.step)
	d.values[d.settled%kept] = (sum[0] + sum[1]) + (sum[2] + sum[3])
	if d.settled++; d.settled%hop == 0 {
		d.hop()
	}
}

// Lost says that frames are missing before the samples that Feed is given next: it ends a burst. What is returned is
// valid until the next call.
func (d *Detector) Lost(frames int64) []Burst {
	d.bursts = d.bursts[:0]
	d.end(d.position)
	d.position += frames
	d.past = d.position
	clear(d.recent)
	d.lows, d.powers, d.values, d.floor = [memory]float64{}, [memory]float64{}, [kept]float64{}, [floors]float64{}
	d.at, d.phase, d.settled, d.power, d.hops, d.are = 0, 0, 0, 0, 0, 0
	return d.bursts
}

// hop looks at the last values.
func (d *Detector) hop() {
	var x [kept]float64
	mean := 0.0
	for i := range x {
		x[i] = d.values[(d.settled+i)%kept]
		mean += x[i] / kept
	}
	low := 0.0
	for i := range x {
		if x[i] -= mean; i >= kept-hop {
			low += x[i] * x[i] / hop
		}
	}
	d.lows[d.hops%memory], d.powers[d.hops%memory] = low, d.power/hop
	d.power = 0
	d.hops++
	d.follow()
	half := 0
	if d.settled >= kept && d.loud() {
		half = alternates(&x)
	}
	rings := half >= leastHalf || half == mainsHalf && d.sudden()
	switch {
	case !d.ringing && rings:
		if d.are++; d.are >= certain {
			d.begin()
		}
	case !d.ringing:
		d.are = 0
	default:
		d.goOn(low, rings)
	}
}

// loud says whether there is enough below 200 Hz, in the time of a window, and still.
func (d *Detector) loud() bool {
	low, all, most, now := 0.0, 0.0, 0.0, 0.0
	for n := range window / hop {
		one := d.lows[(d.hops-1-n+memory)%memory]
		low += one
		all += d.powers[(d.hops-1-n+memory)%memory]
		if most = max(most, one); n < over {
			now = max(now, one)
		}
	}
	return low > leastPower*window/hop && low > leastShare*all && now > fainter*most
}

// recentPower is the power below 200 Hz of the last hops.
func (d *Detector) recentPower() (power float64) {
	for n := range over {
		power += d.lows[(d.hops-1-n+memory)%memory] / over
	}
	return power
}

// follow follows what is there below 200 Hz when it does not ring.
func (d *Detector) follow() {
	one := &d.floor[d.hops/floorHops%floors]
	if power := d.recentPower(); d.hops%floorHops == 0 || power < *one {
		*one = power
	}
}

// sudden says whether what alternates as mains hum does has just come.
func (d *Detector) sudden() bool {
	blocks := d.hops / floorHops
	if blocks < floorsHad {
		return false
	}
	least := math.Inf(1)
	for i := range min(blocks, floors) {
		if i == 0 && blocks < floors {
			continue // when the filter filled
		}
		least = min(least, d.floor[i])
	}
	power := d.recentPower()
	return power > mainsLeast && power > mainsRise*least
}

// alternates finds half a period, in values, of which the last window is upside down what it was before; 0: none.
func alternates(x *[kept]float64) (half int) {
	var r [mostHalf + 1]float64
	deepest := 0.0
	for lag := 1; lag <= mostHalf; lag++ {
		r[lag] = correlation(x, lag)
		deepest = min(deepest, r[lag])
	}
	if deepest > upsideDown {
		return 0
	}
	half = 1
	for r[half] > nearly*deepest {
		half++
	}
	for half < mostHalf && r[half+1] < r[half] {
		half++
	}
	whole := 0.0
	for lag := 2*half - 1; lag <= 2*half+1 && lag < kept-window; lag++ {
		whole = max(whole, correlation(x, lag))
	}
	if whole < again || half == mainsHalf && r[1] < mainsSmooth {
		return 0
	}
	return half
}

// correlation is that of the last window with what was so many values before: 1 where they are the same.
func correlation(x *[kept]float64, lag int) float64 {
	both, now, then := 0.0, 0.0, 0.0
	for i := kept - window; i < kept; i++ {
		both += x[i] * x[i-lag]
		now += x[i] * x[i]
		then += x[i-lag] * x[i-lag]
	}
	if now == 0 || then == 0 {
		return 0
	}
	return both / math.Sqrt(now*then)
}

// begin begins a burst, where its power rose. A ring of spikes may leave every second hop without.
func (d *Detector) begin() {
	d.level = 0
	for n := range window / hop {
		d.level = max(d.level, d.lows[(d.hops-1-n)%memory])
	}
	first := 0
	for n := 0; n < min(d.hops, memory) && n-first <= 2; n++ {
		if d.lows[(d.hops-1-n)%memory] >= fainter*d.level {
			first = n
		}
	}
	d.ringing, d.are, d.not, d.faint = true, 0, 0, 0
	d.burst.Begin = max(d.past, d.position-int64((first+1)*hop*d.step)-d.late())
}

// late is how much later a value is than what it tells of: the filter's middle.
func (d *Detector) late() int64 { return int64(len(d.taps) / 2) }

// goOn goes on with a burst.
func (d *Detector) goOn(low float64, rings bool) {
	d.level = max(d.level, low)
	if d.not++; rings {
		d.not = 0
	}
	if d.faint++; low >= fainter*d.level {
		d.faint = 0
	}
	switch {
	case d.faint >= over:
		d.end(d.position - int64(over*hop*d.step) - d.late())
	case d.not >= other:
		d.end(d.position - int64(other*hop*d.step))
	}
}

// end ends the burst, if there is one.
func (d *Detector) end(at int64) {
	if !d.ringing {
		return
	}
	d.ringing, d.are = false, 0
	d.burst.End = max(at, d.burst.Begin+1)
	d.past = d.burst.End
	d.bursts = append(d.bursts, d.burst)
}
