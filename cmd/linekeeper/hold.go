package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

func holdCommand(o *options) *cobra.Command {
	var request holdRequest
	var off bool
	cmd := &cobra.Command{
		Use:   "hold CALL",
		Short: "Keep a call on the card until --off, whatever happens",
		Long: `Puts a call of the ring on hold: it is not given up for room, and stays on the card also when headquarters has it.
` + "`linekeeper calls`" + ` lists the calls.`,
		Args: command.Exactly(1, "a call"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if request.Call, err = call.ParseID(args[0]); err != nil {
				return command.Usage("%w; `linekeeper calls` lists them", err)
			}
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			if request.Hold = !off; request.Hold && request.Why == "" {
				request.Why = "held at the recorder"
			}
			var answer holdAnswer
			if err := tellControl(cmd.Context(), c.Control, controlHold, request, &answer); err != nil {
				return err
			}
			if answer.Error != "" {
				return fmt.Errorf("hold: %s", answer.Error)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "let it go")
	cmd.Flags().StringVar(&request.Why, "why", "", "the reason, which `linekeeper calls` shows; name no person")
	return cmd
}

// holdRequest is what `linekeeper hold` asks of the running recorder.
type holdRequest struct {
	Call call.ID `json:"call"`
	Hold bool    `json:"hold"`
	Why  string  `json:"why,omitempty"`
}

type holdAnswer struct {
	Error string `json:"error,omitempty"`
}

func (k *keeper) answerHold(w http.ResponseWriter, r *http.Request) {
	var request holdRequest
	if err := readJSON(w, r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hold := k.ring.Unhold
	if request.Hold {
		hold = func(id call.ID) error { return k.ring.Hold(id, request.Why) }
	}
	var answer holdAnswer
	if err := hold(request.Call); err != nil {
		answer.Error = err.Error()
	}
	k.log.Info("hold", "call", request.Call, "on", request.Hold, "error", answer.Error)
	writeJSON(w, answer)
}
