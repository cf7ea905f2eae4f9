package uplink_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// inSpace says to this very program that it was started in a network namespace of its own.
const inSpace = "LINEKEEPER_TEST_NAMESPACE"

// TestNetworkComesBack has the kernel itself say that there is an address: an attempt that was to be made in an hour is
// made at once. It needs a network namespace, which it makes for itself as anybody may, where the machine lets him.
func TestNetworkComesBack(t *testing.T) {
	if os.Getenv(inSpace) != "" {
		networkComesBack(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNetworkComesBack$", "-test.v")
	cmd.Env = append(os.Environ(), inSpace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skipf("network namespaces are not allowed here: %v", err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

func networkComesBack(t *testing.T) {
	w := newWorld(t)
	id := w.addCall()
	l := w.link("https")
	address := false
	l.onStatus = func(s wire.Status) error {
		if !hook(w, &address) && s.Online {
			return &uplink.BusyError{After: time.Hour, Err: errLink} // so that nothing but news ends the wait
		}
		return nil
	}
	u, stop := w.run(l)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- uplink.WatchNetwork(ctx, u.Retry) }()
	defer func() {
		cancel()
		if err := <-watched; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	for u.Snapshot().LastError == "" {
		runtime.Gosched()
	}
	began := time.Now()
	w.set(func() { address = true })
	// Again and again, since nobody says when the watch has begun to listen.
	for !w.look(id).Receipt {
		loopback(t, 0)
		loopback(t, unix.IFF_UP)
	}
	t.Logf("delivered %v after the first address", time.Since(began).Round(time.Millisecond))
}

// loopback sets the flags of the namespace's one interface; with IFF_UP it gets its address.
func loopback(t *testing.T, flags uint16) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
}
