package ingest

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

func TestEntriesAndHave(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	f := d.file(1000)
	batch := d.entries(9, f)
	key := w.authority.ReceiptKey().Public().(ed25519.PublicKey)

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	must(t, json.NewEncoder(z).Encode(batch))
	must(t, z.Close())
	r := d.do("POST", wire.PathEntries, &zipped, "Content-Encoding", "gzip")
	want(t, "entries", r, http.StatusOK)
	var a wire.ReceiptAnswer
	must(t, json.Unmarshal([]byte(r.body), &a))
	receipt, err := wire.VerifyReceipt(key, a.Receipt)
	if err != nil || receipt.Device != d.id || receipt.Epoch != 9 || receipt.First != 1 || receipt.Last != 2 {
		t.Fatalf("receipt %+v, %v", receipt, err)
	}
	c, err := w.library.Call(t.Context(), f.id)
	if err != nil || c.Stage != hq.StageEnded {
		t.Fatalf("call %+v, %v", c, err)
	}

	want(t, "media", d.patch(d.create(f), 0, f.bytes), http.StatusNoContent)
	var had wire.HaveAnswer
	want(t, "have", d.json("POST", wire.PathHave, wire.HaveQuestion{Epoch: 9, Calls: []call.ID{call.NewID(), f.id}}, &had), http.StatusOK)
	if had.Entries != 2 || len(had.Receipts) != 2 || time.Since(had.Time).Abs() > time.Minute {
		t.Fatalf("had %+v", had)
	}
	d.verify(had.Receipts[0], f)
	if receipt, err = wire.VerifyReceipt(key, had.Receipts[1]); err != nil || receipt.First != 1 || receipt.Last != 2 {
		t.Errorf("receipt of entries %+v, %v", receipt, err)
	}
	had = wire.HaveAnswer{}
	want(t, "another asks", other.json("POST", wire.PathHave, wire.HaveQuestion{Epoch: 9, Calls: []call.ID{f.id}}, &had), http.StatusOK)
	if had.Entries != 0 || len(had.Receipts) != 0 {
		t.Errorf("another is told %+v", had)
	}
	if to, err := wire.VerifyRecipients(key, had.Recipients); err != nil || to.Device != other.id || !slices.Equal(to.Recipients, []string{recipient}) {
		t.Errorf("whom calls are to be sealed to: %+v, %v", to, err)
	}

	forged := d.entries(9, d.file(10))
	want(t, "other bytes under the same numbers", d.json("POST", wire.PathEntries, forged, nil), http.StatusForbidden)
	want(t, "another's entries", other.json("POST", wire.PathEntries, batch, nil), http.StatusForbidden)
	want(t, "a hole", d.json("POST", wire.PathEntries, wire.EntryBatch{Entries: []string{batch.Entries[1], batch.Entries[0]}}, nil), http.StatusBadRequest)
	want(t, "not entries", d.json("POST", wire.PathEntries, wire.EntryBatch{Entries: []string{"a.b.c"}}, nil), http.StatusBadRequest)
	want(t, "none", d.json("POST", wire.PathEntries, wire.EntryBatch{}, nil), http.StatusBadRequest)
	want(t, "not JSON", d.do("POST", wire.PathEntries, strings.NewReader("{")), http.StatusBadRequest)
	want(t, "not gzip", d.do("POST", wire.PathEntries, strings.NewReader("{"), "Content-Encoding", "gzip"), http.StatusBadRequest)
	want(t, "brotli", d.do("POST", wire.PathEntries, strings.NewReader("{"), "Content-Encoding", "br"), http.StatusBadRequest)
	want(t, "too large", d.do("POST", wire.PathEntries, bytes.NewReader(make([]byte, maxMessage+1))), http.StatusRequestEntityTooLarge)
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	_, err = z.Write(make([]byte, 100<<20))
	must(t, errors.Join(err, z.Close()))
	want(t, "a bomb", d.do("POST", wire.PathEntries, &bomb, "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge)
}

func TestStatusAndPresence(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	want(t, "status", d.json("PUT", wire.PathStatus, wire.Status{Device: d.id, Online: true, Software: "1.0"}, nil), http.StatusNoContent)
	if e := w.event(EventOnline); e.Device != d.id {
		t.Errorf("event %+v", e)
	}
	r, err := w.library.Recorder(t.Context(), d.id)
	if err != nil || r.Via != "https" || r.Status == nil || r.Status.Software != "1.0" || time.Since(r.Seen).Abs() > time.Minute {
		t.Errorf("recorder %+v, %v", r, err)
	}
	want(t, "another's status", d.json("PUT", wire.PathStatus, wire.Status{Device: "ZZZZZZZZ", Online: true}, nil), http.StatusForbidden)
	want(t, "good-bye", d.json("PUT", wire.PathStatus, wire.OfflineStatus(d.id), nil), http.StatusNoContent)
	if e := w.event(EventOffline); e.Device != d.id {
		t.Errorf("event %+v", e)
	}
}

func TestHaveAnswersAreCompressed(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	q := wire.HaveQuestion{}
	for range 5 {
		f := d.file(10)
		want(t, "media", d.patch(d.create(f), 0, f.bytes), http.StatusNoContent)
		q.Calls = append(q.Calls, f.id)
	}
	b, err := json.Marshal(q)
	must(t, err)
	r := d.do("POST", wire.PathHave, bytes.NewReader(b), "Accept-Encoding", "gzip")
	want(t, "have", r, http.StatusOK)
	z, err := gzip.NewReader(strings.NewReader(r.body))
	must(t, err)
	var had wire.HaveAnswer
	must(t, json.NewDecoder(z).Decode(&had))
	if len(had.Receipts) != 5 {
		t.Errorf("%d receipts", len(had.Receipts))
	}
}
