package scene

// country is how telephones sound in one. The tones are those of ITU-T E.180 Supplement 2 as spandsp's table of tones
// has them (and Asterisk's for gb, us, fr, it, br, mx, cn, jp, nl, gr, au), not as our own detectors' table does.
type country struct {
	name                          string
	dial, ringBack, busy, reorder sound
	ring                          []float64 // seconds on and off in turns
	ringHz, mainsHz               float64
	callerID                      callerID
}

// sound is a tone of the exchange: sines together, or one that another modulates; times in seconds, none: it goes on.
type sound struct {
	hz    []float64
	by    float64 // Hz; 0: not modulated
	times []float64
}

// callerID is how the number of who calls is sent.
type callerID struct {
	modem modem
	early bool // before the first ring, and not between the first two
}

type modem int

const (
	bell modem = iota
	v23
	keys // DTMF: A number C
)

func tone(hz float64, times ...float64) sound   { return sound{hz: []float64{hz}, times: times} }
func both(a, b float64, times ...float64) sound { return sound{hz: []float64{a, b}, times: times} }
func beaten(hz, by float64, t ...float64) sound { return sound{hz: []float64{hz}, by: by, times: t} }
func seconds(times ...float64) []float64        { return times }

var countries = []country{
	{"us", both(350, 440), both(440, 480, 2, 4), both(480, 620, .5, .5), both(480, 620, .25, .25), seconds(2, 4), 20, 60, callerID{bell, false}},
	{"ke", tone(425), tone(425, .67, 3, 1.5, 5), tone(425, .2, .6), tone(425, .2, .6), seconds(1, 4), 25, 50, callerID{v23, false}},
	{"gb", both(350, 440), both(400, 450, .4, .2, .4, 2), tone(400, .375, .375), tone(400, .4, .35, .225, .525), seconds(.4, .2, .4, 2), 25, 50, callerID{v23, true}},
	{"in", beaten(400, 25), beaten(400, 25, .4, .2, .4, 2), tone(400, .75, .75), tone(400, .25, .25), seconds(.4, .2, .4, 2), 25, 50, callerID{keys, true}},
	{"ng", tone(400), tone(400, 2, 4), tone(400, .5, .5), tone(400, .25, .25), seconds(2, 4), 25, 50, callerID{v23, false}},
	{"de", tone(425), tone(425, 1, 4), tone(425, .48, .48), tone(425, .24, .24), seconds(1, 4), 25, 50, callerID{v23, false}},
	{"za", beaten(400, 33), beaten(400, 33, .4, .2, .4, 2), tone(400, .5, .5), tone(400, .25, .25), seconds(.4, .2, .4, 2), 25, 50, callerID{v23, true}},
	{"lk", tone(425), tone(425, .4, .2, .4, 2), tone(425, .75, .75), tone(425, .25, .25), seconds(.4, .2, .4, 2), 25, 50, callerID{v23, true}},
	{"fr", tone(440), tone(440, 1.5, 3.5), tone(440, .5, .5), tone(440, .25, .25), seconds(1.5, 3.5), 50, 50, callerID{v23, false}},
	{"mz", tone(425), tone(425, 1, 4), tone(425, .5, .5), tone(425, .2, .2), seconds(1, 4), 25, 50, callerID{v23, false}},
	{"pk", tone(400), beaten(400, 16.7, .4, .2, .4, 2), tone(400, .75, .75), tone(400, .375, .375), seconds(.4, .2, .4, 2), 17, 50, callerID{v23, true}},
	{"br", tone(425), tone(425, 1, 4), tone(425, .25, .25), tone(425, .25, .25, .75, .25), seconds(1, 4), 25, 60, callerID{keys, true}},
	{"tn", tone(425), tone(425, 1.2, 4.6), tone(425, .25, .25), tone(425, .167, .167), seconds(1.2, 4.6), 50, 50, callerID{v23, false}},
	{"es", tone(425), tone(425, 1.5, 3), tone(425, .2, .2), tone(425, .2, .2, .2, .2, .2, .6), seconds(1.5, 3), 25, 50, callerID{v23, false}},
	{"ne", tone(440), tone(440, 1.7, 3.3), tone(440, .5, .5), tone(440, .5, .5), seconds(1.7, 3.3), 50, 50, callerID{v23, false}},
	{"it", tone(425, .2, .2, .6, 1), tone(425, 1, 4), tone(425, .5, .5), tone(425, .2, .2), seconds(1, 4), 25, 50, callerID{v23, false}},
	{"mx", tone(425), tone(425, 1, 4), tone(425, .25, .25), tone(425, .25, .25), seconds(1, 4), 25, 60, callerID{bell, false}},
	{"hu", tone(425), tone(425, 1.2, 3.7), tone(425, .3, .3), tone(425, .3, .3), seconds(1.2, 3.7), 25, 50, callerID{v23, false}},
	{"tr", tone(450), tone(450, 2, 4), tone(450, .5, .5), tone(450, .2, .2, .2, .2, .2, .2, .6, .2), seconds(2, 4), 25, 50, callerID{v23, false}},
	{"cn", tone(450), tone(450, 1, 4), tone(450, .35, .35), tone(450, .7, .7), seconds(1, 4), 25, 50, callerID{bell, false}},
	{"jp", tone(400), beaten(400, 16, 1, 2), tone(400, .5, .5), tone(400, .5, .5), seconds(1, 2), 16, 50, callerID{v23, true}},
	{"sg", tone(425), beaten(425, 24, .4, .2, .4, 2), tone(425, .75, .75), tone(425, .25, .25), seconds(.4, .2, .4, 2), 25, 50, callerID{v23, true}},
	{"au", both(413, 438), both(413, 438, .4, .2, .4, 2), tone(425, .375, .375), tone(425, .375, .375), seconds(.4, .2, .4, 2), 25, 50, callerID{bell, true}},
	{"nl", tone(425), tone(425, 1, 4), tone(425, .5, .5), tone(425, .25, .25), seconds(1, 4), 25, 50, callerID{keys, true}},
	{"se", tone(425), tone(425, 1, 5), tone(425, .25, .25), tone(425, .25, .75), seconds(1, 5), 25, 50, callerID{keys, true}},
	{"dk", tone(425), tone(425, 1, 4), tone(425, .5, .5), tone(425, .2, .2), seconds(1, 4), 25, 50, callerID{keys, true}},
	{"gr", tone(425, .2, .3, .7, .8), tone(425, 1, 4), tone(425, .3, .3), tone(425, .2, .2), seconds(1, 4), 25, 50, callerID{v23, false}},
	{"pl", tone(425), tone(425, 1, 4), tone(425, .5, .5), tone(425, .5, .5), seconds(1, 4), 25, 50, callerID{v23, false}},
}
