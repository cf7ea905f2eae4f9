package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// Parse reads one entry from its JWS and checks its form: that it is of version 0, and that what its type needs is
// there. Whether it fits those around it is for Check.
func Parse(jws []byte) (call.Entry, error) {
	e, err := parse(jws)
	if err != nil {
		return call.Entry{}, fmt.Errorf("ledger entry: %w", err)
	}
	return e, nil
}

func parse(jws []byte) (e call.Entry, err error) {
	if len(jws) > MaxEntry {
		return e, fmt.Errorf("%d bytes, at most %d", len(jws), MaxEntry)
	}
	head, rest, ok := bytes.Cut(jws, []byte("."))
	body, signature, ok2 := bytes.Cut(rest, []byte("."))
	switch {
	case !ok || !ok2 || bytes.ContainsRune(signature, '.'):
		return e, errors.New("not a compact JWS of three parts")
	case string(head) != header || len(signature) != 0:
		return e, errors.New(`not an unsecured JWS with the header {"alg":"none"}`)
	}
	payload, err := base64.RawURLEncoding.Strict().AppendDecode(nil, body)
	if err != nil {
		return e, fmt.Errorf("payload: %w", err)
	}
	if bytes.ContainsAny(body, "\r\n") { // which base64 passes over, and the hash does not
		return e, errors.New("payload: line breaks in base64url")
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, fmt.Errorf("payload: %w", err)
	}
	return e, checkForm(e)
}

// checkForm says whether e has what its type needs.
func checkForm(e call.Entry) error {
	if e.Version != Version {
		return fmt.Errorf("version %d, this program reads %d", e.Version, Version)
	}
	if _, err := call.ParseDeviceID(string(e.Device)); err != nil {
		return err
	}
	switch {
	case e.Number == 0:
		return errors.New("number 0: they begin at 1")
	case e.Number == 1 && e.Previous != "":
		return errors.New("the first entry names one before it")
	case e.Number > 1 && !isHash(e.Previous):
		return fmt.Errorf("prev %q is not a SHA-256 in hex", e.Previous)
	}
	switch e.Type {
	case call.EntryEpoch:
		return nil
	case call.EntryBegin, call.EntryTombstone:
		return checkCall(e)
	case call.EntryEnd:
		if err := checkCall(e); err != nil {
			return err
		}
		return checkManifest(e.Manifest)
	case call.EntryGap:
		if e.Gap == nil || e.Line == "" {
			return errors.New("gap entry without a gap or a line")
		}
		return checkGaps([]call.Gap{*e.Gap})
	default:
		return fmt.Errorf("type %q is not known in version %d", e.Type, Version)
	}
}

func checkCall(e call.Entry) error {
	if e.Call == nil || e.Call.IsZero() {
		return fmt.Errorf("%s entry of no call", e.Type)
	}
	if e.Line == "" && e.Type != call.EntryTombstone {
		return fmt.Errorf("%s entry of no line", e.Type)
	}
	return nil
}

func checkManifest(m *call.Manifest) error {
	switch {
	case m == nil:
		return errors.New("end entry without a manifest")
	case !isHash(m.SHA256):
		return fmt.Errorf("manifest: sha256 %q is not a SHA-256 in hex", m.SHA256)
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

// isHash checks for 64 lower-case hex digits.
func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s
}

// Link is the place of an entry in the chain: what the next one has to follow.
type Link struct {
	Device call.DeviceID
	Epoch  call.Epoch
	Number uint64 // 0: the beginning of the epoch, which entry 1 follows
	Hash   string // of the entry's JWS; empty at number 0
}

// LinkOf is the place of an entry.
func LinkOf(e call.SignedEntry) Link {
	return Link{Device: e.Device, Epoch: e.Epoch, Number: e.Number, Hash: Hash(e.JWS)}
}

// ChainError says that an entry does not follow the one before it.
type ChainError struct {
	Number uint64 // of the entry
	Reason string
}

func (e *ChainError) Error() string { return fmt.Sprintf("ledger entry %d: %s", e.Number, e.Reason) }

// Check parses a run of entries and checks that each follows the one before: same device and epoch, next number, and
// the right hash. After is what the first must follow; nil takes the run from anywhere. The entries before the first
// that is wrong are returned in every case; the error is *ChainError where one does not follow.
func Check(after *Link, run ...[]byte) ([]call.SignedEntry, error) {
	entries := make([]call.SignedEntry, 0, len(run))
	for i, jws := range run {
		e, err := Parse(jws)
		if err != nil {
			return entries, fmt.Errorf("entry %d of %d: %w", i+1, len(run), err)
		}
		if after != nil {
			if reason := after.follows(e); reason != "" {
				return entries, &ChainError{Number: e.Number, Reason: reason}
			}
		}
		signed := call.SignedEntry{Entry: e, JWS: jws}
		link := LinkOf(signed)
		after, entries = &link, append(entries, signed)
	}
	return entries, nil
}

// follows says why e does not come next; empty where it does.
func (l *Link) follows(e call.Entry) string {
	switch {
	case e.Device != l.Device:
		return fmt.Sprintf("of device %s among those of %s", e.Device, l.Device)
	case e.Epoch != l.Epoch:
		return fmt.Sprintf("of epoch %s among those of %s", e.Epoch, l.Epoch)
	case e.Number != l.Number+1:
		return fmt.Sprintf("follows entry %d", l.Number)
	case e.Previous != l.Hash:
		return fmt.Sprintf("names another entry %d than the one before it", l.Number)
	}
	return ""
}
