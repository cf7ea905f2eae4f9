package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

func callKeyCommand(o *options) *cobra.Command {
	show := &cobra.Command{
		Use:   "call-key",
		Short: "Print whom recorders seal new calls to",
		Long: `Prints the age recipient that recorders seal new calls to. The keys that open calls are in authority/call.keys of the
data folder: back that file up, for without it no call can ever be heard.`,
		Args: command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ca, err := o.authority()
			if err != nil {
				return err
			}
			recipient, err := ca.Recipient()
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), recipient)
			}
			return err
		},
	}
	show.AddCommand(&cobra.Command{
		Use:   "rotate",
		Short: "Make a new key for calls",
		Long: `Makes a new key for calls. Recorders are told when they next connect, and seal their new calls to it. The old keys stay:
calls that were sealed to them still open.`,
		Args: command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ca, err := o.authority()
			if err != nil {
				return err
			}
			recipient, err := ca.RotateCallKey()
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "new calls are sealed to %s; back up authority/call.keys again\n", recipient)
			}
			return err
		},
	})
	return show
}
