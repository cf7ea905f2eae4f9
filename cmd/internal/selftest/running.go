package selftest

import "strings"

// Running is what can be said of a line that a running recorder has: from its alarm (as in its status; empty: none) and
// its level in dBFS.
func Running(line, alarm string, level float64) []Result {
	const elsewhere = "the recorder runs and has the line: `systemctl stop linekeeper`, and run this again"
	loud := pass(CheckLevel, line, "%.0f dBFS now, as the recorder hears it", level)
	hum := pass(CheckHum, line, "none, as the recorder hears it")
	for one := range strings.SplitSeq(alarm, "; ") {
		if hz, is := strings.CutPrefix(one, "hum of "); is {
			hum = fail(CheckHum, line, humAdvice, "hum %s", hz)
		} else if one != "" {
			loud = fail(CheckLevel, line, "`linekeeper status` says more; stop the recorder and run this again to find out why", "%s", one)
		}
	}
	results := []Result{loud, hum}
	for _, c := range []Check{CheckHook, CheckDigits, CheckCallerID, CheckTone} {
		results = append(results, skip(c, line, elsewhere))
	}
	return results
}
