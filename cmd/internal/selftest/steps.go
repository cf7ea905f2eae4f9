package selftest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// Times of the steps.
const (
	quietFor   = 11 * time.Second // capture.Health needs 10 s to know a hum
	silenceFor = 41 * time.Second // and at most so many for digital silence
	awayFor    = 6 * time.Second  // a card that is there has been opened by then
	liftLimit  = 30 * time.Second
	settle     = 4 * time.Second // after the first sign of a lifted handset, for the other
	keysLimit  = time.Minute
	speakLimit = 40 * time.Second
	speakFor   = 3 * time.Second // of voice, pauses not counted
	hangLimit  = 30 * time.Second
	callLimit  = 90 * time.Second
)

// quietStep listens to a line on which nobody speaks.
type quietStep struct {
	found  *findings
	health *capture.Health
	meter  *meter
	format pcm.Format
	heard  int64 // frames
	lost   int64 // since the first of them, or while there is none
	over   bool
}

func newQuietStep(l Line, f *findings) *quietStep {
	return &quietStep{found: f, health: capture.NewHealth(l.Format), meter: newMeter(l.Format), format: l.Format}
}

func (s *quietStep) ask() string {
	if !s.found.plan.Attended {
		return ""
	}
	return "leave the handset on its hook, and be quiet"
}

func (s *quietStep) limit() time.Duration { return silenceFor + awayFor }
func (s *quietStep) leave()               {}
func (s *quietStep) done() bool           { return s.over }

func (s *quietStep) feed(p pcm.Period) string {
	s.health.Hear(p)
	s.meter.feed(p)
	s.lost += p.LostFrames
	if s.heard == 0 && len(p.Samples) > 0 {
		s.lost = 0
	}
	s.heard += int64(p.Frames())
	f := s.found
	f.heard, f.lost = s.format.Duration(s.heard), s.format.Duration(s.lost)
	f.alarm = capture.Alarm{}
	for _, a := range s.health.Alarms() {
		if a.Fault != capture.FaultNoFrames && f.alarm.Fault == "" {
			f.alarm = a
		}
	}
	floor, constant := s.meter.floor()
	f.floor = floor
	// A channel that may be dead takes longer to be certain.
	s.over = f.heard >= quietFor && !constant || f.alarm.Fault == capture.FaultSilence || f.lost >= awayFor
	return ""
}

// liftStep waits for the handset to be lifted, and for the dial tone.
type liftStep struct {
	found *findings
	rate  pcm.Format
	ours  *tone.Detector // of the country of the settings; nil where they name none
	forms []dialForm
	since int64 // frames since the first sign
	sign  bool
}

// dialForm is one form of dial tone, and where it is one.
type dialForm struct {
	name      string
	countries []string
	ear       *tone.Detector
}

func newLiftStep(l Line, tones tone.Table, f *findings) *liftStep {
	s := &liftStep{found: f, rate: l.Format}
	if l.Country != "" {
		s.ours = tone.NewDetector(tones[l.Country], l.Format)
	}
	places := map[string]int{}
	for _, country := range tones.Countries() {
		for _, form := range tones[country] {
			if form.Kind != tone.Dial {
				continue
			}
			name := formName(form)
			if country == l.Country {
				f.expected = append(f.expected, name)
			}
			at, known := places[name]
			if !known {
				at = len(s.forms)
				places[name] = at
				s.forms = append(s.forms, dialForm{name: name, ear: tone.NewDetector([]tone.Form{form}, l.Format)})
			}
			s.forms[at].countries = append(s.forms[at].countries, country)
		}
	}
	return s
}

// formName is a form for a person: 350+440 Hz.
func formName(f tone.Form) string {
	var hz []string
	for _, one := range f.Hz {
		hz = append(hz, fmt.Sprint(one))
	}
	name := strings.Join(hz, "+") + " Hz"
	if len(f.Times) > 0 {
		name += " in a cadence of " + strings.Trim(fmt.Sprint(f.Times), "[]")
	}
	return name
}

func (s *liftStep) ask() string          { return "lift the handset, and wait" }
func (s *liftStep) limit() time.Duration { return liftLimit }
func (s *liftStep) leave()               { s.found.askedToLift = false }

func (s *liftStep) feed(p pcm.Period) string {
	f := s.found
	f.askedToLift = true
	s.sign = s.sign || f.lifted
	if s.sign {
		s.since += p.LostFrames + int64(p.Frames())
	}
	if s.ours != nil && dialHeard(s.ours.Feed(p)) {
		f.dialOurs, s.sign = true, true
	}
	for _, form := range s.forms {
		if dialHeard(form.ear.Feed(p)) {
			f.fits = append(f.fits, form.countries...)
			f.dial = append(f.dial, form.name)
			s.sign = true
		}
	}
	return ""
}

func dialHeard(marks []call.Mark) bool {
	for _, m := range marks {
		if m.Value == string(tone.Dial) {
			return true
		}
	}
	return false
}

// done: with both signs soon, since forms that are alike become certain at the same time; else when the other fails to come.
func (s *liftStep) done() bool {
	wait := settle
	if len(s.found.dial) > 0 && (s.found.lifted || s.found.line.Hook == nil) {
		wait = time.Second
	}
	return s.sign && s.rate.Duration(s.since) >= wait
}

// asked are the keys that the installer presses.
const asked = "1234567890*#"

// keysStep listens for the keys.
type keysStep struct {
	found *findings
	ear   *dtmf.Detector
}

func newKeysStep(l Line, f *findings) *keysStep {
	return &keysStep{found: f, ear: dtmf.NewDetector(l.Format)}
}

func (s *keysStep) ask() string {
	return "press each key once, in any order: " + spaced(asked) + "; if somebody answers, put the handset back and lift it again"
}

func (s *keysStep) limit() time.Duration { return keysLimit }
func (s *keysStep) leave()               { s.found.askedForKeys = false }
func (s *keysStep) done() bool           { return len(s.found.keys) == len(asked) }

func (s *keysStep) feed(p pcm.Period) string {
	s.found.askedForKeys = true
	had := len(s.found.keys)
	for _, m := range s.ear.Feed(p) {
		if strings.Contains(asked, m.Value) {
			s.found.keys[m.Value[0]] = true
		}
	}
	if len(s.found.keys) == had {
		return ""
	}
	return "heard: " + spaced(s.found.heardKeys())
}

func spaced(keys string) string { return strings.Join(strings.Split(keys, ""), " ") }

// putBackStep waits for the handset to be put back.
type putBackStep struct{ found *findings }

func (s *putBackStep) ask() string            { return "put the handset back" }
func (s *putBackStep) limit() time.Duration   { return hangLimit }
func (s *putBackStep) leave()                 { s.found.askedToPutBack = false }
func (s *putBackStep) feed(pcm.Period) string { s.found.askedToPutBack = true; return "" }
func (s *putBackStep) done() bool             { return !s.found.offHook }

// callStep listens to a call that comes in.
type callStep struct {
	found *findings
	ear   *callerid.Detector
	keys  *dtmf.Detector
	keyed callerid.Keyed
	voice *voices
}

func newCallStep(l Line, f *findings) *callStep {
	return &callStep{found: f, ear: callerid.NewDetector(l.Format), keys: dtmf.NewDetector(l.Format),
		keyed: callerid.Keyed{Bare: true, Gap: l.Format.Frames(time.Second)}, voice: newVoices(l.Format)}
}

func (s *callStep) ask() string {
	back := ""
	if s.found.line.Hook == nil {
		back = "put the handset back; "
	}
	return back + "call this line from another telephone, let it ring three times, and do not answer"
}

func (s *callStep) limit() time.Duration { return callLimit }
func (s *callStep) leave()               { s.found.askedToCall = false }
func (s *callStep) done() bool           { return s.found.id.Intact }

func (s *callStep) feed(p pcm.Period) string {
	f := s.found
	f.askedToCall = true
	take := func(m call.Mark) {
		var id callerid.Message
		if json.Unmarshal([]byte(m.Value), &id) == nil && !f.id.Intact {
			f.id, f.identified = id, true
		}
	}
	for _, m := range s.ear.Feed(p) {
		take(m)
	}
	for _, m := range s.keys.Feed(p) {
		if id, ok := s.keyed.Mark(m); ok {
			take(id)
		}
	}
	if rang := s.voice.feed(p); rang > 0 && !f.rang {
		f.rang = true
		return "something is heard: it rings"
	}
	return ""
}
