package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// Numbers of those who called.
var callers = []string{"+258 84 123 4567", "0800555321987", "442079460958"}

// spoken is a detector that hears one call a number: dialled, and its caller ID.
type spoken struct{ at int64 }

func (s *spoken) Feed(p pcm.Period) (events []call.Event) {
	const length, pause = 5 * 8000, 2 * 8000
	for end := p.Position + int64(p.Frames()); s.at < end; s.at += 8000 {
		i := s.at / (length + pause)
		if i >= int64(len(callers)) {
			return events
		}
		switch (s.at % (length + pause)) / 8000 {
		case 0:
			events = append(events, call.Event{Kind: call.EventBegan, Position: s.at, Reason: call.BeganOffHook})
		case 1:
			events = append(events, call.Event{Kind: call.EventMark, Position: s.at, Mark: call.Mark{Kind: call.MarkDigits, Value: callers[i]}})
		case 2:
			events = append(events, call.Event{Kind: call.EventMark, Position: s.at, Mark: call.Mark{Kind: call.MarkCallerID, Value: "name=Ana Langa number=" + callers[i]}})
		case 5:
			events = append(events, call.Event{Kind: call.EventEnded, Position: s.at, Reason: call.EndedOnHook})
		}
	}
	return events
}

// TestStolenCard records calls, and then looks for them on the card as a thief would: in all its bytes. Neither the audio, in
// any form, nor a number, a name or a key is to be found. On a card in clear, the same search finds all but the key.
func TestStolenCard(t *testing.T) {
	for _, codec := range []string{"flac", "opus"} {
		for _, sealed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s sealed %t", codec, sealed), func(t *testing.T) {
				key, secret, err := seal.NewKey()
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				secrets := recordOn(t, dir, codec, key, sealed)
				card := everything(t, dir)
				if strings.Contains(string(card), secret) {
					t.Error("headquarters' key stands on the card")
				}
				for what, all := range secrets {
					found := 0
					for _, s := range all {
						if bytes.Contains(card, s) {
							found++
						}
					}
					// In clear, a piece that spans two records is not found.
					if sealed && found > 0 || !sealed && found < len(all)*9/10 {
						t.Errorf("%s: %d of %d found on the card", what, found, len(all))
					}
				}
			})
		}
	}
}

// recordOn records a call a number on a card, and gives what nobody may find there: parts of the media and the marks.
func recordOn(t *testing.T, dir, codec string, key seal.Key, sealed bool) map[string][][]byte {
	t.Helper()
	cfg := newConfig()
	cfg.Data, cfg.Encoder.Codec, cfg.Seal.Clear, cfg.Ring.Size = dir, codec, !sealed, 64<<20
	cfg.Lines = []lineConfig{{Name: "front desk", Device: "none"}}
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
	c := d.lineConfig(0)
	c.Name, c.Detector = "speaking", &spoken{}
	line, err := d.recorder.Line(c)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < 25*8000; at += 800 {
		line.Heard(pcm.Period{Format: c.Format, Position: at, Samples: hum(at, 800)})
		if at%8000 == 0 {
			if err := d.ring.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(d.recorder.Stop(), d.ring.Sync()); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][][]byte{}
	for _, n := range callers {
		secrets["a number"] = append(secrets["a number"], []byte(n))
	}
	secrets["a name"] = [][]byte{[]byte("Ana Langa")}
	calls, err := d.ring.Calls()
	if err != nil || len(calls) != len(callers) {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	for _, c := range calls {
		secrets["media"] = append(secrets["media"], pieces(t, d, c.Header.Call, key)...)
	}
	if err := d.ring.Close(); err != nil {
		t.Fatal(err)
	}
	return secrets
}

// hum is a sound that is nowhere the same.
func hum(at int64, frames int) []int16 {
	samples := make([]int16, frames)
	for i := range samples {
		x := float64(at + int64(i))
		samples[i] = int16(8000 * math.Sin(x/9) * math.Sin(x*x/1e7))
	}
	return samples
}

// pieces are some bytes of each part of a call's media.
func pieces(t *testing.T, d *device, id call.ID, key seal.Key) (all [][]byte) {
	t.Helper()
	stored, err := d.ring.ReadCall(id)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	_, media, err := seal.OpenMedia(stored, seal.Keys{key})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(media)
	if err != nil || len(b) < 4000 {
		t.Fatalf("%d bytes of media, %v", len(b), err)
	}
	for at := 500; at+16 < len(b); at += 1000 {
		if piece := b[at : at+16]; len(bytes.Trim(piece, "\x00\xff")) > 8 {
			all = append(all, piece)
		}
	}
	return all
}

// everything is all that stands in the files below a folder.
func everything(t *testing.T, dir string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
