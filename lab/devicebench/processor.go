package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// processor notes, over and over, what the host's processors have done for the device: of a boot that tells more than
// its length where the host is busy with other things.
type processor struct {
	stop chan struct{}
	done sync.WaitGroup
	seen []spent
}

// spent is the emulator's processor time at a moment.
type spent struct {
	at   time.Time
	time time.Duration
}

// watchProcessor watches the emulator that is a child of this program: there is one at a time.
func watchProcessor() *processor {
	p := &processor{stop: make(chan struct{})}
	p.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		pid := ""
		for {
			if pid == "" {
				pid = emulator()
			}
			if stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat")); pid != "" && err == nil {
				if t, err := processorTime(string(stat)); err == nil {
					p.seen = append(p.seen, spent{time.Now(), t})
				}
			}
			select {
			case <-tick.C:
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// close ends the watching.
func (p *processor) close() {
	close(p.stop)
	p.done.Wait()
}

// until is what was spent until a moment. It may be asked after close.
func (p *processor) until(t time.Time) (time.Duration, error) {
	i, _ := slices.BinarySearchFunc(p.seen, t, func(s spent, t time.Time) int { return s.at.Compare(t) })
	if i == 0 || i == len(p.seen) {
		return 0, errors.New("the emulator was not watched at that moment")
	}
	return p.seen[i].time, nil
}

// emulator is the process that was started by any of our threads and is QEMU; empty: there is none.
func emulator() string {
	threads, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range threads {
		children, _ := os.ReadFile(file)
		for pid := range strings.FieldsSeq(string(children)) {
			if name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm")); strings.HasPrefix(string(name), "qemu-system") {
				return pid
			}
		}
	}
	return ""
}

// processorTime reads user and system time from a process's stat, proc(5), which counts in hundredths of a second.
func processorTime(stat string) (time.Duration, error) {
	words := strings.Fields(stat[strings.LastIndex(stat, ")")+1:]) // the name of the program may hold anything
	const user, system = 11, 12                                    // behind the name
	if len(words) <= system {
		return 0, fmt.Errorf("a process's stat is %q", stat)
	}
	u, err := strconv.ParseInt(words[user], 10, 64)
	s, err2 := strconv.ParseInt(words[system], 10, 64)
	return time.Duration(u+s) * 10 * time.Millisecond, errors.Join(err, err2)
}
