package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/powercut"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/recorder"
)

// notes stands between the recorder and the ring, and notes what was appended since the last sync began.
type notes struct {
	ring *buffer.Ring

	mu        sync.Mutex
	files     map[call.ID]*file // of calls in progress
	grown     []call.ID         // since the last take, in order
	entries   []powercut.EntryClaim
	ended     []call.ID
	manifests map[call.ID]call.Manifest
}

// file is a call file as far as it was appended.
type file struct {
	hash  hash.Hash
	size  int64
	ended bool
	noted bool // in grown
}

func newNotes() *notes {
	return &notes{files: make(map[call.ID]*file), manifests: make(map[call.ID]call.Manifest)}
}

func (n *notes) wrap(r *buffer.Ring) recorder.Ring {
	n.ring = r
	return n
}

// Append implements recorder.Ring.
func (n *notes) Append(rec call.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.ring.Append(rec); err != nil {
		return err
	}
	if rec.Kind == call.KindEntry {
		e, err := ledger.Parse(rec.Data)
		if err != nil {
			return err
		}
		n.entries = append(n.entries, powercut.EntryClaim{Number: e.Number, SHA256: ledger.Hash(rec.Data)})
		return nil
	}
	f := n.files[rec.Call]
	if f == nil {
		f = &file{hash: sha256.New()}
		if rec.Number > 0 { // it began in an earlier life
			r, err := n.ring.OpenCall(rec.Call)
			if err != nil {
				return err
			}
			f.size, err = io.Copy(f.hash, io.NewSectionReader(r, 0, r.Size()))
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
		n.files[rec.Call] = f
	}
	_, _ = f.hash.Write(rec.Data) // never fails
	f.size += int64(len(rec.Data))
	f.ended = rec.Kind == call.KindEnd
	if !f.noted {
		f.noted = true
		n.grown = append(n.grown, rec.Call)
	}
	return nil
}

// take is what a sync that begins now makes durable, and the calls that are whole then, with their end entry.
func (n *notes) take() (powercut.Claim, []call.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := powercut.Claim{Entries: n.entries}
	for _, id := range n.grown {
		f := n.files[id]
		f.noted = false
		c.Calls = append(c.Calls, powercut.CallClaim{
			Call: id, Size: f.size, SHA256: hex.EncodeToString(f.hash.Sum(nil)), Ended: f.ended,
		})
		if f.ended {
			delete(n.files, id)
		}
	}
	ended := n.ended
	n.grown, n.entries, n.ended = nil, nil, nil
	return c, ended
}

// manifest gives that of a call that ended, once.
func (n *notes) manifest(id call.ID) call.Manifest {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.manifests[id]
	delete(n.manifests, id)
	return m
}

// CallEnded implements recorder.Observer.
func (n *notes) CallEnded(h call.Header, m call.Manifest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = append(n.ended, h.Call)
	n.manifests[h.Call] = m
}

// CallBegan implements recorder.Observer.
func (n *notes) CallBegan(call.Header, call.Reason) {}

// Gap implements recorder.Observer.
func (n *notes) Gap(string, bool, call.Gap) {}

// Alarm implements recorder.Observer.
func (n *notes) Alarm(string, string) {}
