package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/gpio"
)

func pauseCommand(o *options) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "pause [LINE]",
		Short: "Keep nothing of the calls that go on, until they end or --off",
		Long: `Pauses the calls that go on, on one line or on all: while a caller says the number of a card, what is heard is not kept.
The pause ends with --off, with the call, or after the time that the settings allow. Headquarters sees that there was one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			request := pauseRequest{On: !off}
			if len(args) > 0 {
				request.Line = args[0]
			}
			var answer pauseAnswer
			if err := tellControl(cmd.Context(), c.Control, controlPause, request, &answer); err != nil {
				return err
			}
			if answer.Error != "" {
				return fmt.Errorf("pause: %s", answer.Error)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d calls\n", answer.Calls)
			return nil
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "go on")
	return cmd
}

// pauseRequest is what `linekeeper pause` asks of the running recorder.
type pauseRequest struct {
	Line string `json:"line,omitempty"` // empty: all
	On   bool   `json:"on"`
}

type pauseAnswer struct {
	Calls int    `json:"calls"` // that go on on these lines
	Error string `json:"error,omitempty"`
}

// pause pauses the calls of a line, or of all, or lets them go on.
func (k *keeper) pause(r pauseRequest) (a pauseAnswer) {
	known := r.Line == ""
	for _, l := range k.lines {
		if r.Line != "" && r.Line != l.Name {
			continue
		}
		known = true
		if l.Status().Recording {
			a.Calls++
		}
		l.Pause(r.On)
	}
	switch {
	case !known:
		a.Error = fmt.Sprintf("there is no line %q", r.Line)
	case a.Calls == 0 && r.On:
		a.Error = "no call goes on"
	}
	k.log.Info("pause", "on", r.On, "calls", a.Calls)
	return a
}

// watchPause lets the button of the settings pause all calls, and go on when it is pressed again, until ctx ends.
func (k *keeper) watchPause(ctx context.Context) {
	if k.cfg.Pause.Button == "" {
		return
	}
	button, err := gpio.OpenContact(k.cfg.Pause.Button, k.log)
	if err != nil {
		k.log.Warn("no pause button: `linekeeper pause` does the same", "pin", k.cfg.Pause.Button, "error", err)
		return
	}
	button.Run(ctx, func(closed bool) {
		if closed {
			k.pause(pauseRequest{On: !k.paused()})
		}
	})
}

func (k *keeper) paused() bool {
	for _, l := range k.lines {
		if l.Status().Paused {
			return true
		}
	}
	return false
}

func (k *keeper) answerPause(w http.ResponseWriter, r *http.Request) {
	var request pauseRequest
	if err := readJSON(w, r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, k.pause(request))
}
