package badlink

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace. It lives in one thread of ours, which programs are started from, and so needs no name
// and leaves nothing behind.
type Namespace struct {
	work chan func()
	done chan struct{}
}

func newNamespace() (*Namespace, error) {
	n := &Namespace{work: make(chan func()), done: make(chan struct{})}
	made := make(chan error, 1)
	go onAThread(func() {
		defer close(n.done)
		err := unix.Unshare(unix.CLONE_NEWNET)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
			err = fmt.Errorf("%w (%w)", ErrNotAllowed, err)
		}
		made <- err
		if err != nil {
			return
		}
		for do := range n.work {
			do()
		}
	})
	if err := <-made; err != nil {
		return nil, err
	}
	return n, nil
}

// onAThread does something on a thread of its own, which ends with it, and the namespace with the thread. The program's first
// thread would not end.
func onAThread(do func()) {
	runtime.LockOSThread() // for ever, but for the first
	if unix.Gettid() != unix.Getpid() {
		do()
		return
	}
	other := make(chan struct{})
	go func() {
		runtime.LockOSThread() // not the first thread, which waits
		close(other)
		do()
	}()
	<-other
	runtime.UnlockOSThread()
}

// Do runs a function in the namespace: what it opens there stays there. Calls come one at a time.
func (n *Namespace) Do(do func() error) error {
	result := make(chan error, 1)
	n.work <- func() { result <- do() }
	return <-result
}

// Start starts a program in the namespace. It is killed when the namespace ends.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // at the end of the thread that starts it
	return n.Do(cmd.Start)
}

// close ends the namespace.
func (n *Namespace) close() {
	close(n.work)
	<-n.done
}

// ip runs commands of iproute2's ip.
func (n *Namespace) ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	_, err := output(cmd, n.Start)
	return err
}

// killSockets ends the namespace's TCP connections, with a reset to their peers.
func (n *Namespace) killSockets() error {
	_, err := output(exec.Command("ss", "-K", "-tH", "state", "connected"), n.Start)
	return err
}

// controls asks for the congestion control of each connection.
func (n *Namespace) controls() ([]string, error) {
	text, err := output(exec.Command("ss", "-tinHO", "state", "established"), n.Start)
	var all []string
	for line := range strings.Lines(text) {
		for _, word := range strings.Fields(line) {
			if word == "cubic" || word == "bbr" || word == "reno" {
				all = append(all, word)
			}
		}
	}
	return all, err
}

// Listening says whether a program in the namespace listens for TCP at an address.
func (n *Namespace) Listening(address string) (bool, error) {
	text, err := output(exec.Command("ss", "-tlnH"), n.Start)
	return strings.Contains(text, " "+address+":"), err
}

// openTUN makes a TUN device in the namespace of the calling thread.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w (open /dev/net/tun: %w)", ErrNotAllowed, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (%w)", ErrNotAllowed, err)
		}
		return nil, fmt.Errorf("make TUN device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// allowControl lets namespaces choose a congestion control that only the machine may, as it is where the machine's own
// default is another. That stays: what it allows is harmless.
func allowControl(name string) error {
	const file = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
	allowed, err := os.ReadFile(file)
	if err == nil && !slices.Contains(strings.Fields(string(allowed)), name) {
		err = os.WriteFile(file, append(bytes.TrimSpace(allowed), " "+name...), 0o644)
	}
	if err != nil {
		return fmt.Errorf("allow congestion control %q: %w", name, err)
	}
	return nil
}

// setControl sets the congestion control of the calling thread's namespace, and asks a socket whether it took: in a
// namespace the setting can be refused without a word.
func setControl(name string) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(name), 0o644); err != nil {
		return fmt.Errorf("set congestion control %q: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("ask for the congestion control: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // never connected
	got, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err == nil && got != name {
		err = fmt.Errorf("it is %q", got)
	}
	if err != nil {
		return fmt.Errorf("congestion control was set to %q: %w", name, err)
	}
	return nil
}
