// Package imagetest boots the SD card's image under QEMU, byte for byte as `make image` makes it: on the machine `virt`,
// where what happens inside can be asked, and on `raspi3b`, with the SD controller and the boot loader of a Raspberry Pi 3.
//
//	card := imagetest.Copy(image, folder, 8<<30)
//	b, err := imagetest.StartVirt(ctx, imagetest.Virt{Card: card})
//	out, err := b.Run(ctx, "findmnt -n /var/lib/linekeeper/ring")
//	b.PowerCut()
//
// The image has no login and listens nowhere. On virt a unit that runs commands comes in from outside, as a credential in
// QEMU's fw_cfg (systemd.system-credentials(7), systemd.extra-unit); a board has no such thing. raspi3b has none
// either: there the console is all that is seen.
package imagetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// probe is the unit that comes in from outside: it reads commands, a line each, and prints what they print, and then their
// exit code after a byte that no output has.
const probe = `[Unit]
Description=Probe of the image's test
DefaultDependencies=no
After=systemd-udevd.service dev-virtio\x2dports-probe.device
Wants=dev-virtio\x2dports-probe.device
[Service]
ExecStart=/bin/sh -c 'exec 3<>/dev/virtio-ports/probe; while read -r command <&3; do sh -c "$$command" >/run/probe.out 2>&1; code=$$?; cat /run/probe.out >&3; printf "\\001%%d\\n" $$code >&3; done'
Restart=always
RestartSec=1
StandardError=journal+console
`

// Copy gives a card with the image on it, of so many bytes.
func Copy(image, folder string, size int64) (card string, err error) {
	card = filepath.Join(folder, "card.img")
	if out, err := exec.Command("cp", "--sparse=always", image, card).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copy the image: %w: %s", err, out)
	}
	return card, os.Truncate(card, size)
}

// Board is a computer that is switched on.
type Board struct {
	cmd     *exec.Cmd
	dead    chan struct{}
	said    bytes.Buffer // QEMU's own words; read when it is dead
	console string

	mu    sync.Mutex
	conn  net.Conn
	lines *bufio.Reader
}

// Virt is how the machine virt is started.
type Virt struct {
	Card string
	Log  string // file for a log of all writes and flushes; empty: none
}

// StartVirt switches it on. Its files are beside the card.
func StartVirt(ctx context.Context, v Virt) (*Board, error) {
	folder := filepath.Dir(v.Card)
	unit, socket := filepath.Join(folder, "probe.service"), filepath.Join(folder, "probe.sock")
	if err := os.WriteFile(unit, []byte(probe), 0o600); err != nil {
		return nil, err
	}
	_ = os.Remove(socket) // of an earlier boot
	drive := []string{"-blockdev", "driver=file,node-name=file,discard=unmap,filename=" + v.Card}
	node := "file"
	if v.Log != "" {
		if err := os.WriteFile(v.Log, nil, 0o600); err != nil {
			return nil, err
		}
		node = "log"
		drive = append(drive, "-blockdev", "driver=file,node-name=logfile,filename="+v.Log,
			"-blockdev", "driver=blklogwrites,node-name=log,file=file,log=logfile,log-sector-size=512")
	}
	b, err := start(filepath.Join(folder, "virt.console"), append([]string{
		"-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
		"-device", "virtio-blk-pci,drive=" + node, "-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb",
		"-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=probe,server=on,wait=off,path=" + socket, "-device", "virtserialport,chardev=probe,name=probe",
		"-fw_cfg", "name=opt/io.systemd.credentials/systemd.extra-unit.p.service,file=" + unit,
		"-fw_cfg", "name=opt/io.systemd.credentials/systemd.unit-dropin.-.mount,string=[Unit]\nWants=p.service\n",
	}, drive...), "-serial")
	if err != nil {
		return nil, err
	}
	return b, b.connect(ctx, socket)
}

// StartPi switches a Raspberry Pi 3 on. boot is the folder with its U-Boot and device tree, which a real one's firmware
// would load; the size of the card has to be a power of two. The device tree is changed in one place: QEMU's watchdog
// has no clock, and resets the board in the moment in which the system starts it, so that there is none.
func StartPi(card, boot string) (*Board, error) {
	tree := filepath.Join(boot, "bcm2837-rpi-3-b.dtb")
	if out, err := exec.Command("fdtput", "-t", "s", tree, "/soc/watchdog@7e100000", "status", "disabled").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("take the watchdog out of the device tree: %w: %s", err, out)
	}
	return start(filepath.Join(filepath.Dir(card), "pi.console"), []string{
		"-M", "raspi3b", "-kernel", filepath.Join(boot, "u-boot.bin"), "-dtb", tree,
		"-drive", "file=" + card + ",format=raw,if=sd", "-serial", "null",
	}, "-serial")
}

func start(console string, args []string, serial string) (*Board, error) {
	b := &Board{dead: make(chan struct{}), console: console}
	args = append([]string{"-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-accel", "tcg,thread=multi"}, args...)
	b.cmd = exec.Command("qemu-system-aarch64", append(args, serial, "file:"+console)...)
	b.cmd.Stdout, b.cmd.Stderr = &b.said, &b.said
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w (make image-test installs qemu-system-arm)", err)
	}
	go func() { _ = b.cmd.Wait(); close(b.dead) }()
	return b, nil
}

// connect waits for the probe.
func (b *Board) connect(ctx context.Context, socket string) error {
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			b.conn, b.lines = conn, bufio.NewReader(conn)
			break
		}
		if err := b.pause(ctx); err != nil {
			return err
		}
	}
	_, err := b.Run(ctx, "true")
	return err
}

func (b *Board) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w; the console's end:\n%s", ctx.Err(), b.End())
	case <-b.dead:
		return fmt.Errorf("QEMU has ended: %s", b.said.String())
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

// Run runs a line of shell inside as root, and gives what it printed. An exit code but 0 is an error.
func (b *Board) Run(ctx context.Context, command string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintln(b.conn, command); err != nil {
		return "", fmt.Errorf("ask the probe: %w", err)
	}
	out, err := b.lines.ReadString('\x01')
	if err != nil {
		return "", errors.Join(fmt.Errorf("%q: the probe does not answer: %w; the console's end:\n%s", command, err, b.End()), ctx.Err())
	}
	code, err := b.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%q: the probe does not answer: %w", command, err)
	}
	out = strings.TrimSpace(strings.TrimSuffix(out, "\x01"))
	if n, err := strconv.Atoi(strings.TrimSpace(code)); err != nil || n != 0 {
		return out, fmt.Errorf("%q: exit code %s: %s", command, strings.TrimSpace(code), out)
	}
	return out, nil
}

// Until runs a line of shell again and again until it succeeds.
func (b *Board) Until(ctx context.Context, command string) (string, error) {
	for {
		out, err := b.Run(ctx, command)
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return "", err
		}
		if perr := b.pause(ctx); perr != nil {
			return "", errors.Join(err, perr)
		}
	}
}

// colours are the console's, which stand between its words.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// Says waits until the console has said all of these.
func (b *Board) Says(ctx context.Context, words ...string) error {
	for {
		text, err := os.ReadFile(b.console)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		text = colours.ReplaceAll(text, nil)
		missing := ""
		for _, w := range words {
			if !bytes.Contains(text, []byte(w)) {
				missing = w
			}
		}
		if missing == "" {
			return nil
		}
		if err := b.pause(ctx); err != nil {
			return fmt.Errorf("the console never said %q: %w", missing, err)
		}
	}
}

// End is the last that the console said.
func (b *Board) End() string {
	f, err := os.Open(b.console)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 3000 {
		_, _ = f.Seek(-3000, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return strings.ReplaceAll(string(text), "\r", "")
}

// PowerCut pulls the plug.
func (b *Board) PowerCut() {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	<-b.dead
	if b.conn != nil {
		_ = b.conn.Close()
	}
}
