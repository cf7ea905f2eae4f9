// Package call says what a call is: its ID, its records, the marks on its timeline, the entries of the device's ledger
// that speak of it, and the receipt that releases it. It holds types and their text forms, and no behaviour.
package call

import (
	"encoding/json"
	"time"
)

// Grade says how far a wall clock can be believed.
type Grade string

// The grades, from the worst.
const (
	GradeNone Grade = "none" // a board without a clock that nobody has set
	GradeRTC  Grade = "rtc"  // from a real-time clock, not confirmed since boot
	GradeHQ   Grade = "hq"   // from headquarters, over an authenticated connection; of corrections only
	GradeNTP  Grade = "ntp"  // synchronised since boot
)

// Anchor ties a moment of this boot to wall time as it was believed then. It is never corrected: a clock correction is
// an entry of its own.
type Anchor struct {
	BootID   string        `json:"boot"`      // /proc/sys/kernel/random/boot_id
	BootTime time.Duration `json:"boot_time"` // CLOCK_BOOTTIME, nanoseconds since boot
	Wall     time.Time     `json:"wall"`      // UTC
	Grade    Grade         `json:"grade"`
}

// Codec is how a call's audio is encoded.
type Codec string

// The codecs.
const (
	Opus Codec = "opus"
	MP3  Codec = "mp3"
	FLAC Codec = "flac"
)

// Seal is how a call's chunks and marks are sealed.
type Seal string

// The seals.
const (
	SealNone   Seal = "none"             // in clear, which somebody has chosen
	SealChaCha Seal = "chacha20poly1305" // RFC 8439, under a key that the key record holds, wrapped with age
)

// Header is what a call's file begins with, all of it known when the call begins.
type Header struct {
	Version       int      `json:"v"`    // of the call file's format
	Seal          Seal     `json:"seal"` // how chunks and marks are sealed
	Call          ID       `json:"call"`
	Device        DeviceID `json:"device"`
	Epoch         Epoch    `json:"epoch"`
	Number        uint64   `json:"number"`          // of the call's begin entry
	Began         Reason   `json:"began,omitempty"` // why; so that an interrupted call keeps it
	Line          string   `json:"line"`
	Codec         Codec    `json:"codec"`
	Channels      int      `json:"channels"`        // of the media: 1, or 2 where both sides are kept apart
	Sides         []string `json:"sides,omitempty"` // what the channels are: agent, caller
	Rate          int      `json:"rate"`            // of the positions: frames a second of the line
	Anchor        Anchor   `json:"anchor"`          // of position 0
	ConsentPolicy string   `json:"consent_policy,omitempty"`
}

// Kind is what a record of the ring holds.
type Kind uint8

// The kinds. Those of a call make up its call file, in this order but for chunks and marks, which stand as they
// happened.
const (
	KindHeader Kind = 1 // a call's Header
	KindKey    Kind = 2 // the call key, wrapped
	KindChunk  Kind = 3 // media, sealed
	KindMark   Kind = 4 // a Mark, sealed
	KindEnd    Kind = 5 // an End: nothing of the call follows
	KindHole   Kind = 6 // stands where records were that are damaged
	KindGap    Kind = 7 // a Gap, in clear: so that recovery, which has no key, can read it

	// The rest belong to the ring and are never part of a call file.
	KindEntry Kind = 16 // an entry of the ledger, as signed; Number is the entry's
	KindNote  Kind = 17 // what the ring itself has to remember: receipts, releases, parked calls
)

// InFile says whether a record is part of its call's file.
func (k Kind) InFile() bool { return k >= KindHeader && k <= KindGap }

// Record is what the ring stores. To the ring Data is opaque.
type Record struct {
	Call   ID // zero where the record is of no call
	Kind   Kind
	Number uint32 // of the record within its call, from 0 (the header); entries have their own numbers
	Data   []byte // as it stands in the call file
}

// End closes a call file.
type End struct {
	Reason    Reason `json:"reason"`
	Frames    int64  `json:"frames"`  // length of the call at the line's rate, gaps included
	Gaps      []Gap  `json:"gaps"`    // never null
	Records   uint32 `json:"records"` // in the file, this one included
	Short     bool   `json:"short,omitempty"`
	Recovered bool   `json:"recovered,omitempty"`
}

// Gap is a stretch of the timeline for which there is no audio: the media holds silence there.
type Gap struct {
	Position int64  `json:"position"` // first frame
	Frames   int64  `json:"frames"`
	Cause    string `json:"cause"` // overrun, card lost, ring overflow
}

// Causes of gaps.
const (
	CauseOverrun  = "overrun"
	CauseCardLost = "card lost"
	CauseOverflow = "ring overflow"
	CausePause    = "pause" // of a pause entry: it was wanted
)

// Reason is why a call began or ended.
type Reason string

// Why a call began.
const (
	BeganVoice     Reason = "voice"
	BeganOffHook   Reason = "off-hook"
	BeganRing      Reason = "ring"
	BeganCallerID  Reason = "caller ID" // came before the first ring
	BeganDialTone  Reason = "dial tone"
	BeganDigits    Reason = "digits"
	BeganContinued Reason = "continued" // the part after one that ended with EndedLongest
)

// Why a call ended.
const (
	EndedSilence   Reason = "silence"
	EndedOnHook    Reason = "on-hook"
	EndedTone      Reason = "busy or dial tone"
	EndedMissed    Reason = "not answered" // it rang and nobody answered
	EndedNext      Reason = "next call"    // the line rang again
	EndedLongest   Reason = "longest length"
	EndedCardLost  Reason = "card lost"
	EndedRingFull  Reason = "ring full"
	EndedStopped   Reason = "recorder stopped"
	EndedPowerLost Reason = "power lost"
)

// MarkKind is what a mark tells of.
type MarkKind string

// The marks.
const (
	MarkDigits   MarkKind = "digits"    // Value: the digits, 0-9 * # A-D
	MarkCallerID MarkKind = "caller-id" // Value: as line/callerid gives it
	MarkHook     MarkKind = "hook"      // Value: off-hook, on-hook
	MarkTone     MarkKind = "tone"      // Value: dial, ring-back, busy, reorder, notice
	MarkRing     MarkKind = "ring"      // a burst of the bell
	MarkDialled  MarkKind = "dialled"   // Value: the number of an outgoing call: its digits up to the answer
	MarkConsent  MarkKind = "consent"
	MarkPause    MarkKind = "pause"
	MarkGap      MarkKind = "gap"   // Value: the cause; Frames: its length
	MarkVoice    MarkKind = "voice" // speech was first heard
)

// Mark is something at a point of a call's timeline. Marks are the only place for what identifies a person.
type Mark struct {
	Kind     MarkKind `json:"kind"`
	Position int64    `json:"position"` // frames from the beginning of the call
	Frames   int64    `json:"frames,omitempty"`
	Value    string   `json:"value,omitempty"`
}

// EventKind is what happened on a line.
type EventKind uint8

// The events of a line.
const (
	EventBegan EventKind = iota + 1
	EventMark
	EventEnded
	EventMissed // the call that has just ended with EndedMissed: how often it rang
	EventAlarm  // something that takes time to tell is wrong, or is not any more
)

// Event is what the detectors of a line say. Positions count the line's frames since its detectors were made.
type Event struct {
	Kind EventKind

	// Position is where it happened, which may be before the period that made it known: a call begins at its
	// pre-roll, and ends where the silence began that ended it (plus the tail that is kept).
	Position int64

	Reason Reason // EventBegan, EventEnded
	Short  bool   // EventEnded: as Manifest.Short
	Mark   Mark   // EventMark; its own Position is the event's and is made relative to the call by the recorder
	Missed Missed // EventMissed; the event's Position is the first ring's
	Alarm  string // EventAlarm: what is wrong, empty when nothing is any more
}

// EntryType is what an entry of the ledger says.
type EntryType string

// The types of entries.
const (
	EntryEpoch      EntryType = "epoch"      // a ring was made; Epoch of the one before, where it is known
	EntryBegin      EntryType = "begin"      // a call began
	EntryEnd        EntryType = "end"        // a call ended: its manifest
	EntryMissed     EntryType = "missed"     // the telephone rang and nobody answered
	EntryGap        EntryType = "gap"        // audio was lost outside a call
	EntryPause      EntryType = "pause"      // a line's recording was paused by hand, for card data
	EntryCorrection EntryType = "correction" // the clock of a boot was set: what to add to its anchors
	EntryRefusal    EntryType = "refusal"    // consent was refused: the call's key is forgotten
	EntryAmendment  EntryType = "amendment"  // records of a call were damaged on the card: what its file is now
	EntryTombstone  EntryType = "tombstone"  // a call was given up before it was delivered
	EntryLost       EntryType = "lost"       // entries were damaged on the card: recovery says which
)

// Entry is one numbered line of a device's ledger. On the card and on the wire it is the payload of a compact JWS
// (RFC 7515) signed with the device's key (EdDSA, RFC 8037), whose exact bytes are kept.
type Entry struct {
	Version  int       `json:"v"`
	Type     EntryType `json:"type"`
	Device   DeviceID  `json:"device"`
	Epoch    Epoch     `json:"epoch"`
	Number   uint64    `json:"number"`         // from 1, gapless within the epoch
	Previous string    `json:"prev,omitempty"` // SHA-256, in hex, of the JWS before; none at number 1
	Anchor   Anchor    `json:"at"`

	Call       *ID         `json:"call,omitempty"`       // begin, end, refusal, amendment, tombstone, missed; pause within a call
	Line       string      `json:"line,omitempty"`       // begin, end, missed, gap, pause, refusal
	Reason     Reason      `json:"reason,omitempty"`     // begin, tombstone
	Manifest   *Manifest   `json:"manifest,omitempty"`   // end
	Gap        *Gap        `json:"gap,omitempty"`        // gap; pause: from where, and how long
	Missed     *Missed     `json:"missed,omitempty"`     // missed
	Correction *Correction `json:"correction,omitempty"` // correction
	Amendment  *Amendment  `json:"amendment,omitempty"`  // amendment
	Lost       *Lost       `json:"lost,omitempty"`       // lost
	LastEnd    *Seq        `json:"last_end,omitempty"`   // epoch: the last entry known of the epoch before; nil: not known
}

// Missed is a call that nobody answered.
type Missed struct {
	Rings  int     `json:"rings"`
	Waited float64 `json:"waited"` // seconds from the first ring's beginning to the last one's end
}

// Better says whether a clock of this grade is to be believed before one of another.
func (g Grade) Better(than Grade) bool {
	rank := map[Grade]int{GradeRTC: 1, GradeHQ: 2, GradeNTP: 3}
	return rank[g] > rank[than]
}

// Correction maps what a boot's clock said to what it should have said: to every wall time of that boot's anchors whose
// grade is worse than Grade, Add is to be added. The anchor of its own entry is still by the clock as it was before.
type Correction struct {
	BootID string        `json:"boot"`  // that of the entry's own anchor
	Add    time.Duration `json:"add"`   // nanoseconds
	Grade  Grade         `json:"grade"` // of the corrected time
}

// Amendment is what a call's file is after some of its records were damaged on the card: it replaces size, hash and chain
// of the manifest.
type Amendment struct {
	Was    string `json:"was"`    // SHA-256 of the file before, in hex
	Size   int64  `json:"size"`   // of the file, bytes: as before, for holes keep their place
	SHA256 string `json:"sha256"` // of the file, hex
	Chain  string `json:"chain"`  // over its records, hex
	Holes  []Hole `json:"holes"`  // in order, never null
}

// Hole is where damaged records of a call file stood.
type Hole struct {
	Record  uint32 `json:"record"`  // number of the first
	Records uint32 `json:"records"` // how many
	Offset  int64  `json:"offset"`  // in the call file, bytes
	Size    int64  `json:"size"`    // bytes
}

// Lost is a run of entries that recovery could not read.
type Lost struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Seq names an entry of a device.
type Seq struct {
	Epoch  Epoch  `json:"epoch"`
	Number uint64 `json:"number"`
}

// Manifest is what an end entry says of its call. It holds nothing that identifies a person.
type Manifest struct {
	Began     Reason  `json:"began"`
	Ended     Reason  `json:"ended"`
	Anchor    Anchor  `json:"anchor"`   // of the call's position 0
	Duration  float64 `json:"duration"` // seconds
	Frames    int64   `json:"frames"`
	Rate      int     `json:"rate"`
	Codec     Codec   `json:"codec"`
	Channels  int     `json:"channels"`
	Gaps      []Gap   `json:"gaps"`
	Size      int64   `json:"size"`            // of the call file, bytes
	SHA256    string  `json:"sha256"`          // of the call file, hex
	Chain     string  `json:"chain"`           // over its records (package seal), hex
	Short     bool    `json:"short,omitempty"` // too short to be of interest: kept, and left out of lists
	Recovered bool    `json:"recovered,omitempty"`
	Software  string  `json:"software"`
}

// SignedEntry is an entry with the exact bytes that stand for it on the card and on the wire.
type SignedEntry struct {
	Entry
	JWS []byte `json:"-"`
}

// MarshalJSON of a SignedEntry is the entry's own.
func (s SignedEntry) MarshalJSON() ([]byte, error) { return json.Marshal(s.Entry) }

// Receipt is headquarters' word that a call, or a range of entries, is durable there. On the wire it is a compact JWS
// signed with headquarters' receipt key (EdDSA); only that releases anything on the recorder.
type Receipt struct {
	Device DeviceID  `json:"device"`
	Time   time.Time `json:"time"`

	// Of a call:
	Call   *ID    `json:"call,omitempty"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`

	// Of entries: all from First to Last of Epoch.
	Epoch Epoch  `json:"epoch,omitempty"`
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`

	// Weak is the word of a receiver that signs nothing, in the place of headquarters' signature; empty: it is signed.
	Weak string `json:"-"`
}

// Stored is a call as the ring has it.
type Stored struct {
	Header   Header
	Size     int64     // of its call file, as far as it is synced
	Ended    bool      // the call file is whole
	Manifest *Manifest // of an ended call whose end entry is stored
	Receipt  bool      // headquarters has it
	Weak     string    // and says so without a signature: the word of a receiver that is not headquarters
	Parked   string    // why headquarters refused it; empty where it did not
	Hold     string    // why it must not be given up; empty where it is not on hold
	Asked    bool      // headquarters has asked for it
	Flagged  bool      // somebody has marked it as of interest
}

// Waiting is what the ring knows, without reading the card, of a call that headquarters does not have.
type Waiting struct {
	Call    ID
	Number  uint64 // of its end entry, by which calls are ordered; 0: none is stored
	Size    int64  // of its call file, as far as it is synced
	Ended   bool   // the call file is whole, and its end entry stored
	Parked  bool
	Asked   bool
	Hold    bool
	Flagged bool
}
