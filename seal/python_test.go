//go:build e2e

package seal_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// python runs testdata/open.py with Debian's Python, whose python3-cryptography it needs (make deps).
func python(t *testing.T, keys, file string) (media string, out []byte, err error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "media")
	cmd := exec.Command("/usr/bin/python3", "testdata/open.py", keys, file, to)
	out, err = cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Logf("open.py: %s", failed.Stderr)
	}
	got, readErr := os.ReadFile(to)
	if err == nil && readErr != nil {
		t.Fatal(readErr)
	}
	return hex.EncodeToString(got), out, err
}

// TestPython: another language opens the vectors, with the key and the page alone.
func TestPython(t *testing.T) {
	for _, name := range vectorNames {
		v := readVector(t, name)
		media, out, err := python(t, vectorKeys, filepath.Join("testdata", name+".lkc"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var found struct {
			Header call.Header `json:"header"`
			Marks  []call.Mark `json:"marks"`
			Holes  []call.Hole `json:"holes"`
			End    call.End    `json:"end"`
			Hash   string      `json:"sha256"`
			Chain  string      `json:"chain"`
		}
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatal(err)
		}
		if media != v.Media || found.Hash != v.Hash || found.Chain != v.Chain || len(found.Holes) != len(v.Holes) ||
			!reflect.DeepEqual(found.Header, v.Head) || !reflect.DeepEqual(found.Marks, v.Marks) || !reflect.DeepEqual(found.End, v.End) {
			t.Errorf("%s: media %s, %+v", name, media, found)
		}
		for i, h := range found.Holes {
			if h != v.Holes[i] {
				t.Errorf("%s: hole %+v, want %+v", name, h, v.Holes[i])
			}
		}
	}
}

// TestPythonNew: it opens a call that was sealed just now, and refuses what was altered and what is for another key.
func TestPythonNew(t *testing.T) {
	v := readVector(t, "v1-sealed")
	folder := t.TempDir()
	name := filepath.Join(folder, "call.lkc")
	try := func(what string, file []byte, opens bool) {
		t.Helper()
		if err := os.WriteFile(name, file, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, _, err := python(t, vectorKeys, name); (err == nil) != opens || opens && got != hex.EncodeToString([]byte(media)) {
			t.Errorf("%s: media %s, %v", what, got, err)
		}
	}
	e := write(t, header, nil, newKey(t).Recipient(), v.keys[0].Recipient())
	try("sealed now", e.file(), true)
	try("in clear", write(t, header, nil).file(), true)
	try("a chunk altered", set(e.at(1), 30, 0).of(e.records), false)
	try("a head altered", set(e.at(1), 16, 0).of(e.records), false)
	try("the header altered", body(0, `{"v":1,"seal":"chacha20poly1305"}`).of(e.records), false)
	try("the key altered", set(1, 50, 'A').of(e.records), false)
	try("a record missing", drop(e.at(1), e.at(2)).of(e.records), false)
	try("cut", join(e.records[:e.at(5)]), false)
	try("of others", write(t, header, nil, newKey(t).Recipient()).file(), false)
}
