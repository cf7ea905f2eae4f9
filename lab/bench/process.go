package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ran is what a program that ran to its end printed and cost.
type ran struct {
	out  []byte
	cpu  time.Duration // user and system
	peak int64         // resident bytes, at most
}

// run runs a program to its end.
func run(ctx context.Context, args ...string) (ran, error) {
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Start(); err != nil {
		return ran{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var r ran
	// The kernel's own ru_maxrss begins with the size of the process that forked, which here is far larger.
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if peak, err := memory(cmd.Process.Pid, "VmHWM"); err == nil {
				r.peak = max(r.peak, peak)
			}
		case err := <-ended:
			if err != nil {
				return r, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, words.Bytes())
			}
			r.out = out.Bytes()
			r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			return r, nil
		}
	}
}

// cpuTime is what a running process has used, all of its threads, to the nanosecond: /proc/PID/stat counts in 10 ms,
// of which a cheap line uses fewer than one a second.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // of <linux/posix-timers_types.h>: CPUCLOCK_SCHED, of a whole process
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is a line of /proc/PID/status, in bytes: VmRSS is what is resident now, VmHWM the most that was.
func memory(pid int, what string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return field(string(text), what+":", 1024)
}

// written is how many bytes a process has handed to write calls. Its write_bytes would be of no use: on a kernel with
// large folios a page that is overwritten counts as its whole folio, sixteen times what reaches the device.
func written(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	return field(string(text), "wchar:", 1)
}

// field finds the number after a name, in a unit.
func field(text, name string, unit int64) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, name); is {
			if words := strings.Fields(rest); len(words) > 0 {
				n, err := strconv.ParseInt(words[0], 10, 64)
				return n * unit, err
			}
		}
	}
	return 0, fmt.Errorf("no %s in what the kernel tells", name)
}

// other is one of the recorders that we are measured beside: a program, or some joined by pipes.
type other struct {
	cmds []*exec.Cmd
	log  string // file of what they say
}

// startPipeline is `arecord | opusenc`.
func startPipeline(env, device, out string) (*other, error) {
	hear := exec.Command("arecord", "-q", "-D", device, "-f", "S16_LE", "-r", strconv.Itoa(rate), "-c", "1", "-t", "raw")
	encode := exec.Command("opusenc", "--quiet", "--raw", "--raw-rate", strconv.Itoa(rate), "--raw-chan", "1",
		"--bitrate", strconv.Itoa(bits/1000), "--comp", strconv.Itoa(complexity), "-", out)
	pipe, err := hear.StdoutPipe()
	if err != nil {
		return nil, err
	}
	encode.Stdin = pipe
	return startOther(env, out+".log", encode, hear)
}

func startFFmpeg(env, device, out string) (*other, error) {
	return startOther(env, out+".log", exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "alsa",
		"-sample_rate", strconv.Itoa(rate), "-channels", "1", "-i", device, "-c:a", "libopus", "-application", "voip",
		"-b:a", strconv.Itoa(bits), "-compression_level", strconv.Itoa(complexity), out))
}

// startOther starts the programs, each in a group of its own so that a Ctrl-C reaches the bench alone.
func startOther(env, log string, cmds ...*exec.Cmd) (*other, error) {
	words, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer words.Close()
	o := &other{log: log}
	for _, cmd := range cmds {
		cmd.Env = append(os.Environ(), env)
		cmd.Stderr = words
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			o.stop()
			return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
		}
		o.cmds = append(o.cmds, cmd)
	}
	return o, nil
}

// used is what they have used, and how much of them is resident now. It is an error if one of them has ended.
func (o *other) used() (cpu time.Duration, resident int64, err error) {
	for _, cmd := range o.cmds {
		t, err := cpuTime(cmd.Process.Pid)
		if err != nil {
			return 0, 0, err
		}
		n, err := memory(cmd.Process.Pid, "VmRSS")
		if err != nil {
			words, _ := os.ReadFile(o.log)
			return 0, 0, fmt.Errorf("%s has ended: %s", filepath.Base(cmd.Path), words)
		}
		cpu, resident = cpu+t, resident+n
	}
	return cpu, resident, nil
}

// stop ends them as a keyboard would; the first in the pipe last, so that none waits for more.
func (o *other) stop() {
	for i := len(o.cmds) - 1; i >= 0; i-- {
		_ = o.cmds[i].Process.Signal(syscall.SIGINT)
	}
	for _, cmd := range o.cmds {
		stuck := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		stuck.Stop()
	}
}
