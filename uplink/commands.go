package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/wire"
)

// Commander is a Transport over which headquarters can have the recorder do something. Its methods are called while other
// calls are under way.
type Commander interface {
	// Commands waits for commands and gives them, unchecked; perhaps none. *RefusedError: there never are any here.
	Commands(ctx context.Context) ([]string, error)
	// Answer tells headquarters what became of one. That it arrives is not relied on.
	Answer(ctx context.Context, r wire.CommandResult) error
}

// Memory keeps small values through power cuts.
type Memory interface {
	Keep(name string, value []byte) error // durable after Sync
	Kept(name string) []byte              // nil: nothing
	Sync() error
}

const (
	keptCommands = "commands" // name in Memory

	maxDone       = 48 // results that are kept: headquarters sends at most 32 commands at a time
	maxDoneReason = 80 // bytes of a result's error that are kept
)

// done is what is remembered of commands, so that each is done once.
type done struct {
	Oldest  uint64                        `json:"oldest"` // those below are never done, however often they come
	Results map[uint64]wire.CommandResult `json:"results"`
}

// watchCommands does what headquarters wants, as it comes, until ctx ends. A transport that cannot wait for commands, or
// not now, costs nothing but that: if the link has failed, others will find out.
func (s *session) watchCommands(ctx context.Context) {
	c, ok := s.transport.(Commander)
	if !ok || s.cfg.Memory == nil || s.cfg.Command == nil {
		return
	}
	var wait retry
	for ctx.Err() == nil {
		began := time.Now()
		commands, err := c.Commands(ctx)
		var refused *RefusedError
		if errors.As(err, &refused) {
			s.log.Debug("no commands over this transport", "link", s.transport.Name(), "error", err)
			return
		}
		for _, jws := range commands {
			if err == nil {
				err = s.obey(ctx, c, jws)
			}
		}
		pause := firstWait // headquarters may say the same again before it has the result
		if err != nil || len(commands) == 0 && time.Since(began) < firstWait {
			pause = wait.fail(0)
			s.log.Debug("no commands from headquarters for now", "for", pause, "error", err)
		} else {
			wait.reset()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// obey does a command, once, and answers with what became of it, as often as it comes. Its error says that there was no
// answer.
func (s *session) obey(ctx context.Context, to Commander, jws string) error {
	c, err := wire.VerifyCommand(s.cfg.ReceiptKey, jws)
	if err == nil && c.Device != s.cfg.Device {
		err = fmt.Errorf("command for device %s", c.Device)
	}
	if err != nil {
		s.log.Error("a command is not headquarters' own: not done", "error", err)
		return nil
	}
	known := s.recall()
	if c.Number < known.Oldest {
		s.log.Debug("a command that headquarters has the result of", "command", c.Number)
		return nil
	}
	result, before := known.Results[c.Number]
	if !before {
		if result, err = s.do(c, known); err != nil {
			return err
		}
	}
	return to.Answer(ctx, result)
}

func (s *session) recall() done {
	var known done
	if b := s.cfg.Memory.Kept(keptCommands); b != nil && json.Unmarshal(b, &known) != nil {
		s.log.Error("what was kept of commands is unreadable: headquarters may have some done again")
		known = done{}
	}
	if known.Results == nil {
		known.Results = make(map[uint64]wire.CommandResult)
	}
	return known
}

// do does a command that has not been done. What it changed, and that it was done, are durable together when do returns;
// a cut before may have it done twice, which all commands bear.
func (s *session) do(c wire.Command, known done) (wire.CommandResult, error) {
	known.Oldest = max(known.Oldest, c.Oldest)
	for n := range known.Results {
		if n < known.Oldest {
			delete(known.Results, n)
		}
	}
	if len(known.Results) >= maxDone && c.Number != known.Oldest {
		return wire.CommandResult{}, fmt.Errorf("command %d: headquarters takes no results: %d are kept", c.Number, len(known.Results))
	}
	err := c.Check()
	if err == nil {
		err = s.cfg.Command(c)
	}
	result := wire.CommandResult{Number: c.Number}
	if err != nil {
		result.Error = shortened(err.Error(), maxDoneReason)
	}
	known.Results[c.Number] = result
	b, err := json.Marshal(known)
	if err == nil {
		err = s.cfg.Memory.Keep(keptCommands, b)
	}
	if err == nil {
		err = s.cfg.Memory.Sync()
	}
	if err != nil {
		return wire.CommandResult{}, fmt.Errorf("keep the result of command %d: %w", c.Number, err)
	}
	s.log.Info("command from headquarters", "command", c.Number, "kind", c.Kind, "error", result.Error)
	s.Wake()
	return result, nil
}

// shortened cuts a text between two characters.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
