package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

func requeueCommand(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "requeue CALL | requeue --all",
		Short: "Send a call that headquarters has refused once more, or all of them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var request requeueRequest
			switch {
			case (len(args) == 1) == all:
				return command.Usage("want a call or --all; `linekeeper calls` lists them")
			case !all:
				id, err := call.ParseID(args[0])
				if err != nil {
					return command.Usage("%w; `linekeeper calls` lists them", err)
				}
				request.Call = &id
			}
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			var answer requeueAnswer
			if err := tellControl(cmd.Context(), c.Control, controlRequeue, request, &answer); err != nil {
				return err
			}
			if answer.Error != "" {
				return fmt.Errorf("requeue: %s", answer.Error)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d calls are queued again\n", answer.Calls)
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all calls that were refused")
	return cmd
}

// requeueRequest is what `linekeeper calls requeue` asks of the running recorder.
type requeueRequest struct {
	Call *call.ID `json:"call,omitempty"` // nil: all
}

type requeueAnswer struct {
	Calls int    `json:"calls"`
	Error string `json:"error,omitempty"`
}

func (k *keeper) answerRequeue(w http.ResponseWriter, r *http.Request) {
	var request requeueRequest
	if err := readJSON(w, r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer requeueAnswer
	var err error
	if request.Call == nil {
		answer.Calls, err = requeueAll(k.ring)
	} else if answer.Calls, err = 1, requeueOne(k.ring, *request.Call); err != nil {
		answer.Calls = 0
	}
	if err != nil {
		answer.Error = err.Error()
	}
	k.log.Info("queued again", "calls", answer.Calls, "error", answer.Error)
	k.wake()
	writeJSON(w, answer)
}
