package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Site string `toml:"site"`
	Ring struct {
		Size Size     `toml:"size"`
		Sync Duration `toml:"sync_interval"`
	} `toml:"ring"`
	Lines []struct {
		Name   string `toml:"name"`
		Device string `toml:"device"`
	} `toml:"line"`
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadKeepsDefaultsAndReadsUnits(t *testing.T) {
	var s sample
	s.Site = "here"
	s.Ring.Sync = Duration(time.Second)
	if err := Load(write(t, "[ring]\nsize = \"64MiB\"\n[[line]]\nname = \"a\"\ndevice = \"hw:0\"\n"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Site != "here" || s.Ring.Size != 64<<20 || s.Ring.Sync != Duration(time.Second) || s.Lines[0].Device != "hw:0" {
		t.Errorf("read %+v", s)
	}
}

func TestLoadSaysWhereAndWhat(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"misspelt key", "site = \"x\"\n[ring]\nsize = \"1GiB\"\nsync_intervall = \"1s\"\n", `x.toml:4: unknown key "ring.sync_intervall"; did you mean "ring.sync_interval"?`},
		{"key of another table", "device = \"hw:0\"\n", `x.toml:1: unknown key "device"; did you mean "line.device"?`},
		{"far from all", "zzzzzzzzzzzz = 1\n", `x.toml:1: unknown key "zzzzzzzzzzzz"`},
		{"bad duration", "[ring]\nsync_interval = \"soon\"\n", `x.toml:2: key "ring.sync_interval": `},
		{"bad size", "[ring]\nsize = \"64 apples\"\n", `x.toml:2: key "ring.size": `},
		{"syntax", "site = \n", `x.toml:1: `},
		{"wrong type", "site = 7\n", `x.toml:1: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Load(write(t, c.text), new(sample))
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if err := Load(filepath.Join(t.TempDir(), "none.toml"), new(sample)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestSizeTextGoesBothWays(t *testing.T) {
	for _, want := range []string{"0", "17", "3KiB", "64MiB", "2GiB", "1TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.MarshalText(); string(got) != want {
			t.Errorf("%s came back as %s", want, got)
		}
	}
	var s Size
	if err := s.UnmarshalText([]byte("9000000000TiB")); err == nil {
		t.Error("a size beyond 63 bits was taken")
	}
}

func TestWrongNamesTheLineOfTheValue(t *testing.T) {
	file := write(t, "site = \"x\"\n\n[[line]]\nname = \"a\"\n\n[[line]] # second\nname = \"b\"\ndevice = \"hw:0\"\n")
	for _, c := range []struct {
		key   string
		index int
		want  int
	}{{"site", 0, 1}, {"line.name", 0, 4}, {"line.name", 1, 7}, {"line.device", 1, 8}, {"line.device", 0, 3}, {"ring.size", 0, 0}} {
		var e *Error
		if err := Wrong(file, c.key, c.index, "is odd"); !errors.As(err, &e) || e.Line != c.want {
			t.Errorf("%s of %d: %v, want line %d", c.key, c.index, err, c.want)
		}
	}
}
