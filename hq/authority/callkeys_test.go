package authority_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/seal"
)

// sealedTo gives a call file that is sealed to a recipient.
func sealedTo(t *testing.T, recipient string) []byte {
	t.Helper()
	to, err := seal.ParseRecipients(recipient)
	if err != nil {
		t.Fatal(err)
	}
	w, first, err := seal.NewWriter(call.Header{Call: call.NewID(), Device: "7K3M9QXA", Line: "1", Codec: call.Opus, Channels: 1, Rate: 8000}, to)
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := w.Chunk(0, 8000, []byte("what was said"))
	if err != nil {
		t.Fatal(err)
	}
	end, err := w.End(call.End{Reason: call.EndedSilence, Frames: 8000})
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	for _, rec := range append(first, chunk, end) {
		file = append(file, rec.Data...)
	}
	return file
}

// TestCallKeysAreRotated: new calls are sealed to the new key, and the old ones still open.
func TestCallKeysAreRotated(t *testing.T) {
	dir := t.TempDir()
	a, err := authority.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	before, err := a.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.Open(dir, time.Now) // headquarters, which runs meanwhile
	if err != nil {
		t.Fatal(err)
	}
	after, err := a.RotateCallKey()
	if err != nil || after == before {
		t.Fatalf("rotated from %s to %s, %v", before, after, err)
	}
	if now, err := other.Recipient(); err != nil || now != after {
		t.Errorf("who runs beside says %s, %v", now, err)
	}
	text, err := other.CallKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeys(text)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for name, to := range map[string]string{"old": before, "new": after} {
		_, media, err := seal.OpenMedia(bytes.NewReader(sealedTo(t, to)), keys)
		if err != nil {
			t.Errorf("%s call: %v", name, err)
			continue
		}
		if said, err := io.ReadAll(media); err != nil || string(said) != "what was said" {
			t.Errorf("%s call: %q, %v", name, said, err)
		}
	}
	if s, err := os.Stat(filepath.Join(dir, "call.keys")); err != nil || s.Mode().Perm() != 0o600 {
		t.Errorf("call.keys: %v, %v", s.Mode(), err)
	}
	var noKey *seal.NoKeyError
	if _, _, err := seal.OpenMedia(bytes.NewReader(sealedTo(t, after)), keys[:1]); !errors.As(err, &noKey) {
		t.Errorf("with the old key a new call gives %v", err)
	}
}

// TestDamagedCallKeysAreKept: without them no call can be heard, so none are made in their place.
func TestDamagedCallKeysAreKept(t *testing.T) {
	dir := t.TempDir()
	if _, err := authority.Open(dir, time.Now); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "call.keys")
	if err := os.WriteFile(file, []byte("AGE-SECRET-KEY-1NONSENSE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Open(dir, time.Now); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("opened with %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "AGE-SECRET-KEY-1NONSENSE\n" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}
