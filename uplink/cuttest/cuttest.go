// Package cuttest is what a cut may do to a transfer, and what not, the same for every transport: the tests of each run it
// against a receiver of theirs.
//
//	cuttest.Run(t, func(t *testing.T) cuttest.Receiver { return newReceiver(t) })
package cuttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// Receiver is a headquarters for tests.
type Receiver interface {
	// Address is where it listens, host:port.
	Address() string
	// Transport makes a transport that reaches it at an address, which is a proxy's before its own.
	Transport(t *testing.T, address string) uplink.Transport
	// Copies gives what was made durable of a call, each time that it was.
	Copies(id call.ID) [][]byte
	// Key is that of its receipts.
	Key() ed25519.PublicKey
}

const (
	size     = 1 << 20
	attempts = 8
)

// Run cuts a transfer at many points, by a reset, with the program going on and with it
// started anew. Each time the call arrives once and whole, and the transfer goes on from where it was.
func Run(t *testing.T, newReceiver func(*testing.T) Receiver) {
	for _, restarted := range []bool{false, true} {
		for _, after := range []int64{0, 300, 1500, 4000, 30_000, size / 2, size - 10_000, size, size + 8000} {
			t.Run(fmt.Sprintf("after %d bytes, restarted %v", after, restarted), func(t *testing.T) {
				r := newReceiver(t)
				p := newProxy(t, r.Address())
				p.cutAfter(after)
				d := &delivery{t: t, r: r, p: p, file: newFile(), restarted: restarted}
				d.run(t.Context())
				if after >= size/2 && d.tries > 1 && d.kept == 0 {
					t.Error("it was begun anew")
				}
			})
		}
	}
}

// delivery is one call on its way, as the uplink brings it there.
type delivery struct {
	t         *testing.T
	r         Receiver
	p         *proxy
	file      *file
	restarted bool
	tries     int
	kept      int64 // bytes that need not be sent again, at the last attempt
}

type file struct {
	id    call.ID
	bytes []byte
	state []byte
}

func newFile() *file {
	f := &file{id: call.NewID(), bytes: make([]byte, size)}
	_, _ = rand.Read(f.bytes) // never fails (crypto/rand)
	return f
}

func (d *delivery) uplink() uplink.File {
	f, first := d.file, true
	sum := sha256.Sum256(f.bytes)
	return uplink.File{
		Call: f.id, Size: size, SHA256: hex.EncodeToString(sum[:]), Bytes: bytes.NewReader(f.bytes), State: slices.Clone(f.state),
		Save: func(state []byte) error { f.state = slices.Clone(state); return nil },
		Progress: func(_, acknowledged int64) {
			if first {
				d.kept, first = acknowledged, false
			}
		},
	}
}

func (d *delivery) run(ctx context.Context) {
	d.t.Helper()
	tr := d.r.Transport(d.t, d.p.Address())
	defer func() { _ = tr.Close() }()
	for d.tries = 1; d.tries <= attempts; d.tries++ {
		receipt, err := d.attempt(ctx, tr)
		if err == nil {
			d.arrived(receipt)
			return
		}
		d.t.Log(err)
		_ = tr.Close()
		if d.restarted {
			tr = d.r.Transport(d.t, d.p.Address())
		}
	}
	d.t.Fatalf("not delivered in %d attempts", attempts)
}

// attempt connects, asks whether the call is there, and goes on with it.
func (d *delivery) attempt(ctx context.Context, tr uplink.Transport) (receipt string, err error) {
	if err := tr.Status(ctx, wire.Status{Device: "ABCDEFGH", Online: true}); err != nil {
		return "", err
	}
	if d.file.state != nil {
		a, err := tr.Have(ctx, wire.HaveQuestion{Calls: []call.ID{d.file.id}})
		if err != nil {
			return "", err
		}
		for _, jws := range a.Receipts {
			if r, err := wire.VerifyReceipt(d.r.Key(), jws); err == nil && r.Call != nil && *r.Call == d.file.id {
				d.kept = size
				return jws, nil
			}
		}
	}
	return tr.Deliver(ctx, d.uplink())
}

func (d *delivery) arrived(jws string) {
	d.t.Helper()
	r, err := wire.VerifyReceipt(d.r.Key(), jws)
	if err == nil && (r.Call == nil || *r.Call != d.file.id || r.Size != size) {
		err = errors.New("it is of something else")
	}
	if err != nil {
		d.t.Errorf("receipt: %v", err)
	}
	if copies := d.r.Copies(d.file.id); len(copies) != 1 || !bytes.Equal(copies[0], d.file.bytes) {
		d.t.Errorf("headquarters has %d copies, want one with the same bytes", len(copies))
	}
}
