package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

// ringSize is that of station's recorders.
const ringSize = 64 << 20

var format = pcm.Format{Rate: 8000, Channels: 1}

// period is how much the line is heard at a time.
const period = time.Second

// prepared is what a recorder's ring holds before it is started.
type prepared struct {
	calls []call.ID
	bytes int64
}

// prepare fills the ring of a recorder, which has an identity and was never started, with calls through the recorder's
// own rooms: sealed to headquarters, signed into its ledger. A copy of each call file is kept in the folder copies.
func prepare(data, copies string, calls int, random *rand.Rand) (p prepared, err error) {
	key, recipients, err := readIdentity(filepath.Join(data, "identity"))
	if err != nil {
		return p, err
	}
	ring, _, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(data, "ring"), Index: filepath.Join(data, "index.db"), SizeBytes: ringSize, Header: seal.ParseHeader, Entry: ledger.Parse,
	})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	device := call.DeviceIDOf(key.Public().(ed25519.PublicKey))
	clock := &madeUpClock{now: time.Now().Add(-24 * time.Hour).UTC()}
	r := recorder.New(recorder.Config{
		Device: device, Epoch: ring.State().Epoch, Software: "lab/delivery",
		Ledger: ledger.New(ledger.State{Device: device, Epoch: ring.State().Epoch, Next: 1}, key), Ring: ring,
		Seal:  func(h call.Header) (recorder.File, []call.Record, error) { return seal.NewWriter(h, recipients) },
		Clock: clock, Log: slog.New(slog.DiscardHandler),
	})
	if err := r.BeginEpoch(nil); err != nil {
		return p, err
	}
	if err := talk(r, ring, clock, calls, random); err != nil {
		return p, err
	}
	return keepCopies(ring, copies)
}

// talk makes calls up and has them recorded.
func talk(r *recorder.Recorder, ring *buffer.Ring, clock *madeUpClock, calls int, random *rand.Rand) error {
	line, err := r.Line(recorder.LineConfig{
		Name: "line 1", Format: format, Codec: call.Opus, Detector: &turns{},
		NewEncoder: func(call.ID) (recorder.Encoder, error) { return &noise{random: random}, nil },
	})
	if err != nil {
		return err
	}
	samples := make([]int16, format.Frames(period))
	for i := range 2 * calls { // a period in a call, and one between
		clock.now = clock.now.Add(period)
		line.Heard(pcm.Period{Format: format, Position: int64(i) * format.Frames(period), At: clock.boot(), Samples: samples})
		if i%50 == 49 {
			if err := ring.Sync(); err != nil {
				return err
			}
		}
	}
	return errors.Join(r.Stop(), ring.Sync())
}

func keepCopies(ring *buffer.Ring, folder string) (p prepared, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return p, err
	}
	stored, err := ring.Calls()
	for _, c := range stored {
		if err != nil {
			break
		}
		var b []byte
		if b, err = readCall(ring, c.Header.Call); err == nil {
			err = os.WriteFile(filepath.Join(folder, c.Header.Call.String()), b, 0o600)
		}
		p.calls = append(p.calls, c.Header.Call)
		p.bytes += int64(len(b))
	}
	return p, err
}

func readCall(ring *buffer.Ring, id call.ID) ([]byte, error) {
	f, err := ring.OpenCall(id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	return b, errors.Join(err, f.Close())
}

func readIdentity(folder string) (ed25519.PrivateKey, seal.Recipients, error) {
	text, err := os.ReadFile(filepath.Join(folder, "device.key"))
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("device key in %s is no PEM", folder)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, nil, fmt.Errorf("device key in %s is no Ed25519 key: %w", folder, err)
	}
	if text, err = os.ReadFile(filepath.Join(folder, "recipients.txt")); err != nil {
		return nil, nil, err
	}
	recipients, err := seal.ParseRecipients(string(bytes.TrimSpace(text)))
	return key, recipients, err
}

// madeUpClock goes as the line does.
type madeUpClock struct{ now time.Time }

func (c *madeUpClock) boot() time.Duration { return c.now.Sub(c.now.Truncate(24 * time.Hour)) }

// Anchor implements recorder.Clock.
func (c *madeUpClock) Anchor() call.Anchor {
	return call.Anchor{BootID: "lab/delivery", BootTime: c.boot(), Wall: c.now, Grade: call.GradeNTP}
}

// turns is a line on which every other period is a call.
type turns struct {
	heard  int
	events [1]call.Event
}

// Feed implements recorder.Detector.
func (t *turns) Feed(p pcm.Period) []call.Event {
	t.events[0] = call.Event{Kind: call.EventBegan, Position: p.Position, Reason: call.BeganVoice}
	if t.heard++; t.heard%2 == 0 {
		t.events[0] = call.Event{Kind: call.EventEnded, Position: p.Position, Reason: call.EndedSilence}
	}
	return t.events[:]
}

// noise is an encoder of bytes that nothing compresses: mostly a few, and now and then those of a longer call, which
// takes several segments of MQTT.
type noise struct {
	random *rand.Rand
	frames int64
}

// Write implements recorder.Encoder.
func (n *noise) Write(samples []int16, _ func(recorder.Chunk) error) error {
	n.frames += int64(len(samples))
	return nil
}

// Close implements recorder.Encoder.
func (n *noise) Close(emit func(recorder.Chunk) error) error {
	if n.frames == 0 {
		return nil
	}
	size := 200 + n.random.IntN(8<<10)
	if n.random.IntN(10) == 0 {
		size = 8<<10 + n.random.IntN(64<<10)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n.random.Uint32())
	}
	return emit(recorder.Chunk{Data: b, Frames: n.frames})
}
