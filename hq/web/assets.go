package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed all:assets/dist
var dist embed.FS

const assetsPath = "/assets/"

// assets serves the bundled script and style by names that change with their content, so that browsers may keep them.
type assets map[string]asset

type asset struct {
	content     []byte
	contentType string
	address     string
}

// loadAssets reads what the bundler made: nothing, where it has not run.
func loadAssets(files fs.FS) assets {
	a := assets{}
	for suffix, contentType := range map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	} {
		names, _ := fs.Glob(files, "assets/dist/*"+suffix) // fails on a bad pattern only
		for _, name := range names {
			content, err := fs.ReadFile(files, name)
			if err != nil {
				continue // as if it had not been built
			}
			base, sum := path.Base(name), sha256.Sum256(content)
			a[base] = asset{content, contentType, assetsPath + base + "?v=" + hex.EncodeToString(sum[:6])}
		}
	}
	return a
}

func (a assets) built() bool {
	for _, name := range []string{"app.js", "app.css", "call.js", "icon.svg"} {
		if _, ok := a[name]; !ok {
			return false
		}
	}
	return true
}

// addressOf is where a page finds the file; empty where it was not built.
func (a assets) addressOf(name string) string { return a[name].address }

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a[strings.TrimPrefix(r.URL.Path, assetsPath)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.contentType)
	if r.URL.RequestURI() == file.address {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(file.content) // the reader went away: nothing to do
}
