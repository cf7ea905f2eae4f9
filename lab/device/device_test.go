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
	d, err := device.Start(within(t, 3*time.Minute), image, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	t.Logf("booted in %v", d.Booted())
	return d
}

// TestHandles tries every handle of a device once.
func TestHandles(t *testing.T) {
	d := start(t, device.Config{Data: &device.Disk{Bytes: 64 << 20, Mount: "/data", Log: true}})
	ctx := within(t, 3*time.Minute)

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
	if _, err := d.Run(short, "sleep", "100"); err == nil {
		t.Error("a command outlived its deadline")
	}
	t.Run("clock", func(t *testing.T) {
		to := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := d.SetClock(ctx, to); err != nil {
			t.Fatal(err)
		}
		if said, err := d.Run(ctx, "date", "-u", "+%F"); err != nil || said != "2030-01-02\n" {
			t.Errorf("it is %q, %v", said, err)
		}
	})
	t.Run("input", func(t *testing.T) {
		for _, high := range []bool{true, false} {
			if err := d.Pull(ctx, 4, high); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Level(ctx, 4); err != nil || got != high {
				t.Errorf("pulled %t, is %t, %v", high, got, err)
			}
		}
	})
	t.Run("stick", func(t *testing.T) {
		stick := filepath.Join(t.TempDir(), "stick.img")
		if err := os.WriteFile(stick, append([]byte("linekeeper"), make([]byte, 1<<20)...), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.PlugStick(ctx, "one", stick); err != nil {
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
	})
	t.Run("network", func(t *testing.T) {
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
	})
	t.Run("power cut", func(t *testing.T) {
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
		if err := d.PowerOn(ctx); err != nil {
			t.Fatal(err)
		}
		if said, err := d.Poll(ctx, "cat /data/file"); err != nil || said != "kept\n" {
			t.Errorf("after the cut: %q, %v", said, err)
		}
	})
}
