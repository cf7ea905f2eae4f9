package mqtt_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMessages(t *testing.T) {
	r := newReceiver(t)
	tr := connect(t, r, mqtt.Options{})
	if a, err := tr.Have(t.Context(), wire.HaveQuestion{Calls: []call.ID{call.NewID()}}); err != nil || a.Entries != 7 {
		t.Errorf("%+v, %v", a, err)
	}
	entry := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"epoch":"`+call.Epoch(9).String()+`","number":5}`)) + "."
	jws, err := tr.Entries(t.Context(), wire.EntryBatch{Entries: []string{entry}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.VerifyReceipt(r.key.Public().(ed25519.PublicKey), jws); err != nil || got.First != 5 {
		t.Errorf("%+v, %v: want the receipt for this batch, not a late one", got, err)
	}
	// By its answer the late one has come too, which a batch that nobody can read might take for its own.
	if _, err := tr.Have(t.Context(), wire.HaveQuestion{}); err != nil {
		t.Error(err)
	}
	var refused *uplink.RefusedError
	if _, err := tr.Entries(t.Context(), wire.EntryBatch{Entries: []string{"bad"}}); !errors.As(err, &refused) || refused.Reason != "malformed" {
		t.Errorf("%v, want refused", err)
	}
	if _, err := tr.Have(t.Context(), wire.HaveQuestion{Calls: make([]call.ID, 4)}); !errors.As(err, &refused) || refused.Reason != "too many" {
		t.Errorf("%v, want refused", err)
	}
}

// Headquarters' disk is full: the recorder is told when to ask again, and nothing waits in vain for an answer.
func TestHeadquartersIsFull(t *testing.T) {
	r := newReceiver(t)
	tr := connect(t, r, mqtt.Options{})
	_, err := tr.Entries(t.Context(), wire.EntryBatch{Entries: []string{"full"}})
	var busy *uplink.BusyError
	if !errors.As(err, &busy) || busy.After != time.Minute || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("%v, want busy for a minute", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	r := newReceiver(t)
	r.silent = true
	tr := connect(t, r, mqtt.Options{Stall: 50 * time.Millisecond})
	if _, err := tr.Have(t.Context(), wire.HaveQuestion{}); !errors.Is(err, uplink.ErrStalled) {
		t.Errorf("%v, want stalled", err)
	}
}

func TestStatus(t *testing.T) {
	r := newReceiver(t)
	online := func(s wire.Status) bool { return s.Online && s.Device == device }
	offline := func(s wire.Status) bool { return !s.Online && s.Device == device }
	tr := connect(t, r, mqtt.Options{})
	r.status(online)
	_ = tr.Close() // without a word: the last will speaks
	r.status(offline)

	if err := tr.Status(t.Context(), wire.Status{Device: device, Online: true}); err != nil {
		t.Fatal(err)
	}
	r.status(online)
	if err := tr.Status(t.Context(), wire.OfflineStatus(device)); err != nil {
		t.Fatal(err)
	}
	_ = tr.Close()
	r.status(offline)
	if err := tr.Status(t.Context(), wire.OfflineStatus(device)); err != nil {
		t.Errorf("offline again: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.messages["status"]); n != 4 {
		t.Errorf("%d messages of status, want 4: %v", n, r.messages["status"])
	}
	retained := r.broker.Topics.Messages(wire.TopicStatus(device))
	if len(retained) != 1 {
		t.Errorf("%d retained messages", len(retained))
	}
}

func TestLost(t *testing.T) {
	r := newReceiver(t)
	tr := connect(t, r, mqtt.Options{})
	r.stop()
	<-tr.Lost()
	if _, err := tr.Have(t.Context(), wire.HaveQuestion{}); err == nil {
		t.Error("an answer without a connection")
	}
	if err := tr.Status(t.Context(), wire.Status{Online: true}); err == nil {
		t.Error("connected to nothing")
	}
	r.start()
	if err := tr.Status(t.Context(), wire.Status{Online: true}); err != nil {
		t.Error(err)
	}
}

func TestAddress(t *testing.T) {
	for _, bad := range []string{"", "tcp://hq.example:1883", "mqtt://hq.example", "hq.example:8883", "mqtts://", "mqtts://hq.example/topic", "://"} {
		if _, err := mqtt.New(bad, &tls.Config{}, device, mqtt.Options{}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := mqtt.New("mqtts://hq.example", nil, device, mqtt.Options{}); err == nil {
		t.Error("taken without TLS")
	}
}
