// Command agent is the lab's hand in a virtual device: it executes commands, copies files, presses keys and is USB sound cards
// for the host, over a virtio-serial port, so that nothing of it depends on the guest's network.
//
//	agent serve    answer the host for ever
//	agent gpio     make the simulated GPIO chip, with lines named as a Raspberry Pi's
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

func main() {
	var err error
	switch strings.Join(os.Args[1:], " ") {
	case "serve":
		err = serve("/dev/virtio-ports/" + frame.Port)
	case "gpio":
		err = makeChip("/sys/kernel/config/gpio-sim/lab", 28)
	default:
		err = errors.New("usage: agent serve|gpio")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

// agent answers on one port.
type agent struct {
	mu      sync.Mutex // held while a reply is written, and for open
	port    *os.File
	running map[uint64]context.CancelFunc

	ports ports
	keys  keyboard
}

func serve(path string) error {
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	a := &agent{port: port, running: map[uint64]context.CancelFunc{}}
	if err := a.reply(frame.Reply{Ready: true}); err != nil {
		return err
	}
	for {
		var q frame.Request
		if err := frame.Receive(port, &q); err != nil {
			return err
		}
		if q.Cancel {
			a.cancel(q.ID)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		a.mu.Lock()
		a.running[q.ID] = cancel
		a.mu.Unlock()
		go func() {
			r := a.answer(ctx, q)
			r.ID = q.ID
			a.cancel(q.ID)
			if err := a.reply(r); err != nil {
				fmt.Fprintln(os.Stderr, "agent: reply:", err)
			}
		}()
	}
}

func (a *agent) cancel(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cancel, ok := a.running[id]; ok {
		cancel()
		delete(a.running, id)
	}
}

func (a *agent) reply(r frame.Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return frame.Send(a.port, r)
}

func (a *agent) answer(ctx context.Context, q frame.Request) (r frame.Reply) {
	var err error
	switch {
	case q.Run != nil:
		r, err = run(ctx, *q.Run)
	case q.Write != nil:
		err = write(*q.Write)
	case q.Read != nil:
		r.Data, err = os.ReadFile(q.Read.Path)
	case q.USB != nil:
		err = a.ports.do(ctx, *q.USB)
	case q.Key != nil:
		r.Data, err = a.keys.do(*q.Key)
	default:
		err = errors.New("the agent does not know this request")
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// run gives the command a process group of its own, all of which ends when it is cancelled.
func run(ctx context.Context, q frame.Run) (frame.Reply, error) {
	if len(q.Command) == 0 {
		return frame.Reply{}, errors.New("no command")
	}
	cmd := exec.CommandContext(ctx, q.Command[0], q.Command[1:]...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(q.Stdin), &out, &said
	cmd.Env = append(os.Environ(), "HOME=/root", "LC_ALL=C.UTF-8")
	cmd.Dir = "/root"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A child that stays behind in the background may hold the output open; the command has ended all the same.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r := frame.Reply{Stdout: out.Bytes(), Stderr: said.Bytes()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
		return r, nil
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return r, nil
	}
	return r, err
}

func write(q frame.Write) error {
	if err := os.MkdirAll(filepath.Dir(q.Path), 0o755); err != nil {
		return err
	}
	// A program that runs cannot be written over, only replaced.
	temp := q.Path + ".lab"
	if err := os.WriteFile(temp, q.Data, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(temp, os.FileMode(q.Mode)); err != nil {
		return err
	}
	return os.Rename(temp, q.Path)
}

// makeChip makes a gpio-sim chip through its folder in configfs.
func makeChip(folder string, lines int) error {
	bank := filepath.Join(folder, "bank0")
	if err := os.MkdirAll(bank, 0o755); err != nil {
		return err
	}
	set := func(path, value string) error { return os.WriteFile(path, []byte(value), 0o600) }
	if err := set(filepath.Join(bank, "num_lines"), fmt.Sprint(lines)); err != nil {
		return err
	}
	if err := set(filepath.Join(bank, "label"), "lab"); err != nil {
		return err
	}
	for i := range lines {
		line := filepath.Join(bank, fmt.Sprint("line", i))
		if err := os.Mkdir(line, 0o755); err != nil {
			return err
		}
		if err := set(filepath.Join(line, "name"), fmt.Sprint("GPIO", i)); err != nil {
			return err
		}
	}
	return set(filepath.Join(folder, "live"), "1")
}
