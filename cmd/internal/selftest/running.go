package selftest

import (
	"strings"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/recorder"
)

// Running is what can be said of a line that a running recorder has: from its alarm (as in its status; empty: none) and
// its level in dBFS.
func Running(name, alarm string, level float64) []Result {
	const elsewhere = "the recorder runs and has the line: `systemctl stop linekeeper`, and run this again"
	loud := pass(CheckLevel, name, "%.0f dBFS now, as the recorder hears it", level)
	if level <= capture.Silence {
		loud = skip(CheckLevel, name, "digital silence just now; if it lasts, `linekeeper status` says so")
	}
	hum := pass(CheckHum, name, "none, as the recorder hears it")
	hook := skip(CheckHook, name, elsewhere)
	for one := range strings.SplitSeq(alarm, "; ") {
		hz, humming := strings.CutPrefix(one, "hum of ")
		switch {
		case humming:
			hum = fail(CheckHum, name, humAdvice, "hum %s", hz)
		case one == line.AlarmOffHook || one == line.AlarmTone:
			hook = fail(CheckHook, name, "put the handset on its hook; if it is there, the contact is stuck", "stuck off-hook: %s", one)
		case strings.HasPrefix(one, "its hook, "):
			hook = fail(CheckHook, name, "see whether it is where the settings say, and `linekeeper status`", "%s", one)
		case one == recorder.AlarmNotStored: // which is the card's affair
		case one != "":
			loud = fail(CheckLevel, name, "`linekeeper status` says more; stop the recorder and run this again to find out why", "%s", one)
		}
	}
	results := []Result{loud, hum, hook}
	for _, c := range []Check{CheckDigits, CheckCallerID, CheckTone} {
		results = append(results, skip(c, name, elsewhere))
	}
	return results
}
