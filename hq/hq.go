// Package hq holds what headquarters speaks of: recorders, calls, users, and the questions asked of the library. The
// folders below it each do one job on these types and do not know each other; hq/service ties them together.
package hq

import (
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already there")
	ErrRefused  = errors.New("refused")                    // this will not be accepted, however often it is sent
	ErrNoRoom   = errors.New("no room on the disk for it") // later, when there is room, it will be
)

// Recorder is a device that headquarters made an identity for.
type Recorder struct {
	Device call.DeviceID
	Site   string            // the office, as people there call it
	Key    ed25519.PublicKey // that signs its ledger; its ID follows from it
	Added  time.Time
	Seen   time.Time    // the last message; zero: never
	Via    string       // https or mqtt, of the last message
	Status *wire.Status // the last one; nil: none yet

	Revoked time.Time // since when it is shut out; zero: it is let in
}

// Ledger names the ledger of one epoch of a recorder.
type Ledger struct {
	Device call.DeviceID
	Epoch  call.Epoch
}

// Stage is how much of a call has arrived.
type Stage string

// The stages, in order.
const (
	StageBegan   Stage = "began"   // its begin entry
	StageEnded   Stage = "ended"   // its manifest: the media is on its way
	StageDurable Stage = "durable" // its call file: receipted
)

// Call is a line of the library.
type Call struct {
	ID            call.ID
	Device        call.DeviceID
	Site          string
	Line          string
	Number        uint64 // of its begin entry
	Stage         Stage
	Began         time.Time // UTC, corrected where the recorder has said that its clock was wrong
	Grade         call.Grade
	Boot          string    // of the recorder, by whose clock it began; empty: not known
	Believed      time.Time // when it began, as the recorder believed then
	BelievedGrade call.Grade
	Duration      time.Duration
	BeganBy       call.Reason
	EndedBy       call.Reason
	Codec         call.Codec
	Channels      int
	Sides         []string
	Rate          int
	Gaps          []call.Gap
	Recovered     bool
	Short         bool  // too short to be of interest: lists leave it out
	Size          int64 // of the call file
	SHA256        string
	Received      time.Time // when it became durable
	Via           string    // https, mqtt or courier
}

// Query asks for calls, newest first.
type Query struct {
	Text   string    // in site, line, device or call ID
	Site   string    // exactly; empty: all
	Line   string    // exactly; empty: all
	From   time.Time // began at or after; zero: no bound
	To     time.Time // began before; zero: no bound
	Before *Cursor   // only calls after this one in the list
	Limit  int       // at most; 0: 50
}

// Cursor is a place in the list.
type Cursor struct {
	Began time.Time
	ID    call.ID
}

// Arrival is a call file that has arrived whole and is durable on disk.
type Arrival struct {
	Header   call.Header
	End      *call.End // nil: the file does not reach its end, or is damaged before
	Size     int64     // of the call file
	SHA256   string
	Via      string // https, mqtt or courier
	Received time.Time
	Receipt  string // as signed
}

// Command is what somebody here wants of a recorder.
type Command struct {
	Number uint64 // grows with each
	Device call.DeviceID
	Kind   wire.CommandKind
	Call   *call.ID // nil: of none
	Why    string
	By     string // who gave it: a user's name
	Given  time.Time
	Ended  time.Time // when its result came; zero: it has not
	Error  string    // why the recorder could not do it
}

// Hold is somebody's word that a call must not be given up, or that it may be again.
type Hold struct {
	Call call.ID
	On   bool
	Why  string // in words; it names no person
	By   string // a user's name
	At   time.Time
}

// BundleOrder is what a bundle is to be, with which a recorder is set up.
type BundleOrder struct {
	Site     string
	Device   call.DeviceID  // the only recorder that it is for; empty: any new one, or one of the site
	Days     int            // for how many its token is good
	Settings string         // the recorder's, TOML; headquarters' addresses are added where they name none
	Networks []wire.Network // beside the cable
	By       string         // who orders it: a user's name; empty: somebody at headquarters' machine
}

// Token lets one recorder enrol, once. What it is stands in its bundle alone.
type Token struct {
	Site    string
	Only    call.DeviceID // who may use it; empty: whoever comes first
	By      string        // who had it made: a user's name; empty: somebody at headquarters' machine
	Made    time.Time
	Expires time.Time
	Used    call.DeviceID // by whom; empty: not yet
}

// User may log in to the web pages.
type User struct {
	Name     string
	Password string // argon2id, in PHC string form
	Admin    bool   // may let recorders in, and put calls on hold
	Added    time.Time
}

// Session is a login. Only the SHA-256 of its token is kept.
type Session struct {
	TokenSHA256 string
	User        string
	Expires     time.Time
}
