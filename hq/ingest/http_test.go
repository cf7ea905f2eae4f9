package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// create makes an upload and gives its URL.
func (d *device) create(f file) string {
	d.w.t.Helper()
	r := d.post(f)
	if r.code != http.StatusCreated {
		d.w.t.Fatalf("create: %d %s", r.code, r.body)
	}
	return r.header.Get("Location")
}

func (d *device) post(f file) response {
	d.w.t.Helper()
	return d.do("POST", wire.PathCalls, nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(f.bytes)), "Upload-Metadata", f.metadata())
}

func (d *device) patch(url string, offset int, b []byte) response {
	d.w.t.Helper()
	return d.do("PATCH", url, bytes.NewReader(b), "Tus-Resumable", "1.0.0", "Upload-Offset", strconv.Itoa(offset), "Content-Type", "application/offset+octet-stream")
}

func (d *device) head(url string) response {
	d.w.t.Helper()
	return d.do("HEAD", url, nil, "Tus-Resumable", "1.0.0")
}

func want(t testing.TB, what string, r response, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s: status %d, want %d: %s", what, r.code, code, r.body)
	}
}

func TestACallOverHTTPS(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(50_000)
	url := d.create(f)
	if !strings.Contains(url, wire.PathCalls+string(d.id)+"-"+f.id.String()+"-") {
		t.Errorf("upload is called %s", url)
	}
	r := d.patch(url, 0, f.bytes)
	want(t, "patch", r, http.StatusNoContent)
	d.verify(r.receipt(), f)
	d.durable(f)
	if e := w.event(EventDelivered); e.Call != f.id || e.Via != "https" || e.Line != "Front desk" {
		t.Errorf("event %+v", e)
	}

	// The receipt was lost: however the recorder asks, it is given the same one.
	first := r.receipt()
	for what, again := range map[string]response{
		"head":  d.head(url),
		"patch": d.patch(url, 0, f.bytes),
		"empty": d.patch(url, len(f.bytes), nil),
		"post":  d.post(f),
	} {
		if again.receipt() != first {
			t.Errorf("%s: status %d, receipt %q", what, again.code, again.receipt())
		}
	}
	want(t, "create again", d.post(f), http.StatusConflict)
	h := d.head(url)
	want(t, "head", h, http.StatusOK)
	if h.header.Get("Upload-Offset") != strconv.Itoa(len(f.bytes)) {
		t.Errorf("offset %s", h.header.Get("Upload-Offset"))
	}
	var a wire.ReceiptAnswer
	want(t, "receipt", d.json("GET", wire.ReceiptPath(f.id), nil, &a), http.StatusOK)
	if a.Receipt != first {
		t.Error("another receipt")
	}
	d.durable(f)
}

func TestAnUploadIsResumedAfterACut(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(300_000)
	url := d.create(f)

	// The link is cut after a part: the server has what came through.
	body, cut := io.Pipe()
	errCut := errors.New("cut")
	go func() {
		_, _ = cut.Write(f.bytes[:100_000])
		_ = cut.CloseWithError(errCut)
	}()
	if _, err := d.try("PATCH", url, body, "Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); !errors.Is(err, errCut) {
		t.Fatalf("patch that was cut: %v", err)
	}
	for range 2 { // HEAD takes the lock from the handler of the cut connection, if that has not noticed yet
		h := d.head(url)
		want(t, "head", h, http.StatusOK)
		offset, err := strconv.Atoi(h.header.Get("Upload-Offset"))
		must(t, err)
		if offset > 102_000 || h.receipt() != "" {
			t.Fatalf("offset %d, receipt %q", offset, h.receipt())
		}
		want(t, "patch elsewhere", d.patch(url, offset+1, f.bytes[offset+1:]), http.StatusConflict)
		w.restart() // with a new address
		url = w.server.URL + url[strings.Index(url, wire.PathCalls):]
		offset, err = strconv.Atoi(d.head(url).header.Get("Upload-Offset"))
		must(t, err)
		middle := min(offset+1000, len(f.bytes)-1)
		want(t, "patch", d.patch(url, offset, f.bytes[offset:middle]), http.StatusNoContent)
	}
	offset, err := strconv.Atoi(d.head(url).header.Get("Upload-Offset"))
	must(t, err)
	r := d.patch(url, offset, f.bytes[offset:])
	want(t, "last patch", r, http.StatusNoContent)
	d.verify(r.receipt(), f)
	d.durable(f)
}

func TestWrongBytesAreSentAgainFromNothing(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(1000)
	url := d.create(f)
	wrong := bytes.Clone(f.bytes)
	wrong[500] ^= 1
	r := d.patch(url, 0, wrong)
	want(t, "wrong bytes", r, statusChecksum)
	if r.receipt() != "" {
		t.Error("a receipt for wrong bytes")
	}
	d.spoolEmpty()
	want(t, "head of what was given up", d.head(url), http.StatusNotFound)
	want(t, "patch of what was given up", d.patch(url, 0, f.bytes), http.StatusNotFound)
	r = d.patch(d.create(f), 0, f.bytes)
	want(t, "right bytes", r, http.StatusNoContent)
	d.durable(f)
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	f := d.file(1000)
	url := d.create(f)

	want(t, "another's upload: head", other.head(url), http.StatusForbidden)
	want(t, "another's upload: patch", other.patch(url, 0, f.bytes), http.StatusForbidden)
	want(t, "another's upload: override", other.do("POST", url, bytes.NewReader(f.bytes), "X-HTTP-Method-Override", "PATCH",
		"Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"), http.StatusForbidden)

	theirs := makeFile(t, other.id, call.NewID(), 1000)
	want(t, "another's call file", d.patch(d.create(theirs), 0, theirs.bytes), http.StatusForbidden)

	renamed := fileOf(call.NewID(), f.bytes)
	want(t, "another call's file", d.patch(d.create(renamed), 0, renamed.bytes), http.StatusForbidden)

	text := fileOf(call.NewID(), []byte("this is not a call file at all"))
	want(t, "not a call file", d.patch(d.create(text), 0, text.bytes), http.StatusForbidden)

	want(t, "the file", d.patch(url, 0, f.bytes), http.StatusNoContent)
	changed := makeFile(t, d.id, f.id, 1000)
	want(t, "other bytes of a durable call", d.post(changed), http.StatusForbidden)
	want(t, "a call that another has delivered", other.post(makeFile(t, other.id, f.id, 10)), http.StatusForbidden)
	want(t, "another's receipt", other.do("GET", wire.ReceiptPath(f.id), nil), http.StatusForbidden)
	d.durable(f)

	announced := d.file(500)
	want(t, "entries", d.json("POST", wire.PathEntries, d.entries(77, announced), nil), http.StatusOK)
	want(t, "not what the manifest says", d.post(makeFile(t, d.id, announced.id, 400)), http.StatusForbidden)

	unknown := w.stranger()
	want(t, "unknown recorder", unknown.post(unknown.file(10)), http.StatusForbidden)
	want(t, "unknown recorder's status", unknown.json("PUT", wire.PathStatus, wire.Status{Device: unknown.id}, nil), http.StatusForbidden)
}

func TestCreationIsBounded(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(100)
	post := func(length, metadata string) int {
		return d.do("POST", wire.PathCalls, nil, "Tus-Resumable", "1.0.0", "Upload-Length", length, "Upload-Metadata", metadata).code
	}
	for what, tc := range map[string]struct {
		length, metadata string
		want             int
	}{
		"too large":       {"1048577", f.metadata(), http.StatusRequestEntityTooLarge},
		"empty":           {"0", f.metadata(), http.StatusBadRequest},
		"negative":        {"-1", f.metadata(), http.StatusBadRequest},
		"no metadata":     {"100", "", http.StatusBadRequest},
		"no hash":         {"100", "call " + strings.Split(f.metadata(), ",")[0], http.StatusBadRequest},
		"a path as call":  {"100", "call Li4vLi4=,sha256 Li4vLi4=", http.StatusBadRequest},
		"huge metadata":   {"100", f.metadata() + ",x " + strings.Repeat("QUFB", 1<<18), http.StatusRequestHeaderFieldsTooLarge},
		"more than asked": {"100", f.metadata() + ",name QUFB", http.StatusCreated},
	} {
		if got := post(tc.length, tc.metadata); got != tc.want {
			t.Errorf("%s: status %d, want %d", what, got, tc.want)
		}
	}
	uploads, _ := filepath.Glob(filepath.Join(w.dir, "spool", "tus", "*", "*"))
	if len(uploads) != 1 {
		t.Fatalf("uploads: %v", uploads)
	}
	if _, said, _ := strings.Cut(filepath.Base(uploads[0]), "."); said != "100."+f.sha {
		t.Errorf("of an upload %q is kept", said)
	}
	for _, path := range []string{"..%2f..%2fetc%2fpasswd", "x", string(d.id) + "-" + f.id.String() + "-zzzzzzzz"} {
		if r := d.head(w.server.URL + wire.PathCalls + path); r.code != http.StatusNotFound {
			t.Errorf("upload %s: status %d", path, r.code)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if r := d.do(method, d.create(d.file(10)), nil, "Tus-Resumable", "1.0.0"); r.code != http.StatusMethodNotAllowed {
			t.Errorf("%s of an upload: status %d", method, r.code)
		}
	}
}

func TestANewAttemptClearsTheOldOneAway(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f, other := d.file(1000), d.file(1000)
	kept := d.create(other)
	old := d.create(f)
	want(t, "a part", d.patch(old, 0, f.bytes[:100]), http.StatusNoContent)
	fresh := d.create(f)
	want(t, "old", d.head(old), http.StatusNotFound)
	want(t, "fresh", d.head(fresh), http.StatusOK)
	want(t, "another call's", d.head(kept), http.StatusOK)
}

func TestDiskFullLetsRecordersWait(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(1000)
	waits := func(what string, r response) {
		t.Helper()
		want(t, what, r, http.StatusInsufficientStorage)
		if r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
	w.room.Store(500)
	waits("create", d.post(f))
	w.room.Store(1 << 20)
	url := d.create(f)
	w.room.Store(500)
	waits("patch", d.patch(url, 0, f.bytes))
	w.room.Store(1 << 20)
	offset, err := strconv.Atoi(d.head(url).header.Get("Upload-Offset"))
	must(t, err)
	want(t, "patch with room", d.patch(url, offset, f.bytes[offset:]), http.StatusNoContent)
	d.durable(f)
}

// brokenFiles fails to publish until it is mended.
type brokenFiles struct {
	Files
	broken bool
}

func (b *brokenFiles) Publish(id call.ID, path string) error {
	if b.broken {
		return hq.ErrNoRoom
	}
	return b.Files.Publish(id, path)
}

func TestWhatIsCompleteIsFinishedLater(t *testing.T) {
	for _, how := range []string{"head", "patch", "create", "restart"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			d := w.device()
			f := d.file(1000)
			broken := &brokenFiles{w.files, true}
			w.in.cfg.Files = broken
			url := d.create(f)
			r := d.patch(url, 0, f.bytes)
			want(t, "disk full at the last byte", r, http.StatusInsufficientStorage)
			want(t, "still full", d.head(url), http.StatusInsufficientStorage)
			broken.broken = false
			switch how {
			case "head":
				r = d.head(url)
				want(t, how, r, http.StatusOK)
			case "patch":
				r = d.patch(url, len(f.bytes), nil)
				want(t, how, r, http.StatusNoContent)
			case "create":
				r = d.post(f)
				want(t, how, r, http.StatusConflict)
			case "restart":
				w.restart()
				d.durable(f)
				r = d.head(w.server.URL + url[strings.Index(url, wire.PathCalls):])
				want(t, how, r, http.StatusOK)
			}
			d.verify(r.receipt(), f)
			d.durable(f)
		})
	}
}

// forgetfulLibrary stands for a program killed between publishing a file and the database's commit.
type forgetfulLibrary struct{ Library }

var errKilled = errors.New("killed")

func (forgetfulLibrary) Complete(context.Context, hq.Arrival) error { return errKilled }

func TestKilledBeforeTheCommit(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f := d.file(1000)
	w.in.cfg.Library = forgetfulLibrary{w.library}
	want(t, "killed", d.patch(d.create(f), 0, f.bytes), http.StatusInternalServerError)
	if _, err := w.files.Open(t.Context(), f.id); err != nil {
		t.Fatal("this test shows nothing: the file was not published")
	}
	w.restart()
	d.durable(f)

	// The same with the spool lost, and other bytes in the second attempt: nothing was promised for the first.
	g := d.file(1000)
	must(t, os.WriteFile(filepath.Join(w.dir, "torn"), g.bytes[:100], 0o600))
	must(t, w.files.Publish(g.id, filepath.Join(w.dir, "torn")))
	r := d.patch(d.create(g), 0, g.bytes)
	want(t, "true bytes", r, http.StatusNoContent)
	d.durable(g)
}

func TestOldSpoolsAreSwept(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	old, young := d.create(d.file(100)), d.create(d.file(100))
	file, err := wire.ParseFileID(old[strings.LastIndex(old, "/")+1:])
	must(t, err)
	u, err := w.in.tus.spool.find(file)
	must(t, err)
	strange := filepath.Join(filepath.Dir(u.path()), "strange.info")
	must(t, os.WriteFile(strange, nil, 0o600))
	long := time.Now().Add(-DefaultKeepSpool - time.Hour)
	for _, path := range []string{u.path(), strange} {
		must(t, os.Chtimes(path, long, long))
	}
	w.restart()
	at := func(url string) string { return w.server.URL + url[strings.Index(url, wire.PathCalls):] }
	want(t, "old", d.head(at(old)), http.StatusNotFound)
	want(t, "young", d.head(at(young)), http.StatusOK)
	if _, err := os.Stat(strange); !os.IsNotExist(err) {
		t.Error("a file that is no upload is kept")
	}
}
