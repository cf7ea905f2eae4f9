package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/badlink"
)

// outcome is what a run has cost.
type outcome struct {
	draw
	peer    string
	sent    int64         // bytes of TCP payload that the sender put on the link
	took    time.Duration // from the first packet until the sender knew that it had arrived, the time of the cut left out
	control string        // congestion control of the sender's connection
	err     error         // it did not arrive
}

// run is one delivery by one peer over one link.
type run struct {
	draw
	peer     peer
	template *template
	dir      string
	link     *badlink.Link

	servers []*program
	control string

	mu    sync.Mutex
	said  map[string]int // messages of programs that log in JSON
	grown chan struct{}  // closed, and made anew, at each
}

func (r *run) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

// file is what the others deliver.
func (r *run) file() string {
	return filepath.Join(r.template.dir, fmt.Sprintf("file-%d", r.Size))
}

// do runs it to its end.
func (r *run) do(ctx context.Context) (o outcome) {
	o = outcome{draw: r.draw, peer: r.peer.name()}
	ctx, cancel := context.WithTimeoutCause(ctx, r.patience(), fmt.Errorf("not delivered within %v", r.patience()))
	defer cancel()
	if o.err = r.open(ctx); o.err != nil {
		return o
	}
	defer func() {
		r.stopServers()
		o.err = errors.Join(o.err, r.link.Close())
	}()
	ctx, cancelAll := context.WithCancelCause(ctx)
	defer cancelAll(nil)
	cut := make(chan struct{})
	restart := make(chan struct{}) // the sender's program is to be killed
	var cutter sync.WaitGroup
	cutter.Go(func() {
		defer close(cut)
		if err := r.spoil(ctx, restart); err != nil && ctx.Err() == nil {
			cancelAll(err)
		}
	})
	o.err = r.deliver(ctx, restart)
	o.sent = r.link.Counters().Up.Payload
	select {
	case <-r.link.First():
		o.took = time.Since(r.began()) - r.Down
	default:
	}
	if o.err == nil {
		select {
		case <-cut:
		default:
			o.err = fmt.Errorf("it was delivered before it was cut")
		}
	}
	cancelAll(nil)
	cutter.Wait()
	o.control = r.control
	return o
}

// patience is how long a delivery may take before it is said never to end.
func (r *run) patience() time.Duration {
	return (3*r.ideal() + 2*time.Minute).Round(time.Second)
}

// began is when the first packet went out.
func (r *run) began() time.Time { return r.link.Began() }

func (r *run) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	if err := r.peer.prepare(r); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	r.link, err = badlink.Open(badlink.Config{Rate: r.Rate, Delay: r.RTT / 2, Loss: r.Loss, Queue: r.Queue, Seed: r.Seed})
	if err != nil {
		return err
	}
	if err := r.startServers(ctx); err != nil {
		r.stopServers()
		return errors.Join(err, r.link.Close())
	}
	return nil
}

// startServers starts the receiver's programs and waits until they listen.
func (r *run) startServers(ctx context.Context) error {
	r.servers = nil
	for _, cmd := range r.peer.serve(r) {
		p, err := r.start(r.link.Far, cmd)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, p)
	}
	return r.await(ctx, 30*time.Second, func() bool {
		listening, err := r.link.Far.Listening(badlink.FarAddress)
		return err == nil && listening
	})
}

func (r *run) stopServers() {
	for _, p := range r.servers {
		p.kill()
	}
}

// await looks again and again, for something that does not tell.
func (r *run) await(ctx context.Context, patience time.Duration, is func() bool) error {
	for begin := time.Now(); !is(); {
		if time.Since(begin) > patience {
			return fmt.Errorf("%s: nothing for %v; see %s", r.peer.name(), patience, r.dir)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// deliver runs the sender until it knows that the file has arrived.
func (r *run) deliver(ctx context.Context, restart <-chan struct{}) error {
	for {
		p, err := r.start(r.link.Near, r.peer.send(r))
		if err != nil {
			return err
		}
		killed := false
		for over := false; !over; {
			grown := r.growth()
			if r.heard("delivered") > 0 {
				p.kill()
				return r.peer.check(r)
			}
			select {
			case <-ctx.Done():
				p.kill()
				return context.Cause(ctx)
			case <-restart:
				killed, over = true, true
				p.kill()
			case <-grown:
			case <-p.done:
				over = true
			}
		}
		if p.err == nil && !killed {
			return r.peer.check(r)
		}
		wait := time.Second
		if killed {
			wait = r.Down
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// spoil looks at the congestion control on the way, and makes the cut when its moment has come.
func (r *run) spoil(ctx context.Context, restart chan<- struct{}) error {
	if err := r.await(ctx, 24*time.Hour, func() bool { return r.link.Counters().Up.Delivered > int64(r.Size)/8 }); err != nil {
		return err
	}
	controls, err := r.link.Controls()
	if err != nil {
		return err
	}
	slices.Sort(controls)
	controls = slices.Compact(controls)
	if len(controls) == 1 {
		r.control = controls[0]
	}
	if _, us := r.peer.(ours); !us && len(controls) > 0 && r.control != "cubic" {
		return fmt.Errorf("the congestion control of %s is %v, want cubic", r.peer.name(), controls)
	}
	if r.Cut == noCut {
		return nil
	}
	if err := r.await(ctx, 24*time.Hour, r.due); err != nil {
		return err
	}
	return r.cut(ctx, restart)
}

// due says whether the moment of the cut has come.
func (r *run) due() bool {
	delivered := r.link.Counters().Up.Delivered
	if r.Cut != finishKilled {
		return float64(delivered) >= r.At*float64(r.Size)
	}
	const overhead = 400 // of a sender whose receiver does not show what it has
	if stored := r.peer.stored(r); stored >= 0 {
		return stored >= int64(r.Size)
	}
	return delivered >= int64(r.Size)+overhead
}

func (r *run) cut(ctx context.Context, restart chan<- struct{}) error {
	pause := func() {
		select {
		case <-time.After(r.Down):
		case <-ctx.Done():
		}
	}
	switch r.Cut {
	case reset:
		r.link.Cut()
		err := r.link.Reset()
		pause()
		r.link.Restore()
		return err
	case blackHole:
		r.link.Cut()
		pause()
		r.link.Restore()
	case addressChange:
		if err := r.link.Unplug(); err != nil {
			return err
		}
		pause()
		return r.link.Plug(badlink.OtherAddress)
	case senderKilled:
		select {
		case restart <- struct{}{}:
		case <-ctx.Done():
		}
	case finishKilled:
		r.link.Cut() // so that no answer gets away
		r.stopServers()
		pause()
		r.link.Restore()
		return r.startServers(ctx)
	}
	return nil
}

// program is one that was started.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // when done is closed
}

// start starts a program in a process group of its own. What it says goes into a file, and counts where it is JSON.
func (r *run) start(where *badlink.Namespace, cmd *exec.Cmd) (*program, error) {
	name := filepath.Base(cmd.Path)
	log, err := os.OpenFile(r.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	listener := &listener{run: r, log: log}
	cmd.Stdout, cmd.Stderr = listener, listener
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := where.Start(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	p := &program{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

// kill ends a program and what it has started, at once.
func (p *program) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // gone already: so much the better
	<-p.done
}

// listener takes what a program says.
type listener struct {
	run  *run
	log  *os.File
	rest []byte
}

func (l *listener) Write(p []byte) (int, error) {
	if _, err := l.log.Write(p); err != nil {
		return 0, err
	}
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.rest = rest
		var e struct {
			Message string `json:"msg"`
		}
		if json.Unmarshal(line, &e) == nil {
			l.run.hear(e.Message)
		}
	}
}

func (r *run) hear(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said[message]++
	close(r.grown)
	r.grown = make(chan struct{})
}

// heard is how often a program has said something.
func (r *run) heard(message string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said[message]
}

// growth gives a channel that is closed when a program says something.
func (r *run) growth() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grown
}
