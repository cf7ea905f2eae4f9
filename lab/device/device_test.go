//go:build lab

package device_test

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
)

// Cache is where images are kept, beside what else make builds.
const cache = "../../.cache/device"

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, cfg device.Config) *device.Device {
	t.Helper()
	image, err := device.Prepare(within(t, 10*time.Minute), cache, device.Options{Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	d, err := device.Start(within(t, 6*time.Minute), image, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	t.Logf("booted in %v", d.Booted())
	return d
}

// TestHandles tries every handle of a device once.
func TestHandles(t *testing.T) {
	d := start(t, device.Config{Data: &device.Disk{Bytes: 64 << 20, Mount: "/data", Log: true}, Slot: true})
	ctx := within(t, 12*time.Minute)
	for _, handle := range []struct {
		name string
		try  func(context.Context, *testing.T, *device.Device)
	}{{"files and commands", files}, {"clock", clock}, {"input", input}, {"stick", stick}, {"SD card", sdCard}, {"hook", hook},
		{"USB sound", usbSound}, {"network", network}, {"power cut", powerCut}} {
		t.Run(handle.name, func(t *testing.T) { handle.try(ctx, t, d) })
	}
}

func files(ctx context.Context, t *testing.T, d *device.Device) {
	if err := d.WriteFile(ctx, "/tmp/a/b", []byte("x\x00y"), 0o640); err != nil {
		t.Fatal(err)
	}
	if got, err := d.ReadFile(ctx, "/tmp/a/b"); err != nil || string(got) != "x\x00y" {
		t.Errorf("read %q, %v", got, err)
	}
	out, err := d.Exec(ctx, "sh", "-c", "echo out; echo err >&2; exit 3")
	if err != nil || out != (device.Output{Stdout: "out\n", Stderr: "err\n", Code: 3}) {
		t.Errorf("%+v, %v", out, err)
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := d.Run(short, "sleep", "4321"); err == nil {
		t.Error("a command outlived its deadline")
	}
	if _, err := d.Poll(ctx, "! pgrep -f 'sleep 432[1]'"); err != nil {
		t.Errorf("a command whose deadline passed still runs: %v", err)
	}
}

func clock(ctx context.Context, t *testing.T, d *device.Device) {
	if err := d.SetClock(ctx, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if said, err := d.Run(ctx, "date", "-u", "+%F"); err != nil || said != "2030-01-02\n" {
		t.Errorf("it is %q, %v", said, err)
	}
}

func input(ctx context.Context, t *testing.T, d *device.Device) {
	for _, high := range []bool{true, false} {
		if err := d.Pull(ctx, 4, high); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Level(ctx, 4); err != nil || got != high {
			t.Errorf("pulled %t, is %t, %v", high, got, err)
		}
	}
}

func stick(ctx context.Context, t *testing.T, d *device.Device) {
	image := filepath.Join(t.TempDir(), "stick.img")
	if err := os.WriteFile(image, append([]byte("linekeeper"), make([]byte, 1<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.PlugStick(ctx, "one", image); err != nil {
			t.Fatal(err)
		}
		if said, err := d.Poll(ctx, "head -c 10 /dev/disk/by-id/usb-*_one-0:0"); err != nil || said != "linekeeper" {
			t.Errorf("on the stick: %q, %v", said, err)
		}
		if err := d.PullStick(ctx, "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Poll(ctx, "! test -e /dev/disk/by-id/usb-*_one-0:0"); err != nil {
			t.Error(err)
		}
	}
}

func network(ctx context.Context, t *testing.T, d *device.Device) {
	for _, step := range []struct {
		up   bool
		line string
	}{{true, "ip route | grep -q default"}, {false, "! ip route | grep -q default"}, {true, "ip route | grep -q default"}} {
		if err := d.SetLink(ctx, step.up); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Poll(ctx, step.line); err != nil {
			t.Errorf("link %t: %v", step.up, err)
		}
	}
	for _, netem := range []string{"delay 200ms loss 1%", ""} {
		if err := d.ShapeNetwork(ctx, netem); err != nil {
			t.Error(err)
		}
	}
}

func powerCut(ctx context.Context, t *testing.T, d *device.Device) {
	if _, err := d.Shell(ctx, "mountpoint /data && echo kept >/data/file && sync"); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, err := d.Run(ctx, "sleep", "100")
		waiting <- err
	}()
	d.PowerCut()
	if err := <-waiting; err == nil || ctx.Err() != nil {
		t.Errorf("what waited for the guest: %v", err)
	}
	if log, err := os.Stat(d.DataLog()); err != nil || log.Sys().(*syscall.Stat_t).Blocks == 0 {
		t.Errorf("nothing was logged: %v", err)
	}
	if err := d.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	if said, err := d.Poll(ctx, "cat /data/file"); err != nil || said != "kept\n" {
		t.Errorf("after the cut: %q, %v", said, err)
	}
}
