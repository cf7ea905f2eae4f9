package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

// TestDamagedCard flips a bit in a call on the card, and one in an entry of the ledger. The recorder says what it lost, and
// somebody who checks what is left sees the loss, and that it is honest.
func TestDamagedCard(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, d *device) []byte // a stretch of the card to damage
		want   map[verify.Code]bool
	}{
		{"nothing", func(*testing.T, *device) []byte { return nil }, map[verify.Code]bool{}},
		{"a chunk", func(t *testing.T, d *device) []byte {
			file := callFile(t, d, 1)
			return file[len(file)/2 : len(file)/2+64]
		}, map[verify.Code]bool{verify.CodeHole: true}},
		{"an entry", func(t *testing.T, d *device) []byte {
			entries, err := d.ring.Entries(3)
			if err != nil {
				t.Fatal(err)
			}
			return entries[2].JWS[100:164]
		}, map[verify.Code]bool{verify.CodeLost: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			key, _, err := seal.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			recordOn(t, dir, "flac", key, true)
			d := reopen(t, dir, key)
			stretch := c.damage(t, d)
			if err := d.ring.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, dir, stretch)

			d = reopen(t, dir, key)
			report := verifyAll(t, d)
			if err := d.ring.Close(); err != nil {
				t.Fatal(err)
			}
			colour := verify.Green
			if len(c.want) > 0 {
				colour = verify.Amber
			}
			got := map[verify.Code]bool{}
			for _, f := range report.Findings {
				got[f.Code] = true
				if !c.want[f.Code] {
					t.Errorf("found %+v", f)
				}
			}
			for code := range c.want {
				if !got[code] {
					t.Errorf("%s is not found", code)
				}
			}
			if report.Colour != colour || report.Calls != len(callers) {
				t.Errorf("%s, want %s and %d calls", report, colour, len(callers))
			}
		})
	}
}

// reopen opens the recorder again on a card.
func reopen(t *testing.T, dir string, key seal.Key) *device {
	t.Helper()
	cfg := newConfig()
	cfg.Data, cfg.Ring.Size = dir, 64<<20
	id, err := loadIdentity(cfg.identityDir(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	id.recipients.to = seal.Recipients{key.Recipient()}
	clock, err := newSystemClock()
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDevice(cfg, id, clock, observer{discard}, discard)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// damage flips a bit wherever a stretch of bytes stands on the card.
func damage(t *testing.T, dir string, stretch []byte) {
	t.Helper()
	if stretch == nil {
		return
	}
	segments, err := filepath.Glob(filepath.Join(dir, "ring", "*.lkr"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := bytes.Index(b, stretch); at >= 0; at = bytes.Index(b, stretch) {
			b[at+30] ^= 4
			found = true
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatal("what was to be damaged is not on the card")
	}
}

func callFile(t *testing.T, d *device, n int) []byte {
	t.Helper()
	calls, err := d.ring.Calls()
	if err != nil {
		t.Fatal(err)
	}
	return readCall(t, d, calls[n].Header.Call)
}

func readCall(t *testing.T, d *device, id call.ID) []byte {
	t.Helper()
	file, err := d.ring.ReadCall(id)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verifyAll has all that the recorder would deliver checked, by somebody who knows its key.
func verifyAll(t *testing.T, d *device) verify.Report {
	t.Helper()
	if err := d.ring.Sync(); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	calls, err := d.ring.Calls()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		id := c.Header.Call
		if err := os.WriteFile(filepath.Join(out, id.String()+".lkc"), readCall(t, d, id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var ledger []byte
	for after := uint64(0); ; {
		entries, err := d.ring.Entries(math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 || entries[len(entries)-1].Number <= after {
			break
		}
		for _, e := range entries {
			ledger = append(append(ledger, e.JWS...), '\n')
		}
		after = entries[len(entries)-1].Number
		if err := d.ring.Accept(call.Receipt{Device: d.id.device, Epoch: entries[0].Epoch, First: entries[0].Number, Last: after}, "x"); err != nil {
			t.Fatal(err)
		}
		if err := d.ring.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, "day.ledger"), ledger, 0o600); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(d.id.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.NewTrust(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Add(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Paths(t.Context(), []string{out}, verify.Options{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
