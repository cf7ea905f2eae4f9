package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

// HostAddress is where the guest finds the host's 127.0.0.1.
const HostAddress = "10.0.2.2"

// boot is one run of QEMU, from power on to its end.
type boot struct {
	cmd  *exec.Cmd
	said string // file
	took time.Duration
	dead chan struct{} // closed when QEMU has ended
	why  error         // valid once dead is closed

	agent *client
	qmp   *qmp
	acks  sync.WaitGroup
}

// startBoot starts QEMU, with a pair of sockets each for the agent, the acknowledgements and QEMU's monitor.
func (d *Device) startBoot(ctx context.Context) (*boot, error) {
	var ours []net.Conn
	var theirs []*os.File
	closeOurs := func() {
		for _, c := range ours {
			_ = c.Close()
		}
	}
	closeTheirs := func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}
	for _, name := range []string{"agent", "ack", "qmp"} {
		here, there, err := socketPair(name)
		if err != nil {
			closeOurs()
			closeTheirs()
			return nil, err
		}
		ours, theirs = append(ours, here), append(theirs, there)
	}
	b := &boot{said: d.file("qemu.log"), dead: make(chan struct{})}
	begin := time.Now()
	err := b.start(d.arguments(), theirs)
	closeTheirs() // QEMU has its own: with ours open, its end would not be heard
	if err != nil {
		closeOurs()
		return nil, err
	}
	b.agent = newClient(ours[0], b)
	b.qmp = newQMP(ours[2], b)
	b.acks.Go(func() {
		defer ours[1].Close()
		lines := bufio.NewScanner(ours[1])
		for lines.Scan() {
			if d.cfg.OnAck != nil {
				d.cfg.OnAck(lines.Text())
			}
		}
	})
	err = b.qmp.greet(ctx)
	if err == nil {
		err = b.agent.awaitReady(ctx)
	}
	if err != nil {
		b.end()
		return nil, err
	}
	b.took = time.Since(begin)
	return b, nil
}

// start starts QEMU from a thread of its own that waits for its end: the kernel ends QEMU when the thread that started
// it ends, and so also when this program dies.
func (b *boot) start(args []string, files []*os.File) error {
	said, err := os.Create(b.said)
	if err != nil {
		return err
	}
	b.cmd = exec.Command("qemu-system-x86_64", args...)
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.ExtraFiles = said, said, files
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // a thread that ended would take with it what else was started from it
		defer said.Close()
		err := b.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = b.cmd.Wait()
		b.why = fmt.Errorf("the guest is gone: QEMU ended (%s): %s", b.cmd.ProcessState, b.words())
		close(b.dead)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start QEMU: %w (make lab installs qemu-system-x86)", err)
	}
	return nil
}

func (b *boot) words() string {
	text, _ := os.ReadFile(b.said)
	return lastLines(string(text))
}

// end ends QEMU, at once, and waits for all that belongs to it.
func (b *boot) end() {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	<-b.dead
	b.agent.close()
	b.qmp.close()
	b.acks.Wait()
}

// arguments are QEMU's. File descriptors 3, 4 and 5 are the sockets of agent, acknowledgements and monitor.
func (d *Device) arguments() []string {
	// On a busy host the timer's first ticks are late, for which the kernel would give up.
	kernel := append([]string{"console=ttyS0", "quiet", "loglevel=4", "panic=-1", "systemd.show_status=0", "no_timer_check"}, d.cfg.Kernel...)
	var disk []string
	if data := d.cfg.Data; data != nil {
		if data.Mount != "" {
			kernel = append(kernel, "lab.data="+data.Mount)
		}
		disk = append(disk, "-blockdev", "driver=file,node-name=datafile,cache.direct=off,discard=unmap,filename="+d.Data())
		node := "datafile"
		if data.Log {
			node = "datalog"
			disk = append(disk, "-blockdev", "driver=file,node-name=logfile,filename="+d.DataLog(),
				"-blockdev", "driver=blklogwrites,node-name=datalog,file=datafile,log=logfile,log-sector-size=512")
		}
		disk = append(disk, "-device", "virtio-blk-pci,serial=data,drive="+node)
	}
	if d.cfg.Slot {
		disk = append(disk, "-device", "sdhci-pci,id=sdhci", "-drive", "if=none,id=slotdrive", "-device", "sd-card,id=slot,drive=slotdrive")
	}
	clock := "base=utc"
	if !d.cfg.Clock.IsZero() {
		clock = "base=" + d.cfg.Clock.UTC().Format("2006-01-02T15:04:05")
	}
	args := []string{
		"-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
		"-smp", fmt.Sprint(d.cfg.CPUs), "-m", fmt.Sprint(d.cfg.MemoryMiB), "-rtc", clock,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", d.image.Kernel, "-initrd", d.image.Initrd, "-append", strings.Join(kernel, " "),
		"-chardev", fmt.Sprintf("file,id=console,append=on,path=%s", d.Console()), "-serial", "chardev:console",
		"-drive", "if=none,id=root,format=qcow2,cache=unsafe,file=" + d.file("root.qcow2"),
		"-device", "virtio-blk-pci,drive=root,serial=root",
		"-device", "virtio-rng-pci",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,fd=3", "-device", "virtserialport,chardev=agent,name=" + frame.Port,
		"-chardev", "socket,id=ack,fd=4", "-device", "virtserialport,chardev=ack,name=" + frame.AckPort,
		"-chardev", "socket,id=qmp,fd=5", "-mon", "chardev=qmp,mode=control",
		"-device", "qemu-xhci,id=usb",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,id=card,romfile=",
	}
	return append(append(args, disk...), d.cfg.QEMU...)
}

// socketPair is two ends of one connection: ours, and a file for a program that is started.
func socketPair(name string) (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	here, there := os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), filepath.Join(name, "qemu"))
	defer here.Close()
	conn, err := net.FileConn(here)
	if err != nil {
		return nil, nil, errors.Join(err, there.Close())
	}
	return conn, there, nil
}
