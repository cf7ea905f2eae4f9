// Package verify says whether calls are what their recorder recorded, and all of them: over a call file, a folder, or
// headquarters' library. It needs no network, and no program but itself.
//
//	trust, err := verify.NewTrust(authorityPEM)        // whose signatures are believed
//	report, err := verify.Paths(ctx, []string{"day"}, verify.Options{Trust: trust})
//	os.Exit(report.Colour.ExitCode())
//
// The answer is a colour. Green: whole, signed, and all there. Amber: incomplete, and honestly so as far as can be seen
// (the power was cut, audio was lost, a call goes on, a part has arrived, nobody knows the signer). Red: something was
// altered, is missing, or was signed by somebody else. Each finding names the reason, what to do, and the place.
//
// What it goes by: a recorder's ledger is signed, its numbers are gapless, and each entry names the one before (package
// ledger). A call's end entry, its manifest, names the SHA-256 of the call file. So a call that is taken away leaves an
// end entry without a file, and when that is taken away too, a missing number. Lost entries, amendments and tombstones
// are the recorder's own word for what it could not keep: they turn red into amber. Corrections are its word for when
// calls began that it recorded by a wrong clock.
//
// The key that signatures are checked with comes from certificates that were given, or from headquarters, and never from
// what is checked: see Trust.
//
// What it cannot see: entries taken away from the end of a ledger, together with their calls. Headquarters' receipts
// say how far a ledger reached. What was left out of the entries that go with a single call (CALL.jws). And without the key that opens the calls: what was altered on the card before the recorder
// signed for it, which it does when it closes a call after a power cut.
//
// Memory is held for one entry and one record at a time, for calls that are open, that something is wrong with or that
// began by a doubtful clock, and, of a folder, for an index of its files and entries.
package verify

import (
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// Colour is a verdict.
type Colour string

// The colours, from the best.
const (
	Green Colour = "green"
	Amber Colour = "amber"
	Red   Colour = "red"
)

// Exit codes of `verify`: of both programs, where 1 and 2 are for what could not be carried out.
const (
	ExitGreen = 0
	ExitAmber = 3
	ExitRed   = 4
)

// ExitCode is that of a colour.
func (c Colour) ExitCode() int {
	switch c {
	case Green:
		return ExitGreen
	case Amber:
		return ExitAmber
	}
	return ExitRed
}

// Code names a kind of finding for programs. Codes are never given another meaning.
type Code string

// What is red.
const (
	CodeAltered       Code = "altered"        // a call file is not what was sealed, or what its manifest was signed for
	CodeUnreadable    Code = "unreadable"     // a file cannot be read
	CodeNotAnEntry    Code = "not-an-entry"   // a line of a ledger is none, or an entry is of the wrong form
	CodeWrongSigner   Code = "wrong-signer"   // an entry is not signed by its recorder
	CodeEntryMissing  Code = "entry-missing"  // numbers are missing, and no lost entry accounts for them
	CodeEntryReplaced Code = "entry-replaced" // an entry is another than the next one names
	CodeEntryTwice    Code = "entry-twice"    // there are two different entries of one number
	CodeEntryWrong    Code = "entry-wrong"    // an entry stands where it cannot, or speaks of what was not
	CodeCallMissing   Code = "call-missing"   // a call's file is not there
	CodeCallForeign   Code = "call-foreign"   // a call file is of another call, or of one that the ledger does not know
	CodeCallTwice     Code = "call-twice"     // there are two different files of one call
)

// What is amber.
const (
	CodeNoManifest    Code = "no-manifest"    // nothing signed speaks of a call file
	CodeSignerUnknown Code = "signer-unknown" // there is no key to check signatures with, or nobody confirms it
	CodeIncomplete    Code = "incomplete"     // only a part of a call file has arrived, or nothing yet; red where headquarters had all of it
	CodeOpen          Code = "open"           // a call has begun and not ended
	CodePowerCut      Code = "power-cut"      // a call was cut short, and closed at the next start
	CodeGap           Code = "gap"            // audio was lost while it was recorded
	CodeHole          Code = "hole"           // records were damaged on the card
	CodeLost          Code = "lost"           // entries were damaged on the card
	CodeTombstone     Code = "tombstone"      // a call was given up before it was delivered
	CodeExcerpt       Code = "excerpt"        // a ledger begins late, or an epoch before it is not here
	CodeDisorder      Code = "disorder"       // a ledger file's lines are not in order: it was edited
	CodeClock         Code = "clock"          // when a call began is not known, and its ledger, which might tell, is not here
	CodeNoKey         Code = "no-key"         // none of the keys given opens a call
	CodeVersion       Code = "version"        // a newer program wrote it
)

// Finding is one thing that is not green, and where.
type Finding struct {
	Colour Colour        `json:"colour"`
	Code   Code          `json:"code"`
	Text   string        `json:"text"` // the reason, and what to do
	File   string        `json:"file,omitempty"`
	Device call.DeviceID `json:"device,omitempty"`
	Epoch  *call.Epoch   `json:"epoch,omitempty"`
	Entry  uint64        `json:"entry,omitempty"`  // its number; the first of several
	Call   *call.ID      `json:"call,omitempty"`   // not known: nil
	Record *uint32       `json:"record,omitempty"` // of the call file; nil: all of it
	Offset *int64        `json:"offset,omitempty"` // in the file, bytes
}

// MaxFindings bounds what a Report lists.
const MaxFindings = 10000

// Report is what was found. As JSON it is stable: members are added, never changed.
type Report struct {
	Colour   Colour    `json:"colour"`
	Findings []Finding `json:"findings"`          // as they were met; never null
	Omitted  int       `json:"omitted,omitempty"` // findings beyond MaxFindings
	Calls    int       `json:"calls"`             // call files that were read
	Entries  int       `json:"entries"`           // that were read and are signed, as far as keys are known

	// Times is when the calls began whose recorder's clock was not synchronised then; of the others the manifest's time
	// holds. Never null.
	Times        []Time `json:"times"`
	OmittedTimes int    `json:"omitted_times,omitempty"` // beyond MaxTimes
}

func newReport() *Report { return &Report{Colour: Green, Findings: []Finding{}, Times: []Time{}} }

func (r *Report) add(f Finding) {
	if f.Colour == Red || r.Colour == Green {
		r.Colour = f.Colour
	}
	if len(r.Findings) == MaxFindings {
		r.Omitted++
		return
	}
	r.Findings = append(r.Findings, f)
}

// String says it in a line.
func (r Report) String() string {
	return fmt.Sprintf("%s: %d findings in %d calls and %d entries", r.Colour, len(r.Findings)+r.Omitted, r.Calls, r.Entries)
}
