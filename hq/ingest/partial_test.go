package ingest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

// partial checks what there is of a call.
func (d *device) partial(id call.ID, want []byte) {
	d.w.t.Helper()
	f, err := d.w.in.Partial(d.w.t.Context(), id)
	if want == nil {
		if !errors.Is(err, hq.ErrNotFound) {
			d.w.t.Errorf("%v, want not found", err)
		}
		return
	}
	must(d.w.t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(d.w.t, err)
	if !bytes.Equal(b, want) {
		d.w.t.Errorf("%d bytes have arrived, want %d", len(b), len(want))
	}
}

// TestARecorderThatNeverComesBack leaves what has arrived of its calls, over either way, however long ago; until the call
// is here whole.
func TestARecorderThatNeverComesBack(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f, over := d.file(60_000), d.file(60_000)
	d.partial(f.id, nil)
	want(t, "entries", d.json("POST", wire.PathEntries, d.entries(7, f), nil), http.StatusOK)
	want(t, "entries", d.json("POST", wire.PathEntries, d.entries(8, over), nil), http.StatusOK)

	url := d.begin(f)
	want(t, "patch", d.patch(url, 0, f.bytes[:45_000]), http.StatusNoContent)
	d.partial(f.id, f.bytes[:45_000])
	s := &sender{device: d, attempt: "0000000a"}
	s.expect("init", s.init(over), wire.FileSuccess)
	s.segments(over, 0, 2*wire.SegmentSize)
	s.segments(over, 3*wire.SegmentSize, 4*wire.SegmentSize) // behind a hole
	d.partial(over.id, over.bytes[:2*wire.SegmentSize])

	long := time.Now().Add(-DefaultKeepSpool - time.Hour)
	all, err := filepath.Glob(filepath.Join(w.dir, "spool", "*", "*", "*"))
	must(t, err)
	for _, path := range all {
		must(t, os.Chtimes(path, long, long))
	}
	w.restart()
	d.partial(f.id, f.bytes[:45_000])
	d.partial(over.id, over.bytes[:2*wire.SegmentSize])
	half, err := w.in.Partial(t.Context(), f.id)
	must(t, err)
	defer half.Close()
	var cut *seal.TruncatedError
	if contents, err := seal.Verify(half, nil); !errors.As(err, &cut) || contents.Header.Call != f.id {
		t.Errorf("what has arrived: %+v, %v: want its header, and that it stops", contents, err)
	}

	at := w.server.URL + url[len("https://")+bytes.IndexByte([]byte(url[len("https://"):]), '/'):]
	want(t, "the rest", d.last(at, 45_000, f, f.sha), http.StatusNoContent)
	d.partial(f.id, nil)
}
