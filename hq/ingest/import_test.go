package ingest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// load is what a recorder's courier puts on a stick.
type load struct {
	*device
	dir   string
	index wire.CourierIndex
}

// load begins a stick, with the entries of the first of the files.
func (d *device) load(dir string, files ...file) *load {
	d.w.t.Helper()
	l := &load{d, dir, wire.CourierIndex{Device: d.id, Epoch: 5, Time: time.Now(), First: 1, Last: 2}}
	for _, f := range files {
		l.index.Calls = append(l.index.Calls, wire.CourierCall{Call: f.id, Size: int64(len(f.bytes)), SHA256: f.sha})
		l.put(f.bytes, wire.CourierCalls, wire.CourierCallFile(f.id))
	}
	l.put([]byte(strings.Join(d.entries(5, files[0]).Entries, "\n")+"\n"), wire.CourierEntries, wire.CourierEntriesFile(5))
	l.sign(1)
	return l
}

func (l *load) path(names ...string) string {
	return filepath.Join(append([]string{l.dir, wire.CourierFolder, string(l.id)}, names...)...)
}

func (l *load) put(b []byte, names ...string) {
	l.w.t.Helper()
	path := l.path(names...)
	must(l.w.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(l.w.t, os.WriteFile(path, b, 0o600))
}

func (l *load) sign(n int) {
	l.w.t.Helper()
	jws, err := wire.SignCourierIndex(l.key(), l.index)
	must(l.w.t, err)
	l.put([]byte(jws), wire.CourierIndexes, wire.CourierIndexFile(n))
}

// outcomes are those of an import.
type outcomes []Outcome

// of is what became of a call.
func (o outcomes) of(id call.ID) Outcome {
	for _, one := range o {
		if one.Call != nil && *one.Call == id {
			return one
		}
	}
	return Outcome{}
}

func (o outcomes) count(v Verdict) (n int) {
	for _, one := range o {
		if one.Verdict == v {
			n++
		}
	}
	return n
}

func (o outcomes) says(v Verdict, part string) bool {
	return slices.ContainsFunc(o, func(one Outcome) bool { return one.Verdict == v && strings.Contains(one.Text, part) })
}

func (w *world) importFrom(dir string, opts stick.Options) (all outcomes, err error) {
	w.t.Helper()
	s, err := stick.Open(dir, opts)
	must(w.t, err)
	defer s.Close()
	im, err := OpenImporter(w.config())
	must(w.t, err)
	defer im.Close()
	err = im.Import(w.t.Context(), s, func(o Outcome) { all = append(all, o) })
	return all, err
}

func (w *world) imported(dir string) outcomes {
	w.t.Helper()
	all, err := w.importFrom(dir, stick.Options{})
	must(w.t, err)
	return all
}

// receipts are those that an import has left on the stick.
func (l *load) receipts() []call.Receipt {
	l.w.t.Helper()
	b, err := os.ReadFile(l.path(wire.CourierReceipts))
	must(l.w.t, err)
	var all []call.Receipt
	for _, jws := range strings.Fields(string(b)) {
		r, err := wire.VerifyReceipt(l.w.authority.ReceiptKey().Public().(ed25519.PublicKey), jws)
		must(l.w.t, err)
		if r.Device != l.id {
			l.w.t.Errorf("a receipt for %s", r.Device)
		}
		all = append(all, r)
	}
	return all
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	a, b, missing := d.file(50_000), d.file(60_000), d.file(100)
	l := d.load(dir, a, b, missing)
	must(t, os.Remove(l.path(wire.CourierCalls, wire.CourierCallFile(missing.id))))
	all := w.imported(dir)
	if all.of(a.id).Verdict != Green || all.of(b.id).Verdict != Green || all.of(missing.id).Verdict != Amber || all.count(Red) != 0 || !all.says(Green, "2 entries of epoch") {
		t.Errorf("%+v", all)
	}
	for _, f := range []file{a, b} {
		d.durable(f)
	}
	if c, err := w.library.Call(t.Context(), a.id); err != nil || c.Via != viaCourier {
		t.Errorf("%+v, %v", c, err)
	}
	receipts := l.receipts()
	if len(receipts) != 3 || *receipts[0].Call != a.id || *receipts[1].Call != b.id || receipts[2].Epoch != 5 || receipts[2].Last != 2 {
		t.Errorf("receipts: %+v", receipts)
	}

	// Again: the same receipts, nothing read twice, and no second call.
	before, err := os.ReadFile(l.path(wire.CourierReceipts))
	must(t, err)
	must(t, os.WriteFile(l.path(wire.CourierCalls, wire.CourierCallFile(b.id)), make([]byte, len(b.bytes)), 0o600))
	all = w.imported(dir)
	if all.of(a.id).Text != "it is here already" || all.of(b.id).Verdict != Green || all.count(Red) != 0 {
		t.Errorf("again: %+v", all)
	}
	after, err := os.ReadFile(l.path(wire.CourierReceipts))
	must(t, err)
	if n := bytes.LastIndexByte(bytes.TrimSpace(before), '\n'); !bytes.Equal(before[:n], after[:n]) {
		t.Error("other receipts for the same calls") // that of the entries has another time
	}
	// What came by courier and is sent over the link too is answered with the same receipt.
	if r := d.post(a); r.receipt() != strings.Fields(string(before))[0] {
		t.Errorf("over the link: %d %s %s", r.code, r.body, r.receipt())
	}
}

// TestImportOfDamage: every damage costs what it damaged, and is named.
func TestImportOfDamage(t *testing.T) {
	alter := func(l *load, change func([]byte) []byte, names ...string) {
		b, err := os.ReadFile(l.path(names...))
		must(t, err)
		l.put(change(b), names...)
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	call1 := func(f file) []string { return []string{wire.CourierCalls, wire.CourierCallFile(f.id)} }
	for name, c := range map[string]struct {
		damage  func(l *load, one, two file)
		want    Verdict // of call one
		text    string  // in some outcome
		again   bool    // the recorder is asked for call one
		twoLost bool
	}{
		"a flipped bit": {func(l *load, one, _ file) { alter(l, flip, call1(one)...) }, Red, "SHA-256", true, false},
		"cut short":     {func(l *load, one, _ file) { alter(l, func(b []byte) []byte { return b[:9] }, call1(one)...) }, Red, "9 bytes on the stick", true, false},
		"longer":        {func(l *load, one, _ file) { alter(l, func(b []byte) []byte { return append(b, 0) }, call1(one)...) }, Red, "bytes on the stick", true, false},
		"empty":         {func(l *load, one, _ file) { l.put(nil, call1(one)...) }, Red, "0 bytes", true, false},
		"swapped":       {func(l *load, one, two file) { l.put(two.bytes, call1(one)...) }, Red, "damaged", true, false},
		"a link": {func(l *load, one, _ file) {
			p := l.path(call1(one)...)
			must(t, os.Remove(p))
			must(t, os.Symlink("/etc/passwd", p))
		}, "", "neither a file nor a folder", false, true},
		"index altered": {func(l *load, _, _ file) { alter(l, flip, wire.CourierIndexes, wire.CourierIndexFile(1)) }, Red, "is not taken", false, true},
		"index cut": {func(l *load, _, _ file) {
			alter(l, func(b []byte) []byte { return b[:len(b)/2] }, wire.CourierIndexes, wire.CourierIndexFile(1))
		}, Red, "is not taken", false, true},
		"index huge": {func(l *load, _, _ file) {
			must(t, os.Truncate(l.path(wire.CourierIndexes, wire.CourierIndexFile(1)), 1<<40))
		}, Red, "at most", false, true},
		"index gone": {func(l *load, _, _ file) { must(t, os.RemoveAll(l.path(wire.CourierIndexes))) }, Red, "no index of the recorder", false, true},
		"index renamed": {func(l *load, _, _ file) {
			must(t, os.Rename(l.path(wire.CourierIndexes, wire.CourierIndexFile(1)), l.path(wire.CourierIndexes, "x")))
		}, Red, "is none", false, true},
		"a call renamed": {func(l *load, one, _ file) {
			must(t, os.Rename(l.path(call1(one)...), l.path(wire.CourierCalls, "holiday.jpg")))
		}, Amber, "is no call file", false, false},
		"a call not in it": {func(l *load, one, _ file) { l.index.Calls = l.index.Calls[1:]; l.sign(1) }, Red, "no index of the recorder speaks of it", false, false},
		"an older index":   {func(l *load, one, _ file) { l.index.Calls[0].SHA256 = one.sha[1:] + "0"; l.sign(2) }, Red, "SHA-256", true, false},
		"entries altered":  {func(l *load, _, _ file) { alter(l, flip, wire.CourierEntries, wire.CourierEntriesFile(5)) }, Green, "entries of epoch", false, false},
		"entries cut": {func(l *load, _, _ file) {
			alter(l, func(b []byte) []byte { return b[:len(b)-9] }, wire.CourierEntries, wire.CourierEntriesFile(5))
		}, Green, "are not taken", false, false},
		"one long line": {func(l *load, _, _ file) { l.put(make([]byte, 70<<10), wire.CourierEntries, wire.CourierEntriesFile(5)) }, Green, "a line of more than", false, false},
		"entries gone":  {func(l *load, _, _ file) { must(t, os.RemoveAll(l.path(wire.CourierEntries))) }, Green, "entries 1 to 2 are not here", false, false},
		"entries huge": {func(l *load, _, _ file) {
			must(t, os.Truncate(l.path(wire.CourierEntries, wire.CourierEntriesFile(5)), 1<<40))
		}, Green, "at most", false, false},
		"odd ledger": {func(l *load, _, _ file) { l.put(nil, wire.CourierEntries, "readme") }, Green, "is no ledger", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d, dir := w.device(), t.TempDir()
			one, two := d.file(5000), d.file(6000)
			l := d.load(dir, one, two)
			c.damage(l, one, two)
			all := w.imported(dir)
			if got := all.of(one.id).Verdict; got != c.want && !c.twoLost {
				t.Errorf("call one is %q, want %q", got, c.want)
			}
			if !all.says(Red, c.text) && !all.says(Amber, c.text) {
				t.Errorf("nothing says %q: %+v", c.text, all)
			}
			if got := all.of(two.id).Verdict == Green; got == c.twoLost {
				t.Errorf("call two: %+v", all.of(two.id))
			}
			again, _ := os.ReadFile(l.path(wire.CourierAgain))
			if got := strings.TrimSpace(string(again)) == one.id.String(); got != c.again {
				t.Errorf("asked for again: %q", again)
			}
			d.spoolEmpty()
			if !c.again {
				return
			}
			// Mended, the next import takes it.
			l.index.Calls[0].SHA256 = one.sha
			l.sign(3)
			l.put(one.bytes, call1(one)...)
			if all = w.imported(dir); all.of(one.id).Verdict != Green {
				t.Errorf("mended: %+v", all)
			}
			if _, err := os.Stat(l.path(wire.CourierAgain)); !os.IsNotExist(err) {
				t.Errorf("still asked for: %v", err)
			}
		})
	}
}

// TestImportOfStrangers: what is not of a known recorder, or of another than it says, is refused with the reason.
func TestImportOfStrangers(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	stranger, known, other := w.stranger(), w.device(), w.device()
	f, g, h := stranger.file(100), known.file(200), known.file(300)
	stranger.load(dir, f)
	l := known.load(dir, g)
	// A folder under another recorder's name: neither its index nor its entries are that recorder's.
	must(t, os.CopyFS(filepath.Join(dir, wire.CourierFolder, string(other.id)), os.DirFS(l.path())))
	// A call of one recorder in the index of another.
	l2 := &load{other, t.TempDir(), wire.CourierIndex{Device: other.id, Epoch: 5, Time: time.Now()}}
	l2.index.Calls = []wire.CourierCall{{Call: h.id, Size: int64(len(h.bytes)), SHA256: h.sha}, {Call: g.id, Size: int64(len(g.bytes)), SHA256: g.sha}}
	l2.put(h.bytes, wire.CourierCalls, wire.CourierCallFile(h.id))
	l2.sign(1)
	must(t, os.WriteFile(filepath.Join(dir, wire.CourierFolder, "readme.txt"), []byte("x"), 0o600))

	all := w.imported(dir)
	if !all.says(Red, fmt.Sprintf("recorder %s is not known", stranger.id)) || !all.says(Red, "index 00000001.jws is not taken") || !all.says(Red, "entries of epoch") {
		t.Errorf("%+v", all)
	}
	if c, err := w.library.Call(t.Context(), g.id); err != nil || c.Device != known.id || c.Stage != hq.StageDurable {
		t.Errorf("the known recorder's call: %+v, %v", c, err)
	}
	if _, err := w.library.Call(t.Context(), f.id); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("the stranger's call: %v", err)
	}
	all = w.imported(l2.dir)
	if !strings.Contains(all.of(h.id).Text, "its header names recorder "+string(known.id)) || !strings.Contains(all.of(g.id).Text, "is of another recorder") || all.count(Red) != 2 {
		t.Errorf("%+v", all)
	}
}

// TestImportIsCutShort pulls the stick at each operation, and kills nothing that was taken in. The next import goes on.
func TestImportOfOneThatIsShutOut(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	f := d.file(100)
	l := d.load(dir, f)
	must(t, w.library.Revoke(t.Context(), d.id, true))
	if all := w.imported(dir); !all.says(Red, "is shut out") || all.count(Green) != 0 || len(all) != 1 {
		t.Errorf("%+v", all)
	}
	if _, err := w.library.Call(t.Context(), f.id); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("its call: %v", err)
	}
	must(t, w.library.Revoke(t.Context(), d.id, false))
	w.imported(dir)
	if got := l.receipts(); len(got) == 0 {
		t.Error("let in again, it gets no receipts")
	}
}

func TestImportIsCutShort(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	files := []file{d.file(1000), d.file(2000), d.file(3000)}
	l := d.load(dir, files...)
	ops := 0
	count, err := stick.Open(dir, stick.Options{Before: func(string, string) error { ops++; return nil }})
	must(t, err)
	defer count.Close()
	for pull := range 200 {
		left := pull
		all, err := w.importFrom(dir, stick.Options{Before: func(string, string) error {
			if left--; left < 0 {
				return syscall.ENODEV
			}
			return nil
		}})
		if err == nil && all.count(Amber) == 0 {
			if pull < 20 || len(l.receipts()) != 4 {
				t.Errorf("whole after %d operations: %+v", pull, all)
			}
			break
		}
	}
	for _, f := range files {
		d.durable(f)
	}
}

// brokenStick cannot read one file.
type brokenStick struct {
	*stick.Stick
	bad string
}

func (b brokenStick) Open(name string) (io.ReadCloser, int64, error) {
	if strings.Contains(name, b.bad) {
		return nil, 0, &stick.Error{Op: "open", Path: name, Err: syscall.EIO}
	}
	return b.Stick.Open(name)
}

func TestImportOverBadBlocks(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	files := []file{d.file(1000), d.file(2000), d.file(3000)}
	l := d.load(dir, files...)
	s, err := stick.Open(dir, stick.Options{})
	must(t, err)
	defer s.Close()
	im, err := OpenImporter(w.config())
	must(t, err)
	defer im.Close()
	if _, err := OpenImporter(w.config()); err == nil || !strings.Contains(err.Error(), "another import is running") {
		t.Errorf("a second import: %v", err)
	}
	var all outcomes
	must(t, im.Import(t.Context(), brokenStick{s, files[1].id.String()}, func(o Outcome) { all = append(all, o) }))
	if all.of(files[1].id).Verdict != Red || all.of(files[2].id).Verdict != Green || len(l.receipts()) != 3 {
		t.Errorf("%+v", all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := im.Import(ctx, s, func(Outcome) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	if err := im.Import(t.Context(), brokenStick{s, ".lkc"}, func(Outcome) {}); err != nil {
		t.Errorf("one file that cannot be read: %v", err)
	}
}

// TestImportWithoutRoom: neither headquarters' disk nor the stick has room.
func TestImportWithoutRoom(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	one, two := d.file(1000), d.file(2000)
	l := d.load(dir, one, two)
	w.room.Store(1500)
	if _, err := w.importFrom(dir, stick.Options{}); !errors.Is(err, hq.ErrNoRoom) {
		t.Errorf("no room: %v", err)
	}
	if r := l.receipts(); len(r) != 2 {
		t.Errorf("what was taken in is not receipted: %+v", r)
	}
	w.room.Store(1 << 40)
	all, err := w.importFrom(dir, stick.Options{Before: func(op, _ string) error {
		if op == "create" || op == "remove" {
			return syscall.EROFS
		}
		return nil
	}})
	if err != nil || all.of(two.id).Verdict != Green || !all.says(Amber, "read-only") || !all.says(Amber, "reach the recorder over its link") {
		t.Errorf("a read-only stick: %+v, %v", all, err)
	}
	if _, err := w.importFrom(t.TempDir(), stick.Options{}); err == nil || !strings.Contains(err.Error(), "no stick of a courier") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestImportBesideTheServer: a call that comes over the link while its stick is imported is one call.
func TestImportBesideTheServer(t *testing.T) {
	w := newWorld(t)
	d, dir := w.device(), t.TempDir()
	files := make([]file, 20)
	for i := range files {
		files[i] = d.file(2000)
	}
	d.load(dir, files...)
	sent := make(chan map[call.ID]string)
	go func() {
		receipts := map[call.ID]string{}
		for _, f := range slices.Backward(files) {
			made := d.post(f)
			if receipts[f.id] = made.receipt(); receipts[f.id] == "" { // the courier has not brought it yet
				receipts[f.id] = d.patch(made.header.Get("Location"), 0, f.bytes).receipt()
			}
		}
		sent <- receipts
	}()
	all := w.imported(dir)
	over := <-sent
	for id, receipt := range maps.All(over) {
		stored, err := w.library.Receipt(t.Context(), id)
		if err != nil || stored != receipt || all.of(id).Verdict != Green {
			t.Errorf("call %s: %v, %q over the link, %+v", id, err, receipt, all.of(id))
		}
	}
	for _, f := range files {
		d.durable(f)
	}
}
