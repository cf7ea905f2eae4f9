package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"crypto/sha256"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// key is the recorder's, and headquarters' too.
func key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func device() call.DeviceID { return call.DeviceIDOf(key().Public().(ed25519.PublicKey)) }

// callBytes is about what a call of a few seconds takes in the ring, with its entries and the ring's own.
const callBytes = 6 << 10

func (o options) open() (*buffer.Ring, error) {
	ring, _, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(o.dir, "ring"), Index: filepath.Join(o.dir, "index.db"), Header: seal.ParseHeader, Entry: ledger.Parse,
		SizeBytes: max(buffer.MinSize, int64(o.calls)*callBytes),
	})
	return ring, err
}

// filler puts calls into a ring.
type filler struct {
	ring   *buffer.Ring
	ledger *ledger.Ledger
	at     time.Time
}

func (o options) fill() (err error) {
	ring, err := o.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	f := filler{ring: ring, at: time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC),
		ledger: ledger.New(ledger.State{Device: device(), Epoch: ring.State().Epoch, Next: 1}, key())}
	for i := range o.calls {
		if err := f.call(uint64(i)); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
		if i%500 == 0 {
			if err := ring.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

// callID has the call's number in it, by which the receiver tells whether it came before.
func callID(n uint64) (id call.ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	id[0] = 1
	return id
}

func (f *filler) call(n uint64) error {
	f.at = f.at.Add(time.Minute)
	id := callID(n)
	anchor := call.Anchor{BootID: "backlog", BootTime: time.Duration(n) * time.Minute, Wall: f.at, Grade: call.GradeNTP}
	begin, err := f.entry(call.Entry{Type: call.EntryBegin, Anchor: anchor, Call: &id, Line: "front desk", Reason: call.BeganOffHook})
	if err != nil {
		return err
	}
	w, records, err := seal.NewWriter(call.Header{Call: id, Device: device(), Epoch: f.ring.State().Epoch, Number: begin.Number, Line: "front desk",
		Began: call.BeganOffHook, Codec: call.Opus, Channels: 1, Rate: 8000, Anchor: anchor}, nil)
	if err != nil {
		return err
	}
	for second := range int64(3) {
		chunk, err := w.Chunk(second*8000, 8000, make([]byte, 200))
		if err != nil {
			return err
		}
		records = append(records, chunk)
	}
	end, err := w.End(call.End{Reason: call.EndedOnHook, Frames: 24000, Gaps: []call.Gap{}})
	if err != nil {
		return err
	}
	hash := sha256.New()
	var size int64
	for _, r := range append(records, end) {
		_, _ = hash.Write(r.Data) // never fails
		size += int64(len(r.Data))
		if err := f.ring.Append(r); err != nil {
			return err
		}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	_, err = f.entry(call.Entry{Type: call.EntryEnd, Anchor: anchor, Call: &id, Line: "front desk", Manifest: &call.Manifest{
		Began: call.BeganOffHook, Ended: call.EndedOnHook, Anchor: anchor, Duration: 3, Frames: 24000, Rate: 8000, Codec: call.Opus, Channels: 1,
		Gaps: []call.Gap{}, Size: size, SHA256: sum, Chain: sum, Software: "backlog"}})
	return err
}

func (f *filler) entry(e call.Entry) (call.Entry, error) {
	return f.ledger.Add(e, func(_ uint64, jws []byte) error {
		return f.ring.Append(call.Record{Kind: call.KindEntry, Data: jws})
	})
}
