package mqtt

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	leastWindow   = 3  // messages without an answer, over a slow link, and to a receiver that does not say what it has
	mostWindow    = 8  // over a faster one, so that it is not idle while a loss holds answers up
	windowSpan    = 4  // seconds, how much of the link those may fill
	saveEvery     = 16 // segments: what a crash sends again
	maxAttempts   = 4  // file IDs, in one Deliver
	maxMismatches = 3  // as many times the same bytes are sent again before the call is parked
)

// state is where a transfer stands, as it is kept in the store.
type state struct {
	Attempt    string `json:"attempt"`              // of the file ID; empty: none
	Init       []byte `json:"init"`                 // payload of init: the same bytes each time
	Acked      bitmap `json:"acked"`                // segments
	Mismatches int    `json:"mismatches,omitempty"` // how often the receiver found another hash
}

type bitmap []byte

func (b bitmap) has(i int) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b bitmap) set(i int)      { b[i/8] |= 1 << (i % 8) }

// transfer is one Deliver.
type transfer struct {
	t     *Transport
	link  *link
	in    *inbox
	f     uplink.File
	name  string // of the file, for the receiver
	state state

	segments int
	next     int            // the first segment that may have to be sent
	under    map[string]int // under way: topic to segment; -1: init or fin
	unsaved  int            // acknowledged since the state was kept
	sent     int64          // bytes handed over or acknowledged before
	acked    int64          // bytes
}

// errAgain asks for another attempt, under a new file ID.
var errAgain = errors.New("again")

// Deliver implements uplink.Transport.
func (t *Transport) Deliver(ctx context.Context, f uplink.File) (string, error) {
	return t.deliver(ctx, wire.CallFileName(f.Call), f)
}

func (t *Transport) deliver(ctx context.Context, name string, f uplink.File) (string, error) {
	l, err := t.connected()
	if err != nil {
		return "", err
	}
	watched, stop := t.network.Watch(ctx, t.opts.Stall)
	defer stop()
	tr := &transfer{t: t, link: l, f: f, name: name, segments: int((f.Size + wire.SegmentSize - 1) / wire.SegmentSize)}
	if f.Grows {
		tr.segments = int(f.Size / wire.SegmentSize) // the last one is not whole yet, and boundaries must not change
	}
	mine := wire.FileID{Device: t.device, Call: f.Call}.String() // every attempt's ID begins with it
	tr.in = l.listen(func(m any) bool {
		switch m := m.(type) {
		case wire.FileResponse:
			return strings.Contains(m.Topic, mine)
		case wire.ReceiptAnswer:
			r, err := peek[call.Receipt](m.Receipt)
			return err == nil && r.Call != nil && *r.Call == f.Call
		}
		return false
	})
	defer tr.in.close()
	tr.load()
	defer tr.keep()
	for range maxAttempts {
		receipt, err := tr.attempt(watched)
		if !errors.Is(err, errAgain) {
			err = cause(watched, err)
			if err != nil && tr.unsaved > 0 {
				err = errors.Join(err, tr.save())
			}
			return receipt, err
		}
		tr.state.Attempt = ""
	}
	if err := tr.save(); err != nil {
		return "", err
	}
	return "", &uplink.LaterError{Err: fmt.Errorf("transfer: the receiver took none of %d attempts", maxAttempts)}
}

// load takes up the state that was kept, if it fits the file.
func (tr *transfer) load() {
	var s state
	tr.t.mu.Lock()
	kept, ok := tr.t.growing[tr.f.Call]
	delete(tr.t.growing, tr.f.Call)
	tr.t.mu.Unlock()
	if ok {
		s, tr.unsaved = kept.state, kept.unsaved
	} else if json.Unmarshal(tr.f.State, &s) != nil {
		return
	}
	tr.state.Mismatches = s.Mismatches
	id := wire.FileID{Device: tr.t.device, Call: tr.f.Call, Attempt: s.Attempt}
	more := (tr.segments+7)/8 - len(s.Acked) // the call has gone on since
	if _, err := wire.ParseFileID(id.String()); err == nil && len(s.Init) > 0 && more >= 0 {
		s.Acked = append(s.Acked, make(bitmap, more)...)
		tr.state = s
	}
}

// growing is how far the transfer of a call in progress is. It is saved as seldom as that of others: a few segments are
// sent again if the program ends before.
type growing struct {
	state   state
	unsaved int
}

// keep remembers how far the transfer of a call in progress is.
func (tr *transfer) keep() {
	if !tr.f.Grows || tr.state.Attempt == "" {
		return
	}
	tr.t.mu.Lock()
	defer tr.t.mu.Unlock()
	if tr.t.growing == nil {
		tr.t.growing = make(map[call.ID]growing)
	}
	tr.t.growing[tr.f.Call] = growing{tr.state, tr.unsaved}
}

// begin draws a new file ID, and keeps it with the bytes of its init.
func (tr *transfer) begin() error {
	var attempt [4]byte
	_, _ = rand.Read(attempt[:]) // never fails (crypto/rand)
	init, err := json.Marshal(wire.FileMeta{Name: tr.name})
	if err != nil {
		return fmt.Errorf("encode init: %w", err)
	}
	tr.state.Attempt, tr.state.Init = hex.EncodeToString(attempt[:]), init
	tr.state.Acked = make(bitmap, (tr.segments+7)/8)
	return tr.save()
}

func (tr *transfer) save() error {
	tr.unsaved = 0
	b, err := json.Marshal(tr.state)
	if err == nil {
		err = tr.f.Save(b)
	}
	if err != nil {
		return fmt.Errorf("keep how far the transfer is: %w", err)
	}
	return nil
}

// attempt sends init, what is missing, and fin, and gives the receipt.
func (tr *transfer) attempt(ctx context.Context) (string, error) {
	begun := tr.state.Attempt != ""
	if !begun {
		if err := tr.begin(); err != nil {
			return "", err
		}
	}
	tr.under, tr.next = make(map[string]int), 0
	tr.acked = 0
	for i := range tr.segments {
		if tr.state.Acked.has(i) {
			tr.acked += tr.length(i)
		}
	}
	tr.sent = tr.acked
	tr.f.Progress(tr.sent, tr.acked)
	if tr.f.Grows && tr.acked == int64(tr.segments)*wire.SegmentSize {
		return "", nil
	}
	if !tr.link.hasBegun(tr.state.Attempt) {
		if err := tr.send(ctx, wire.FileCommand{Verb: wire.FileInit}, tr.state.Init, -1); err != nil {
			return "", err
		}
	}
	for begun && len(tr.under) > 0 { // the answer may say what need not be sent again
		if receipt, err := tr.receive(ctx, tr.t.opts.Stall); receipt != "" || err != nil {
			return receipt, err
		}
	}
	for {
		if err := tr.fill(ctx); err != nil {
			return "", err
		}
		if len(tr.under) == 0 {
			break
		}
		if receipt, err := tr.receive(ctx, tr.t.opts.Stall); receipt != "" || err != nil {
			return receipt, err
		}
	}
	if tr.f.Grows {
		tr.link.begin(tr.state.Attempt)
		return "", nil
	}
	return tr.finish(ctx)
}

// length is that of segment i, bytes.
func (tr *transfer) length(i int) int64 {
	return min(wire.SegmentSize, tr.f.Size-int64(i)*wire.SegmentSize)
}

// window is how many messages may be without an answer: to a weak receiver, or to one over a link that has shown that it
// carries so many bytes a second.
func window(weak bool, rate uint64) int {
	if weak {
		return leastWindow
	}
	return int(min(max(windowSpan*rate/wire.SegmentSize, leastWindow), mostWindow))
}

// fill sends segments until the window is full or none is missing.
func (tr *transfer) fill(ctx context.Context) error {
	for most := window(tr.t.weak, tr.t.network.Rate()); len(tr.under) < most && tr.next < tr.segments; tr.next++ {
		if tr.state.Acked.has(tr.next) || tr.isUnderWay(tr.next) {
			continue
		}
		payload := make([]byte, tr.length(tr.next)) // its own: the link writes it later
		offset := int64(tr.next) * wire.SegmentSize
		if n, err := tr.f.Bytes.ReadAt(payload, offset); n < len(payload) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read segment at %d: %w", offset, err)
		}
		if err := tr.send(ctx, wire.FileCommand{Verb: wire.FileSegment, Offset: offset}, payload, tr.next); err != nil {
			return err
		}
		tr.sent += int64(len(payload))
		tr.f.Progress(tr.sent, tr.acked)
	}
	return nil
}

func (tr *transfer) isUnderWay(segment int) bool {
	for _, s := range tr.under {
		if s == segment {
			return true
		}
	}
	return false
}

func (tr *transfer) send(ctx context.Context, c wire.FileCommand, payload []byte, segment int) error {
	c.File = wire.FileID{Device: tr.t.device, Call: tr.f.Call, Attempt: tr.state.Attempt}
	topic := c.Topic()
	tr.under[topic] = segment
	if err := tr.link.publish(ctx, topic, payload); err != nil {
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	return nil
}

// receive waits for one message and takes it in. A receipt ends the transfer whenever it comes.
func (tr *transfer) receive(ctx context.Context, patience time.Duration) (receipt string, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case m := <-tr.in.messages:
		switch m := m.(type) {
		case wire.ReceiptAnswer:
			return m.Receipt, nil
		case wire.FileResponse:
			return "", tr.answered(m)
		}
		return "", nil
	case <-timer.C:
		return "", fmt.Errorf("the receiver has not answered for %v: %w", patience, uplink.ErrStalled)
	case <-tr.link.lost:
		return "", errLost
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// answered takes in the receiver's answer to one message.
func (tr *transfer) answered(r wire.FileResponse) error {
	segment, ok := tr.under[r.Topic]
	if !ok {
		return nil // late, of an earlier attempt, or twice
	}
	delete(tr.under, r.Topic)
	if r.ReasonCode != 0 {
		return tr.refused(r, segment)
	}
	if segment < 0 {
		tr.had(r.Have)
		return nil
	}
	tr.state.Acked.set(segment)
	tr.acked += tr.length(segment)
	tr.f.Progress(tr.sent, tr.acked)
	if tr.unsaved++; tr.unsaved >= saveEvery {
		return tr.save()
	}
	return nil
}

// had takes in what the receiver says it has: more than was kept where this program was killed, or an answer was lost.
func (tr *transfer) had(extents [][2]int64) {
	for _, e := range extents {
		from, to := e[0], e[0]+e[1]
		for i := range tr.segments {
			if at := int64(i) * wire.SegmentSize; at >= from && at+tr.length(i) <= to && !tr.state.Acked.has(i) {
				tr.state.Acked.set(i)
				tr.acked += tr.length(i)
				tr.unsaved++
			}
		}
	}
	tr.sent = max(tr.sent, tr.acked)
	tr.f.Progress(tr.sent, tr.acked)
}

// refused says what to do about an answer that is no success.
func (tr *transfer) refused(r wire.FileResponse, segment int) error {
	reason, why, _ := strings.Cut(r.Description, ":")
	switch strings.TrimSpace(reason) {
	case wire.FileIncomplete, wire.FileMetaConflict:
		return errAgain // segments have expired, or the file ID is taken
	case wire.FileChecksumMismatch:
		if tr.state.Mismatches++; tr.state.Mismatches >= maxMismatches {
			return tr.giveUp(fmt.Sprintf("the bytes arrived %d times with another SHA-256 than the manifest's", maxMismatches))
		}
		if segment < 0 {
			return errAgain
		}
		tr.next = min(tr.next, segment)
		return tr.save()
	case wire.FileRefused:
		return tr.giveUp(strings.TrimSpace(why))
	default: // timeout, and whatever else a receiver may say
		return &uplink.LaterError{Err: fmt.Errorf("receiver answered %q to %s", r.Description, r.Topic)}
	}
}

// giveUp ends the transfer. Nothing is kept of it, so that a call that is queued again starts afresh.
func (tr *transfer) giveUp(reason string) error {
	tr.unsaved = 0
	if err := tr.f.Save(nil); err != nil {
		return fmt.Errorf("forget the transfer: %w", err)
	}
	if reason == "" {
		reason = "without a reason"
	}
	return &uplink.RefusedError{Reason: reason}
}

// finish asks the receiver to put the file together, and waits for the receipt. If that does not come, the uplink asks
// headquarters whether it has the call before it tries again.
func (tr *transfer) finish(ctx context.Context) (string, error) {
	fin := wire.FileCommand{Verb: wire.FileFinish, Size: tr.f.Size, SHA256: tr.f.SHA256}
	if err := tr.send(ctx, fin, []byte{}, -1); err != nil {
		return "", err
	}
	for len(tr.under) > 0 {
		if receipt, err := tr.receive(ctx, tr.t.opts.Stall); receipt != "" || err != nil {
			return receipt, err
		}
	}
	if tr.t.weak {
		return tr.word(), nil
	}
	for deadline := time.Now().Add(tr.t.opts.Receipt); time.Now().Before(deadline); {
		receipt, err := tr.receive(ctx, time.Until(deadline))
		if receipt != "" || err != nil && !errors.Is(err, uplink.ErrStalled) {
			return receipt, err
		}
	}
	return "", &uplink.LaterError{Err: errors.New("the transfer is complete, and no receipt came")}
}
