package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
)

// fault is one way to be wrong about a call. The first are the worst.
type fault int

const (
	lost fault = iota
	split
	joined
	startCut
	keyCut
	endCut
	falseCall
	numberLost
	waitingLost
	digitsWrong
	dialledWrong
	wrongNumber
	toneIgnored
	reasonWrong
	keptOut
	missedFalse
	missedLost
	missedRings
	missedNumber
	faults
)

func (f fault) String() string {
	return [...]string{"not found", "split", "joined with another", "cut at the start", "its first digit cut", "cut at the end", "a call that never was",
		"caller's number not known", "waiting caller's number not known", "digits wrong", "dialled number wrong", "a wrong number shown",
		"not ended by the tone", "began for another reason", "kept out of lists", "told as missed", "missed call not told", "missed call's rings miscounted",
		"missed caller's number not known"}[f]
}

// failure is a fault with where it happened.
type failure struct {
	seed     uint64
	line     int
	at       int64 // frame
	fault    fault
	expected string
	found    string
	about    string
}

func (f failure) String() string {
	return fmt.Sprintf("%s at %s of line %d: expected %s; found %s (%s)\n    go run ./lab/wholeline -replay %d",
		f.fault, clock(f.at), f.line, f.expected, f.found, f.about, f.seed)
}

// clock is a time on a line, for people.
func clock(frame int64) string {
	if frame < 0 {
		return "never"
	}
	seconds := float64(frame) / scene.Rate
	return fmt.Sprintf("%d:%05.2f", int(seconds)/60, seconds-float64(int(seconds)/60*60))
}

// trait is how many calls there were of a kind, and how many of them were found whole.
type trait struct{ calls, whole int }

func (t *trait) add(o trait) { t.calls, t.whole = t.calls+o.calls, t.whole+o.whole }

// count counts a call.
func (t *trait) count(whole bool) {
	if t.calls++; whole {
		t.whole++
	}
}

// score is what is counted.
type score struct {
	lines, calls, whole  int
	frames               int64
	countries            map[string]bool
	count                [faults]int // of failures
	of                   [faults]int // how many could have failed
	falseIdle, falseRing int         // calls that never were: on the idle line, or made of ringing that was missed
	falseShort           int         // and those that were kept out of lists, wherever
	easy                 trait       // calls without a silence that is longer than a recorder without a contact waits
	traits               map[string]trait
	late                 []float64 // seconds from the last word to where the recording ends
	failures             []failure
}

func newScore() *score {
	return &score{countries: map[string]bool{}, traits: map[string]trait{}}
}

// add adds another's counts.
func (s *score) add(o *score) {
	s.lines += o.lines
	s.calls += o.calls
	s.whole += o.whole
	s.frames += o.frames
	s.falseIdle += o.falseIdle
	s.falseRing += o.falseRing
	s.falseShort += o.falseShort
	s.easy.add(o.easy)
	for c := range o.countries {
		s.countries[c] = true
	}
	for i := range s.count {
		s.count[i] += o.count[i]
		s.of[i] += o.of[i]
	}
	for name, t := range o.traits {
		t.add(s.traits[name])
		s.traits[name] = t
	}
	s.late = append(s.late, o.late...)
	s.failures = append(s.failures, o.failures...)
}

// judge is the score of a line.
func judge(seed uint64, index int, l scene.Line, h heard) *score {
	s := newScore()
	s.lines, s.frames = 1, l.Frames()
	s.countries[l.Country] = true
	j := judging{score: s, line: l, heard: h, template: failure{seed: seed, line: index}}
	for _, c := range l.Calls {
		if c.Kind == scene.Missed {
			j.missed(c)
		} else {
			j.call(c)
		}
	}
	for _, f := range h.calls {
		j.neverWas(f)
	}
	for _, m := range h.missed {
		if j.rung(m) < 0 {
			j.check(missedFalse, true, m.at, nil, "none", fmt.Sprintf("%d rings", m.rings))
		}
	}
	return s
}

type judging struct {
	*score
	line     scene.Line
	heard    heard
	template failure
}

// check counts what could fail, and whether it did.
func (j *judging) check(what fault, wrong bool, at int64, traits []string, expected, found string) bool {
	j.of[what]++
	if wrong {
		j.count[what]++
		f := j.template
		f.fault, f.at, f.expected, f.found = what, at, expected, found
		f.about = strings.Join(append([]string{j.line.About}, traits...), "; ")
		j.failures = append(j.failures, f)
	}
	return wrong
}

// touches says whether a recording holds a part of what is said in a call.
func touches(f found, c scene.Call) bool {
	begin, end := c.Talk()
	return begin < end && f.begin < end && f.end > begin
}

func (j *judging) call(c scene.Call) {
	var own []found
	others := 0
	for _, f := range j.heard.calls {
		if !touches(f, c) {
			continue
		}
		own = append(own, f)
		for _, other := range j.line.Calls {
			if other.Begin != c.Begin && touches(f, other) {
				others++
			}
		}
	}
	begin, end := c.Talk()
	expected := fmt.Sprintf("%s from %s to %s", c.Kind, clock(begin), clock(end))
	is := describe(own)
	j.calls++
	broken := j.check(lost, len(own) == 0, begin, c.Traits, expected, is)
	broken = j.check(split, len(own) > 1, begin, c.Traits, expected, is) || broken
	broken = j.check(joined, others > 0, begin, c.Traits, expected, is) || broken
	if len(own) > 0 && c.FirstKey >= 0 {
		broken = j.check(keyCut, own[0].begin > c.FirstKey, c.FirstKey, c.Traits, expected, is) || broken
	}
	if len(own) > 0 && c.FirstWord >= 0 {
		last := own[len(own)-1].end
		broken = j.check(startCut, own[0].begin > c.FirstWord, begin, c.Traits, expected, is) || broken
		broken = j.check(endCut, last < c.LastWord, begin, c.Traits, expected, is) || broken
		j.late = append(j.late, float64(last-c.LastWord)/scene.Rate)
	}
	if !broken {
		j.whole++
	}
	if j.line.Contact || !slices.Contains(c.Traits, scene.LongSilence) {
		j.easy.count(!broken)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(c.Traits))) {
		t := j.traits[name]
		t.count(!broken)
		j.traits[name] = t
	}
	if len(own) > 0 {
		j.contents(c, own)
	}
}

// contents judges what is known of a call that was found: digits, numbers, and by what it ended.
func (j *judging) contents(c scene.Call, own []found) {
	var keyed, dialled strings.Builder
	var numbers []string
	for _, f := range own {
		for _, m := range f.marks {
			if m.Position < c.Begin-scene.Rate || m.Position > c.End {
				continue // of the call that it was joined with
			}
			if m.Kind == call.MarkDigits && m.Position >= c.OffHook-scene.Rate/10 {
				keyed.WriteString(m.Value)
			}
			if m.Kind == call.MarkDialled {
				dialled.WriteString(m.Value)
			}
			if n := number(m); n != "" {
				numbers = append(numbers, n)
			}
		}
	}
	at, shown := c.OffHook, fmt.Sprintf("%q", numbers)
	j.check(digitsWrong, keyed.String() != c.Digits, at, c.Traits, fmt.Sprintf("%q", c.Digits), fmt.Sprintf("%q", keyed.String()))
	j.check(dialledWrong, dialled.String() != c.Dialled, at, c.Traits, fmt.Sprintf("%q", c.Dialled), fmt.Sprintf("%q", dialled.String()))
	if c.Number != "" {
		j.check(numberLost, !slices.Contains(numbers, c.Number), at, c.Traits, c.Number, shown)
	}
	for _, waiting := range c.Waiting {
		j.check(waitingLost, !slices.Contains(numbers, waiting), at, c.Traits, waiting, shown)
	}
	for _, n := range numbers {
		j.check(wrongNumber, n != c.Number && !slices.Contains(c.Waiting, n), at, c.Traits, fmt.Sprint(c.Number, c.Waiting), n)
	}
	j.reasons(c, own)
}

// reasons judges why a call is said to have begun and ended.
func (j *judging) reasons(c scene.Call, own []found) {
	first, last := own[0], own[len(own)-1]
	because := []call.Reason{call.BeganDialTone, call.BeganDigits, call.BeganVoice}
	switch {
	case c.Kind == scene.Incoming && j.line.Tap == scene.LineTap:
		because = []call.Reason{call.BeganRing, call.BeganCallerID}
	case j.line.Contact:
		because = []call.Reason{call.BeganOffHook}
	case c.Kind == scene.Incoming:
		because = []call.Reason{call.BeganVoice}
	}
	j.check(reasonWrong, !slices.Contains(because, first.began), c.Begin, c.Traits, fmt.Sprint(because), string(first.began))
	if c.Tone && !j.line.Contact {
		j.check(toneIgnored, last.ended != call.EndedTone, c.LastWord, c.Traits, string(call.EndedTone), string(last.ended))
	}
	if c.FirstWord >= 0 {
		listed := slices.ContainsFunc(own, func(f found) bool { return !f.short })
		j.check(keptOut, !listed, c.FirstWord, c.Traits, "a call for lists", "a short one")
	}
}

// rung is which of the line's calls one was that is said to have been missed; -1: none.
func (j *judging) rung(m missed) int {
	return slices.IndexFunc(j.line.Calls, func(c scene.Call) bool {
		return c.Kind == scene.Missed && m.at >= c.Begin-scene.Rate && m.at <= c.End+scene.Rate
	})
}

// missed judges a call that nobody answered.
func (j *judging) missed(c scene.Call) {
	told := slices.IndexFunc(j.heard.missed, func(m missed) bool { return m.at >= c.Begin-scene.Rate && m.at <= c.End+scene.Rate })
	expected := fmt.Sprintf("%d rings from %s on", c.Rings, clock(c.Begin))
	if j.check(missedLost, told < 0, c.Begin, c.Traits, expected, "nothing") {
		return
	}
	rings := j.heard.missed[told].rings
	j.check(missedRings, rings != c.Rings, c.Begin, c.Traits, expected, fmt.Sprint(rings))
	if c.Number == "" {
		return
	}
	var numbers []string
	for _, f := range j.heard.calls {
		for _, m := range f.marks {
			if n := number(m); n != "" && m.Position >= c.Begin-scene.Rate && m.Position <= c.End {
				numbers = append(numbers, n)
			}
		}
	}
	j.check(missedNumber, !slices.Contains(numbers, c.Number), c.Begin, c.Traits, c.Number, fmt.Sprintf("%q", numbers))
}

// neverWas judges a recording in which nobody speaks.
func (j *judging) neverWas(f found) {
	during := "the idle line"
	for _, c := range j.line.Calls {
		if touches(f, c) {
			return
		}
		if f.begin < c.End && f.end > c.Begin {
			during = "what is heard around a call"
			if c.Kind == scene.Missed {
				during = "ringing that nobody answered"
			}
		}
	}
	switch {
	case f.ended == call.EndedMissed:
		return // it is judged by what is told of it
	case f.short:
		j.falseShort++
		return
	case during == "the idle line":
		j.falseIdle++
	case during == "ringing that nobody answered":
		j.falseRing++
	}
	j.check(falseCall, true, f.begin, nil, "none in "+during, describe([]found{f}))
}

// describe is recordings in words.
func describe(calls []found) string {
	if len(calls) == 0 {
		return "none"
	}
	var words []string
	for _, f := range calls {
		words = append(words, fmt.Sprintf("%s to %s (%s, %s)", clock(f.begin), clock(f.end), f.began, f.ended))
	}
	return strings.Join(words, ", ")
}
