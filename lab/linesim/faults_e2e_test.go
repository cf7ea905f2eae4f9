//go:build e2e

package linesim_test

import (
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/pcm"
)

// A child is this test's program again, which records a card until its standard input ends and tells what it heard.
const (
	childDevice  = "LINESIM_TEST_CHILD"
	childRefused = "LINESIM_TEST_REFUSED" // set: the kernel refuses it another scheduler, as a sandbox does
)

type childReport struct {
	Periods []pcm.Period
	Status  capture.Status
}

func beChild(device string) int {
	if os.Getenv(childRefused) != "" {
		if err := refuseScheduler(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	hs, status := listenWith(ctx, capture.Config{Device: device, Lines: oneLine}, time.Minute, nil)
	if err := gob.NewEncoder(os.Stdout).Encode(childReport{hs[0].periods, status}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// refuseScheduler has the kernel answer sched_setscheduler with EPERM, in all threads of this process.
func refuseScheduler() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SCHED_SETSCHEDULER},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("install a filter: %w", errno)
	}
	return nil
}

// recordInChild records a card for as long as script runs.
func recordInChild(t *testing.T, device string, script func(p *os.Process), env ...string) (*heard, capture.Status) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childDevice+"="+device), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	script(cmd.Process)
	_ = in.Close()
	var r childReport
	err = gob.NewDecoder(out).Decode(&r)
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		t.Fatal(err, waitErr)
	}
	return &heard{periods: r.Periods}, r.Status
}

var oneLine = []capture.LineConfig{{Name: "a", Channels: []int{0}}}

// TestCaptureOfAStoppedProcess: what a machine that is held up for 1.5 s misses, the card's buffer has; what it misses
// beyond that is a gap of its length.
func TestCaptureOfAStoppedProcess(t *testing.T) {
	t.Parallel()
	hold := func(p *os.Process, d time.Duration) {
		for _, step := range []struct {
			sig  syscall.Signal
			then time.Duration
		}{{syscall.SIGSTOP, d}, {syscall.SIGCONT, 3 * time.Second}} {
			if err := p.Signal(step.sig); err != nil {
				t.Error(err)
			}
			time.Sleep(step.then)
		}
	}
	const long = 4 * time.Second
	h, status := recordInChild(t, "frozen", func(p *os.Process) {
		time.Sleep(3 * time.Second)
		hold(p, 1500*time.Millisecond)
		hold(p, long)
	})
	_, lost := h.checkTimeline(t)
	h.exact(t, period)
	t.Logf("card buffer %v; of holds of 1.5 s and %v %v were lost", status.Buffer, long, pcm.Format{Rate: 8000}.Duration(lost))
	// An overrun takes with it what the card's buffer held: up to one period before the hold, which was not read yet.
	if got := (pcm.Format{Rate: 8000}).Duration(lost); got < long-500*time.Millisecond || got > long+time.Second {
		t.Errorf("%v lost of a hold of %v", got, long)
	}
	if status.Buffer < 1900*time.Millisecond || status.Overruns != 1 || status.Reopened != 0 || status.LostFrames != lost {
		t.Errorf("%+v", status)
	}
}

// TestCaptureOfAProgramThatIsHeldUp: the card's thread goes on where the rest of the program does not.
func TestCaptureOfAProgramThatIsHeldUp(t *testing.T) {
	t.Parallel()
	card := capture.New(capture.Config{Device: "exact", Lines: oneLine}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	h := &heard{}
	err := card.Run(ctx, func(_ int, p pcm.Period) {
		if h.add(p); len(h.periods) == 5 {
			time.Sleep(7 * time.Second)
		}
	})
	if err != nil {
		t.Error(err)
	}
	frames, lost := h.checkTimeline(t)
	h.exact(t, 0)
	if status := card.Status(); frames < 11*8000 || lost > 0 || status.Overruns > 0 {
		t.Errorf("%d frames heard, %d lost, %+v", frames, lost, status)
	}
}

// TestCaptureWhereAnotherSchedulerIsRefused: miniaudio asks for the scheduler that its thread has anyway, and fails where
// a sandbox forbids to ask.
func TestCaptureWhereAnotherSchedulerIsRefused(t *testing.T) {
	t.Parallel()
	h, status := recordInChild(t, "refused", func(*os.Process) { time.Sleep(4 * time.Second) }, childRefused+"=1")
	frames, lost := h.checkTimeline(t)
	if frames < 2*8000 || lost > 0 || status.Err != "" {
		t.Errorf("%d frames heard, %d lost, %+v", frames, lost, status)
	}
}

func TestCaptureOfACardThatIsBusyAtFirst(t *testing.T) {
	t.Parallel()
	held, release := context.WithTimeout(t.Context(), time.Minute)
	holder := make(chan struct{})
	go func() {
		defer close(holder)
		listen(held, "held", time.Minute)
	}()
	time.Sleep(1500 * time.Millisecond)
	meanwhile, end := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer end()
	_, status := listenWith(meanwhile, capture.Config{Device: "held", Lines: oneLine}, time.Minute, nil)
	if !strings.Contains(status.Err, "fuser") {
		t.Errorf("while another has it: %+v", status)
	}
	var free time.Time
	hs, status := listenWith(t.Context(), capture.Config{Device: "held", Lines: oneLine}, 6*time.Second, func() {
		time.Sleep(2 * time.Second)
		release()
		<-holder
		free = time.Now()
	})
	_, lost := hs[0].checkTimeline(t)
	hs[0].heardWithin(t, 3*time.Second, free)
	if lost < 8000 || status.Err != "" || status.Reopened != 0 {
		t.Errorf("%d frames lost, %+v", lost, status)
	}
}

func TestCaptureOfACardThatSlept(t *testing.T) {
	t.Parallel()
	var slept time.Time
	hs, status := listenWith(t.Context(), capture.Config{Device: "asleep", Lines: oneLine}, 8*time.Second, func() {
		time.Sleep(3 * time.Second)
		slept = time.Now()
		if err := sim.Sleep("asleep"); err != nil {
			t.Error(err)
		}
	})
	_, lost := hs[0].checkTimeline(t)
	hs[0].exact(t, period)
	hs[0].heardWithin(t, 3*time.Second, slept.Add(400*time.Millisecond))
	if lost == 0 || lost > 3*8000 || status.Reopened != 1 || status.LostFrames != lost {
		t.Errorf("%d frames lost, %+v", lost, status)
	}
}

func TestCaptureOfACardWithASmallBuffer(t *testing.T) {
	t.Parallel()
	hs, status := listenWith(t.Context(), capture.Config{Device: "small", Lines: oneLine}, 3*time.Second, nil)
	if frames, lost := hs[0].checkTimeline(t); lost != 0 || frames < 2*8000 {
		t.Errorf("%d frames, %d lost", frames, lost)
	}
	if status.Buffer <= 0 || status.Buffer > 600*time.Millisecond {
		t.Errorf("a card that holds 600 ms is said to hold %v", status.Buffer)
	}
}
