//go:build lab

package devicetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/station"
)

const (
	repository = "../.."
	cache      = repository + "/.cache/device"
	pin        = 17
	button     = 27 // that pauses
)

// office is a recorder in a virtual device, and its headquarters on the host.
type office struct {
	t      *testing.T
	device *device.Device
	head   *station.Headquarters

	playing sync.Mutex // held while something is played on the lines

	mu    sync.Mutex
	said  []string // the recorder's log, from its journal, across power cuts
	grown chan struct{}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// slowest is how much more time than on an idle machine everything is given. An emulated board on processors that others
// use too is that slow, and only what is broken takes all of it.
const slowest = 5

// within is a context that ends after some time of an idle machine, and with Ctrl-C, so that nothing is left behind then
// either.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	d *= slowest
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("nothing more for %v", d))
	t.Cleanup(cancel)
	return ctx
}

// openOffice starts headquarters, boots a device, and installs and starts the recorder.
func openOffice(t *testing.T) *office {
	t.Helper()
	dir := t.TempDir()
	o := &office{t: t, grown: make(chan struct{})}
	o.head = must(station.NewHeadquarters(program(t, "linekeeper-hq"), filepath.Join(dir, "hq"), "", "", "", nil))(t)
	o.nameHeadquarters()
	server := must(o.head.Start(within(t, 30*time.Second), nil))(t)
	t.Cleanup(server.Kill)

	image := must(device.Prepare(within(t, 4*time.Minute), cache, device.Options{Log: slog.Default()}))(t)
	o.device = must(device.Start(within(t, time.Minute), image, device.Config{
		Data:  &device.Disk{Mount: "/var/lib/linekeeper"},
		Boot:  slowest * time.Minute,
		OnAck: o.heard,
	}))(t)
	t.Cleanup(func() {
		if t.Failed() {
			console, _ := os.ReadFile(o.device.Console())
			t.Logf("the console:\n%s\nthe recorder:\n%s", console, strings.Join(o.words(), "\n"))
		}
		_ = o.device.Close()
	})
	t.Logf("the agent answered %v after power on", o.device.Booted().Round(100*time.Millisecond))
	o.install(filepath.Join(dir, "identity"))
	return o
}

// nameHeadquarters makes headquarters' certificate hold by the address that the guest knows it by.
func (o *office) nameHeadquarters() {
	o.t.Helper()
	text := string(must(os.ReadFile(o.head.Config))(o.t))
	named := strings.Replace(text, `"127.0.0.1"]`, fmt.Sprintf(`"127.0.0.1", %q]`, device.HostAddress), 1)
	if named == text {
		o.t.Fatalf("headquarters' settings have changed their form: %s", text)
	}
	if err := os.WriteFile(o.head.Config, []byte(named), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// program is one of those that `make build` made.
func program(t *testing.T, name string) string {
	t.Helper()
	path := must(filepath.Abs(filepath.Join(repository, "bin", name)))(t)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build` first, or `make lab`", err)
	}
	return path
}

// install installs the recorder's package, with settings and an identity, and starts its unit.
func (o *office) install(identity string) {
	o.t.Helper()
	ctx := within(o.t, 2*time.Minute)
	o.copy(latestPackage(o.t), "/root/linekeeper.deb", 0o644)
	o.shell(ctx, "dpkg --install /root/linekeeper.deb")

	must(o.head.Command("recorder", "add", "--site", "Lab office", "--out", identity))(o.t)
	for _, file := range must(filepath.Glob(filepath.Join(identity, "*")))(o.t) {
		o.copy(file, "/var/lib/linekeeper/identity/"+filepath.Base(file), 0o600)
	}
	if err := o.device.WriteFile(ctx, "/etc/linekeeper/linekeeper.toml", []byte(o.settings()), 0o640); err != nil {
		o.t.Fatal(err)
	}
	o.shell(ctx, `chown -R linekeeper:linekeeper /var/lib/linekeeper && chgrp linekeeper /etc/linekeeper/linekeeper.toml &&
		udevadm settle && systemctl start linekeeper.service`)
	o.follow(ctx)
}

// latestPackage is the recorder's package that was built last.
func latestPackage(t *testing.T) (path string) {
	t.Helper()
	var newest time.Time
	for _, file := range must(filepath.Glob(filepath.Join(repository, "dist", "linekeeper_*_amd64.deb")))(t) {
		if s, err := os.Stat(file); err == nil && s.ModTime().After(newest) {
			path, newest = file, s.ModTime()
		}
	}
	if path == "" {
		t.Fatal("no package of the recorder in dist/: run `make deb` first, or `make lab`")
	}
	return path
}

func (o *office) settings() string {
	_, https, _ := strings.Cut(o.head.Recorders, ":")
	_, mqtt, _ := strings.Cut(o.head.MQTT, ":")
	return fmt.Sprintf(`[ring]
size = "64MiB"
[calls]
hang_over = "3s"
[encoder]
codec = "flac"
[light]
pin = "GPIO%d"
[pause]
button = "!GPIO%d"
[uplink]
order = ["https", "mqtt"]
https = "https://%s:%s"
mqtt = "mqtts://%[3]s:%[5]s"
[[line]]
name = "line 1"
device = %[6]q
[[line]]
name = "line 2"
device = %[7]q
`, pin, button, device.HostAddress, https, mqtt, device.Microphone(1, 0), device.Microphone(2, 0))
}

func (o *office) copy(from, to string, mode os.FileMode) {
	o.t.Helper()
	if err := o.device.WriteFile(within(o.t, time.Minute), to, must(os.ReadFile(from))(o.t), mode); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) shell(ctx context.Context, line string) string {
	o.t.Helper()
	return must(o.device.Shell(ctx, line))(o.t)
}

// follow has the journal of the recorder sent over the port whose words outlive the guest.
func (o *office) follow(ctx context.Context) {
	o.t.Helper()
	o.shell(ctx, `systemctl is-active --quiet lab-journal || systemd-run --quiet --unit=lab-journal \
		sh -c 'exec journalctl --boot --unit=linekeeper --follow --lines=all --output=cat >/dev/virtio-ports/lab.ack'`)
}

func (o *office) heard(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, line)
	close(o.grown)
	o.grown = make(chan struct{})
}

func (o *office) words() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.said...)
}

// moment is a place in what the recorder says.
func (o *office) moment() int { return len(o.words()) }

// await waits until the recorder has said something count times since a moment; it gives those lines.
func (o *office) await(since, count int, message string, patience time.Duration) []string {
	o.t.Helper()
	ctx := within(o.t, patience)
	for {
		o.mu.Lock()
		grown := o.grown
		o.mu.Unlock()
		var found []string
		for _, line := range o.words()[since:] {
			if strings.Contains(line, message) {
				found = append(found, line)
			}
		}
		if len(found) >= count {
			return found
		}
		select {
		case <-grown:
		case <-o.device.Dead():
			o.t.Fatal("the guest is gone")
		case <-ctx.Done():
			o.t.Fatalf("the recorder said %d of %d times %s: %v", len(found), count, message, context.Cause(ctx))
		}
	}
}

// What the recorder's log says.
const (
	ready     = `msg=ready`
	callBegan = `msg="call began"`
	callEnded = `msg="call ended"`
	delivered = `msg=delivered`
)

var callID = regexp.MustCompile(` call=([0-9A-Za-z-]+)`)

// callsOf are the IDs in lines of the log, each once.
func callsOf(lines []string) (ids []string) {
	seen := map[string]bool{}
	for _, line := range lines {
		if m := callID.FindStringSubmatch(line); m != nil && !seen[m[1]] {
			seen[m[1]] = true
			ids = append(ids, m[1])
		}
	}
	return ids
}

// awaitLight waits until the light shows a pattern.
func (o *office) awaitLight(want string, patience time.Duration) {
	o.t.Helper()
	ctx := within(o.t, patience)
	length := 6 * time.Second
	if want == lightRecording || want == lightFault || want == lightDark {
		length = 2500 * time.Millisecond
	}
	for shown := ""; ; {
		edges, err := o.device.Watch(ctx, pin, length)
		if errors.Is(err, context.Cause(ctx)) && ctx.Err() != nil {
			o.t.Errorf("the light shows %s, awaited %s: %v; the recorder says: %s", shown, want, context.Cause(ctx), o.status())
			return
		}
		if err != nil {
			o.t.Fatal(err)
		}
		if shown = readLight(edges, length); shown == want {
			o.t.Logf("light: %s", shown)
			return
		}
	}
}

func (o *office) status() string {
	out, err := o.device.Exec(within(o.t, 10*time.Second), "linekeeper", "status")
	return fmt.Sprint(out.Stdout, out.Stderr, err)
}
