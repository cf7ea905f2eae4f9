//go:build lab

package powercut_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/powercut"
)

// answers are given through the device's agent: the port for claims goes one way.
type answers struct {
	ctx context.Context
	on  *device.Device
}

func (a answers) Write(b []byte) (int, error) {
	_, err := a.on.Shell(a.ctx, "echo >/run/answers")
	return len(b), err
}

// TestPowerCutsOfDevice cuts the power of a virtual device while it records: Debian's kernel, in the state in which its
// own services keep it. The first cut is QEMU's end; the others are made from the log of its card.
func TestPowerCutsOfDevice(t *testing.T) {
	const enough = 300 // claims
	s := seedOf(t)
	dir := folder(t)
	ctx := stoppable(t, 10*time.Minute)
	image, err := device.Prepare(ctx, "../../.cache/device", device.Options{Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	tree, base := filepath.Join(dir, "tree"), filepath.Join(dir, "base")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	build(t, tree)
	if out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-d", tree, base, "128M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	claimsFrom, claimsTo := io.Pipe()
	d, err := device.Start(ctx, image, device.Config{
		Data:  &device.Disk{Base: base, Mount: "/data", Log: true},
		OnAck: func(line string) { _, _ = io.WriteString(claimsTo, line+"\n") },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Poll(ctx, "mountpoint /data && mkfifo /run/answers"); err != nil {
		t.Fatal(err)
	}
	log, err := os.Open(d.DataLog())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	length := func() (uint64, error) { return powercut.Count(log) }
	r := recorded{base: d.DataBefore(), log: d.DataLog()}
	if r.from, err = length(); err != nil {
		t.Fatal(err)
	}
	said, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer claimsFrom.Close() // what else is said finds nobody
		n := 0
		claims, err := powercut.Listen(claimsFrom, answers{ctx, d}, func() (uint64, error) {
			if n++; n == enough {
				close(said)
			}
			return length()
		})
		r.claims = claims
		ended <- err
	}()
	began := time.Now()
	_, err = d.Shell(ctx, `setsid /data/workload -card /data -claims /dev/virtio-ports/lab.ack -answers /run/answers -length 0 \
		>/run/workload 2>&1 </dev/null &`)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-said:
	case err := <-ended:
		t.Fatalf("the harness ended: %v", err)
	case <-time.After(3 * time.Minute):
		text, err := d.ReadFile(context.Background(), "/run/workload")
		t.Fatalf("no %d claims in 3 minutes; the workload says %q, %v", enough, text, err)
	}
	d.PowerCut()
	_ = claimsTo.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.to, err = length(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d claims in %v, %d entries of the log", r.claims.Len(), time.Since(began).Round(time.Millisecond), r.to-r.from)
	r.survive(t, s, max(1, *cuts/4))
}
