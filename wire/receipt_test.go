package wire_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// testKey is a key that is always the same, so that a receipt's bytes are.
func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))) }

func testReceipt(t testing.TB) (call.Receipt, string) {
	t.Helper()
	id, err := call.ParseID(callID)
	if err != nil {
		t.Fatal(err)
	}
	r := call.Receipt{Device: device, Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Call: &id, Size: 200000, SHA256: sha}
	jws, err := wire.SignReceipt(testKey(), r)
	if err != nil {
		t.Fatal(err)
	}
	return r, jws
}

func TestReceipt(t *testing.T) {
	want, jws := testReceipt(t)
	got, err := wire.VerifyReceipt(testKey().Public().(ed25519.PublicKey), jws)
	if err != nil || *got.Call != *want.Call || got.Device != want.Device || got.Size != want.Size || got.SHA256 != want.SHA256 || !got.Time.Equal(want.Time) {
		t.Errorf("%+v, %v", got, err)
	}
	// The exact bytes, as other implementations have to write and read them.
	header, payload := part(t, jws, 0), part(t, jws, 1)
	if header != `{"alg":"EdDSA"}` {
		t.Errorf("header %s", header)
	}
	if payload != `{"device":"ABCDEFGH","time":"2026-11-23T09:00:00Z","call":"`+callID+`","size":200000,"sha256":"`+sha+`"}` {
		t.Errorf("payload %s", payload)
	}
}

func part(t *testing.T, jws string, n int) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReceiptOfEntries(t *testing.T) {
	for _, tt := range []struct {
		first, last uint64
		good        bool
	}{{1, 1, true}, {3, 9, true}, {0, 0, false}, {0, 5, false}, {5, 4, false}} {
		jws, err := wire.SignReceipt(testKey(), call.Receipt{Device: device, Epoch: 7, First: tt.first, Last: tt.last})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.VerifyReceipt(testKey().Public().(ed25519.PublicKey), jws); (err == nil) != tt.good {
			t.Errorf("%d to %d: %v", tt.first, tt.last, err)
		}
	}
}

func TestDamagedReceipts(t *testing.T) {
	_, jws := testReceipt(t)
	parts := strings.Split(jws, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	larger := b64([]byte(strings.Replace(part(t, jws, 1), "200000", "200001", 1)))
	for name, bad := range map[string]string{
		"empty":             "",
		"no signature":      parts[0] + "." + parts[1] + ".",
		"two parts":         parts[0] + "." + parts[1],
		"four parts":        jws + ".x",
		"another payload":   parts[0] + "." + larger + "." + parts[2],
		"alg none":          b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"alg HS256":         b64([]byte(`{"alg":"HS256"}`)) + "." + parts[1] + "." + parts[2],
		"signature cut off": jws[:len(jws)-4],
		"not base64":        "!" + jws[1:],
	} {
		if r, err := wire.VerifyReceipt(testKey().Public().(ed25519.PublicKey), bad); err == nil {
			t.Errorf("%s: taken: %+v", name, r)
		}
	}
	stranger := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32))).Public().(ed25519.PublicKey)
	if _, err := wire.VerifyReceipt(stranger, jws); err == nil {
		t.Error("taken under another key")
	}
}

func FuzzVerifyReceipt(f *testing.F) {
	want, jws := testReceipt(f)
	f.Add(jws)
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := wire.VerifyReceipt(testKey().Public().(ed25519.PublicKey), s)
		if err == nil && (r.Call == nil || *r.Call != *want.Call || r.SHA256 != want.SHA256 || r.Size != want.Size) {
			t.Errorf("%q: taken for %+v, which nobody signed", s, r)
		}
	})
}
