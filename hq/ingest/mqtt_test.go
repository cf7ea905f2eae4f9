package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// sent is what headquarters has answered.
type sent struct {
	topic   string
	payload []byte
}

// outbox takes answers in place of a broker.
type outbox struct{ all []sent }

func (o *outbox) Publish(topic string, payload []byte) error {
	o.all = append(o.all, sent{topic, payload})
	return nil
}

// sender publishes as a recorder to a receiver without a broker between.
type sender struct {
	*device
	out     outbox
	attempt string
}

func (s *sender) publish(topic string, payload []byte) {
	s.w.in.receive(context.Background(), &s.out, message{topic: topic, payload: payload, packetID: 7})
}

// file sends a command of a file transfer and gives the answer's reason, and the receipt if one came too.
func (s *sender) command(f file, c wire.FileCommand, payload []byte) (reason, receipt string) {
	s.w.t.Helper()
	c.File = wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}
	s.out.all = nil
	s.publish(c.Topic(), payload)
	for _, m := range s.out.all {
		switch m.topic {
		case wire.TopicFileResponse(s.id):
			var r wire.FileResponse
			must(s.w.t, json.Unmarshal(m.payload, &r))
			if r.Version != "0.1" || r.Topic != c.Topic() || r.PacketID != 7 || (r.ReasonCode == 0) != (r.Description == wire.FileSuccess) {
				s.w.t.Fatalf("answer %+v", r)
			}
			reason = r.Description
		case wire.TopicReceipt(s.id):
			var a wire.ReceiptAnswer
			must(s.w.t, json.Unmarshal(m.payload, &a))
			receipt = a.Receipt
		default:
			s.w.t.Fatalf("answer on %s", m.topic)
		}
	}
	return reason, receipt
}

func (s *sender) init(f file) string {
	s.w.t.Helper()
	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileInit}, initOf(f))
	return reason
}

func initOf(f file) []byte { return []byte(`{"name":"` + f.id.String() + `.lkc"}`) }

func (s *sender) segment(f file, offset int, b []byte) string {
	s.w.t.Helper()
	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileSegment, Offset: int64(offset)}, b)
	return reason
}

// segments sends those of the file from..to.
func (s *sender) segments(f file, from, to int) {
	s.w.t.Helper()
	for at := from; at < to; at += wire.SegmentSize {
		if reason := s.segment(f, at, f.bytes[at:min(at+wire.SegmentSize, len(f.bytes))]); reason != wire.FileSuccess {
			s.w.t.Fatalf("segment at %d: %s", at, reason)
		}
	}
}

func (s *sender) fin(f file) (reason, receipt string) {
	s.w.t.Helper()
	return s.command(f, wire.FileCommand{Verb: wire.FileFinish, Size: int64(len(f.bytes)), SHA256: f.sha}, nil)
}

func (s *sender) expect(what, got, want string) {
	s.w.t.Helper()
	if got != want && (want != wire.FileRefused || !strings.HasPrefix(got, want+": ")) {
		s.w.t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// fullDisk has no room for entries, nor for a note that a recorder was heard of.
type fullDisk struct {
	Ledger
	Recorders
}

func (fullDisk) AddEntries(context.Context, []call.SignedEntry) error { return hq.ErrNoRoom }

func (fullDisk) Saw(context.Context, call.DeviceID, string) error { return hq.ErrNoRoom }

// A recorder that asks over MQTT is told that it may ask again, and when.
func TestEntriesWhileTheDiskIsFull(t *testing.T) {
	for _, admitted := range []bool{true, false} {
		w := newWorld(t)
		s := &sender{device: w.device()}
		batch, err := wire.Pack(s.entries(9, s.device.file(1000)))
		must(t, err)
		ledger, recorders := w.in.cfg.Ledger, w.in.cfg.Recorders
		full := fullDisk{ledger, recorders}
		if w.in.cfg.Ledger = full; !admitted {
			w.in.cfg.Recorders = full
		}
		s.publish(wire.TopicEntries(s.id), batch)
		var a wire.ReceiptAnswer
		if n := len(s.out.all); n != 1 {
			t.Fatalf("admitted %v: %d answers", admitted, n)
		}
		must(t, json.Unmarshal(s.out.all[0].payload, &a))
		if a.Receipt != "" || a.Error == "" || a.About != wire.AboutEntries || a.Later != waitForRoom {
			t.Errorf("admitted %v: %+v", admitted, a)
		}
		w.in.cfg.Ledger, w.in.cfg.Recorders = ledger, recorders
		s.out.all = nil
		s.publish(wire.TopicEntries(s.id), batch)
		a = wire.ReceiptAnswer{}
		must(t, json.Unmarshal(s.out.all[0].payload, &a))
		if a.Receipt == "" {
			t.Errorf("admitted %v, with room again: %+v", admitted, a)
		}
	}
}

func TestFileTransferIsTakenUpAgain(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100_000)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.expect("the same init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, 40_960)
	s.segments(f, 16_384, 24_576) // again
	reason, _ := s.fin(f)
	s.expect("too early", reason, wire.FileIncomplete)

	w.restart()
	s.expect("init after a restart", s.init(f), wire.FileSuccess)
	var told wire.FileResponse
	must(t, json.Unmarshal(s.out.all[0].payload, &told))
	if !slices.Equal(told.Have, [][2]int64{{0, 40_960}}) {
		t.Errorf("told %v", told.Have)
	}
	reason, _ = s.command(f, wire.FileCommand{Verb: wire.FileInit}, []byte(`{"name":"x"}`))
	s.expect("another init", reason, wire.FileMetaConflict)
	s.segments(f, 40_960, len(f.bytes))
	reason, receipt := s.fin(f)
	s.expect("fin", reason, wire.FileSuccess)
	s.verify(receipt, f)
	s.durable(f)

	// Whatever is repeated, the same receipt comes back, and nothing is spooled again.
	reason, again := s.fin(f)
	s.expect("fin again", reason, wire.FileSuccess)
	if again != receipt {
		t.Error("another receipt")
	}
	s.expect("a late segment", s.segment(f, 0, f.bytes[:wire.SegmentSize]), wire.FileSuccess)
	s.attempt = "0000000b"
	reason, again = s.command(f, wire.FileCommand{Verb: wire.FileInit}, initOf(f))
	s.expect("a new attempt", reason, wire.FileSuccess)
	if again != receipt {
		t.Error("no receipt at a new attempt")
	}
	s.durable(f)
}

func TestFileTransferRefusals(t *testing.T) {
	w := newWorld(t)
	s, other := &sender{device: w.device(), attempt: "0000000a"}, w.device()
	f := s.device.file(20_000)
	s.expect("segment of nothing", s.segment(f, 0, f.bytes[:100]), wire.FileIncomplete)
	s.expect("init", s.init(f), wire.FileSuccess)

	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileSegment, SHA256: f.sha}, f.bytes[:8192])
	s.expect("segment with another hash", reason, wire.FileChecksumMismatch)
	s.expect("empty segment", s.segment(f, 0, nil), wire.FileRefused)
	s.expect("too far", s.segment(f, 1<<20, []byte{1}), wire.FileRefused)
	s.expect("overflow", s.segment(f, 1<<63-1, []byte{1}), wire.FileRefused)

	s.segments(f, 0, len(f.bytes))
	wrong := bytes.Clone(f.bytes[8192:16384])
	wrong[0] ^= 1
	s.expect("other bytes of a segment", s.segment(f, 8192, wrong), wire.FileSuccess)
	reason, receipt := s.fin(f)
	s.expect("wrong bytes", reason, wire.FileChecksumMismatch)
	if receipt != "" {
		t.Error("a receipt for wrong bytes")
	}
	s.spoolEmpty()
	reason, _ = s.fin(f)
	s.expect("given up", reason, wire.FileIncomplete)

	// Overlapping segments fill no gap.
	s.expect("init", s.init(f), wire.FileSuccess)
	s.expect("first", s.segment(f, 0, f.bytes[:9000]), wire.FileSuccess)
	s.expect("overlapping", s.segment(f, 8192, f.bytes[8192:]), wire.FileSuccess)
	reason, _ = s.fin(f)
	s.expect("overlaps", reason, wire.FileIncomplete)
	s.expect("adjoining", s.segment(f, 9000, f.bytes[9000:]), wire.FileSuccess)
	reason, receipt = s.fin(f)
	s.expect("odd boundaries", reason, wire.FileSuccess)
	s.verify(receipt, f)

	// Files that are not what their names say.
	for what, bad := range map[string]file{
		"another recorder's file": makeFile(t, other.id, call.NewID(), 100),
		"another call's file":     fileOf(call.NewID(), f.bytes),
		"other bytes of a call":   makeFile(t, s.id, f.id, 50),
		"not a call file":         fileOf(call.NewID(), []byte("text")),
	} {
		s.attempt = "0000000c"
		if what == "other bytes of a call" { // init alone is answered with the receipt of what is here
			w.in.transfers.loaded[wire.FileID{Device: s.id, Call: bad.id, Attempt: s.attempt}] = nil
			must(t, w.in.transfers.begin(wire.FileID{Device: s.id, Call: bad.id, Attempt: s.attempt}, initOf(bad)))
		} else {
			s.expect(what, s.init(bad), wire.FileSuccess)
		}
		s.segments(bad, 0, len(bad.bytes))
		reason, receipt := s.fin(bad)
		s.expect(what, reason, wire.FileRefused)
		if receipt != "" {
			t.Errorf("%s: a receipt", what)
		}
	}
	s.spoolEmpty()

	for what, payload := range map[string]string{"not JSON": "{", "no name": "{}", "a path": `{"name":"../x"}`, "long": `{"name":"` + strings.Repeat("x", 241) + `"}`} {
		reason, _ := s.command(s.device.file(1), wire.FileCommand{Verb: wire.FileInit}, []byte(payload))
		s.expect(what, reason, wire.FileRefused)
	}
	stranger := &sender{device: w.stranger(), attempt: "0000000a"}
	stranger.expect("unknown recorder", stranger.init(stranger.device.file(1)), wire.FileRefused)
	s.spoolEmpty()
}

func TestFileTransferWaitsForRoom(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100)
	w.room.Store(1)
	s.expect("init", s.init(f), wire.FileTimeout)
	w.room.Store(1 << 30)
	s.expect("init", s.init(f), wire.FileSuccess)
	w.room.Store(1)
	s.expect("segment", s.segment(f, 0, f.bytes), wire.FileTimeout)
	w.room.Store(1 << 30)
	s.segments(f, 0, len(f.bytes))
	w.room.Store(1)
	reason, _ := s.fin(f)
	s.expect("fin", reason, wire.FileTimeout)
	w.room.Store(1 << 30)
	broken := &brokenFiles{w.files, true}
	w.in.cfg.Files = broken
	reason, _ = s.fin(f)
	s.expect("fin", reason, wire.FileTimeout)
	broken.broken = false
	reason, receipt := s.fin(f)
	s.expect("fin", reason, wire.FileSuccess)
	s.verify(receipt, f)
	s.durable(f)
}

func TestANewTransferClearsTheOldOneAway(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, len(f.bytes))
	s.attempt = "0000000b"
	s.expect("init", s.init(f), wire.FileSuccess)
	s.attempt = "0000000a"
	reason, _ := s.fin(f)
	s.expect("the old one", reason, wire.FileIncomplete)
	if logs, _ := filepath.Glob(filepath.Join(w.dir, "spool", "mqtt", "*", "*")); len(logs) != 1 {
		t.Errorf("spool: %v", logs)
	}
}

func TestDamagedLogs(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(30_000)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, len(f.bytes))
	path := w.in.transfers.path(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt})
	whole, err := os.ReadFile(path)
	must(t, err)
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		return b
	}
	first := recordHead + len(initOf(f))
	for what, tc := range map[string]struct {
		log  []byte
		want string // of a fin
	}{
		"whole":                {whole, wire.FileSuccess},
		"torn":                 {whole[:len(whole)-1], wire.FileIncomplete},
		"torn in a head":       {whole[:first+5], wire.FileIncomplete},
		"empty":                {nil, wire.FileIncomplete},
		"init damaged":         {flip(recordHead + 2), wire.FileIncomplete},
		"length damaged":       {flip(first + 7), wire.FileIncomplete},
		"offset damaged":       {flip(first + 12), wire.FileIncomplete},
		"bytes damaged":        {flip(first + recordHead + 100), wire.FileIncomplete},
		"rubbish after it all": {append(bytes.Clone(whole), 1, 2, 3), wire.FileSuccess},
	} {
		t.Run(what, func(t *testing.T) {
			must(t, os.WriteFile(path, tc.log, 0o600))
			w.in.transfers.forget(filepath.Base(path))
			have, err := readLog(bytes.NewReader(tc.log), 1<<20)
			must(t, err)
			got := wire.FileIncomplete
			if have != nil {
				if _, err := w.in.transfers.assemble(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}, int64(len(f.bytes)), w.files.Room); err == nil {
					got = wire.FileSuccess
				}
			}
			if got != tc.want {
				t.Fatalf("%s, want %s", got, tc.want)
			}
			// What is missing can be sent again, over what is damaged.
			if have != nil {
				s.segments(f, 0, len(f.bytes))
				w.in.transfers.forget(filepath.Base(path))
				if _, err := w.in.transfers.assemble(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}, int64(len(f.bytes)), w.files.Room); err != nil {
					t.Errorf("mended: %v", err)
				}
			}
		})
	}
}

// TestFilesOverMQTTHaveADefaultBound: settings that name no bound refused every segment once.
func TestFilesOverMQTTHaveADefaultBound(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MaxCall, cfg.Spool = 0, t.TempDir()
	in, err := Open(t.Context(), cfg)
	must(t, err)
	if in.transfers.most != DefaultMaxCall {
		t.Errorf("call files over MQTT have at most %d bytes, want %d", in.transfers.most, int64(DefaultMaxCall))
	}
}
