package ingest

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"testing"

	"github.com/linekeeper/linekeeper/wire"
)

// begin makes the upload of a call in progress and gives its URL.
func (d *device) begin(f file) string {
	d.w.t.Helper()
	r := d.do("POST", wire.PathCalls, nil, "Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1", "Upload-Metadata",
		"call "+base64.StdEncoding.EncodeToString([]byte(f.id.String())))
	want(d.w.t, "create", r, http.StatusCreated)
	return r.header.Get("Location")
}

// last is the PATCH that declares length and hash.
func (d *device) last(url string, offset int, f file, sha string) response {
	d.w.t.Helper()
	return d.do("PATCH", url, bytes.NewReader(f.bytes[offset:]), "Tus-Resumable", "1.0.0", "Upload-Offset", strconv.Itoa(offset),
		"Content-Type", "application/offset+octet-stream", "Upload-Length", strconv.Itoa(len(f.bytes)), wire.HeaderSHA256, sha)
}

// TestACallInProgressOverHTTPS has a call that comes in parts, across a restart of headquarters.
func TestACallInProgressOverHTTPS(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for _, left := range []int{20_000, 0} { // by the time that it has ended
		f := d.file(50_000)
		url := d.begin(f)
		parts := []int{0, 10_000, 30_000, len(f.bytes) - left}
		for i := range len(parts) - 1 {
			r := d.patch(url, parts[i], f.bytes[parts[i]:parts[i+1]])
			want(t, "patch", r, http.StatusNoContent)
			if r.receipt() != "" {
				t.Error("a receipt for a part")
			}
			w.restart()
			url = w.server.URL + url[len(url)-len(wire.PathCalls)-len("ABCDEFGH-0123456789ABCDEFGHJKMNPQRS-01234567"):]
			h := d.head(url)
			want(t, "head", h, http.StatusOK)
			if h.header.Get("Upload-Defer-Length") != "1" || h.header.Get("Upload-Offset") != strconv.Itoa(parts[i+1]) {
				t.Errorf("head: %v", h.header)
			}
		}
		r := d.last(url, parts[3], f, f.sha)
		want(t, "last", r, http.StatusNoContent)
		d.verify(r.receipt(), f)
		d.durable(f)
	}
}

// TestACallInProgressWithAnotherHash is refused by what was declared at its end, and by the manifest where nothing was.
func TestACallInProgressWithAnotherHash(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	f, other := d.file(5000), d.file(5000)
	want(t, "last", d.last(d.begin(f), 0, f, other.sha), statusChecksum)
	d.spoolEmpty()
	want(t, "entries", d.json("POST", wire.PathEntries, d.entries(7, f), nil), http.StatusOK)
	changed := file{f.id, append(bytes.Clone(f.bytes), 0), ""}
	want(t, "by the manifest", d.last(d.begin(f), 0, changed, ""), http.StatusForbidden)
	want(t, "the true one", d.last(d.begin(f), 0, f, f.sha), http.StatusNoContent)
	d.durable(f)
}
