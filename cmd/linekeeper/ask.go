package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

func statusCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the running recorder does",
		Args:  command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s statusReport
			if err := o.ask(cmd, controlStatus, &s); err != nil {
				return err
			}
			if o.JSON {
				return command.PrintJSON(cmd.OutOrStdout(), s)
			}
			printStatus(cmd.OutOrStdout(), s)
			return nil
		},
	}
	o.AddJSON(cmd)
	return cmd
}

func callsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "List the calls that stand in the ring",
		Args:  command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var calls []callReport
			if err := o.ask(cmd, controlCalls, &calls); err != nil {
				return err
			}
			if o.JSON {
				return command.PrintJSON(cmd.OutOrStdout(), calls)
			}
			printCalls(cmd.OutOrStdout(), calls)
			return nil
		},
	}
	o.AddJSON(cmd)
	cmd.AddCommand(requeueCommand(o))
	return cmd
}

func (o *options) ask(cmd *cobra.Command, path string, into any) error {
	c, err := loadConfig(o.Config)
	if err != nil {
		return err
	}
	return askControl(cmd.Context(), c.Control, path, into)
}

func printStatus(w io.Writer, s statusReport) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "recorder\t%s\t%s\n", s.Device, s.Software)
	fmt.Fprintf(t, "state\t%s\t%s\n", s.State, strings.Join(s.Reasons, "; "))
	fmt.Fprintf(t, "light\t%s\n", s.Light)
	fmt.Fprintf(t, "clock\t%s\t%s\n", s.Clock, s.Time.Local().Format(time.DateTime))
	for _, l := range s.Lines {
		state := "idle"
		if l.Recording {
			state = "recording"
		}
		if l.Alarm != "" {
			state += ", ALARM: " + l.Alarm
		}
		fmt.Fprintf(t, "line\t%s\t%s\t%.0f dBFS\t%d calls\t%d frames lost\n", l.Line, state, l.LevelDB, l.Calls, l.Lost)
	}
	for _, c := range s.Cards {
		state := fmt.Sprintf("%d Hz", c.Rate)
		if !c.Open {
			state = "away: " + c.Error
		}
		fmt.Fprintf(t, "card\t%s\t%s\t%d overruns\topened again %d times\n", c.Device, state, c.Overruns, c.Reopened)
	}
	fmt.Fprintf(t, "ring\t%s of %s free\t%.0f hours of calls\n", bytesText(s.Ring.FreeBytes), bytesText(s.Ring.SizeBytes), s.Ring.FreeHours)
	if s.Health != nil {
		fmt.Fprintf(t, "board\t%s\n", strings.Join(s.Health.Words(), ", "))
	}
	if test := s.Selftest; test != nil {
		said := "passed"
		if !test.Passed {
			said = strings.Join(test.Failed, "; ")
		}
		fmt.Fprintf(t, "self-test\t%s\t%s\n", test.Time.Local().Format(time.DateTime), said)
	}
	fmt.Fprintf(t, "waiting\t%d calls, %s\t%d entries\t%d parked\n", s.Waiting.Calls, bytesText(s.Waiting.Bytes), s.Waiting.Entries, s.Waiting.Parked)
	for _, r := range s.Waiting.Refused {
		fmt.Fprintf(t, "refused\t%s\t%s\n", r.Call, r.Reason)
	}
	fmt.Fprintf(t, "link\t%s\n", s.Uplink)
	if s.Receiver != "" {
		fmt.Fprintf(t, "receiver\t%s\n", s.Receiver)
	}
	if s.Delivery != nil {
		for _, line := range s.Delivery.lines() {
			fmt.Fprintf(t, "\t%s\n", line)
		}
	}
}

func printCalls(w io.Writer, calls []callReport) {
	if len(calls) == 0 {
		fmt.Fprintln(w, "no calls in the ring")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "CALL\tLINE\tBEGAN\tLENGTH\tSIZE\tSTATE\tENDED BY")
	for _, c := range calls {
		if c.Hold != "" {
			c.State += ", on hold: " + c.Hold
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Call, c.Line, c.Began.Local().Format(time.DateTime),
			c.Duration.Round(time.Second/10), bytesText(c.Size), c.State, c.Ended)
	}
}

func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
