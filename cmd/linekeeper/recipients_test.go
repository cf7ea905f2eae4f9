package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

// TestRecipientsAreHeadquartersWord rotates headquarters' call key: new calls are sealed to the new one, also after a restart,
// and an older word, one of another key, or one for another recorder changes nothing.
func TestRecipientsAreHeadquartersWord(t *testing.T) {
	dir := t.TempDir()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	id := identity{device: "7K3M9QXA", receipt: pub}
	first, second := newRecipient(t), newRecipient(t)
	if err := os.WriteFile(filepath.Join(dir, fileRecipients), []byte("# from headquarters\n"+first+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	say := func(by ed25519.PrivateKey, device call.DeviceID, to string, at time.Time) string {
		t.Helper()
		jws, err := wire.SignRecipients(by, wire.Recipients{Device: device, Time: at, Recipients: []string{to}})
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	holds := func(r *recipients, want string) {
		t.Helper()
		if got := r.current(); len(got) != 1 || got[0].String() != want {
			t.Errorf("calls are sealed to %v, want %s", got, want)
		}
	}
	r, err := loadRecipients(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	holds(r, first)
	if err := r.Told(say(key, id.device, second, now)); err != nil {
		t.Fatal(err)
	}
	holds(r, second)
	_, forger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, jws := range map[string]string{
		"of another key":       say(forger, id.device, newRecipient(t), now.Add(time.Hour)),
		"for another recorder": say(key, "AAAAAAAA", newRecipient(t), now.Add(time.Hour)),
		"no recipient":         say(key, id.device, "age1nobody", now.Add(time.Hour)),
	} {
		if err := r.Told(jws); err == nil {
			t.Errorf("a word %s was taken", name)
		}
	}
	if err := r.Told(say(key, id.device, first, now.Add(-time.Hour))); err != nil {
		t.Errorf("an older word: %v", err)
	}
	holds(r, second)

	if r, err = loadRecipients(dir, id); err != nil {
		t.Fatal(err)
	}
	holds(r, second)
}

func newRecipient(t *testing.T) string {
	t.Helper()
	key, _, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.Recipient().String()
}
