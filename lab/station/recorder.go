package station

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Line is a line of a recorder's settings.
type Line struct {
	Name     string
	Device   string
	Channels []int
	Sides    []string
}

// RecorderOptions are what runs differ in. The zero values leave the recorder's defaults.
type RecorderOptions struct {
	Lines    []Line
	Codec    string
	LineRate int
	HangOver string
	Order    []string // of the protocols; nil: nobody to deliver to
	Extra    string   // more settings, as text
	Env      []string // for the program, beside what there is
}

// Recorder is a recorder in a folder of its own.
type Recorder struct {
	Program string // bin/linekeeper
	Dir     string
	Config  string
	Env     []string
}

// NewRecorder writes a recorder's settings, and has headquarters (which may be nil) make its identity on the first time.
func NewRecorder(program, dir, site string, hq *Headquarters, o RecorderOptions) (*Recorder, error) {
	r := &Recorder{Program: program, Dir: dir, Config: filepath.Join(dir, "linekeeper.toml"), Env: o.Env}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.Config, []byte(o.settings(dir, hq)), 0o600); err != nil {
		return nil, err
	}
	if hq == nil {
		return r, NameRecipient(dir)
	}
	identity := filepath.Join(dir, "identity")
	if _, err := os.Stat(identity); err == nil {
		return r, nil
	}
	_, err := hq.Command("recorder", "add", "--site", site, "--out", identity)
	return r, err
}

func (o RecorderOptions) settings(dir string, hq *Headquarters) string {
	var t strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&t, format+"\n", args...) }
	p("data = %q", dir)
	p("control = %q", filepath.Join(dir, "control.sock"))
	p("\n[ring]\nsize = \"64MiB\"")
	if o.LineRate != 0 {
		p("\n[capture]\nline_rate = %d", o.LineRate)
	}
	if o.HangOver != "" {
		p("\n[calls]\nhang_over = %q", o.HangOver)
	}
	if o.Codec != "" {
		p("\n[encoder]\ncodec = %q", o.Codec)
	}
	if len(o.Order) > 0 {
		p("\n[uplink]\norder = %s", list(o.Order))
		p("https = \"https://%s\"\nmqtt = \"mqtts://%s\"", hq.Recorders, hq.MQTT)
	}
	for _, l := range o.Lines {
		p("\n[[line]]\nname = %q\ndevice = %q", l.Name, l.Device)
		if l.Channels != nil {
			p("channels = %s", list(l.Channels))
		}
		if l.Sides != nil {
			p("sides = %s", list(l.Sides))
		}
	}
	p("%s", o.Extra)
	return t.String()
}

func list[T any](values []T) string {
	text, _ := json.Marshal(values) // numbers and plain words are the same in TOML
	return string(text)
}

// Start starts `run` and waits until it says that it runs.
func (r *Recorder) Start(ctx context.Context, seen func(Event)) (*Process, error) {
	p, err := Start("recorder", filepath.Join(r.Dir, "log"), r.Env, seen, r.Program, "run", "--config", r.Config, "--log", "json")
	if err != nil {
		return nil, err
	}
	if _, err := p.Await(ctx, 1, Message("ready")); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// Command runs one of the recorder's commands to its end and gives all that it printed.
func (r *Recorder) Command(args ...string) (string, error) {
	cmd := exec.Command(r.Program, append(args, "--config", r.Config)...)
	cmd.Env = append(os.Environ(), r.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
