package courier_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/uplink/courier"
	"github.com/linekeeper/linekeeper/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// office is a recorder's ring, as far as the desk can tell, and headquarters' receipt key.
type office struct {
	t        testing.TB
	key, hq  ed25519.PrivateKey
	epoch    call.Epoch
	calls    []call.Stored
	files    map[call.ID][]byte
	entries  []call.SignedEntry
	broken   map[call.ID]error
	accepted int // receipts, and not synced
	synced   int
}

func newOffice(t testing.TB, calls int) *office {
	o := &office{t: t, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), hq: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)),
		epoch: 7, files: map[call.ID][]byte{}, broken: map[call.ID]error{}}
	for n := range calls {
		o.add(20_000 + 1000*n)
	}
	return o
}

func (o *office) device() call.DeviceID { return call.DeviceIDOf(o.key.Public().(ed25519.PublicKey)) }

// add makes a call of so many bytes, and two entries of it.
func (o *office) add(size int) call.ID {
	id := call.NewID()
	file := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(len(o.calls))})
	_, _ = random.Read(file)
	sum := sha256.Sum256(file)
	o.files[id] = file
	o.calls = append(o.calls, call.Stored{Header: call.Header{Call: id}, Size: int64(size), Ended: true,
		Manifest: &call.Manifest{Size: int64(size), SHA256: hex.EncodeToString(sum[:])}})
	for range 2 {
		n := uint64(len(o.entries) + 1)
		o.entries = append(o.entries, call.SignedEntry{Entry: call.Entry{Number: n}, JWS: fmt.Appendf(nil, "entry.%d.x", n)})
	}
	return id
}

func (o *office) EachCall(visit func(call.Stored) bool) error {
	for _, c := range o.calls {
		if !visit(c) {
			break
		}
	}
	return nil
}

func (o *office) ReadCall(id call.ID) (io.ReadCloser, error) {
	if err := o.broken[id]; err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(o.files[id])), nil
}

func (o *office) EntriesAfter(number uint64, most int) ([]call.SignedEntry, error) {
	i := slices.IndexFunc(o.entries, func(e call.SignedEntry) bool { return e.Number > number })
	if i < 0 {
		return nil, nil
	}
	return o.entries[i:min(len(o.entries), i+most)], nil
}

func (o *office) Accept(r call.Receipt, _ string) error {
	o.accepted++
	if r.Call == nil {
		o.entries = slices.DeleteFunc(o.entries, func(e call.SignedEntry) bool { return e.Number <= r.Last })
		return nil
	}
	for i, c := range o.calls {
		if c.Header.Call != *r.Call {
			continue
		}
		if r.SHA256 != c.Manifest.SHA256 {
			return errors.New("receipt speaks of other bytes")
		}
		o.calls = slices.Delete(o.calls, i, i+1)
		break
	}
	return nil
}

func (o *office) Sync() error {
	o.synced += o.accepted
	o.accepted = 0
	return nil
}

func (o *office) desk() *courier.Desk {
	return courier.NewDesk(courier.DeskConfig{Store: o, Epoch: o.epoch, LastEntry: func() uint64 { return o.entries[len(o.entries)-1].Number },
		Key: o.key, ReceiptKey: o.hq.Public().(ed25519.PublicKey), Now: time.Now})
}

// visit carries once.
func (o *office) visit(dir string, opts stick.Options) (courier.Done, error) {
	o.t.Helper()
	s, err := stick.Open(dir, opts)
	must(o.t, err)
	defer s.Close()
	return courier.Carry(o.t.Context(), s, o.desk(), nil)
}

func (o *office) well(dir string) courier.Done {
	o.t.Helper()
	done, err := o.visit(dir, stick.Options{})
	must(o.t, err)
	return done
}

func (o *office) folder(dir string, names ...string) string {
	return filepath.Join(append([]string{dir, wire.CourierFolder, string(o.device())}, names...)...)
}

// receipt is headquarters' for a call.
func (o *office) receipt(c call.Stored) string {
	o.t.Helper()
	jws, err := wire.SignReceipt(o.hq, call.Receipt{Device: o.device(), Time: time.Now(), Call: &c.Header.Call, Size: c.Manifest.Size, SHA256: c.Manifest.SHA256})
	must(o.t, err)
	return jws
}

// check looks at the stick as headquarters would: each call file that stands there is whole, and each index can be read.
// It gives how many call files there are.
func (o *office) check(dir string) int {
	o.t.Helper()
	files, _ := filepath.Glob(o.folder(dir, wire.CourierCalls, "*.lkc"))
	for _, name := range files {
		id, err := wire.ParseCourierCallFile(filepath.Base(name))
		if err != nil {
			continue // somebody else put it there
		}
		b, err := os.ReadFile(name)
		must(o.t, err)
		if !bytes.Equal(b, o.files[id]) {
			o.t.Errorf("call %s stands on the stick with other bytes", id)
		}
	}
	indexes, _ := filepath.Glob(o.folder(dir, wire.CourierIndexes, "*.jws"))
	for _, name := range indexes {
		b, err := os.ReadFile(name)
		must(o.t, err)
		if _, err := wire.VerifyCourierIndex(o.key.Public().(ed25519.PublicKey), string(b)); err != nil {
			o.t.Error(err)
		}
	}
	if len(files) > 0 && len(indexes) == 0 {
		o.t.Error("call files, and no index that speaks of them")
	}
	return len(files)
}

func TestVisit(t *testing.T) {
	o, dir := newOffice(t, 5), t.TempDir()
	o.calls[3].Asked = true
	o.calls[2].Hold = "a court wants it"
	o.calls[1].Parked = "refused"
	o.calls[4].Manifest = nil // still in progress
	done := o.well(dir)
	if done.Written != 3 || done.Waiting != 3 || !done.Complete() || done.Entries != 10 || done.Device != o.device() {
		t.Errorf("%+v", done)
	}
	if n := o.check(dir); n != 3 {
		t.Errorf("%d call files", n)
	}
	b, err := os.ReadFile(o.folder(dir, wire.CourierIndexes, "00000001.jws"))
	must(t, err)
	x, err := wire.VerifyCourierIndex(o.key.Public().(ed25519.PublicKey), string(b))
	must(t, err)
	if x.First != 1 || x.Last != 10 || len(x.Calls) != 3 || x.Calls[0].Call != o.calls[3].Header.Call || x.Calls[1].Call != o.calls[2].Header.Call {
		t.Errorf("index: %+v", x)
	}
	entries, err := os.ReadFile(o.folder(dir, wire.CourierEntries, wire.CourierEntriesFile(7)))
	must(t, err)
	if lines := strings.Fields(string(entries)); len(lines) != 10 || lines[9] != "entry.10.x" {
		t.Errorf("entries: %q", lines)
	}

	// The same stick again: nothing is written twice.
	if done = o.well(dir); done.Written != 0 || done.There != 3 || done.Bytes != 0 {
		t.Errorf("again: %+v", done)
	}
}

// TestPulledAtEveryMoment pulls the stick at each operation in turn. What stands there under its name is whole, and the
// next visit that is left alone completes it; what was written before is not written again.
func TestPulledAtEveryMoment(t *testing.T) {
	o := newOffice(t, 4)
	ops := 0
	_, err := o.visit(t.TempDir(), stick.Options{Before: func(string, string) error { ops++; return nil }})
	must(t, err)
	t.Logf("%d operations", ops)
	for n := range ops {
		dir := t.TempDir()
		left := n
		_, err := o.visit(dir, stick.Options{Before: func(op, path string) error {
			if left--; left < 0 {
				return syscall.EIO
			}
			return nil
		}})
		if err == nil || !stick.Gone(err) || !strings.Contains(err.Error(), "pulled out") {
			t.Fatalf("pulled at %d: %v", n, err)
		}
		tear(t, dir)
		before := o.check(dir)
		done := o.well(dir)
		if !done.Complete() || done.There > before || o.check(dir) != 4 {
			t.Fatalf("pulled at %d with %d calls there, then %+v", n, before, done)
		}
		if left, _ := filepath.Glob(o.folder(dir, "*", "*.new")); len(left) > 0 {
			t.Errorf("pulled at %d: %v stays", n, left)
		}
	}
}

// tear shortens what was being written, as a pull does.
func tear(t *testing.T, dir string) {
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".new") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.Truncate(path, rand.Int64N(info.Size()+1))
	}))
}

func TestReceiptsRelease(t *testing.T) {
	o, dir := newOffice(t, 4), t.TempDir()
	o.well(dir)
	entries, err := wire.SignReceipt(o.hq, call.Receipt{Device: o.device(), Time: time.Now(), Epoch: 7, First: 1, Last: 8})
	must(t, err)
	other := o.calls[2]
	wrong := *other.Manifest
	wrong.SHA256 = strings.Repeat("0", 64)
	other.Manifest = &wrong
	forged, err := wire.SignReceipt(o.key, call.Receipt{Device: o.device(), Time: time.Now(), Call: &o.calls[3].Header.Call, Size: o.calls[3].Size, SHA256: o.calls[3].Manifest.SHA256})
	must(t, err)
	lines := strings.Join([]string{o.receipt(o.calls[0]), entries, o.receipt(other), forged, "rubbish", o.receipt(o.calls[1])}, "\n")
	must(t, os.WriteFile(o.folder(dir, wire.CourierReceipts), []byte(lines), 0o600))

	// Pulled before the receipts are gone: they are handed over again.
	_, err = o.visit(dir, stick.Options{Before: func(op, path string) error {
		if op == "remove" && strings.HasSuffix(path, wire.CourierReceipts) {
			return syscall.EIO
		}
		return nil
	}})
	if err == nil || len(o.calls) != 2 || o.accepted != 0 || o.synced != 4 {
		t.Fatalf("%v, %d calls wait, %d accepted and not synced, %d synced", err, len(o.calls), o.accepted, o.synced)
	}
	done := o.well(dir)
	if len(done.Accepted.Calls) != 2 || done.Accepted.Entries != 1 || len(done.Accepted.Refused) != 3 {
		t.Errorf("%+v", done.Accepted)
	}
	if done.Waiting != 2 || done.There != 2 || o.check(dir) != 2 {
		t.Errorf("%+v", done)
	}
	if _, err := os.Stat(o.folder(dir, wire.CourierReceipts)); !os.IsNotExist(err) {
		t.Errorf("receipts: %v", err)
	}
	if indexes, _ := filepath.Glob(o.folder(dir, wire.CourierIndexes, "*")); len(indexes) != 1 {
		t.Errorf("indexes: %v", indexes)
	}
}

// TestAnotherRing: what an earlier ring put on the stick stays until headquarters has it.
func TestAnotherRing(t *testing.T) {
	o, dir := newOffice(t, 2), t.TempDir()
	o.well(dir)
	old := slices.Clone(o.calls)
	o.calls, o.entries, o.epoch = nil, nil, 8
	o.add(30_000)
	done := o.well(dir)
	if !done.Complete() || o.check(dir) != 3 {
		t.Errorf("%+v", done)
	}
	if all, _ := filepath.Glob(o.folder(dir, "*", "*")); len(all) != 3+2+2 {
		t.Errorf("on the stick: %v", all)
	}
	must(t, os.WriteFile(o.folder(dir, wire.CourierReceipts), []byte(o.receipt(old[0])+"\n"+o.receipt(old[1])), 0o600))
	if done = o.well(dir); done.Cleared != 2 || o.check(dir) != 1 {
		t.Errorf("%+v", done)
	}
	if indexes, _ := filepath.Glob(o.folder(dir, wire.CourierIndexes, "*")); len(indexes) != 1 {
		t.Errorf("indexes: %v", indexes)
	}
}

// TestWrittenAgain: a call that headquarters could not read from the stick, and one that is another since, are written again.
func TestWrittenAgain(t *testing.T) {
	o, dir := newOffice(t, 3), t.TempDir()
	o.well(dir)
	id := o.calls[0].Header.Call
	must(t, os.WriteFile(o.folder(dir, wire.CourierCalls, wire.CourierCallFile(id)), make([]byte, o.calls[0].Size), 0o600))
	must(t, os.WriteFile(o.folder(dir, wire.CourierAgain), []byte(id.String()+"\nrubbish\n"), 0o600))
	amended := o.calls[1].Header.Call
	o.files[amended] = make([]byte, o.calls[1].Size)
	sum := sha256.Sum256(o.files[amended])
	o.calls[1].Manifest = &call.Manifest{Size: o.calls[1].Size, SHA256: hex.EncodeToString(sum[:])}
	if done := o.well(dir); done.Written != 2 || done.There != 1 || o.check(dir) != 3 {
		t.Errorf("%+v", done)
	}
	if done := o.well(dir); done.There != 3 {
		t.Errorf("%+v", done)
	}
}

func TestWhatTheStickCannotDo(t *testing.T) {
	fails := func(op string, part string, err error) stick.Options {
		return stick.Options{Before: func(o, path string) error {
			if o == op && strings.Contains(path, part) {
				return err
			}
			return nil
		}}
	}
	for name, c := range map[string]struct {
		opts stick.Options
		want string
	}{
		"read-only":   {fails("make folder", "", syscall.EROFS), "the stick is read-only: move its switch"},
		"full":        {fails("write", "calls/", syscall.ENOSPC), "full"},
		"full folder": {fails("create", "calls/", syscall.ENOSPC), "takes no more names"},
		"large file":  {fails("write", "calls/", syscall.EFBIG), "format it as exFAT"},
		"no right":    {fails("make folder", "", syscall.EACCES), "run this as root"},
		"pulled":      {fails("rename", "calls/", syscall.ENODEV), "was it pulled out?"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, 2)
			if _, err := o.visit(t.TempDir(), c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRoomIsRespected(t *testing.T) {
	o, dir := newOffice(t, 0), t.TempDir()
	for _, size := range []int{100_000, 3_000_000, 200_000} {
		o.add(size)
	}
	largest := int64(1 << 32)
	room := func() (stick.Room, error) { return stick.Room{Free: 2 << 20, Largest: largest, System: "FAT32"}, nil }
	done, err := o.visit(dir, stick.Options{Room: room})
	if err != nil || done.Written != 2 || done.NoRoom != 1 || done.Missing != 3_000_000 || done.Complete() {
		t.Errorf("%+v, %v", done, err)
	}
	largest = 1_000_000
	done, err = o.visit(dir, stick.Options{Room: room})
	if err != nil || done.There != 2 || len(done.Left) != 1 || !strings.Contains(done.Left[0].Reason, "FAT32 takes no file of more than 1000000") {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestForgetfulStick: a stick that does not keep what is written to it is found out.
func TestForgetfulStick(t *testing.T) {
	o, dir := newOffice(t, 1), t.TempDir()
	_, err := o.visit(dir, stick.Options{Before: func(op, path string) error {
		if op == "open" && strings.HasSuffix(path, ".lkc") {
			return os.Truncate(filepath.Join(dir, path), 4096)
		}
		return nil
	}})
	if err == nil || !strings.Contains(err.Error(), "does not keep what is written") || o.check(dir) != 0 {
		t.Errorf("%v", err)
	}
}

// TestOneCallBlocksNoOther: what the recorder cannot read stays, with the reason.
func TestOneCallBlocksNoOther(t *testing.T) {
	o, dir := newOffice(t, 3), t.TempDir()
	o.broken[o.calls[0].Header.Call] = errors.New("segment 3 at 4096: the CRC does not match")
	o.files[o.calls[1].Header.Call] = []byte("released meanwhile")
	done := o.well(dir)
	if done.Written != 1 || len(done.Left) != 2 || !strings.Contains(done.Left[0].Reason, "CRC") || !strings.Contains(done.Left[1].Reason, "other bytes") {
		t.Errorf("%+v", done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := stick.Open(t.TempDir(), stick.Options{})
	must(t, err)
	defer s.Close()
	o.broken[o.calls[0].Header.Call] = context.Canceled
	cancel()
	if _, err := courier.Carry(ctx, s, o.desk(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

// TestOverTheSocket makes a visit as the process beside the stick does: over HTTP.
func TestOverTheSocket(t *testing.T) {
	o, dir := newOffice(t, 3), t.TempDir()
	o.broken[o.calls[1].Header.Call] = errors.New("a damaged segment")
	desk := httptest.NewServer(o.desk().Handler())
	defer desk.Close()
	over := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", desk.Listener.Addr().String())
	}}
	defer over.CloseIdleConnections()
	client := courier.NewClient(&http.Client{Transport: over})
	s, err := stick.Open(dir, stick.Options{})
	must(t, err)
	defer s.Close()
	var last courier.Progress
	done, err := courier.Carry(t.Context(), s, client, func(p courier.Progress) { last = p })
	must(t, err)
	if done.Written != 2 || done.Entries != 6 || len(done.Left) != 1 || !strings.Contains(done.Left[0].Reason, "a damaged segment") || o.check(dir) != 2 {
		t.Errorf("%+v", done)
	}
	if last.Call != 3 || last.Calls != 3 || last.Written != o.calls[0].Size+o.calls[2].Size {
		t.Errorf("progress: %+v", last)
	}
	lines := slices.Repeat([]string{o.receipt(o.calls[0]), "rubbish"}, 201)
	must(t, os.WriteFile(o.folder(dir, wire.CourierReceipts), []byte(strings.Join(lines, "\n")), 0o600))
	if done, err = courier.Carry(t.Context(), s, client, nil); err != nil || len(done.Accepted.Calls) != 201 || len(done.Accepted.Refused) != 201 || done.Cleared != 1 {
		t.Errorf("%d, %d, %d, %v", len(done.Accepted.Calls), len(done.Accepted.Refused), done.Cleared, err)
	}
	if _, err := client.Call(t.Context(), call.NewID()); err == nil || !strings.Contains(err.Error(), "not one that waits") {
		t.Error(err)
	}
}

// TestHostileStick: what somebody else put on the stick leads to nothing outside it, and is cleared up or named.
func TestHostileStick(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.Mkdir(outside, 0o700))
	must(t, os.WriteFile(filepath.Join(outside, "precious"), []byte("precious"), 0o600))
	link := func(names ...string) func(*office, string) {
		return func(o *office, dir string) {
			path := o.folder(dir, names...)
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.Symlink(outside, path))
		}
	}
	file := func(size int64, names ...string) func(*office, string) {
		return func(o *office, dir string) {
			path := o.folder(dir, names...)
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte("x"), 0o600))
			must(t, os.Truncate(path, size))
		}
	}
	for name, c := range map[string]struct {
		prepare func(*office, string)
		want    string // of the error; empty: all is well
	}{
		"folder is a link":       {link(), "link"},
		"calls are a link":       {link(wire.CourierCalls), "link"},
		"receipts are a link":    {link(wire.CourierReceipts), "link"},
		"an index is a link":     {link(wire.CourierIndexes, "00000001.jws"), "neither a file nor a folder"},
		"a call is a link":       {link(wire.CourierCalls, wire.CourierCallFile(call.ID{1})), "neither a file nor a folder"},
		"huge receipts":          {file(1<<40, wire.CourierReceipts), "at most"},
		"huge index":             {file(1<<40, wire.CourierIndexes, "00000001.jws"), ""},
		"rubbish as an index":    {file(10, wire.CourierIndexes, "00000007.jws"), ""},
		"index of another name":  {file(10, wire.CourierIndexes, "readme.txt"), ""},
		"rubbish as a call":      {file(10, wire.CourierCalls, "x.lkc"), ""},
		"calls are a file":       {file(10, wire.CourierCalls), "folder"},
		"another's half written": {link(wire.CourierEntries, "0000000000007.ledger.new"), ""},
		"a folder is a call": {func(o *office, dir string) {
			must(t, os.MkdirAll(o.folder(dir, wire.CourierCalls, wire.CourierCallFile(o.calls[0].Header.Call)), 0o700))
		}, "rename"},
		"too many names": {func(o *office, dir string) {
			for n := range 2*wire.MaxCourierIndexes + 1 {
				file(1, wire.CourierIndexes, fmt.Sprint(n))(o, dir)
			}
		}, "more than 64 names"},
		"a pipe": {func(o *office, dir string) {
			must(t, os.MkdirAll(o.folder(dir), 0o700))
			must(t, syscall.Mkfifo(o.folder(dir, wire.CourierReceipts), 0o600))
		}, "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			o, dir := newOffice(t, 2), t.TempDir()
			c.prepare(o, dir)
			_, err := o.visit(dir, stick.Options{})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case c.want == "" && o.check(dir) < 2:
				t.Error("calls are missing")
			}
			left, err := os.ReadDir(outside)
			if b, _ := os.ReadFile(filepath.Join(outside, "precious")); err != nil || len(left) != 1 || string(b) != "precious" {
				t.Errorf("outside the stick: %v, %v", left, err)
			}
		})
	}
}
