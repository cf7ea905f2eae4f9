package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/linekeeper/linekeeper/wire"
)

func FuzzMetadata(f *testing.F) {
	w := newWorld(f)
	d := w.device()
	good := d.file(100)
	f.Add(good.metadata(), int64(100))
	f.Add("call Li4vLi4=,sha256 Kg==", int64(1))
	f.Add("call,sha256,,x y z", int64(-1))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		ctx := context.WithValue(context.Background(), deviceKey{}, d.id)
		file, err := w.in.tus.accept(ctx, handler.FileInfo{Size: size, MetaData: handler.ParseMetadataHeader(header)})
		if err != nil {
			if code := w.in.failure(err).code; code < 400 || code >= 500 && code != 507 {
				t.Errorf("status %d: %v", code, err)
			}
			return
		}
		if file.Device != d.id || filepath.Dir(w.in.tus.spool.path(file, "")) != w.in.tus.spool.of(file.Call) {
			t.Errorf("upload %s", file)
		}
		if again, err := wire.ParseFileID(file.String()); err != nil || again != file {
			t.Errorf("upload %s: %v", file, err)
		}
	})
}

func FuzzMessages(f *testing.F) {
	w := newWorld(f)
	d := w.device()
	good := d.file(100)
	file := wire.FileID{Device: d.id, Call: good.id, Attempt: "00000001"}
	f.Add(wire.FileCommand{File: file, Verb: wire.FileInit}.Topic(), initOf(good))
	f.Add(wire.FileCommand{File: file, Verb: wire.FileSegment}.Topic(), good.bytes)
	f.Add(wire.FileCommand{File: file, Verb: wire.FileFinish, Size: int64(len(good.bytes)), SHA256: good.sha}.Topic(), []byte{})
	f.Add(wire.FileCommand{File: file, Verb: wire.FileFinish, Size: 1 << 62}.Topic(), []byte{})
	f.Add(wire.TopicStatus(d.id), []byte(`{"device":"`+string(d.id)+`","online":true}`))
	f.Add(wire.TopicHave(d.id), []byte(`{"epoch":"0000000000009","calls":[]}`))
	batch, err := json.Marshal(d.entries(9, good))
	must(f, err)
	f.Add(wire.TopicEntries(d.id), batch)
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		var out outbox
		w.in.receive(context.Background(), &out, message{topic: topic, payload: payload})
		for _, m := range out.all {
			if !strings.Contains(m.topic, string(d.id)) {
				// Other well-formed device IDs are answered that they are not known, at their own topic.
				if _, ok := (message{topic: topic}).device(); !ok {
					t.Errorf("answered to %s", m.topic)
				}
			}
			if !json.Valid(m.payload) {
				t.Errorf("answer %q", m.payload)
			}
		}
		for len(w.events) > 0 {
			<-w.events
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, err := readLog(bytes.NewReader(b), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		if have == nil {
			return
		}
		if have.size > int64(len(b)) {
			t.Errorf("log of %d bytes in %d", have.size, len(b))
		}
		for offset, e := range have.segments {
			if offset < 0 || e.length <= 0 || e.at+e.length > int64(len(b)) {
				t.Errorf("segment %d: %+v of %d bytes", offset, e, len(b))
			}
		}
	})
}
