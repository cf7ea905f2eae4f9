package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	device  = call.DeviceID("ABCDEFGH")
	callID  = "00000000000000000000000008"
	sha     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	fileID  = "ABCDEFGH-" + callID + "-0123abcd"
	fileTop = "$file-async/" + fileID
)

func parsedCall(t *testing.T) call.ID {
	t.Helper()
	id, err := call.ParseID(callID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPathsAndTopics(t *testing.T) {
	id := parsedCall(t)
	for _, tt := range []struct{ got, want string }{
		{wire.ReceiptPath(id), "/v1/calls/" + callID + "/receipt"},
		{wire.TopicStatus(device), "linekeeper/ABCDEFGH/status"},
		{wire.TopicEntries(device), "linekeeper/ABCDEFGH/entries"},
		{wire.TopicHave(device), "linekeeper/ABCDEFGH/have"},
		{wire.TopicReceipt(device), "linekeeper/ABCDEFGH/receipt"},
		{wire.TopicHad(device), "linekeeper/ABCDEFGH/had"},
		{wire.TopicFileResponse(device), "$file-response/ABCDEFGH"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestParseDeviceTopic(t *testing.T) {
	if d, rest, err := wire.ParseDeviceTopic("linekeeper/ABCDEFGH/status"); err != nil || d != device || rest != "status" {
		t.Errorf("%q, %q, %v", d, rest, err)
	}
	for _, bad := range []string{
		"", "linekeeper", "linekeeper/ABCDEFGH", "linekeeper/ABCDEFGH/a/b", "Linekeeper/ABCDEFGH/status", "/linekeeper/ABCDEFGH/status",
		"linekeeper//status", "linekeeper/abcdefgh/status", "linekeeper/ABCDEFG/status", "linekeeper/ABCDEFGI/status", "linekeeper/+/status",
	} {
		if d, _, err := wire.ParseDeviceTopic(bad); err == nil {
			t.Errorf("%q was taken, for %q", bad, d)
		}
	}
}

func TestParseFileID(t *testing.T) {
	want := wire.FileID{Device: device, Call: parsedCall(t), Attempt: "0123abcd"}
	if got, err := wire.ParseFileID(fileID); err != nil || got != want || got.String() != fileID {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "-", "--", "---", "ABCDEFGH-" + callID, fileID + "-", "-" + fileID, "ABCDEFGH-" + callID + "-0123ABCD",
		"ABCDEFGH-" + callID + "-123abcd", "ABCDEFGH-" + callID + "-00123abcd", "ABCDEFGH-" + callID + "-+123abcd",
		"ABCDEFGH-" + callID + "-0123abcg", "ABCDEFGH-" + callID[1:] + "-0123abcd", "ABCDEFGH-U" + callID[1:] + "-0123abcd",
		// Two texts must not name one call: the last character has bits to spare.
		"ABCDEFGH-" + callID[:25] + "9-0123abcd",
	} {
		if got, err := wire.ParseFileID(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, got)
		}
	}
}

func TestParseFileTopic(t *testing.T) {
	file := wire.FileID{Device: device, Call: parsedCall(t), Attempt: "0123abcd"}
	for topic, want := range map[string]wire.FileCommand{
		fileTop + "/init":                {File: file, Verb: wire.FileInit},
		fileTop + "/0":                   {File: file, Verb: wire.FileSegment},
		fileTop + "/8192":                {File: file, Verb: wire.FileSegment, Offset: 8192},
		fileTop + "/8192/" + sha:         {File: file, Verb: wire.FileSegment, Offset: 8192, SHA256: sha},
		fileTop + "/fin/200000":          {File: file, Verb: wire.FileFinish, Size: 200000},
		fileTop + "/fin/0/" + sha:        {File: file, Verb: wire.FileFinish, SHA256: sha},
		fileTop + "/9223372036854775807": {File: file, Verb: wire.FileSegment, Offset: 1<<63 - 1},
	} {
		got, err := wire.ParseFileTopic(topic)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", topic, got, err)
		}
		if got.Topic() != topic {
			t.Errorf("%q became %q", topic, got.Topic())
		}
	}
	for _, bad := range []string{
		"", "$file-async/", fileTop, fileTop + "/", fileTop + "/init/", fileTop + "/init/0", fileTop + "/-1", fileTop + "/x",
		fileTop + "/9223372036854775808", fileTop + "/fin", fileTop + "/fin/", fileTop + "/fin/x", fileTop + "/fin/-1", fileTop + "/fin/1/",
		fileTop + "/fin/1/" + sha + "/x", fileTop + "/0/" + sha[1:], fileTop + "/0/" + strings.ToUpper(sha), fileTop + "/abort",
		"$file/" + fileID + "/init", "x" + fileTop + "/init", "$file-async//init",
	} {
		if got, err := wire.ParseFileTopic(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, got)
		}
	}
}

func TestIsSHA256(t *testing.T) {
	if !wire.IsSHA256(sha) {
		t.Error("a SHA-256 is none")
	}
	for _, bad := range []string{"", sha[1:], sha + "0", strings.ToUpper(sha), "g" + sha[1:], "ё" + sha[2:]} {
		if wire.IsSHA256(bad) {
			t.Errorf("%q is a SHA-256", bad)
		}
	}
}

func TestDecode(t *testing.T) {
	var s wire.Status
	if err := wire.Decode([]byte(`{"device":"ABCDEFGH","online":true,"news":1}`), &s); err != nil || s.Device != device || !s.Online {
		t.Errorf("%+v, %v: what a later version adds must not hurt", s, err)
	}
	var q wire.HaveQuestion
	calls := strings.Repeat(`"`+callID+`",`, wire.MaxHave-1) + `"` + callID + `"`
	if err := wire.Decode([]byte(`{"epoch":"0000000000000","calls":[`+calls+`]}`), &q); err != nil || len(q.Calls) != wire.MaxHave {
		t.Errorf("%d calls, %v", len(q.Calls), err)
	}
	for bad, into := range map[string]any{
		``:                    new(wire.Status),
		`{}{}`:                new(wire.Status),
		`{"online":1}`:        new(wire.Status),
		`{"entries":[]}`:      new(wire.EntryBatch),
		`{}`:                  new(wire.EntryBatch),
		`{"epoch":"x"}`:       new(wire.HaveQuestion),
		`{"calls":["x"]}`:     new(wire.HaveQuestion),
		`{"packet_id":70000}`: new(wire.FileResponse),
		`{"epoch":"0000000000000","calls":[` + calls + `,"` + callID + `"]}`: new(wire.HaveQuestion),
		`"` + strings.Repeat("x", 2*wire.MaxEntryBatch) + `"`:                new(string),
	} {
		if err := wire.Decode([]byte(bad), into); err == nil {
			t.Errorf("%.60s was taken", bad)
		}
	}
}

// TestWords holds the names that stand in docs/protocols.md and in other people's programs.
func TestWords(t *testing.T) {
	id := parsedCall(t)
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for want, message := range map[string]any{
		`{"entries":["a.b.c"]}`: wire.EntryBatch{Entries: []string{"a.b.c"}},
		`{"receipt":"a.b.c"}`:   wire.ReceiptAnswer{Receipt: "a.b.c"},
		`{"error":"why"}`:       wire.ReceiptAnswer{Error: "why"},
		`{"epoch":"000000000000E","calls":["` + callID + `"]}`:             wire.HaveQuestion{Epoch: 7, Calls: []call.ID{id}},
		`{"time":"2026-11-23T09:00:00Z","entries":9,"receipts":["a.b.c"]}`: wire.HaveAnswer{Time: at, Entries: 9, Receipts: []string{"a.b.c"}},
		`{"name":"x.lkc"}`: wire.FileMeta{Name: "x.lkc"},
		`{"vsn":"0.1","topic":"t","packet_id":3,"reason_code":128,"reason_description":"incomplete"}`: wire.FileResponse{
			Version: "0.1", Topic: "t", PacketID: 3, ReasonCode: 128, Description: wire.FileIncomplete,
		},
	} {
		if got, err := json.Marshal(message); err != nil || string(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
	}
	if s := wire.OfflineStatus(device); s.Online || s.Device != device {
		t.Errorf("%+v", s)
	}
}

func FuzzParseFileTopic(f *testing.F) {
	for _, seed := range []string{fileTop + "/init", fileTop + "/8192/" + sha, fileTop + "/fin/1/" + sha, fileTop + "/-0", "$file-async/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		c, err := wire.ParseFileTopic(topic)
		if err != nil {
			return
		}
		if again, err := wire.ParseFileTopic(c.Topic()); err != nil || again != c {
			t.Errorf("%q: %+v became %+v, %v", topic, c, again, err)
		}
		if c.Offset < 0 || c.Size < 0 || c.Verb < wire.FileInit || c.Verb > wire.FileFinish {
			t.Errorf("%q: %+v", topic, c)
		}
	})
}

func FuzzParseFileID(f *testing.F) {
	f.Add(fileID)
	f.Add("--")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := wire.ParseFileID(s); err == nil && id.String() != s {
			t.Errorf("%q and %q name the same file", s, id)
		}
	})
}

func FuzzParseDeviceTopic(f *testing.F) {
	f.Add("linekeeper/ABCDEFGH/status")
	f.Add("linekeeper//")
	f.Fuzz(func(t *testing.T, topic string) {
		d, rest, err := wire.ParseDeviceTopic(topic)
		if err == nil && "linekeeper/"+string(d)+"/"+rest != topic {
			t.Errorf("%q is of %q and %q", topic, d, rest)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"epoch":"000000000000E","calls":["` + callID + `"]}`))
	f.Add([]byte(`{"entries":["a.b.c"]}`))
	f.Add([]byte("{}\n{}\nsignature\n"))
	packed, err := wire.Pack(wire.EntryBatch{Entries: []string{anEntry(1)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte(`{"device":"ABCDEFGH","online":true,"lines":[{"level_db":-3e1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{
			new(wire.Status), new(wire.EntryBatch), new(wire.HaveQuestion), new(wire.HaveAnswer), new(wire.ReceiptAnswer), new(wire.FileResponse),
			new(wire.CommandList), new(wire.CommandResult),
		} {
			if wire.Decode(b, into) != nil {
				continue
			}
			if _, err := json.Marshal(into); err != nil {
				t.Errorf("%T from %q cannot be written: %v", into, b, err)
			}
		}
	})
}
