package tus_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	expslog "golang.org/x/exp/slog"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

// stock is tusd as anybody may run it.
type stock struct {
	dir    string
	server *httptest.Server
	cut    *cutter
}

func newStock(t *testing.T) *stock {
	t.Helper()
	s := &stock{dir: t.TempDir()}
	composer := handler.NewStoreComposer()
	filestore.New(s.dir).UseIn(composer)
	memorylocker.New().UseIn(composer)
	h, err := handler.NewHandler(handler.Config{
		BasePath: "/files/", StoreComposer: composer, Logger: expslog.New(expslog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(http.StripPrefix("/files/", h))
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.cut = &cutter{Listener: s.server.Listener}
	s.cut.left.Store(-1)
	s.server.Listener = s.cut
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

func (s *stock) tls() *tls.Config {
	return s.server.Client().Transport.(*http.Transport).TLSClientConfig
}

func (s *stock) connect(t *testing.T, path string) *tus.Stock {
	t.Helper()
	tr, err := tus.NewStock(s.server.URL+path, s.tls(), tus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// files are what the server has, by name.
func (s *stock) files(t *testing.T) map[string][]byte {
	t.Helper()
	infos, err := filepath.Glob(filepath.Join(s.dir, "*.info"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, path := range infos {
		info, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(info), `"filename":"`)
		name, _, _ := strings.Cut(rest, `"`)
		if all[name], err = os.ReadFile(strings.TrimSuffix(path, ".info")); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestStock delivers a call and entries to a stock server, through cuts: its word comes when it has all bytes.
func TestStock(t *testing.T) {
	s := newStock(t)
	tr := s.connect(t, "/files/")
	if _, weak := any(tr).(uplink.Weak); !weak {
		t.Fatal("it does not say that it is weak")
	}
	for _, online := range []bool{true, false} {
		if err := tr.Status(t.Context(), wire.Status{Device: device, Online: online}); err != nil {
			t.Fatal(err)
		}
	}
	c := newCall(200_000)
	var word string
	for _, cut := range []int64{30_000, 90_000, -1} {
		s.cut.left.Store(cut)
		var err error
		word, err = tr.Deliver(t.Context(), c.file())
		if (err != nil) != (cut >= 0) {
			t.Fatalf("cut at %d: %q, %v", cut, word, err)
		}
	}
	if !strings.HasPrefix(word, "tus: 200000 of 200000 bytes are at "+s.server.URL+"/files/") {
		t.Errorf("its word is %q", word)
	}
	again, err := tr.Deliver(t.Context(), c.file()) // its answer was lost: HEAD says as much
	if err != nil || again != word {
		t.Errorf("asked again it says %q, %v", again, err)
	}
	b := wire.EntryBatch{Entries: []string{entry(41), entry(42)}}
	if word, err = tr.Entries(t.Context(), b); err != nil || !strings.HasPrefix(word, "tus: ") {
		t.Errorf("entries: %q, %v", word, err)
	}
	files := s.files(t)
	if len(files) != 2 || !bytes.Equal(files[c.id.String()+".lkc"], c.bytes) {
		t.Errorf("the server has %d files, or other bytes of the call", len(files))
	}
	if got := string(files["ABCDEFGH-000000000000E-41-42.jws"]); got != strings.Join(b.Entries, "\n")+"\n" {
		t.Errorf("entries are there as %q", got)
	}
}

func entry(n int) string {
	payload := fmt.Sprintf(`{"v":1,"type":"gap","device":"ABCDEFGH","epoch":"000000000000E","number":%d}`, n)
	return "eyJhbGciOiJFZERTQSJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmVk"
}

// TestNoStock: what is no tus server is said so, before anything is sent.
func TestNoStock(t *testing.T) {
	s := newStock(t)
	err := s.connect(t, "/elsewhere").Status(t.Context(), wire.Status{Device: device, Online: true})
	if err == nil {
		t.Error("a page that is not there passed for a tus server")
	}
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer web.Close()
	tr, err := tus.NewStock(web.URL, web.Client().Transport.(*http.Transport).TLSClientConfig, tus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := tr.Status(t.Context(), wire.Status{Device: device, Online: true}); err == nil || !strings.Contains(err.Error(), "no tus") {
		t.Errorf("a web server passed for a tus server: %v", err)
	}
}
