package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// rfcKey is the private key of RFC 8037, appendix A.1.
func rfcKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func theIndex(t testing.TB) wire.CourierIndex {
	id, err := call.ParseID(callID)
	if err != nil {
		t.Fatal(err)
	}
	return wire.CourierIndex{Device: "47Z33QX1", Epoch: 14, Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		Calls: []wire.CourierCall{{Call: id, Size: 20000, SHA256: sha}}, First: 3, Last: 9}
}

// TestCourierIndexVector holds the bytes of docs/format-courier.md: every later version reads them.
func TestCourierIndexVector(t *testing.T) {
	key := rfcKey(t)
	jws, err := wire.SignCourierIndex(key, theIndex(t))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile("testdata/v1-courier-index.jws")
	if err != nil {
		t.Fatal(err)
	}
	if jws != string(stored) {
		t.Errorf("signed %s\nstored %s", jws, stored)
	}
	x, err := wire.VerifyCourierIndex(key.Public().(ed25519.PublicKey), string(stored))
	if err != nil || x.Version != 1 || len(x.Calls) != 1 || x.Calls[0].Size != 20000 || x.Last != 9 {
		t.Errorf("%+v, %v", x, err)
	}
	page, err := os.ReadFile("../docs/format-courier.md")
	if err != nil || !bytes.Contains(page, stored) {
		t.Errorf("docs/format-courier.md does not show it: %v", err)
	}
}

func TestCourierIndexRefuses(t *testing.T) {
	key := rfcKey(t)
	one := theIndex(t).Calls[0]
	for reason, change := range map[string]func(*wire.CourierIndex){
		"version 2":                     func(x *wire.CourierIndex) { x.Version = 2 },
		`type "receipt"`:                func(x *wire.CourierIndex) { x.Type = "receipt" },
		"it says that it is of":         func(x *wire.CourierIndex) { x.Device = "ABCDEFGH" },
		"stands there twice":            func(x *wire.CourierIndex) { x.Calls = append(x.Calls, one) },
		"0 bytes":                       func(x *wire.CourierIndex) { x.Calls[0].Size = 0 },
		`SHA-256 "E3"`:                  func(x *wire.CourierIndex) { x.Calls[0].SHA256 = "E3" },
		"is no call file":               func(x *wire.CourierIndex) { x.Calls[0].Call = call.ID{} },
		"10001 calls":                   func(x *wire.CourierIndex) { x.Calls = make([]wire.CourierCall, wire.MaxCourierCalls+1) },
		"5 more calls":                  func(x *wire.CourierIndex) { x.More = 5 },
		"-1 more calls":                 func(x *wire.CourierIndex) { x.More = -1 },
		"entries 9 to 3":                func(x *wire.CourierIndex) { x.First, x.Last = 9, 3 },
		"entries 0 to 3":                func(x *wire.CourierIndex) { x.First, x.Last = 0, 3 },
		"bytes, at most 4194304":        func(x *wire.CourierIndex) { x.Calls[0].SHA256 = strings.Repeat("0", wire.MaxCourierIndex) },
		"is not signed by the recorder": nil,
	} {
		x := theIndex(t)
		x.Version, x.Type = 1, "courier"
		signer := key
		if change != nil {
			change(&x)
		} else {
			signer = ed25519.NewKeyFromSeed(make([]byte, 32))
		}
		jws := signed(t, signer, x)
		if _, err := wire.VerifyCourierIndex(key.Public().(ed25519.PublicKey), jws); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.200v, want %q", err, reason)
		}
	}
	// What else the recorder's key signs, and headquarters' receipts, are no indexes.
	for _, other := range []any{call.Entry{Version: 1, Type: call.EntryBegin, Device: "47Z33QX1"}, call.Receipt{Device: "47Z33QX1"}, []int{1}, nil} {
		if x, err := wire.VerifyCourierIndex(key.Public().(ed25519.PublicKey), signed(t, key, other)); err == nil {
			t.Errorf("%T was taken: %+v", other, x)
		}
	}
	if _, err := wire.SignCourierIndex(key, wire.CourierIndex{}); err == nil {
		t.Error("an index of no recorder was signed")
	}
}

// signed signs anything as the recorder's program would not.
func signed(t testing.TB, key ed25519.PrivateKey, message any) string {
	t.Helper()
	payload, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func TestCourierNames(t *testing.T) {
	id := theIndex(t).Calls[0].Call
	if got, err := wire.ParseCourierCallFile(wire.CourierCallFile(id)); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := wire.ParseCourierIndexFile(wire.CourierIndexFile(12)); err != nil || got != 12 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := wire.ParseCourierEntriesFile(wire.CourierEntriesFile(7)); err != nil || got != 7 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", ".lkc", "x.lkc", callID, callID + ".LKC", "a" + callID[1:] + ".lkc", callID[:25] + "9.lkc", "00000001.jws", "../" + callID + ".lkc"} {
		if _, err := wire.ParseCourierCallFile(bad); err == nil {
			t.Errorf("%q was taken for a call file", bad)
		}
	}
	for _, bad := range []string{"", "1.jws", "00000000.jws", "-0000001.jws", "+0000001.jws", "000000001.jws", "00000001.jws.new", "00000001.JWS", " 0000001.jws"} {
		if _, err := wire.ParseCourierIndexFile(bad); err == nil {
			t.Errorf("%q was taken for an index", bad)
		}
	}
	for _, bad := range []string{"", ".ledger", "0000000000007", "000000000000u.ledger"} {
		if _, err := wire.ParseCourierEntriesFile(bad); err == nil {
			t.Errorf("%q was taken for entries", bad)
		}
	}
}

func FuzzCourierIndex(f *testing.F) {
	key := rfcKey(f)
	jws, err := wire.SignCourierIndex(key, theIndex(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(jws)
	f.Add(signed(f, key, map[string]any{"v": 1, "type": "courier", "calls": nil}))
	f.Fuzz(func(t *testing.T, text string) {
		x, err := wire.ReadCourierIndex(text)
		if err != nil {
			return
		}
		again, err := wire.SignCourierIndex(key, x)
		if err != nil {
			t.Fatalf("%q was read and cannot be signed: %v", text, err)
		}
		if y, err := wire.ReadCourierIndex(again); err != nil || len(y.Calls) != len(x.Calls) || y.Last != x.Last {
			t.Errorf("%+v became %+v, %v", x, y, err)
		}
	})
}

func FuzzCourierNames(f *testing.F) {
	for _, seed := range []string{callID + ".lkc", "00000001.jws", "0000000000007.ledger"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, err := wire.ParseCourierCallFile(name); err == nil && wire.CourierCallFile(id) != name {
			t.Errorf("%q and %q are one call", name, wire.CourierCallFile(id))
		}
		if n, err := wire.ParseCourierIndexFile(name); err == nil && wire.CourierIndexFile(n) != name {
			t.Errorf("%q and %q are one index", name, wire.CourierIndexFile(n))
		}
		if e, err := wire.ParseCourierEntriesFile(name); err == nil && wire.CourierEntriesFile(e) != name {
			t.Errorf("%q and %q are one epoch", name, wire.CourierEntriesFile(e))
		}
	})
}
