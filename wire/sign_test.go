package wire_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// TestRecipients: headquarters' word on whom calls are sealed to is believed on the receipt key's signature only.
func TestRecipients(t *testing.T) {
	word := wire.Recipients{Device: "7K3M9QXA", Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Recipients: []string{"age1a", "age1b"}}
	jws, err := wire.SignRecipients(testKey(), word)
	if err != nil {
		t.Fatal(err)
	}
	public := testKey().Public().(ed25519.PublicKey)
	got, err := wire.VerifyRecipients(public, jws)
	if err != nil || got.Device != word.Device || !got.Time.Equal(word.Time) || !slices.Equal(got.Recipients, word.Recipients) {
		t.Fatalf("%+v, %v", got, err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.VerifyRecipients(other, jws); err == nil {
		t.Error("taken from another key")
	}
	nobody, err := wire.SignRecipients(testKey(), wire.Recipients{Device: word.Device, Time: word.Time})
	if err != nil {
		t.Fatal(err)
	}
	id := call.NewID()
	receipt, err := wire.SignReceipt(testKey(), call.Receipt{Device: word.Device, Time: word.Time, Call: &id, Size: 1, SHA256: strings.Repeat("ab", 32)})
	if err != nil {
		t.Fatal(err)
	}
	for name, jws := range map[string]string{"nobody": nobody, "a receipt": receipt, "altered": jws[:len(jws)-4] + "AAAA", "nothing": "", "no JWS": "a.b.c"} {
		if _, err := wire.VerifyRecipients(public, jws); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := wire.VerifyReceipt(public, jws); err == nil {
		t.Error("recipients were taken for a receipt")
	}
}
