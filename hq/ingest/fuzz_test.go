package ingest

import (
	"context"
	"path/filepath"
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
	dir := filepath.Join(w.dir, "spool", "tus")
	f.Fuzz(func(t *testing.T, header string, size int64) {
		ctx := context.WithValue(context.Background(), deviceKey{}, d.id)
		file, err := w.in.tus.accept(ctx, handler.FileInfo{Size: size, MetaData: handler.ParseMetadataHeader(header)})
		if err != nil {
			if code := w.in.failure(err).code; code < 400 || code >= 500 && code != 507 {
				t.Errorf("status %d: %v", code, err)
			}
			return
		}
		if file.Device != d.id || filepath.Dir(filepath.Join(dir, file.String())) != dir {
			t.Errorf("upload %s", file)
		}
		if again, err := wire.ParseFileID(file.String()); err != nil || again != file {
			t.Errorf("upload %s: %v", file, err)
		}
	})
}
