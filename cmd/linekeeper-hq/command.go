package main

import (
	"errors"
	"fmt"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/wire"
)

func tellCommand(o *options) *cobra.Command {
	tell := &cobra.Command{
		Use:   "tell",
		Short: "Have a recorder fetch, flag, hold or queue again a call",
		Long: `Has the recorder of a call do something with it. The recorder takes it within seconds while it is connected, and
else as soon as it is reached; ` + "`linekeeper-hq tell list`" + ` shows what became of it. Headquarters may run meanwhile.`,
	}
	for _, c := range []struct {
		kind  wire.CommandKind
		short string
	}{
		{wire.CommandFetch, "Have a call sent before others"},
		{wire.CommandFlag, "Mark a call as of interest: it goes before the backlog"},
		{wire.CommandUnflag, "Take the mark off"},
		{wire.CommandHold, "Keep a call on the recorder's card, whatever happens"},
		{wire.CommandUnhold, "Let a call on hold go"},
	} {
		tell.AddCommand(tellCallCommand(o, c.kind, c.short))
	}
	tell.AddCommand(tellRequeueCommand(o), tellListCommand(o))
	return tell
}

func tellCallCommand(o *options, kind wire.CommandKind, short string) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   string(kind) + " CALL",
		Short: short,
		Args:  command.Exactly(1, "a call"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind == wire.CommandHold && why == "" {
				return command.Usage("--why is needed: the reason of the hold; name no person")
			}
			return o.tellCall(cmd, kind, args[0], why)
		},
	}
	if kind == wire.CommandHold {
		cmd.Flags().StringVar(&why, "why", "", "the reason, which the recorder shows; name no person")
	}
	return cmd
}

func tellRequeueCommand(o *options) *cobra.Command {
	var device string
	cmd := &cobra.Command{
		Use:   "requeue CALL | requeue --all RECORDER",
		Short: "Have a call that was refused sent once more, or all of a recorder's",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (len(args) == 1) == (device != ""):
				return command.Usage("want a call, or --all with a recorder; see `%s --help`", cmd.CommandPath())
			case len(args) == 1:
				return o.tellCall(cmd, wire.CommandRequeue, args[0], "")
			}
			id, err := call.ParseDeviceID(device)
			if err != nil {
				return command.Usage("%w; `linekeeper-hq recorder list` lists them", err)
			}
			return o.withLibrary(func(lib *library.Library) error {
				return give(cmd, lib, hq.Command{Device: id, Kind: wire.CommandRequeue})
			})
		},
	}
	cmd.Flags().StringVar(&device, "all", "", "the recorder, whose refused calls are all sent once more")
	return cmd
}

// tellCall gives a command about a call.
func (o *options) tellCall(cmd *cobra.Command, kind wire.CommandKind, text, why string) error {
	id, err := call.ParseID(text)
	if err != nil {
		return command.Usage("%w; the call's page has it, under identity and proof", err)
	}
	return o.withLibrary(func(lib *library.Library) error {
		c, err := lib.Call(cmd.Context(), id)
		if errors.Is(err, hq.ErrNotFound) {
			return fmt.Errorf("call %s is not known here yet", id)
		}
		if err != nil {
			return err
		}
		if c.Stage == hq.StageDurable && kind == wire.CommandFetch {
			return fmt.Errorf("call %s has arrived already", id)
		}
		return give(cmd, lib, hq.Command{Device: c.Device, Kind: kind, Call: &id, Why: why})
	})
}

func give(cmd *cobra.Command, lib *library.Library, c hq.Command) error {
	c.By = "the command line"
	if u, err := user.Current(); err == nil {
		c.By = u.Username + " on the command line"
	}
	n, err := lib.AddCommand(cmd.Context(), c)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "command %d for recorder %s: it takes it when it is reached\n", n, c.Device)
	return nil
}

// toldRow is a command as a script sees it.
type toldRow struct {
	Number uint64           `json:"number"`
	Device call.DeviceID    `json:"device"`
	Kind   wire.CommandKind `json:"kind"`
	Call   *call.ID         `json:"call,omitempty"`
	Why    string           `json:"why,omitempty"`
	By     string           `json:"by"`
	Given  time.Time        `json:"given"`
	Ended  time.Time        `json:"ended,omitzero"` // not there: no result yet
	Error  string           `json:"error,omitempty"`
}

func tellListCommand(o *options) *cobra.Command {
	const most = 100
	cmd := &cobra.Command{
		Use:   "list RECORDER",
		Short: "List what a recorder was told, newest first, and what became of it",
		Args:  command.Exactly(1, "a recorder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			device, err := call.ParseDeviceID(args[0])
			if err != nil {
				return command.Usage("%w; `linekeeper-hq recorder list` lists them", err)
			}
			return o.withLibrary(func(lib *library.Library) error {
				commands, err := lib.CommandsTo(cmd.Context(), device, most)
				if err != nil {
					return err
				}
				rows := make([]toldRow, len(commands))
				for i, c := range commands {
					rows[i] = toldRow(c)
				}
				if o.JSON {
					return command.PrintJSON(cmd.OutOrStdout(), rows)
				}
				t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "COMMAND\tKIND\tCALL\tGIVEN\tBY\tRESULT")
				for _, r := range rows {
					of, result := "all", "waits for the recorder"
					if r.Call != nil {
						of = r.Call.String()
					}
					if !r.Ended.IsZero() {
						result = "done " + r.Ended.Local().Format(time.DateTime)
					}
					if r.Error != "" {
						result = "not done: " + r.Error
					}
					fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.Kind, of, r.Given.Local().Format(time.DateTime), r.By, result)
				}
				return t.Flush()
			})
		},
	}
	o.AddJSON(cmd)
	return cmd
}
