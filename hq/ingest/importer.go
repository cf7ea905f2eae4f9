package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// Importer takes in what couriers bring on sticks. It may be used beside a headquarters that runs on the same folders.
type Importer struct {
	in   *Ingest
	lock *os.File
}

// OpenImporter opens the part of the spool that imports go through. Who opens it closes it.
func OpenImporter(cfg Config) (*Importer, error) {
	in := newIngest(cfg)
	dir := in.spool("courier")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := os.OpenFile(in.spool("courier.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w: another import is running: wait for its end", lock.Name(), err), lock.Close())
	}
	if in.beside, err = openProcessLocks(in.spool("locks")); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.lkc")) // of an import that was cut short
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("clear spool: %w", err), lock.Close())
	}
	return &Importer{in, lock}, nil
}

// Close lets go of the spool.
func (im *Importer) Close() error { return im.lock.Close() } // which unlocks it

// Verdict is what became of a thing on a stick.
type Verdict string

// The verdicts, from the best.
const (
	Green Verdict = "green" // durable here
	Amber Verdict = "amber" // not whole, or not there, and honestly so
	Red   Verdict = "red"   // refused, altered or damaged
)

// Outcome is what became of one thing on a stick.
type Outcome struct {
	Device  call.DeviceID `json:"device,omitempty"`
	Call    *call.ID      `json:"call,omitempty"` // nil: it is of no call
	Verdict Verdict       `json:"verdict"`
	Text    string        `json:"text"`
}

// Stick is what an import reads, and writes its receipts to: a *stick.Stick.
type Stick interface {
	List(folder string, most int) ([]stick.Entry, error)
	Read(name string, most int64) ([]byte, error)
	Open(name string) (io.ReadCloser, int64, error)
	Publish(name string, write func(io.Writer) error) error
	Remove(name string) error
}

// Import takes in all that lies on a stick, and tells what became of each thing as it goes. What is here already is passed
// over, so that an import that was cut short is done again and goes on. Its error means that it could not go on: the stick
// is gone, or headquarters has no room; what was taken in until then is safe.
func (im *Importer) Import(ctx context.Context, s Stick, tell func(Outcome)) error {
	folders, err := s.List(wire.CourierFolder, wire.MaxCourierDevices)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("import: no folder %q lies there: it is no stick of a courier, or not the folder at which it is mounted", wire.CourierFolder)
	}
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	slices.SortFunc(folders, func(a, b stick.Entry) int { return cmpText(a.Name, b.Name) })
	for _, f := range folders {
		device, err := call.ParseDeviceID(f.Name)
		if err != nil || !f.Folder {
			continue // what else lies there is not a courier's
		}
		visit := &visit{Importer: im, stick: s, device: device, tell: tell, durable: map[call.ID]string{}}
		if err := visit.take(ctx); err != nil {
			return fmt.Errorf("import of recorder %s: %w", device, err)
		}
	}
	return nil
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// visit is the import of one recorder's folder.
type visit struct {
	*Importer
	stick  Stick
	device call.DeviceID
	tell   func(Outcome)

	recorder hq.Recorder
	calls    []wire.CourierCall // that the recorder's indexes list, each once, as the newest has it
	last     map[call.Epoch]uint64
	more     int // calls that its newest index had no place for
	receipts []string
	durable  map[call.ID]string // receipts of calls
	again    []call.ID
	failed   int // files in a row that could not be read
}

func (v *visit) at(names ...string) string {
	return path.Join(append([]string{wire.CourierFolder, string(v.device)}, names...)...)
}

func (v *visit) say(verdict Verdict, format string, args ...any) {
	v.tell(Outcome{Device: v.device, Verdict: verdict, Text: fmt.Sprintf(format, args...)})
}

func (v *visit) sayOf(id call.ID, verdict Verdict, format string, args ...any) {
	v.tell(Outcome{Device: v.device, Call: &id, Verdict: verdict, Text: fmt.Sprintf(format, args...)})
}

// take takes in one recorder's folder.
func (v *visit) take(ctx context.Context) (err error) {
	v.recorder, err = v.in.cfg.Recorders.Recorder(ctx, v.device)
	if errors.Is(err, hq.ErrNotFound) {
		v.say(Red, "recorder %s is not known at this headquarters: nothing of it is taken in", v.device)
		return nil
	}
	if err != nil {
		return err
	}
	if since := v.recorder.Revoked; !since.IsZero() {
		v.say(Red, "recorder %s is shut out since %s: nothing of it is taken in; let it in with `linekeeper-hq recorder restore %s` if it should be", v.device, since.UTC().Format(time.DateTime), v.device)
		return nil
	}
	if err := v.readIndexes(); err != nil {
		return v.hostile(err)
	}
	if err := v.takeEntries(ctx); err != nil {
		return v.hostile(err)
	}
	// Whatever ends the import, those that were taken in are receipted.
	err = v.takeCalls(ctx)
	return errors.Join(v.hostile(err), v.giveReceipts(context.WithoutCancel(ctx)))
}

// hostile makes of what no recorder leaves on a stick a finding: the folders of others are taken in all the same.
func (v *visit) hostile(err error) error {
	if errors.Is(err, stick.ErrHostile) {
		v.say(Red, "%v", err)
		return nil
	}
	return err
}

// list lists one of the recorder's folders, which may not be there.
func (v *visit) list(folder string, most int) ([]stick.Entry, error) {
	files, err := v.stick.List(v.at(folder), most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.SortFunc(files, func(a, b stick.Entry) int { return cmpText(a.Name, b.Name) })
	return files, err
}

// readIndexes reads what the recorder says that it has put here.
func (v *visit) readIndexes() error {
	files, err := v.list(wire.CourierIndexes, 2*wire.MaxCourierIndexes)
	if err != nil {
		return err
	}
	place := map[call.ID]int{}
	v.last = map[call.Epoch]uint64{}
	for _, f := range files {
		if _, err := wire.ParseCourierIndexFile(f.Name); err != nil {
			v.say(Red, "%s in the folder of indexes is none", printable(f.Name))
			continue
		}
		b, err := v.stick.Read(v.at(wire.CourierIndexes, f.Name), wire.MaxCourierIndex)
		var x wire.CourierIndex
		if err == nil {
			x, err = wire.VerifyCourierIndex(v.recorder.Key, string(b))
		} else if !errors.Is(err, stick.ErrHostile) {
			return err
		}
		if err != nil {
			v.say(Red, "index %s is not taken: %v", f.Name, err)
			continue
		}
		v.more = x.More
		v.last[x.Epoch] = max(v.last[x.Epoch], x.Last)
		for _, c := range x.Calls {
			if i, known := place[c.Call]; known {
				v.calls[i] = c
				continue
			}
			if len(v.calls) == wire.MaxCourierCalls+wire.MaxCourierFiles {
				v.say(Red, "the indexes list more calls than a stick can hold: the rest is not taken")
				return nil
			}
			place[c.Call] = len(v.calls)
			v.calls = append(v.calls, c)
		}
	}
	if len(v.calls) == 0 && len(v.last) == 0 {
		v.say(Red, "no index of the recorder lies there: nothing says what its call files are")
	}
	return nil
}

// printable is a name from a stick as it can be shown.
func printable(name string) string { return fmt.Sprintf("%.60q", name) }

// giveReceipts writes onto the stick what headquarters has of the recorder, which releases it there.
func (v *visit) giveReceipts(ctx context.Context) error {
	for _, c := range v.calls {
		if jws, ok := v.durable[c.Call]; ok {
			v.receipts = append(v.receipts, jws)
		}
	}
	for epoch, last := range v.last {
		have, err := v.in.cfg.Ledger.Gapless(ctx, v.device, epoch)
		if err != nil {
			return err
		}
		if have > 0 {
			jws, err := v.in.signEntries(v.device, epoch, 1, have)
			if err != nil {
				return err
			}
			v.receipts = append(v.receipts, jws)
		}
		if have < last {
			v.say(Amber, "of epoch %s entries %d to %d are not here: they are still at the recorder", epoch, have+1, last)
		}
	}
	if v.more > 0 {
		v.say(Amber, "%d more calls wait at the recorder, too many for one index", v.more)
	}
	err := v.write(wire.CourierReceipts, v.receipts)
	if err == nil {
		err = v.write(wire.CourierAgain, texts(v.again))
	}
	if err != nil {
		v.say(Amber, "the receipts are not on the stick: %v. They reach the recorder over its link; until then it keeps the calls", err)
	}
	return nil
}

func texts(ids []call.ID) (all []string) {
	for _, id := range ids {
		all = append(all, id.String())
	}
	return all
}

// write writes lines to a file of the stick, and takes it away where there are none.
func (v *visit) write(name string, lines []string) error {
	if len(lines) == 0 {
		return v.stick.Remove(v.at(name))
	}
	return v.stick.Publish(v.at(name), func(w io.Writer) error {
		for _, line := range lines {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// processLocks lets one process at a time finish a call: an import beside a headquarters that runs.
type processLocks struct{ file *os.File }

func openProcessLocks(path string) (processLocks, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return processLocks{}, fmt.Errorf("open locks of the spool: %w", err)
	}
	return processLocks{f}, nil
}

// lock waits for the call's byte of the file.
func (l processLocks) lock(id call.ID) (release func(), err error) {
	where := int64(binary.BigEndian.Uint64(id[:]) >> 2)
	set := func(kind int16) error {
		for {
			err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: where, Len: 1})
			if !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
	if err := set(unix.F_WRLCK); err != nil {
		return nil, fmt.Errorf("lock call %s against other processes: %w", id, err)
	}
	return func() { _ = set(unix.F_UNLCK) }, nil
}
