package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// trouble is what is remembered of a call that was not delivered at the first attempt.
type trouble struct {
	retry
	doubt        bool  // it may have arrived all the same, and headquarters has not been asked yet
	acknowledged int64 // bytes that headquarters has ever had
	barren       int   // attempts since that became more
	scan         int   // the last that found the call waiting
}

// maxBarren is how many attempts may bring a call no further before another call, or another transport, has its turn.
// It is not the first: that an attempt has brought something is often known only when the next one begins.
const maxBarren = 2

func (t *trouble) got(acknowledged int64) {
	if acknowledged > t.acknowledged {
		t.acknowledged, t.barren = acknowledged, 0
	} else {
		t.barren++
	}
}

func (u *Uplink) trouble(id call.ID) *trouble {
	t := u.troubles[id]
	if t == nil {
		t = new(trouble)
		u.troubles[id] = t
	}
	return t
}

// transfer is one attempt to send one call. It runs beside others, in a goroutine of its own: it may ask headquarters
// for whatever it needs at once, and its bytes follow those of the transfer before. The transport may use it from other
// goroutines.
type transfer struct {
	*session
	ctx    context.Context
	cancel context.CancelCauseFunc
	call   call.Stored
	number uint64 // of its end entry
	size   int64  // of the file, as far as it goes this time

	grows bool // the call is in progress: there is no more of it yet, and no receipt

	turn   <-chan struct{} // closed when its bytes may go
	handed chan struct{}   // closed when they have all been handed to the link, or none will be any more

	jws string // the outcome
	err error

	mu      sync.Mutex
	failure error  // of the card, not of the link
	began   bool   // its turn has come
	sent    int64  // bytes handed to the link
	most    int64  // bytes acknowledged
	over    bool   // handed is closed
	calm    func() // lets others go on that waited for a call in progress; nil: none do
}

// run sends the call, and keeps the outcome.
func (t *transfer) run() {
	t.jws, t.err = t.send()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finishHanding()
	if t.began {
		t.meter.end(time.Now())
	}
}

// finishHanding lets the next transfer have its turn; t.mu is held.
func (t *transfer) finishHanding() {
	if !t.over {
		t.over = true
		close(t.handed)
		if t.calm != nil {
			t.calm()
		}
	}
}

func (t *transfer) send() (jws string, err error) {
	id := t.call.Header.Call
	file, err := t.store.OpenCall(id)
	if err != nil {
		return "", t.fail(fmt.Errorf("open the call: %w", err))
	}
	defer func() { _ = file.Close() }() // it was only read
	if t.grows {
		return t.deliver(file, File{Call: id, Size: t.size, Grows: true})
	}
	m := t.call.Manifest
	if file.Size() != m.Size {
		return "", t.fail(fmt.Errorf("the ring has %d bytes of a call whose manifest says %d", file.Size(), m.Size))
	}
	return t.deliver(file, File{Call: id, Size: m.Size, SHA256: m.SHA256})
}

// deliver gives the file to the transport, with all that it needs beside.
func (t *transfer) deliver(file CallFile, f File) (jws string, err error) {
	via := t.transport.Name()
	if f.State, err = t.store.Transfer(f.Call, via); err != nil {
		return "", t.fail(fmt.Errorf("read how far the transfer is: %w", err))
	}
	f.Bytes = &source{file: file, transfer: t}
	f.Save = func(state []byte) error {
		if err := t.store.SaveTransfer(f.Call, via, state); err != nil {
			return t.fail(fmt.Errorf("keep how far the transfer is: %w", err))
		}
		return nil
	}
	f.Progress = t.progress
	return t.transport.Deliver(t.ctx, f)
}

func (t *transfer) progress(sent, acknowledged int64) {
	t.mu.Lock()
	if t.began {
		t.meter.add(sent - t.sent)
	}
	t.sent, t.most = sent, max(t.most, acknowledged)
	if sent >= t.size || t.grows && sent > t.size-wire.SegmentSize { // of which a protocol may send whole segments only
		t.finishHanding()
	}
	t.mu.Unlock()
	t.note(func(n *Snapshot) {
		if n.Call == t.call.Header.Call {
			n.Sent = sent
		}
	})
	t.poke()
}

// left is the number of bytes that were not handed to the link yet.
func (t *transfer) left() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return 0
	}
	return max(0, t.size-t.sent)
}

func (t *transfer) acknowledged() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.most
}

// begin waits for the transfer's turn, and then for calls in progress.
func (t *transfer) begin() error {
	select {
	case <-t.turn:
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
	if !t.grows {
		if err := t.streams.give(t.ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.began {
		t.began = true
		t.meter.begin(time.Now())
		if t.grows && !t.over {
			t.calm = t.streams.hurry()
		}
	}
	return nil
}

func (t *transfer) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
	return err
}

// local is the failure of the card, if that is why the transfer came to nothing.
func (t *transfer) local() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

// source gives the bytes when it is their turn, and notes when the card cannot be read, which is no fault of the link.
type source struct {
	file     CallFile
	transfer *transfer
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if err := s.transfer.begin(); err != nil {
		return 0, err
	}
	n, err := s.file.ReadAt(p, off)
	whole := errors.Is(err, io.EOF) && off+int64(n) == s.transfer.size
	if err != nil && !whole {
		err = s.transfer.fail(fmt.Errorf("read the call at %d: %w", off, err))
	}
	return n, err
}
