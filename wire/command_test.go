package wire_test

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

func testCommand(t testing.TB) (wire.Command, string) {
	t.Helper()
	id, err := call.ParseID(callID)
	if err != nil {
		t.Fatal(err)
	}
	c := wire.Command{Device: device, Number: 7, Oldest: 5, Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Kind: wire.CommandHold, Call: &id, Why: "court"}
	jws, err := wire.SignCommand(testKey(), c)
	if err != nil {
		t.Fatal(err)
	}
	return c, jws
}

func TestCommand(t *testing.T) {
	_, jws := testCommand(t)
	got, err := wire.VerifyCommand(testKey().Public().(ed25519.PublicKey), jws)
	if err != nil || got.Number != 7 || got.Kind != wire.CommandHold || got.Check() != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if want := `{"device":"ABCDEFGH","number":7,"oldest":5,"time":"2026-11-23T09:00:00Z","kind":"hold","call":"` + callID + `","why":"court"}`; part(t, jws, 1) != want {
		t.Errorf("payload %s", part(t, jws, 1))
	}
}

// TestDamagedCommands has what is not a command of headquarters' refused; a receipt is signed by the same key.
func TestDamagedCommands(t *testing.T) {
	good, jws := testCommand(t)
	_, receipt := testReceipt(t)
	parts := strings.Split(jws, ".")
	sign := func(change func(*wire.Command)) string {
		c := good
		change(&c)
		s, err := wire.SignCommand(testKey(), c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, bad := range map[string]string{
		"empty":           "",
		"no signature":    parts[0] + "." + parts[1] + ".",
		"a receipt":       receipt,
		"another payload": parts[0] + "." + strings.Split(receipt, ".")[1] + "." + parts[2],
		"no number":       sign(func(c *wire.Command) { c.Number, c.Oldest = 0, 0 }),
		"no kind":         sign(func(c *wire.Command) { c.Kind = "" }),
		"too old":         sign(func(c *wire.Command) { c.Oldest = 8 }),
	} {
		if c, err := wire.VerifyCommand(testKey().Public().(ed25519.PublicKey), bad); err == nil {
			t.Errorf("%s: taken: %+v", name, c)
		}
	}
	if _, err := wire.VerifyCommand(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey), jws); err == nil {
		t.Error("taken under another key")
	}
	// And the other way round: a command about a call says neither size nor hash of it.
	if r, err := wire.VerifyReceipt(testKey().Public().(ed25519.PublicKey), jws); err == nil && (r.Size != 0 || r.SHA256 != "") {
		t.Errorf("a command is a receipt: %+v", r)
	}
}

func TestCommandCheck(t *testing.T) {
	id := parsedCall(t)
	for _, tt := range []struct {
		c    wire.Command
		good bool
	}{
		{wire.Command{Kind: wire.CommandFetch, Call: &id}, true},
		{wire.Command{Kind: wire.CommandRequeue}, true},
		{wire.Command{Kind: wire.CommandHold, Call: &id, Why: "court"}, true},
		{wire.Command{Kind: wire.CommandHold, Call: &id}, false},
		{wire.Command{Kind: wire.CommandFlag}, false},
		{wire.Command{Kind: "format the card", Call: &id}, false},
	} {
		if err := tt.c.Check(); (err == nil) != tt.good {
			t.Errorf("%+v: %v", tt.c, err)
		}
	}
}

func TestCommandTopics(t *testing.T) {
	for got, want := range map[string]string{
		wire.TopicCommand(device, 7): "linekeeper/ABCDEFGH/command/7",
		wire.TopicCommand(device, 0): "linekeeper/ABCDEFGH/command/+",
		wire.TopicResult(device, 7):  "linekeeper/ABCDEFGH/result/7",
		wire.CommandResultPath(7):    "/v1/commands/7/result",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if d, n, err := wire.ParseResultTopic("linekeeper/ABCDEFGH/result/7"); d != device || n != 7 || err != nil {
		t.Errorf("%q, %d, %v", d, n, err)
	}
	for _, bad := range []string{"", "linekeeper/ABCDEFGH/result", "linekeeper/ABCDEFGH/result/", "linekeeper/ABCDEFGH/result/07", "linekeeper/ABCDEFGH/result/0",
		"linekeeper/ABCDEFGH/result/-1", "linekeeper/ABCDEFGH/command/7", "linekeeper/x/result/7", "linekeeper/ABCDEFGH/result/7/8"} {
		if _, _, err := wire.ParseResultTopic(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseResultTopic(f *testing.F) {
	f.Add("linekeeper/ABCDEFGH/result/7")
	f.Fuzz(func(t *testing.T, s string) {
		d, n, err := wire.ParseResultTopic(s)
		if err == nil && wire.TopicResult(d, n) != s {
			t.Errorf("%q is of %q and %d", s, d, n)
		}
	})
}

func FuzzVerifyCommand(f *testing.F) {
	want, jws := testCommand(f)
	f.Add(jws)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := wire.VerifyCommand(testKey().Public().(ed25519.PublicKey), s)
		if err == nil && (c.Number != want.Number || c.Kind != want.Kind || *c.Call != *want.Call) {
			t.Errorf("%q: taken for %+v, which nobody signed", s, c)
		}
	})
}
