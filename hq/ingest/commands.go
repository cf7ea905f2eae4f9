package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// Commands is what people here want of recorders. Any program that shares the library may add some.
type Commands interface {
	// OpenCommands gives those of a recorder without a result, oldest first.
	OpenCommands(ctx context.Context, device call.DeviceID, limit int) ([]hq.Command, error)
	// CommandsAfter gives those of all recorders whose number is higher.
	CommandsAfter(ctx context.Context, number uint64, limit int) ([]hq.Command, error)
	// LastCommand is the highest number.
	LastCommand(ctx context.Context) (uint64, error)
	// EndCommand keeps a result; hq.ErrNotFound where the recorder has no such command.
	EndCommand(ctx context.Context, device call.DeviceID, r wire.CommandResult) error
}

const (
	commandEvery  = time.Second // how often the library is asked for new ones
	maxErrorBytes = 200         // of a result's error that are kept
)

// post is where recorders are reached that wait for commands: each question over HTTPS, each broker.
type post struct {
	mu      sync.Mutex
	waiting map[call.DeviceID]map[chan struct{}]struct{}
	brokers map[Publisher]struct{}
	stopped chan struct{} // closed when Run ends: questions are answered then
}

func newPost() *post {
	return &post{
		waiting: map[call.DeviceID]map[chan struct{}]struct{}{}, brokers: map[Publisher]struct{}{}, stopped: make(chan struct{}),
	}
}

// wait gives a channel on which a recorder's new commands are announced, and what ends that.
func (p *post) wait(device call.DeviceID) (news chan struct{}, done func()) {
	news = make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[device] == nil {
		p.waiting[device] = map[chan struct{}]struct{}{}
	}
	p.waiting[device][news] = struct{}{}
	return news, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.waiting[device], news); len(p.waiting[device]) == 0 {
			delete(p.waiting, device)
		}
	}
}

// announce wakes who waits for a recorder's commands, and gives the brokers over which it may be reached.
func (p *post) announce(device call.DeviceID) []Publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	for news := range p.waiting[device] {
		select {
		case news <- struct{}{}:
		default: // announced already
		}
	}
	var all []Publisher
	for b := range p.brokers {
		all = append(all, b)
	}
	return all
}

// join has commands published at a broker until leave.
func (p *post) join(b Publisher) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.brokers[b] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.brokers, b)
	}
}

// deliverCommands announces new commands until ctx ends. It asks the library, since they may have been given by another
// program; those that are there already go out when their recorder is next heard of.
func (in *Ingest) deliverCommands(ctx context.Context) {
	defer close(in.post.stopped)
	tick := time.NewTicker(commandEvery)
	defer tick.Stop()
	last, err := in.cfg.Commands.LastCommand(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var news []hq.Command
		if err == nil {
			news, err = in.cfg.Commands.CommandsAfter(ctx, last, wire.MaxCommands)
		} else {
			last, err = in.cfg.Commands.LastCommand(ctx)
		}
		if err != nil && ctx.Err() == nil {
			in.cfg.Log.Error("cannot look for commands, trying again", "error", err)
		}
		told := map[call.DeviceID]bool{}
		for _, c := range news {
			last = max(last, c.Number)
			if !told[c.Device] {
				told[c.Device] = true
				in.publishCommands(ctx, c.Device, in.post.announce(c.Device)...)
			}
		}
	}
}

// commands signs a recorder's open commands.
func (in *Ingest) commands(ctx context.Context, device call.DeviceID) ([]hq.Command, []string, error) {
	open, err := in.cfg.Commands.OpenCommands(ctx, device, wire.MaxCommands)
	if err != nil {
		return nil, nil, err
	}
	signed := make([]string, len(open))
	for i, c := range open {
		signed[i], err = wire.SignCommand(in.cfg.Key, wire.Command{
			Device: c.Device, Number: c.Number, Oldest: open[0].Number, Time: c.Given, Kind: c.Kind, Call: c.Call, Why: c.Why,
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return open, signed, nil
}

// awaitCommands gives a recorder's commands as soon as there are any; none when the time is over.
func (in *Ingest) awaitCommands(ctx context.Context, device call.DeviceID, longest time.Duration) (wire.CommandList, error) {
	news, done := in.post.wait(device)
	defer done()
	over := time.NewTimer(longest)
	defer over.Stop()
	for {
		_, signed, err := in.commands(ctx, device)
		if err != nil || len(signed) > 0 {
			return wire.CommandList{Commands: signed}, err
		}
		select {
		case <-news:
			continue
		case <-over.C:
		case <-in.post.stopped:
		case <-ctx.Done():
		}
		return wire.CommandList{Commands: []string{}}, ctx.Err()
	}
}

// publishCommands sends a recorder's open commands over MQTT. That they arrive is not relied on: they are sent again
// whenever the recorder says how it is, until there is a result.
func (in *Ingest) publishCommands(ctx context.Context, device call.DeviceID, brokers ...Publisher) {
	if len(brokers) == 0 {
		return
	}
	open, signed, err := in.commands(ctx, device)
	if err != nil {
		in.cfg.Log.Error("cannot send commands, trying again", "device", device, "error", err)
		return
	}
	for i, c := range open {
		for _, b := range brokers {
			in.send(b, wire.TopicCommand(device, c.Number), wire.CommandList{Commands: signed[i : i+1]})
		}
	}
}

// result takes what became of a command.
func (in *Ingest) result(ctx context.Context, device call.DeviceID, number uint64, body []byte) error {
	var r wire.CommandResult
	if err := wire.Decode(body, &r); err != nil {
		return malformed(err)
	}
	if r.Number != number {
		return malformed(fmt.Errorf("result of command %d, sent for %d", r.Number, number))
	}
	if len(r.Error) > maxErrorBytes {
		r.Error = r.Error[:maxErrorBytes]
	}
	if err := in.cfg.Commands.EndCommand(ctx, device, r); err != nil {
		return err
	}
	in.cfg.Log.Info("a command is done", "device", device, "command", number, "error", r.Error)
	return nil
}

// handleCommands serves commands over HTTPS.
func (in *Ingest) handleCommands(mux *http.ServeMux) {
	mux.HandleFunc("GET "+wire.PathCommands, func(w http.ResponseWriter, r *http.Request) {
		longest, err := waitOf(r)
		var list wire.CommandList
		if err == nil {
			list, err = in.awaitCommands(r.Context(), deviceOf(r.Context()), longest)
		}
		in.answer(w, r, list, err)
	})
	mux.HandleFunc("POST "+wire.PathCommands+"/{number}/result", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.ParseUint(r.PathValue("number"), 10, 63)
		if err != nil {
			err = malformed(errors.New("that is not a command's number"))
		}
		var body []byte
		if err == nil {
			body, err = readMessage(w, r)
		}
		if err == nil {
			err = in.result(r.Context(), deviceOf(r.Context()), number, body)
		}
		if err != nil {
			in.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// waitOf is how long a question for commands may be left without an answer.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get(wire.WaitParameter)
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0, malformed(fmt.Errorf("%s %q: want seconds", wire.WaitParameter, text))
	}
	return min(time.Duration(seconds)*time.Second, wire.LongestWait), nil
}
