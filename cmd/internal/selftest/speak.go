package selftest

import (
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/line/voice"
	"github.com/linekeeper/linekeeper/pcm"
)

// speakStep listens to the installer. What the exchange plays meanwhile, after keys that are no number, is not the
// installer's voice: once it is known to be a tone, the count begins again.
type speakStep struct {
	found  *findings
	format pcm.Format
	forms  []tone.Form
	meter  *meter
	voice  *voices
	tones  *tone.Detector
	spoken int64 // frames
	warned bool
}

func newSpeakStep(l Line, tones tone.Table, f *findings) *speakStep {
	s := &speakStep{found: f, format: l.Format, forms: tones[l.Country]}
	if len(s.forms) == 0 {
		for _, country := range tones.Countries() {
			s.forms = append(s.forms, tones[country]...)
		}
	}
	s.begin()
	return s
}

// begin begins the count, with an ear for tones that will tell one that goes on again.
func (s *speakStep) begin() {
	s.meter, s.voice, s.tones, s.spoken = newMeter(s.format), newVoices(s.format), tone.NewDetector(s.forms, s.format), 0
}

func (s *speakStep) ask() string {
	return "say some sentences into the handset, as loud as in a call"
}

func (s *speakStep) limit() time.Duration { return speakLimit }
func (s *speakStep) leave()               { s.found.askedToSpeak = false }
func (s *speakStep) done() bool           { return s.found.spoken >= speakFor }

func (s *speakStep) feed(p pcm.Period) (progress string) {
	f := s.found
	f.askedToSpeak = true
	s.meter.feed(p)
	s.spoken += s.voice.feed(p)
	if exchangeHeard(s.tones.Feed(p)) {
		s.begin()
		if !s.warned {
			s.warned = true
			progress = "a tone of the exchange is heard: put the handset back, lift it, press one key, and speak"
		}
	}
	f.spoken = s.format.Duration(s.spoken)
	f.speech, f.cut = s.meter.speech(f.floor)
	return progress
}

func exchangeHeard(marks []call.Mark) bool {
	for _, m := range marks {
		if m.Value != string(tone.Notice) {
			return true
		}
	}
	return false
}

// voices hears voice on each side of a line.
type voices struct {
	sides   []*voice.Detector
	scratch []int16
}

func newVoices(f pcm.Format) *voices {
	v := &voices{}
	for range f.Channels {
		v.sides = append(v.sides, voice.New(voice.DefaultConfig(), f.Rate))
	}
	return v
}

// feed returns how many frames of voice have become known on that side which has the most.
func (v *voices) feed(p pcm.Period) (most int64) {
	for i, side := range v.sides {
		frames := int64(0)
		if p.LostFrames > 0 {
			frames += length(side.Lost(p.LostFrames))
		}
		v.scratch = pcm.Pick(v.scratch[:0], p.Samples, p.Format.Channels, i)
		frames += length(side.Feed(v.scratch))
		most = max(most, frames)
	}
	return most
}

func length(spans []voice.Span) (frames int64) {
	for _, s := range spans {
		frames += s.End - s.Begin
	}
	return frames
}
