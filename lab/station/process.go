// Package station runs Linekeeper's two programs as their users would, for `make run`, the end-to-end runs and the
// benchmarks: it makes their folders, settings and identities, starts and stops them, and reads what they say.
package station

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Event is a line of a program's log.
type Event struct {
	Program string // as given to Start
	Message string
	Fields  map[string]any // the line's other keys; nil where the line was no JSON
}

// Text is a field as text; empty where there is none.
func (e Event) Text(key string) string {
	if v, ok := e.Fields[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Process is a program that was started. Its log goes to a file and, line by line, to whoever waits for it.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}

	mu     sync.Mutex
	events []Event
	grown  chan struct{} // closed, and made anew, at each event
	exit   error
}

// Start starts a program in a process group of its own, so that a Ctrl-C on the terminal does not reach it before its
// keeper decides. Each event also goes to seen, if that is not nil.
func Start(name, logFile string, env []string, seen func(Event), program string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{name: name, log: log, done: make(chan struct{}), grown: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = log
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go p.read(out, seen)
	return p, nil
}

func (p *Process) read(out io.Reader, seen func(Event)) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = p.log.Write(append(lines.Bytes(), '\n'))
		e := Event{Program: p.name}
		if json.Unmarshal(lines.Bytes(), &e.Fields) == nil {
			e.Message, _ = e.Fields["msg"].(string)
		} else {
			e.Message = lines.Text()
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
		if seen != nil {
			seen(e)
		}
	}
	err := p.cmd.Wait()
	_ = p.log.Close()
	p.mu.Lock()
	p.exit = err
	p.mu.Unlock()
	close(p.done)
}

// Await waits until count events that match have been logged, counted from the program's start.
func (p *Process) Await(ctx context.Context, count int, match func(Event) bool) ([]Event, error) {
	for {
		p.mu.Lock()
		var found []Event
		for _, e := range p.events {
			if match(e) {
				found = append(found, e)
			}
		}
		grown := p.grown
		p.mu.Unlock()
		if len(found) >= count {
			return found, nil
		}
		select {
		case <-grown:
		case <-p.done:
			return found, fmt.Errorf("%s ended (%w) after %d of %d events awaited; its last words: %s", p.name, p.Err(), len(found), count, p.LastWords())
		case <-ctx.Done():
			return found, fmt.Errorf("%s: %d of %d events awaited: %w; its last words: %s", p.name, len(found), count, context.Cause(ctx), p.LastWords())
		}
	}
}

// Message matches events by their message.
func Message(text string) func(Event) bool {
	return func(e Event) bool { return e.Message == text }
}

// LastWords is the end of the program's log.
func (p *Process) LastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	for _, e := range p.events[max(0, len(p.events)-5):] {
		text += fmt.Sprintf("%s %v\n", e.Message, e.Fields)
	}
	return text
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended; nil while it runs, or where it ended well.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exit == nil {
		select {
		case <-p.done:
			return errors.New("exit code 0")
		default:
		}
	}
	return p.exit
}

// PID is the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the program as a power cut would end it: at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end, and kills it when it has not after a while.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.exit
	case <-time.After(20 * time.Second):
		p.Kill()
		return fmt.Errorf("%s did not stop within 20 s and was killed", p.name)
	}
}

// Usage is what an ended program cost.
func (p *Process) Usage() *syscall.Rusage {
	<-p.done
	usage, _ := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage
}

// AllWords is the whole log.
func (p *Process) AllWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text strings.Builder
	for _, e := range p.events {
		fmt.Fprintln(&text, e.Message, e.Fields)
	}
	return text.String()
}
