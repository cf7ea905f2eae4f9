package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

// errMismatch says that what arrived is not what was declared: it has to be sent again from nothing.
var errMismatch = errors.New("what arrived is not the file that was declared")

// delivery is a call file that has arrived whole, as far as the protocol can tell.
type delivery struct {
	device call.DeviceID
	id     call.ID
	via    string
	path   string // of the spooled file
	size   int64  // as declared
	sha256 string // as declared; empty: not
}

// finish does all that stands between the last byte and the receipt, which it gives. Called again, at any time, it gives
// the same receipt. Errors: errMismatch, hq.ErrRefused, after which the spooled file is of no use; all others may pass.
func (in *Ingest) finish(ctx context.Context, d delivery) (string, error) {
	release := in.calls.lock(d.id)
	defer release()
	leave, err := in.beside.lock(d.id)
	if err != nil {
		return "", err
	}
	defer leave()
	known, err := in.known(ctx, d.device, d.id)
	if err != nil {
		return "", in.refused(d, err)
	}
	if known.Stage == hq.StageDurable && d.sha256 == known.SHA256 {
		return in.cfg.Library.Receipt(ctx, d.id)
	}
	file, err := inspect(d.path)
	if err != nil {
		return "", fmt.Errorf("look at the uploaded file of call %s: %w", d.id, err)
	}
	if err := d.check(file, known); err != nil {
		return "", in.refused(d, err)
	}
	if known.Stage == hq.StageDurable {
		return in.cfg.Library.Receipt(ctx, d.id)
	}
	if file.damage != nil {
		in.cfg.Log.Warn("a call file is what its recorder meant to send, and is not whole", "device", d.device, "call", d.id, "error", file.damage)
	}
	if err := in.publish(ctx, d, file.sha256); err != nil {
		return "", err
	}
	now := in.cfg.Now().UTC()
	receipt, err := wire.SignReceipt(in.cfg.Key, call.Receipt{Device: d.device, Time: now, Call: &d.id, Size: file.size, SHA256: file.sha256})
	if err != nil {
		return "", err
	}
	a := hq.Arrival{Header: file.header, Size: file.size, SHA256: file.sha256, Via: d.via, Received: now, Receipt: receipt}
	if file.damage == nil {
		a.End = &file.end
	}
	if err := in.cfg.Library.Complete(ctx, a); err != nil {
		return "", in.refused(d, err)
	}
	in.cfg.OnEvent(Event{Kind: EventDelivered, Device: d.device, Via: d.via, Call: d.id, Line: file.header.Line, Size: file.size})
	return receipt, nil
}

// known gives what the library has of a call: a zero hq.Call where that is nothing, and hq.ErrRefused where it is
// another recorder's.
func (in *Ingest) known(ctx context.Context, device call.DeviceID, id call.ID) (hq.Call, error) {
	c, err := in.cfg.Library.Call(ctx, id)
	switch {
	case errors.Is(err, hq.ErrNotFound):
		return hq.Call{}, nil
	case err != nil:
		return hq.Call{}, err
	case c.Device != device:
		return hq.Call{}, fmt.Errorf("%w: call %s is of another recorder", hq.ErrRefused, id)
	}
	return c, nil
}

// refused tells those who watch of a refusal.
func (in *Ingest) refused(d delivery, err error) error {
	if errors.Is(err, hq.ErrRefused) {
		in.cfg.Log.Error("a call is refused", "device", d.device, "call", d.id, "error", err)
		in.cfg.OnEvent(Event{Kind: EventRefused, Device: d.device, Via: d.via, Call: d.id, Err: err})
	}
	return err
}

// check compares the file that arrived with what was declared and with what is known of the call.
func (d delivery) check(f inspected, known hq.Call) error {
	switch {
	case f.size != d.size:
		return fmt.Errorf("%w: %d bytes, declared were %d", errMismatch, f.size, d.size)
	case d.sha256 != "" && f.sha256 != d.sha256:
		return fmt.Errorf("%w: SHA-256 %s, declared was %s", errMismatch, f.sha256, d.sha256)
	case f.header.Call.IsZero():
		return fmt.Errorf("%w: it does not begin like a call file: %w", hq.ErrRefused, f.damage)
	case f.header.Device != d.device:
		return fmt.Errorf("%w: its header names recorder %s", hq.ErrRefused, f.header.Device)
	case f.header.Call != d.id:
		return fmt.Errorf("%w: its header names call %s", hq.ErrRefused, f.header.Call)
	case known.SHA256 != "" && known.SHA256 != f.sha256:
		return conflicts(known)
	}
	return nil
}

// conflicts is the error of a file that is not the one which headquarters knows of.
func conflicts(known hq.Call) error {
	if known.Stage == hq.StageDurable {
		return fmt.Errorf("%w: call %s is here already with other bytes", hq.ErrRefused, known.ID)
	}
	return fmt.Errorf("%w: it is not the file that the manifest of call %s speaks of", hq.ErrRefused, known.ID)
}

// publish puts the spooled file among the call files. One that is there already has no receipt, or finish would have
// ended before: either it is the same, left by a crash, or nobody can claim it.
func (in *Ingest) publish(ctx context.Context, d delivery, sha string) error {
	err := in.cfg.Files.Publish(d.id, d.path)
	if !errors.Is(err, hq.ErrExists) {
		return err
	}
	f, err := in.cfg.Files.Open(ctx, d.id)
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read file of call %s: %w", d.id, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) == sha {
		return nil
	}
	in.cfg.Log.Warn("a call file without a receipt is set aside for the true one", "call", d.id)
	if err := in.cfg.Files.SetAside(d.id); err != nil {
		return err
	}
	return in.cfg.Files.Publish(d.id, d.path)
}

// inspected is what stands in a spooled file.
type inspected struct {
	size   int64
	sha256 string
	header call.Header // zero: it has none
	end    call.End
	damage error // nil: it is a whole call file
}

// inspect makes the bytes of the spooled file durable and reads it once.
func inspect(path string) (i inspected, err error) {
	f, err := os.Open(path)
	if err != nil {
		return i, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return i, noRoom(err)
	}
	hash := sha256.New()
	reader := io.TeeReader(f, hash)
	contents, damage := seal.Verify(reader, nil)
	if _, err := io.Copy(io.Discard, reader); err != nil { // what Verify left where it found damage
		return i, err
	}
	if i.size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return i, err
	}
	i.sha256 = hex.EncodeToString(hash.Sum(nil))
	i.end, i.damage = contents.End, damage
	if contents.Records > 0 { // else its header is not one
		i.header = contents.Header
	}
	return i, nil
}

// noRoom gives the errors of a full disk their common name.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", hq.ErrNoRoom, err)
	}
	return err
}

// entries takes a batch of ledger entries, a wire.EntryBatch, and gives the receipt for it.
func (in *Ingest) entries(ctx context.Context, device call.DeviceID, via string, body []byte) (string, error) {
	var batch wire.EntryBatch
	if err := wire.Decode(body, &batch); err != nil {
		return "", malformed(err)
	}
	run := make([][]byte, len(batch.Entries))
	for i, jws := range batch.Entries {
		run[i] = []byte(jws)
	}
	recorder, err := in.cfg.Recorders.Recorder(ctx, device)
	if err != nil {
		return "", err
	}
	entries, err := ledger.Check(nil, recorder.Key, run...)
	if errors.Is(err, ledger.ErrSignature) {
		return "", fmt.Errorf("%w: %w", hq.ErrRefused, err)
	}
	if err != nil {
		return "", malformed(err)
	}
	first, last := entries[0], entries[len(entries)-1]
	if first.Device != device {
		return "", fmt.Errorf("%w: entries of recorder %s sent by %s", hq.ErrRefused, first.Device, device)
	}
	if err := in.cfg.Ledger.AddEntries(ctx, entries); err != nil {
		if errors.Is(err, hq.ErrRefused) {
			in.cfg.Log.Error("entries are refused", "device", device, "epoch", first.Epoch, "first", first.Number, "last", last.Number, "error", err)
			in.cfg.OnEvent(Event{Kind: EventRefused, Device: device, Via: via, Err: err})
		}
		return "", err
	}
	in.compare(ctx, entries)
	return in.signEntries(device, first.Epoch, first.Number, last.Number)
}

// compare looks for manifests of calls whose files came before them and are not what they speak of. The entry is kept
// all the same: it is what the recorder has signed.
func (in *Ingest) compare(ctx context.Context, entries []call.SignedEntry) {
	for _, e := range entries {
		if e.Type != call.EntryEnd {
			continue
		}
		if c, err := in.cfg.Library.Call(ctx, *e.Call); err == nil && c.SHA256 != e.Manifest.SHA256 {
			in.cfg.Log.Error("a manifest is not of the call file that is here", "device", e.Device, "call", c.ID, "entry", e.Number)
		}
	}
}

func (in *Ingest) signEntries(device call.DeviceID, epoch call.Epoch, first, last uint64) (string, error) {
	return wire.SignReceipt(in.cfg.Key, call.Receipt{Device: device, Time: in.cfg.Now().UTC(), Epoch: epoch, First: first, Last: last})
}

// have answers a wire.HaveQuestion.
func (in *Ingest) have(ctx context.Context, device call.DeviceID, body []byte) (wire.HaveAnswer, error) {
	var q wire.HaveQuestion
	if err := wire.Decode(body, &q); err != nil {
		return wire.HaveAnswer{}, malformed(err)
	}
	a := wire.HaveAnswer{Time: in.cfg.Now().UTC(), Receipts: []string{}}
	receipts, err := in.cfg.Library.Receipts(ctx, device, q.Calls)
	if err != nil {
		return a, err
	}
	a.Receipts = append(a.Receipts, receipts...)
	if a.Recipients, err = in.recipients(device); err != nil {
		return a, err
	}
	if a.Health, err = in.cfg.Recorders.LastHealth(ctx, device); err != nil {
		return a, err
	}
	if a.Entries, err = in.cfg.Ledger.Gapless(ctx, device, q.Epoch); err != nil || a.Entries == 0 {
		return a, err
	}
	receipt, err := in.signEntries(device, q.Epoch, 1, a.Entries)
	a.Receipts = append(a.Receipts, receipt)
	return a, err
}

// recipients signs whom a recorder's calls are to be sealed to.
func (in *Ingest) recipients(device call.DeviceID) (string, error) {
	to, err := in.cfg.Recipient()
	if err != nil {
		return "", err
	}
	return wire.SignRecipients(in.cfg.Key, wire.Recipients{Device: device, Time: in.cfg.Now().UTC(), Recipients: []string{to}})
}

// checkMeta reads the payload of a file transfer's init.
func checkMeta(payload []byte) error {
	var meta wire.FileMeta
	if err := wire.Decode(payload, &meta); err != nil {
		return malformed(err)
	}
	if meta.Name == "" || len(meta.Name) > 240 || bytes.ContainsAny([]byte(meta.Name), "/\x00") {
		return malformed(errors.New("init: name is missing, longer than 240 bytes, or a path"))
	}
	return nil
}
