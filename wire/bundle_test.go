package wire_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/wire"
)

// certificate is one in PEM, of an authority or not.
func certificate(t testing.TB, authority bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), IsCA: authority, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func theBundle(t testing.TB) wire.Bundle {
	return wire.Bundle{Number: 1, Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Site: "Lichinga", Enrol: "https://hq.example:8444",
		Token: "0123456789ABCDEFGHJKMNPQRS", Authority: certificate(t, true), SealTo: []string{"age1yw33lq98ynayj8fd0tzxjh8sw47mle73jn8m3emy2uedxlwxdfcqakf985"},
		Settings: "[[line]]\nname = \"front desk\"\n", Networks: []wire.Network{{Kind: "wifi", Name: "office", Password: "long enough", Country: "MZ"}, {Kind: "mobile", Name: "internet", PIN: "0000"}}}
}

func TestBundle(t *testing.T) {
	key := rfcKey(t)
	jws, err := wire.SignBundle(key, theBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(jws) > 4<<10 {
		t.Errorf("%d bytes, which is more than a few kilobytes", len(jws))
	}
	for _, known := range []ed25519.PublicKey{nil, key.Public().(ed25519.PublicKey)} {
		if b, err := wire.VerifyBundle(known, jws); err != nil || b.Site != "Lichinga" || len(b.Networks) != 2 {
			t.Errorf("%+v, %v", b, err)
		}
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	if _, err := wire.VerifyBundle(other, jws); err == nil || !strings.Contains(err.Error(), "another headquarters") {
		t.Error(err)
	}
	// It is no other word of headquarters'.
	if r, err := wire.VerifyReceipt(key.Public().(ed25519.PublicKey), jws); err == nil {
		t.Errorf("taken for a receipt: %+v", r)
	}
	if r, err := wire.VerifyRecipients(key.Public().(ed25519.PublicKey), jws); err == nil {
		t.Errorf("taken for recipients: %+v", r)
	}
}

// TestBundleVector reads the bundle of docs/format-bundle.md, as every later version does.
func TestBundleVector(t *testing.T) {
	stored, err := os.ReadFile("testdata/v1-bundle.jws")
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.VerifyBundle(rfcKey(t).Public().(ed25519.PublicKey), strings.TrimSpace(string(stored)))
	if err != nil || b.Site != "Lichinga" || b.Number != 1 || b.Token != "0123456789ABCDEFGHJKMNPQRS" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestBundleRefuses(t *testing.T) {
	key := rfcKey(t)
	for reason, change := range map[string]func(*wire.Bundle){
		"version 2":                     func(b *wire.Bundle) { b.Version = 2 },
		`type "courier"`:                func(b *wire.Bundle) { b.Type = "courier" },
		"no number":                     func(b *wire.Bundle) { b.Number = 0 },
		`site ""`:                       func(b *wire.Bundle) { b.Site = "" },
		`site "a\nb"`:                   func(b *wire.Bundle) { b.Site = "a\nb" },
		"receipt key of 0":              func(b *wire.Bundle) { b.ReceiptKey = nil },
		"a token has 26 characters":     func(b *wire.Bundle) { b.Token = "../../etc/passwd" },
		"settings of 32769":             func(b *wire.Bundle) { b.Settings = strings.Repeat("#", 32<<10+1) },
		"device ID":                     func(b *wire.Bundle) { b.Device = "../x" },
		"is not https":                  func(b *wire.Bundle) { b.Enrol = "http://hq.example" },
		`address "https://u:p@x"`:       func(b *wire.Bundle) { b.Enrol = "https://u:p@x" },
		"authority: it is not":          func(b *wire.Bundle) { b.Authority = "x" },
		"authority: the certificate":    func(b *wire.Bundle) { b.Authority = certificate(t, false) },
		"it names 0":                    func(b *wire.Bundle) { b.SealTo = nil },
		"is not one whom":               func(b *wire.Bundle) { b.SealTo = []string{"me"} },
		"9 networks":                    func(b *wire.Bundle) { b.Networks = make([]wire.Network, 9) },
		`network "x" of kind "tin-can"`: func(b *wire.Bundle) { b.Networks[0] = wire.Network{Kind: "tin-can", Name: "x"} },
		`network "office"`:              func(b *wire.Bundle) { b.Networks[0].Password = "short" },
		`network "internet"`:            func(b *wire.Bundle) { b.Networks[1].PIN = "12a4" },
		"at most 65536":                 func(b *wire.Bundle) { b.Site = strings.Repeat("x", wire.MaxBundle) },
		"not signed by": func(b *wire.Bundle) {
			b.ReceiptKey = ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
		},
	} {
		b := theBundle(t)
		b.Version, b.Type, b.ReceiptKey = 1, "bundle", key.Public().(ed25519.PublicKey)
		change(&b)
		if _, err := wire.VerifyBundle(nil, signed(t, key, b)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.200v, want %q", err, reason)
		} else if strings.Contains(err.Error(), "short") {
			t.Errorf("the password stands in %v", err)
		}
	}
	if _, err := wire.SignBundle(key, wire.Bundle{}); err == nil {
		t.Error("an empty bundle was signed")
	}
}

func FuzzBundle(f *testing.F) {
	key := rfcKey(f)
	jws, err := wire.SignBundle(key, theBundle(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(jws)
	f.Add(signed(f, key, map[string]any{"v": 1, "type": "bundle"}))
	f.Fuzz(func(t *testing.T, text string) {
		b, err := wire.VerifyBundle(nil, text)
		if err != nil {
			return
		}
		if _, err := wire.SignBundle(key, b); err != nil && !strings.Contains(err.Error(), "as signed") {
			t.Errorf("%q was taken and cannot be signed: %v", text, err)
		}
	})
}
