package device

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // for prepare.sh
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

//go:embed prepare.sh
var prepareScript []byte

// suite is the Debian release in the guest: the oldest that the recorder runs on.
const suite = "bookworm"

// Options is how an image is prepared.
type Options struct {
	Log *slog.Logger // hears when something is made, which takes a minute or two; nil: nobody
}

// Image is what a device boots. It is never written to: devices write to overlays of it.
type Image struct {
	Kernel, Initrd, Root string // files
}

// Prepare makes the image that devices boot, or finds it in cacheDir, where its name is the hash of what it is made of.
// It needs the packages of `lab/need.sh lab`, and the network where it makes something.
func Prepare(ctx context.Context, cacheDir string, o Options) (Image, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cacheDir, err := filepath.Abs(cacheDir)
	if err != nil {
		return Image{}, err
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(filepath.Join(cacheDir, "lock"))
	if err != nil {
		return Image{}, fmt.Errorf("prepare the device: %w", err)
	}
	defer unlock()
	base, err := prepareBase(ctx, cacheDir, o.Log)
	if err != nil {
		return Image{}, fmt.Errorf("prepare the device: %w", err)
	}
	initrd, err := prepareInitrd(ctx, cacheDir, base)
	if err != nil {
		return Image{}, fmt.Errorf("prepare the device's initrd: %w", err)
	}
	return Image{Kernel: filepath.Join(base, "vmlinuz"), Initrd: initrd, Root: filepath.Join(base, "root.img")}, nil
}

// prepareBase makes kernel, modules and root file system; it gives the folder they are in.
func prepareBase(ctx context.Context, cacheDir string, log *slog.Logger) (string, error) {
	kernel, version, err := kernelRelease(ctx)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir, "base-"+hash(prepareScript, []byte(kernel+" "+version+" "+suite)))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	left, _ := filepath.Glob(filepath.Join(cacheDir, "making-*")) // by a run that was killed: we hold the lock
	for _, dir := range left {
		_ = os.RemoveAll(dir)
	}
	temp, err := os.MkdirTemp(cacheDir, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	log.Info("preparing the virtual device (about two minutes, once)", "kernel", kernel, "suite", suite)
	if err := os.Chmod(temp, 0o755); err != nil { // apt downloads as a user of its own
		return "", err
	}
	script := filepath.Join(temp, "prepare.sh")
	if err := os.WriteFile(script, prepareScript, 0o644); err != nil {
		return "", err
	}
	if _, err := output(ctx, "sh", script, temp, kernel, suite); err != nil {
		return "", err
	}
	return dir, os.Rename(temp, dir)
}

// kernelRelease is the release, and the package's version, of the kernel whose headers are installed here: the image is
// of the same, or the modules built against the headers would not load.
func kernelRelease(ctx context.Context) (release, version string, err error) {
	said, err := output(ctx, "dpkg-query", "-W", "-f=${Version} ${Depends}", "linux-headers-amd64")
	if err != nil {
		return "", "", fmt.Errorf("look up the kernel's version: %w (make lab installs linux-headers-amd64)", err)
	}
	found := regexp.MustCompile(`^(\S+) .*linux-headers-(\S+)`).FindStringSubmatch(said)
	if found == nil {
		return "", "", fmt.Errorf("look up the kernel's version: linux-headers-amd64 depends on %q", said)
	}
	return found[2], found[1], nil
}

// prepareInitrd adds the agent and its units to the base's initrd.
func prepareInitrd(ctx context.Context, cacheDir, base string) (string, error) {
	agent := filepath.Join(cacheDir, "agent")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", agent, "github.com/linekeeper/linekeeper/lab/device/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the agent: %w: %s", err, said)
	}
	program, err := os.ReadFile(agent)
	if err != nil {
		return "", err
	}
	initrd, err := os.ReadFile(filepath.Join(base, "initrd"))
	if err != nil {
		return "", err
	}
	var more bytes.Buffer
	writeArchive(&more, []archived{
		{name: "lab", mode: modeFolder | 0o755},
		{name: "lab/agent", mode: modeFile | 0o755, data: program},
		{name: "lab/systemd", mode: modeFolder | 0o755},
		{name: "lab/systemd/system", mode: modeFolder | 0o755},
		{name: "lab/systemd/system/lab-agent.service", mode: modeFile | 0o644, data: []byte(agentUnit)},
		{name: "lab/systemd/system/lab-gpio.service", mode: modeFile | 0o644, data: []byte(gpioUnit)},
		{name: "lab/systemd/system/sysinit.target.wants", mode: modeFolder | 0o755},
		{name: "lab/systemd/system/sysinit.target.wants/lab-agent.service", mode: modeLink | 0o777, data: []byte("../lab-agent.service")},
		{name: "lab/systemd/system/sysinit.target.wants/lab-gpio.service", mode: modeLink | 0o777, data: []byte("../lab-gpio.service")},
	})
	for len(initrd)%4 != 0 {
		initrd = append(initrd, 0)
	}
	name := filepath.Join(cacheDir, "initrd-"+hash(initrd, more.Bytes()))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	if err := os.WriteFile(name+".new", append(initrd, more.Bytes()...), 0o644); err != nil {
		return "", err
	}
	return name, os.Rename(name+".new", name)
}

// The agent runs as early as its port is there, and outside every sandbox. On a busy host the port may be later than the system
// waits for it: the agent is started again for as long as it takes.
const agentUnit = `[Unit]
Description=Agent of the lab
DefaultDependencies=no
After=systemd-remount-fs.service dev-virtio\x2dports-lab.agent.device
Wants=dev-virtio\x2dports-lab.agent.device
StartLimitIntervalSec=0
[Service]
ExecStart=/run/agent serve
Restart=always
RestartSec=200ms
OOMScoreAdjust=-1000
`

// The chip is there before anything that has a light, as a board's is.
const gpioUnit = `[Unit]
Description=GPIO chip of the lab
DefaultDependencies=no
After=systemd-modules-load.service sys-kernel-config.mount
Requires=sys-kernel-config.mount
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/run/agent gpio
`

func hash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// output runs a command of the host to its end, in a process group that ends with ctx.
func output(ctx context.Context, name string, args ...string) (string, error) {
	if _, err := exec.LookPath(name); err != nil { // of others than root PATH has no sbin
		name = filepath.Join("/usr/sbin", name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("%s: %w: %s", name, err, lastLines(complaint.String()))
	}
	return said.String(), nil
}

// lastLines is the end of what a program said, which is where it says what went wrong.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// lock waits for a lock on a file, and gives what releases it.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
