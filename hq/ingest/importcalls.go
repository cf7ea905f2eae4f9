package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// viaCourier is the way in by stick, as the library has it.
const viaCourier = "courier"

// How many entries, and of how many bytes, are taken in at once.
const (
	entriesAtOnce     = 200
	entryBytesAtOnce  = wire.MaxEntryBatch / 2
	unreadableAtMost  = 3  // files in a row: then the stick is gone
	maxEntriesRefused = 20 // batches: then the rest is left
)

// takeEntries takes in the recorder's ledger.
func (v *visit) takeEntries(ctx context.Context) error {
	files, err := v.list(wire.CourierEntries, wire.MaxCourierEpochs)
	if err != nil {
		return err
	}
	for _, f := range files {
		epoch, err := wire.ParseCourierEntriesFile(f.Name)
		switch {
		case err != nil:
			v.say(Red, "%s in the folder of entries is no ledger", printable(f.Name))
			continue
		case f.Size > wire.MaxCourierEntries:
			v.say(Red, "the ledger of epoch %s has %d bytes, at most %d: it is not taken", epoch, f.Size, wire.MaxCourierEntries)
			continue
		}
		if _, known := v.last[epoch]; !known {
			v.last[epoch] = 0 // for its receipt
		}
		if err := v.takeLedger(ctx, epoch, f.Name); err != nil {
			return err
		}
	}
	return nil
}

// takeLedger takes in one file of entries, run by run. A run that is refused is named, and those behind it are tried.
func (v *visit) takeLedger(ctx context.Context, epoch call.Epoch, name string) error {
	file, _, err := v.stick.Open(v.at(wire.CourierEntries, name))
	if err != nil {
		return err
	}
	defer file.Close()
	taken, refused := 0, 0
	run := batch{}
	flush := func() error {
		n := len(run.lines)
		if n == 0 {
			return nil
		}
		err := v.takeBatch(ctx, run.lines)
		run = batch{}
		var wrong *malformedError
		switch {
		case err == nil:
			taken += n
		case errors.Is(err, hq.ErrRefused), errors.As(err, &wrong):
			refused++
			v.say(Red, "%d entries of epoch %s are not taken: %v", n, epoch, err)
		default:
			return err
		}
		return nil
	}
	lines := bufio.NewScanner(io.LimitReader(file, wire.MaxCourierEntries))
	lines.Buffer(nil, ledger.MaxEntry+2)
	for lines.Scan() && refused < maxEntriesRefused && ctx.Err() == nil {
		line := bytes.TrimSpace(lines.Bytes())
		number := uint64(0) // of what is no entry, which stands alone
		if e, err := ledger.Parse(line); err == nil {
			number = e.Number
		}
		if !run.fits(number, len(line)) {
			if err := flush(); err != nil {
				return err
			}
		}
		run.add(number, line)
	}
	if err := errors.Join(flush(), ctx.Err()); err != nil {
		return err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		v.say(Red, "the ledger of epoch %s has a line of more than %d bytes: nothing behind it is taken", epoch, ledger.MaxEntry)
	} else if err := lines.Err(); err != nil {
		return err
	}
	if taken > 0 {
		v.say(Green, "%d entries of epoch %s are here", taken, epoch)
	}
	return nil
}

// batch is a run of entries that goes in together.
type batch struct {
	lines []string
	bytes int
	last  uint64
}

func (b *batch) fits(number uint64, size int) bool {
	return len(b.lines) == 0 || number > 1 && number == b.last+1 && len(b.lines) < entriesAtOnce && b.bytes+size <= entryBytesAtOnce
}

func (b *batch) add(number uint64, line []byte) {
	b.lines, b.bytes, b.last = append(b.lines, string(line)), b.bytes+len(line), number
}

func (v *visit) takeBatch(ctx context.Context, lines []string) error {
	body, err := json.Marshal(wire.EntryBatch{Entries: lines})
	if err != nil {
		return malformed(err)
	}
	_, err = v.in.entries(ctx, v.device, viaCourier, body)
	return err
}

// takeCalls takes in the call files that the recorder's indexes list.
func (v *visit) takeCalls(ctx context.Context) error {
	files, err := v.list(wire.CourierCalls, wire.MaxCourierFiles)
	if err != nil {
		return err
	}
	stand := make(map[call.ID]int64, len(files))
	for _, f := range files {
		if id, err := wire.ParseCourierCallFile(f.Name); err == nil && !f.Folder {
			stand[id] = f.Size
		} else {
			v.say(Red, "%s in the folder of calls is no call file", printable(f.Name))
		}
	}
	for _, c := range v.calls {
		if err := ctx.Err(); err != nil {
			return err
		}
		size, stands := stand[c.Call]
		delete(stand, c.Call)
		if err := v.takeCall(ctx, c, size, stands); err != nil {
			return err
		}
	}
	for id := range stand {
		v.sayOf(id, Red, "no index of the recorder speaks of it: it is not taken")
	}
	return nil
}

// takeCall takes in one call. Its error means that the import cannot go on.
func (v *visit) takeCall(ctx context.Context, c wire.CourierCall, size int64, stands bool) error {
	known, err := v.in.known(ctx, v.device, c.Call)
	switch {
	case errors.Is(err, hq.ErrRefused):
		v.sayOf(c.Call, Red, "%v", err)
		return nil
	case err != nil:
		return err
	case known.Stage == hq.StageDurable:
		return v.here(ctx, c, known)
	case !stands:
		v.sayOf(c.Call, Amber, "it is not on the stick: it waits at the recorder")
		return nil
	case size != c.Size:
		v.damaged(c, fmt.Sprintf("%d bytes on the stick, the index says %d", size, c.Size))
		return nil
	case c.Size > v.in.cfg.MaxCall:
		v.sayOf(c.Call, Red, "%d bytes, this headquarters takes at most %d", c.Size, v.in.cfg.MaxCall)
		return nil
	}
	if err := v.in.cfg.Files.Room(c.Size); err != nil {
		return err
	}
	spooled := filepath.Join(v.in.spool("courier"), wire.CourierCallFile(c.Call))
	defer func() { _ = remove(spooled) }() // the next import clears what is left
	if readable, err := v.copyCall(c, spooled); err != nil || !readable {
		return err
	}
	return v.finishCall(ctx, c, spooled)
}

// here is a call that came before.
func (v *visit) here(ctx context.Context, c wire.CourierCall, known hq.Call) error {
	receipt, err := v.in.cfg.Library.Receipt(ctx, c.Call)
	if err != nil {
		return err
	}
	v.durable[c.Call] = receipt
	if known.SHA256 == c.SHA256 {
		v.sayOf(c.Call, Green, "it is here already")
	} else {
		v.sayOf(c.Call, Amber, "it is here already, with other bytes, which stay")
	}
	return nil
}

func (v *visit) damaged(c wire.CourierCall, why string) {
	v.again = append(v.again, c.Call)
	v.sayOf(c.Call, Red, "damaged on the stick: %s. The recorder is asked to write it again", why)
}

// copyCall copies a call file from the stick to the spool. It says whether it could be read.
func (v *visit) copyCall(c wire.CourierCall, to string) (readable bool, err error) {
	from, _, err := v.stick.Open(v.at(wire.CourierCalls, wire.CourierCallFile(c.Call)))
	if err == nil {
		defer from.Close()
		out, made := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if made != nil {
			return false, noRoom(made)
		}
		var n int64
		source := &onStick{Reader: io.LimitReader(from, c.Size+1)}
		n, err = io.Copy(out, source)
		err = errors.Join(err, out.Close())
		if err != nil && source.err == nil {
			return false, fmt.Errorf("copy call %s from the stick: %w", c.Call, noRoom(err))
		}
		if err == nil && n != c.Size {
			v.damaged(c, fmt.Sprintf("%d bytes or more on the stick, the index says %d", n, c.Size))
			return false, nil
		}
	}
	if err == nil {
		v.failed = 0
		return true, nil
	}
	if v.failed++; v.failed >= unreadableAtMost || errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	v.damaged(c, err.Error())
	return false, nil
}

// onStick remembers that it was the stick that could not be read.
type onStick struct {
	io.Reader
	err error
}

func (s *onStick) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// finishCall brings a call file in the spool to its receipt.
func (v *visit) finishCall(ctx context.Context, c wire.CourierCall, spooled string) error {
	file, err := inspect(spooled)
	if err != nil {
		return fmt.Errorf("look at the file of call %s: %w", c.Call, err)
	}
	if file.sha256 != c.SHA256 {
		v.damaged(c, "its SHA-256 is not the one in the index")
		return nil
	}
	receipt, err := v.in.finish(ctx, delivery{device: v.device, id: c.Call, via: viaCourier, path: spooled, size: c.Size, sha256: c.SHA256})
	switch {
	case errors.Is(err, hq.ErrRefused), errors.Is(err, errMismatch):
		v.sayOf(c.Call, Red, "%v", err)
		return nil
	case err != nil:
		return err
	}
	v.durable[c.Call] = receipt
	if file.damage != nil {
		v.sayOf(c.Call, Amber, "taken in as the recorder has it, which is not whole: %v", file.damage)
	} else {
		v.sayOf(c.Call, Green, "taken in")
	}
	return nil
}

var _ Stick = (*stick.Stick)(nil)
