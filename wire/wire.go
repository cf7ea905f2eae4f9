// Package wire holds the messages between a recorder and headquarters: where they go (HTTPS paths, MQTT topics), what
// stands in them, and the checks that either side makes on what it is sent. docs/protocols.md describes them for those
// who write a receiver of their own.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Paths of headquarters' HTTPS endpoint for recorders (mutual TLS; the client certificate's common name is the device
// ID).
const (
	PathStatus  = "/v1/status"  // PUT a Status
	PathEntries = "/v1/entries" // POST an EntryBatch, answered with a ReceiptAnswer
	PathHave    = "/v1/have"    // POST a HaveQuestion, answered with a HaveAnswer
	PathCalls   = "/v1/calls/"  // tus 1.0; and PathCalls + call ID + "/receipt" answers with the receipt
)

// ReceiptPath is where a call's receipt can be fetched: 404 while there is none.
func ReceiptPath(id call.ID) string { return PathCalls + id.String() + "/receipt" }

// HeaderReceipt carries a call's receipt in the answer to the PATCH that completed it.
const HeaderReceipt = "Linekeeper-Receipt"

// HeaderSHA256 goes with the PATCH that declares the length of an upload that was begun while the call was in progress: the
// hash of the call file, hex, which Upload-Metadata could not have.
const HeaderSHA256 = "Linekeeper-Sha256"

// Keys of tus' Upload-Metadata (their values base64, as tus has it).
const (
	MetaCall   = "call"   // call ID
	MetaSHA256 = "sha256" // of the call file, hex
)

// MaxEntryBatch bounds a message of entries, in bytes of JSON before compression.
const MaxEntryBatch = 256 << 10

// EntryBatch is a run of a device's ledger entries, gapless and in order, each the exact JWS.
type EntryBatch struct {
	Entries []string `json:"entries"`
}

// ReceiptAnswer carries a signed receipt, or why there is none.
type ReceiptAnswer struct {
	Receipt string `json:"receipt,omitempty"` // compact JWS
	Error   string `json:"error,omitempty"`
	About   string `json:"about,omitempty"` // which question has no receipt, over MQTT: AboutHave or AboutEntries
	Later   int    `json:"later,omitempty"` // over MQTT: headquarters is in trouble, ask again in so many seconds; 0: never
}

// What ReceiptAnswer.About says.
const (
	AboutHave    = "have"
	AboutEntries = "entries"
)

// HaveQuestion asks headquarters what it has of this recorder, at every connection.
type HaveQuestion struct {
	Epoch call.Epoch `json:"epoch"`
	Calls []call.ID  `json:"calls"` // those waiting for a receipt, at most MaxHave
}

// MaxHave bounds the calls of one question.
const MaxHave = 500

// HaveAnswer says what headquarters has.
type HaveAnswer struct {
	Time     time.Time `json:"time"`     // headquarters' clock
	Entries  uint64    `json:"entries"`  // all entries of the epoch up to this number are durable
	Receipts []string  `json:"receipts"` // of those calls asked for that are durable, and of the entries

	// Recipients is whom calls are to be sealed to from now on: a Recipients, signed by headquarters' receipt key.
	Recipients string `json:"recipients,omitempty"`

	Health uint64 `json:"health,omitempty"` // number of the line of the recorder's health log that came last
}

// Status is what a recorder says of itself: PUT over HTTPS, and retained over MQTT with StatusOffline as last will.
// It holds nothing that identifies a person.
type Status struct {
	Device   call.DeviceID `json:"device"`
	Online   bool          `json:"online"`
	Time     time.Time     `json:"time"`
	Software string        `json:"software"`
	State    call.State    `json:"state"`
	Lines    []LineStatus  `json:"lines"`
	Waiting  Waiting       `json:"waiting"`
	Ring     RingStatus    `json:"ring"`
	Clock    call.Grade    `json:"clock"`
	Reasons  []string      `json:"reasons,omitempty"` // for the state, in words

	Selftest *Selftest `json:"selftest,omitempty"` // the last one that somebody began at the recorder

	Health    *Health  `json:"health,omitempty"`     // of the board, now
	HealthLog []Health `json:"health_log,omitempty"` // lines of the recorder's log that headquarters has not had, at most MaxHealth
}

// Selftest is what became of a self-test.
type Selftest struct {
	Time   time.Time `json:"time"` // when it ended, as the recorder believed
	Passed bool      `json:"passed"`
	Failed []string  `json:"failed,omitempty"` // what did, such as "hum, line 2: 50 Hz"
}

// LineStatus is the state of one line.
type LineStatus struct {
	Line      string  `json:"line"`
	Recording bool    `json:"recording"`
	Alarm     string  `json:"alarm,omitempty"` // no frames, ...
	LevelDB   float64 `json:"level_db"`        // RMS of the last second, dBFS
	Lost      int64   `json:"lost_frames"`     // since the program started
	Calls     int64   `json:"calls"`           // since the program started
}

// Waiting is what headquarters does not have yet.
type Waiting struct {
	Calls   int    `json:"calls"`
	Bytes   int64  `json:"bytes"`
	Parked  int    `json:"parked"`
	Entries int    `json:"entries"`
	Link    string `json:"link"` // https, mqtt; empty while there is none

	Cost int64     `json:"cost,omitempty"` // bytes that sending it takes of the link, both ways together
	Rate int64     `json:"rate,omitempty"` // bytes a second, as calls went lately; 0: not known
	Done time.Time `json:"done,omitzero"`  // when all will be there, by the link's hours and volumes; zero: not known

	Refused []Refused `json:"refused,omitempty"` // the first of the parked calls, at most MaxRefused
}

// MaxRefused bounds the parked calls of a status.
const MaxRefused = 8

// Refused is a call that headquarters has refused, and that is not sent again until somebody wants it.
type Refused struct {
	Call   call.ID `json:"call"`
	Reason string  `json:"reason"` // in headquarters' words
}

// RingStatus is the room on the card.
type RingStatus struct {
	SizeBytes int64   `json:"size_bytes"`
	FreeBytes int64   `json:"free_bytes"` // that can be written before anything undelivered would have to go
	FreeHours float64 `json:"free_hours"` // the same in hours of calls
}

// OfflineStatus is the last will.
func OfflineStatus(device call.DeviceID) Status { return Status{Device: device} }

// LastWill is OfflineStatus as it goes over the wire, without what means nothing.
func LastWill(device call.DeviceID) []byte {
	return fmt.Appendf(nil, `{"device":%q,"online":false}`, device)
}

// MQTT topics of ours. Those of file transfer are EMQX's.
func topic(device call.DeviceID, rest string) string {
	return "linekeeper/" + string(device) + "/" + rest
}

// TopicStatus holds the retained Status.
func TopicStatus(device call.DeviceID) string { return topic(device, "status") }

// TopicEntries takes EntryBatch messages.
func TopicEntries(device call.DeviceID) string { return topic(device, "entries") }

// TopicHave takes HaveQuestion messages.
func TopicHave(device call.DeviceID) string { return topic(device, "have") }

// TopicReceipt is where headquarters sends a ReceiptAnswer, after entries and after a finished file.
func TopicReceipt(device call.DeviceID) string { return topic(device, "receipt") }

// TopicHad is where headquarters sends a HaveAnswer.
func TopicHad(device call.DeviceID) string { return topic(device, "had") }

// TopicFileResponse is where the receiver of a file transfer answers (EMQX).
func TopicFileResponse(device call.DeviceID) string { return "$file-response/" + string(device) }

// Filters for headquarters' subscriptions.
const (
	FilterDevices = "linekeeper/+/+"
	FilterFiles   = "$file-async/#"
)

// ParseDeviceTopic takes linekeeper/{device}/{rest} apart.
func ParseDeviceTopic(s string) (device call.DeviceID, rest string, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 || parts[0] != "linekeeper" {
		return "", "", fmt.Errorf("topic %q is not linekeeper/{device}/{what}", s)
	}
	device, err = call.ParseDeviceID(parts[1])
	return device, parts[2], err
}

// SegmentSize is how the file is cut for MQTT: segments are aligned, so that their boundaries can be found again.
const SegmentSize = 8 << 10

// FileID names one attempt to transfer one call.
type FileID struct {
	Device  call.DeviceID
	Call    call.ID
	Attempt string // 8 lower-case hex digits
}

// String is {device}-{call}-{attempt}.
func (f FileID) String() string { return string(f.Device) + "-" + f.Call.String() + "-" + f.Attempt }

// ParseFileID takes a file ID apart.
func ParseFileID(s string) (FileID, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return FileID{}, fmt.Errorf("file ID %q is not {device}-{call}-{attempt}", s)
	}
	device, err := call.ParseDeviceID(parts[0])
	if err != nil {
		return FileID{}, err
	}
	id, err := call.ParseID(parts[1])
	if err != nil {
		return FileID{}, err
	}
	if n, err := strconv.ParseUint(parts[2], 16, 32); err != nil || fmt.Sprintf("%08x", n) != parts[2] {
		return FileID{}, fmt.Errorf("file ID %q: attempt is not 8 lower-case hex digits", s)
	}
	return FileID{Device: device, Call: id, Attempt: parts[2]}, nil
}

// FileVerb is what a message of a file transfer does.
type FileVerb uint8

// The verbs.
const (
	FileInit FileVerb = iota + 1
	FileSegment
	FileFinish
)

// FileCommand is a topic of EMQX's file transfer, asynchronous form, taken apart.
type FileCommand struct {
	File   FileID
	Verb   FileVerb
	Offset int64  // FileSegment
	Size   int64  // FileFinish
	SHA256 string // hex; of the segment or the file; empty where the topic has none
}

const filePrefix = "$file-async/"

// Topic is the command's topic.
func (c FileCommand) Topic() string {
	t := filePrefix + c.File.String()
	switch c.Verb {
	case FileInit:
		return t + "/init"
	case FileSegment:
		t += "/" + strconv.FormatInt(c.Offset, 10)
	case FileFinish:
		t += "/fin/" + strconv.FormatInt(c.Size, 10)
	}
	if c.SHA256 != "" {
		t += "/" + c.SHA256
	}
	return t
}

// ParseFileTopic takes a topic of a file transfer apart.
func ParseFileTopic(s string) (FileCommand, error) {
	rest, ok := strings.CutPrefix(s, filePrefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 {
		return FileCommand{}, fmt.Errorf("topic %q is not of a file transfer", s)
	}
	file, err := ParseFileID(parts[0])
	if err != nil {
		return FileCommand{}, err
	}
	c := FileCommand{File: file}
	parts = parts[1:]
	number := &c.Offset
	switch parts[0] {
	case "init":
		c.Verb = FileInit
		if len(parts) != 1 {
			return FileCommand{}, fmt.Errorf("topic %q: nothing may follow init", s)
		}
		return c, nil
	case "fin":
		c.Verb, number = FileFinish, &c.Size
		parts = parts[1:]
	default:
		c.Verb = FileSegment
	}
	if len(parts) < 1 || len(parts) > 2 {
		return FileCommand{}, fmt.Errorf("topic %q: want a number and perhaps a SHA-256", s)
	}
	if *number, err = strconv.ParseInt(parts[0], 10, 64); err != nil || *number < 0 {
		return FileCommand{}, fmt.Errorf("topic %q: %q is not an offset or size", s, parts[0])
	}
	if len(parts) == 2 {
		if c.SHA256 = parts[1]; !IsSHA256(c.SHA256) {
			return FileCommand{}, fmt.Errorf("topic %q: %q is not a SHA-256 in hex", s, parts[1])
		}
	}
	return c, nil
}

// IsSHA256 checks for 64 lower-case hex digits.
func IsSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// FileMeta is the payload of init. A recorder sends the same bytes at each attempt to resume, so it keeps them.
type FileMeta struct {
	Name string `json:"name"` // {call}.lkc, at most 240 bytes
}

// FileResponse is the receiver's answer to each message of a file transfer: the only acknowledgement to trust.
type FileResponse struct {
	Version     string `json:"vsn"` // "0.1"
	Topic       string `json:"topic"`
	PacketID    uint16 `json:"packet_id"`
	ReasonCode  int    `json:"reason_code"` // 0, or 128
	Description string `json:"reason_description"`

	// Have is, in the answer to an init that was sent before, what has arrived since: offsets and sizes, in order, those that
	// adjoin as one. Ours, not EMQX's: nobody relies on it.
	Have [][2]int64 `json:"have,omitempty"`
}

// Reasons of a FileResponse, as EMQX words them.
const (
	FileSuccess          = "success"
	FileIncomplete       = "incomplete"
	FileChecksumMismatch = "checksum_mismatch"
	FileMetaConflict     = "filemeta_conflict"
	FileTimeout          = "timeout"
	FileRefused          = "refused" // ours: this call will not be taken; park it
)

// Decode reads one JSON message, which may be packed or gzipped, into v and refuses unknown trailing data.
func Decode(b []byte, v any) error {
	b, err := unpack(b)
	if err != nil {
		return err
	}
	if len(b) > 2*MaxEntryBatch {
		return fmt.Errorf("message of %d bytes: at most %d", len(b), 2*MaxEntryBatch)
	}
	if batch, ok := v.(*EntryBatch); ok && isLines(b) {
		err = batch.fromLines(string(b))
	} else {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("decode message: %w", err)
	}
	if c, ok := v.(interface{ check() error }); ok {
		return c.check()
	}
	return nil
}

func (s *Status) check() error {
	if n := len(s.Waiting.Refused); n > MaxRefused {
		return fmt.Errorf("a status with %d refused calls: at most %d", n, MaxRefused)
	}
	if len(s.HealthLog) > MaxHealth {
		return fmt.Errorf("a status with %d lines of health: at most %d", len(s.HealthLog), MaxHealth)
	}
	if s.Health != nil {
		if err := s.Health.check(); err != nil {
			return err
		}
	}
	for _, h := range s.HealthLog {
		if err := h.check(); err != nil {
			return err
		}
	}
	return nil
}

func (b *EntryBatch) check() error {
	if len(b.Entries) == 0 {
		return errors.New("a batch of no entries")
	}
	return nil
}

func (q *HaveQuestion) check() error {
	if len(q.Calls) > MaxHave {
		return fmt.Errorf("a question about %d calls: at most %d", len(q.Calls), MaxHave)
	}
	return nil
}
