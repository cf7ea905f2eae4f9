package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// checkForm says whether e has what its type needs.
func checkForm(e call.Entry) error {
	if e.Version != Version {
		return fmt.Errorf("version %d, this program reads %d", e.Version, Version)
	}
	if _, err := call.ParseDeviceID(string(e.Device)); err != nil {
		return err
	}
	if e.Number == 0 {
		return errors.New("number 0: they begin at 1")
	}
	if err := checkPrevious(e); err != nil {
		return err
	}
	if err := checkSubject(e); err != nil {
		return err
	}
	return checkDetails(e)
}

func checkPrevious(e call.Entry) error {
	allLost := e.Type == call.EntryLost && e.Lost != nil && e.Lost.First == 1 && e.Lost.Last == e.Number-1
	switch {
	case e.Number == 1 && e.Previous != "":
		return errors.New("the first entry names one before it")
	case e.Previous == "" && (e.Number == 1 || allLost): // where all before it is lost, there is none to name
		return nil
	case e.Number > 1 && !isHash(e.Previous):
		return fmt.Errorf("prev %q is not a SHA-256 in hex", e.Previous)
	}
	return nil
}

// checkSubject says whether e names the call and the line that it is of.
func checkSubject(e call.Entry) error {
	var ofCall, ofLine bool
	switch e.Type {
	case call.EntryBegin, call.EntryEnd, call.EntryRefusal:
		ofCall, ofLine = true, true
	case call.EntryAmendment, call.EntryTombstone:
		ofCall = true
	case call.EntryGap, call.EntryPause, call.EntryMissed:
		ofLine = true
	}
	switch {
	case ofCall && e.Call == nil, e.Call != nil && e.Call.IsZero():
		return fmt.Errorf("%s entry of no call", e.Type)
	case ofLine && e.Line == "":
		return fmt.Errorf("%s entry of no line", e.Type)
	}
	return nil
}

// checkDetails says whether what the type of e tells is there and can be.
func checkDetails(e call.Entry) error {
	switch e.Type {
	case call.EntryBegin, call.EntryRefusal, call.EntryTombstone:
		return nil
	case call.EntryEpoch:
		return checkLastEnd(e)
	case call.EntryEnd:
		return checkManifest(e.Manifest)
	case call.EntryGap, call.EntryPause:
		if e.Gap == nil {
			return fmt.Errorf("%s entry without a gap", e.Type)
		}
		return checkGaps([]call.Gap{*e.Gap})
	case call.EntryMissed:
		if m := e.Missed; m == nil || m.Rings < 1 || m.Waited < 0 {
			return fmt.Errorf("missed entry without a call that rang: %+v", m)
		}
	case call.EntryCorrection:
		return checkCorrection(e)
	case call.EntryAmendment:
		return checkAmendment(e.Amendment)
	case call.EntryLost:
		if l := e.Lost; l == nil || l.First < 1 || l.Last < l.First || l.Last >= e.Number {
			return fmt.Errorf("lost entry that names no entries before it: %+v", l)
		}
	default:
		return fmt.Errorf("type %q is not known in version %d", e.Type, Version)
	}
	return nil
}

func checkLastEnd(e call.Entry) error {
	if l := e.LastEnd; l != nil && (l.Number == 0 || l.Epoch == e.Epoch) {
		return fmt.Errorf("epoch entry that follows entry %d of epoch %s", l.Number, l.Epoch)
	}
	return nil
}

func checkManifest(m *call.Manifest) error {
	switch {
	case m == nil:
		return errors.New("end entry without a manifest")
	case !isHash(m.SHA256):
		return fmt.Errorf("manifest: sha256 %q is not a SHA-256 in hex", m.SHA256)
	case !isHash(m.Chain):
		return fmt.Errorf("manifest: chain %q is not a SHA-256 in hex", m.Chain)
	case m.Size < 1 || m.Frames < 0 || m.Rate < 1 || m.Channels < 1 || m.Duration < 0:
		return fmt.Errorf("manifest: %d bytes, %d frames at %d Hz, %d channels, %g s", m.Size, m.Frames, m.Rate, m.Channels, m.Duration)
	}
	return checkGaps(m.Gaps)
}

func checkGaps(gaps []call.Gap) error {
	for _, g := range gaps {
		if g.Position < 0 || g.Frames < 1 {
			return fmt.Errorf("gap of %d frames at frame %d", g.Frames, g.Position)
		}
	}
	return nil
}

func checkCorrection(e call.Entry) error {
	c := e.Correction
	switch {
	case c == nil || c.BootID == "":
		return errors.New("correction entry of no boot")
	case c.BootID != e.Anchor.BootID:
		return fmt.Errorf("correction of boot %q, written in boot %q", c.BootID, e.Anchor.BootID)
	}
	switch c.Grade {
	case call.GradeNone, call.GradeRTC, call.GradeHQ, call.GradeNTP:
		return nil
	}
	return fmt.Errorf("correction of grade %q", c.Grade)
}

func checkAmendment(a *call.Amendment) error {
	switch {
	case a == nil:
		return errors.New("amendment entry without an amendment")
	case !isHash(a.Was) || !isHash(a.SHA256) || !isHash(a.Chain):
		return errors.New("amendment: was, sha256 or chain is not a SHA-256 in hex")
	case a.Was == a.SHA256:
		return errors.New("amendment that changes nothing")
	case len(a.Holes) == 0:
		return errors.New("amendment without a hole")
	}
	var offset int64
	var record uint64
	for _, h := range a.Holes {
		if h.Offset < offset || uint64(h.Record) < record || h.Records < 1 || h.Size < 1 || h.Size > a.Size-h.Offset {
			return fmt.Errorf("amendment: a hole of %d records from %d and %d bytes at %d in a file of %d bytes", h.Records, h.Record, h.Size, h.Offset, a.Size)
		}
		offset, record = h.Offset+h.Size, uint64(h.Record)+uint64(h.Records)
	}
	return nil
}

// isHash checks for 64 lower-case hex digits.
func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s
}
