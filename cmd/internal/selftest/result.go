package selftest

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Verdict is how a check ended.
type Verdict string

// The verdicts. A check that could not be made, or that the settings do not ask for, is skipped; that is no failure.
const (
	Pass Verdict = "PASS"
	Fail Verdict = "FAIL"
	Skip Verdict = "SKIP"
)

// Check is what is looked at.
type Check string

// The checks: those of each line first.
const (
	CheckLevel        Check = "level"
	CheckHum          Check = "hum"
	CheckHook         Check = "hook"
	CheckDigits       Check = "digits"
	CheckCallerID     Check = "caller ID"
	CheckTone         Check = "tone country"
	CheckLight        Check = "light"
	CheckClock        Check = "clock"
	CheckLink         Check = "link"
	CheckHeadquarters Check = "headquarters"
	CheckCard         Check = "card"
	CheckSeal         Check = "seal"
)

// Result is the outcome of one check. It holds no telephone number and no key that was not asked for.
type Result struct {
	Check   Check   `json:"check"`
	Of      string  `json:"of,omitempty"` // the line, or the way to headquarters; empty: of the recorder
	Verdict Verdict `json:"verdict"`
	Says    string  `json:"says"`         // what was found, or why nothing was looked for
	Do      string  `json:"do,omitempty"` // what to do, where it failed
}

// Report is the outcome of all checks.
type Report struct {
	Passed  bool     `json:"passed"` // nothing failed
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Results []Result `json:"results"`
}

// NewReport counts results.
func NewReport(results []Result) Report {
	r := Report{Results: results}
	for _, one := range results {
		switch one.Verdict {
		case Fail:
			r.Failed++
		case Skip:
			r.Skipped++
		}
	}
	r.Passed = r.Failed == 0
	return r
}

// Print writes the report for a person: a line for each check, and below one that failed what to do.
func (r Report) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range r.Results {
		what := string(one.Check)
		if one.Of != "" {
			what += ", " + one.Of
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", one.Verdict, what, one.Says)
		if one.Do != "" {
			fmt.Fprintf(t, "\t\t-> %s\n", one.Do)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	_, err := fmt.Fprintf(out, "%d checks: %d failed, %d skipped\n", len(r.Results), r.Failed, r.Skipped)
	return err
}

func pass(c Check, of, format string, args ...any) Result {
	return Result{Check: c, Of: of, Verdict: Pass, Says: fmt.Sprintf(format, args...)}
}

func skip(c Check, of, format string, args ...any) Result {
	return Result{Check: c, Of: of, Verdict: Skip, Says: fmt.Sprintf(format, args...)}
}

func fail(c Check, of, do, format string, args ...any) Result {
	return Result{Check: c, Of: of, Verdict: Fail, Says: fmt.Sprintf(format, args...), Do: do}
}
