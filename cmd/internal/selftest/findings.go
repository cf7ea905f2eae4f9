package selftest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/line/callerid"
)

// findings is what is known of a line; each check reads its verdict off it.
type findings struct {
	line Line
	plan Plan

	away        string // why the card is not open
	quieted     bool
	heard, lost time.Duration
	alarm       capture.Alarm
	floor       float64 // dBFS

	hookAway                     bool // it cannot be read now
	askedToLift, lifted, offHook bool
	early, reversed              bool // the contact closed before the handset was lifted; opened when it was
	askedToPutBack, putBack      bool

	dialOurs bool
	expected []string // forms of the country's dial tone
	dial     []string // forms that fit what was heard
	fits     []string // countries

	askedForKeys bool
	keys         map[byte]bool
	elsewhere    string // the line on which the keys were heard

	askedToSpeak bool
	spoken       time.Duration
	speech, cut  float64 // dBFS, and share

	askedToCall, rang bool
	identified        bool
	id                callerid.Message
}

const (
	loudestFloor   = -40.0 // dBFS: a line on which nobody speaks is quieter
	quietestSpeech = -45.0 // dBFS: what is said more quietly, line/voice may not hear
	mostCut        = 0.05  // of the speech
)

// hooked takes what the contact did.
func (f *findings) hooked(lifted bool) {
	f.offHook = lifted
	switch {
	case lifted && f.askedToLift:
		f.lifted = true
	case lifted:
		f.early = true
	case f.lifted:
		f.putBack = true
	case f.askedToLift && !f.askedForKeys:
		f.reversed = true
	}
}

// deaf says whether nothing can be heard on the line.
func (f *findings) deaf() bool {
	return f.heard == 0 || f.lost >= awayFor || f.alarm.Fault == capture.FaultSilence
}

// unheard is why a check that listens cannot be made; empty: it can.
func (f *findings) unheard() string {
	switch {
	case !f.quieted:
		return "not tried: it was stopped before"
	case f.deaf():
		return "nothing is heard on the line"
	}
	return ""
}

func (f *findings) level() Result {
	name := f.line.Name
	switch {
	case f.quieted && (f.heard == 0 || f.lost >= awayFor):
		return f.noFrames()
	case f.alarm.Fault == capture.FaultSilence:
		return fail(CheckLevel, name, "the input is muted, or the card is dead: raise its capture level (alsamixer), see whether the tap is in the right socket, try another card",
			"digital silence%s: every sample is the same", f.side())
	case f.alarm.Fault == capture.FaultClipping:
		return fail(CheckLevel, name, "lower the capture level of the card (alsamixer), or put an attenuator before it", "clipping%s: what is loud is cut off", f.side())
	case f.unheard() != "":
		return skip(CheckLevel, name, "%s", f.unheard())
	case f.lost >= time.Second:
		return fail(CheckLevel, name, "plug the card in directly, with another cable; a weak power supply does this too", "the card gave nothing for %v of %v", f.lost.Round(time.Millisecond), f.heard+f.lost)
	case f.humming() == "" && f.floor > loudestFloor:
		return fail(CheckLevel, name, "put the handset on its hook; if it is there, look for what makes the noise: shield, power supply, a capture level that is too high",
			"a steady sound of %.0f dBFS where it should be quiet", f.floor)
	case !f.plan.Attended && f.humming() != "":
		return skip(CheckLevel, name, "the hum covers everything else")
	case !f.plan.Attended:
		return pass(CheckLevel, name, "%.0f dBFS without a voice; how loud a voice is needs somebody who speaks", f.floor)
	}
	return f.voiceLevel()
}

func (f *findings) noFrames() Result {
	why := f.away
	if why == "" {
		why = "the card gives nothing"
	}
	return fail(CheckLevel, f.line.Name, "see whether the card is plugged in and named as `linekeeper inputs` names it, and whether another program has it", "no frames: %s", why)
}

func (f *findings) voiceLevel() Result {
	name := f.line.Name
	switch {
	case !f.askedToSpeak:
		return skip(CheckLevel, name, "nobody spoke: that was left out; %.0f dBFS without a voice", f.floor)
	case f.spoken < speakFor:
		return fail(CheckLevel, name, "see whether the tap is at this telephone's handset or line, raise the capture level of the card (alsamixer), and speak longer",
			"%v of a voice was heard, and %v is wanted; %.0f dBFS without one", f.spoken.Round(100*time.Millisecond), speakFor, f.floor)
	case f.cut > mostCut:
		return fail(CheckLevel, name, "lower the capture level of the card (alsamixer)", "clipping: %.0f %% of the voice is cut off", 100*f.cut)
	case f.speech < quietestSpeech:
		return fail(CheckLevel, name, "raise the capture level of the card (alsamixer); a voice should be near -25 dBFS", "the voice is too quiet: %.0f dBFS", f.speech)
	}
	return pass(CheckLevel, name, "voice %.0f dBFS, without one %.0f dBFS", f.speech, f.floor)
}

// side names the channel of the alarm where there are two.
func (f *findings) side() string {
	if len(f.line.Sides) > f.alarm.Channel {
		return " on the side of the " + f.line.Sides[f.alarm.Channel]
	}
	return ""
}

// humming is the hum's frequency; empty: there is none.
func (f *findings) humming() string {
	switch f.alarm.Fault {
	case capture.FaultHum50:
		return "50 Hz"
	case capture.FaultHum60:
		return "60 Hz"
	}
	return ""
}

const humAdvice = "look for a plug or shield that is loose, for a power supply beside the cable, and for a loop through earth: an isolating transformer breaks it"

func (f *findings) hum() Result {
	name := f.line.Name
	switch hz := f.humming(); {
	case hz != "":
		return fail(CheckHum, name, humAdvice, "hum %s%s, %.0f dBFS", hz, f.side(), f.floor)
	case f.unheard() != "":
		return skip(CheckHum, name, "%s", f.unheard())
	}
	return pass(CheckHum, name, "none")
}

func (f *findings) hook() Result {
	name := f.line.Name
	switch {
	case f.line.HookErr != nil:
		return fail(CheckHook, name, "correct the settings, or the wiring", "it cannot be read: %v", f.line.HookErr)
	case f.line.Hook == nil && f.line.NoHook != "":
		return skip(CheckHook, name, "%s", f.line.NoHook)
	case f.line.Hook == nil:
		return skip(CheckHook, name, "the settings name none: calls are known by what is heard")
	case f.hookAway:
		return fail(CheckHook, name, "plug the handset in where the settings say that it is, and see whether it has a hook, and whether /dev/hidraw* and /dev/input may be read", "the handset is not there, or its hook cannot be read")
	case !f.plan.Attended:
		return skip(CheckHook, name, "it can be read; whether it follows the handset needs somebody who lifts it")
	case f.unheard() != "":
		return skip(CheckHook, name, "%s", f.unheard())
	case !f.askedToLift:
		return skip(CheckHook, name, "lifting the handset was left out")
	case f.reversed:
		return fail(CheckHook, name, "turn the contact's sense around in the settings (! before the pin)", "the contact goes the wrong way: it says on-hook when the handset is lifted")
	case !f.lifted && f.early:
		return fail(CheckHook, name, "see whether the contact is stuck, or shorted to ground", "stuck off-hook: it was so before the handset was lifted")
	case !f.lifted:
		return fail(CheckHook, name, "see whether the contact's wires are on the pin that the settings name, and on ground; of a handset, whether it is the one in that port", "it did not follow when the handset was lifted")
	case !f.askedToPutBack:
		return skip(CheckHook, name, "it was lifted; putting it back was left out")
	case !f.putBack || f.offHook:
		return fail(CheckHook, name, "see whether the contact opens when the handset is on its hook: a call would never end", "stuck off-hook: it did not follow when the handset was put back")
	}
	return pass(CheckHook, name, "lifted and put back")
}

// heardKeys are the keys asked for that were heard, and missing the others, in the order in which they were asked for.
func (f *findings) heardKeys() string { return f.pick(true) }

func (f *findings) missing() string { return f.pick(false) }

func (f *findings) pick(heard bool) string {
	var b strings.Builder
	for i := range len(asked) {
		if f.keys[asked[i]] == heard {
			b.WriteByte(asked[i])
		}
	}
	return b.String()
}

func (f *findings) digits() Result {
	name := f.line.Name
	switch {
	case !f.plan.Attended:
		return skip(CheckDigits, name, "needs somebody who presses keys")
	case f.unheard() != "":
		return skip(CheckDigits, name, "%s", f.unheard())
	case !f.askedForKeys:
		return skip(CheckDigits, name, "pressing keys was left out")
	case f.elsewhere != "" && len(f.keys) == 0:
		return fail(CheckDigits, name, "the two lines are swapped: change the plugs, or device and channels in the settings", "the keys were heard on line %s instead", f.elsewhere)
	case len(f.keys) == 0:
		return fail(CheckDigits, name, "see whether the telephone dials by tones and not by pulses, and whether the tap hears what the telephone sends", "none of the keys was heard")
	case f.missing() != "":
		return fail(CheckDigits, name, "press each key for half a second; if keys are missing again, the level is too low or too high, or the telephone's keys are worn",
			"heard: %s; not heard: %s", spaced(f.heardKeys()), spaced(f.missing()))
	}
	return pass(CheckDigits, name, "all %d keys", len(asked))
}

func (f *findings) callerID() Result {
	name := f.line.Name
	switch {
	case !f.plan.Attended:
		return skip(CheckCallerID, name, "needs somebody who calls the line")
	case !f.plan.Call:
		return skip(CheckCallerID, name, "not asked for: with --call somebody calls the line")
	case f.unheard() != "":
		return skip(CheckCallerID, name, "%s", f.unheard())
	case !f.askedToCall:
		return skip(CheckCallerID, name, "the call was left out")
	case f.id.Intact:
		return pass(CheckCallerID, name, "%s", describeID(f.id))
	case f.identified:
		return fail(CheckCallerID, name, "look at level and hum first; then try again with another caller", "a caller ID came, but its checksum is wrong")
	case f.rang:
		return fail(CheckCallerID, name, "ask the telephone company whether the line has caller ID, and see whether a telephone at it shows the number", "it rang, and no caller ID was heard")
	}
	return fail(CheckCallerID, name, "see whether this line was called; a tap at the handset's cord hears neither ringing nor caller ID: tap the line instead", "no ringing and no caller ID was heard")
}

// describeID says what came without the number.
func describeID(m callerid.Message) string {
	how := strings.TrimSpace(m.Modem + " " + string(m.Form))
	switch {
	case m.Number != "":
		return fmt.Sprintf("%s, a number of %d characters", how, len(m.Number))
	case m.NoNumber == callerid.Private:
		return how + ", the number is withheld"
	}
	return how + ", without a number"
}

func (f *findings) tone() Result {
	name, country := f.line.Name, f.line.Country
	slices.Sort(f.fits)
	fits := strings.Join(slices.Compact(slices.Clone(f.fits)), ", ")
	switch {
	case !f.plan.Attended:
		return skip(CheckTone, name, "needs somebody who lifts the handset")
	case f.unheard() != "":
		return skip(CheckTone, name, "%s", f.unheard())
	case !f.askedToLift:
		return skip(CheckTone, name, "lifting the handset was left out")
	case f.dialOurs:
		return pass(CheckTone, name, "the dial tone is that of %s: %s", country, strings.Join(f.expected, ", "))
	case country == "" && fits == "":
		return skip(CheckTone, name, "the settings name no country, and no dial tone was heard")
	case country == "":
		return skip(CheckTone, name, "the settings name no country; the dial tone fits that of %s", fits)
	case len(f.expected) == 0 && fits != "":
		return skip(CheckTone, name, "no dial tone of %s is known here; the one heard fits that of %s", country, fits)
	case fits != "":
		return fail(CheckTone, name, "correct the line's country in the settings", "the dial tone is not that of %s (%s); it fits that of %s", country, strings.Join(f.expected, ", "), fits)
	case len(f.expected) == 0:
		return skip(CheckTone, name, "no dial tone of %s is known here, and none was heard", country)
	}
	return fail(CheckTone, name, "listen in the handset: if there is a dial tone, the tap does not hear it, or it is one that no country has: give it to the recorder in a file of tones",
		"no dial tone was heard after the handset was lifted")
}
