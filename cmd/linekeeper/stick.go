package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/uplink/courier"
)

// stickCommand is what the unit linekeeper-stick@ runs, twice for each stick that is put in: with it mounted read-only, and
// then for writing.
func stickCommand(o *options) *cobra.Command {
	var read, write, ended bool
	cmd := &cobra.Command{
		Use:   "stick --read|--write|--ended FOLDER",
		Short: "Do with a USB stick what it is there for",
		Long: `What linekeeper-stick@.service runs for a stick that is put in, mounted at FOLDER. With --read a bundle on it is judged and
applied, and nothing is written to it; with --write the report is put onto it, receipts are taken from it, and the calls that
wait go onto it as far as there is room. The light says that the stick is read, and then whether all went well. With --ended, and
what systemd says of the unit ($SERVICE_RESULT), it says so of a stick that could not even be mounted, or was pulled too early.`,
		Hidden: true,
		Args:   command.Exactly(1, "the folder at which the stick is mounted, and --read, --write or --ended"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !read && !write && !ended || read && write || ended && (read || write) {
				return command.Usage("one of --read, --write and --ended is needed; see `%s --help`", cmd.CommandPath())
			}
			c, err := loadMachine(o.Config)
			if err != nil {
				return err
			}
			if ended {
				if os.Getenv("SERVICE_RESULT") != "success" {
					c.light(cmd.Context(), stickRefused)
				}
				return nil
			}
			s, err := stick.Open(args[0], stick.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			if read {
				return c.readStick(cmd.Context(), s)
			}
			return o.writeStick(cmd, c, s)
		},
	}
	cmd.Flags().BoolVar(&read, "read", false, "judge and apply a bundle")
	cmd.Flags().BoolVar(&ended, "ended", false, "say that it failed, if it did")
	cmd.Flags().BoolVar(&write, "write", false, "write the report, take receipts, and put calls down")
	return cmd
}

// stickReport is what --read leaves for --write, where handedOver says.
type stickReport struct {
	provisionReport
	Ran bool `json:"ran"` // a recorder ran, which starts again with the new settings
}

func (c *config) handedOver() string { return filepath.Join(c.Data, "stick-report.json") }

// readStick judges and applies the bundle on a stick, if there is one. A refusal is no error: the report has to get onto the
// stick yet.
func (c config) readStick(ctx context.Context, s *stick.Stick) error {
	ran := c.light(ctx, stickReading)
	if err := os.Remove(c.handedOver()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r, err := c.takeBundle(s)
	switch {
	case errors.Is(err, errNoBundle) && c.isNew(): // whoever put it in waits for more than that
		r = newReport()
		r.Reason = err.Error()
	case errors.Is(err, errNoBundle):
		return nil
	case r == nil:
		return err
	}
	b, err := json.Marshal(stickReport{*r, ran})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return writeDurably(c.handedOver(), b)
}

// again is how often the light is told that the stick is still read.
const again = time.Minute

// writeStick puts the report onto a stick, takes receipts from it, and puts down the calls that wait.
func (o *options) writeStick(cmd *cobra.Command, c config, s *stick.Stick) error {
	ctx := cmd.Context()
	c.light(ctx, stickReading)
	last := time.Now()
	err := c.reportOnto(ctx, s)
	var running statusReport
	if askControl(ctx, c.Control, controlStatus, &running) == nil && running.Device != "" {
		done, carried := carryRunning(ctx, c.Control, s, func(courier.Progress) {
			if time.Since(last) > again {
				last = time.Now()
				c.light(ctx, stickReading)
			}
		})
		if carried == nil || done.Written > 0 {
			printDone(cmd.OutOrStdout(), done)
		}
		err = errors.Join(err, carried)
	}
	err = errors.Join(err, s.Settle()) // who sees the light pulls the stick
	shown := stickAccepted
	if err != nil {
		shown = stickRefused
	}
	c.light(ctx, shown)
	return err
}

// reportOnto writes the report that --read has left; a refusal is its error.
func (c config) reportOnto(ctx context.Context, s *stick.Stick) error {
	b, err := os.ReadFile(c.handedOver())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there was no bundle
	}
	if err != nil {
		return err
	}
	var r stickReport
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("read the report %s: %w", c.handedOver(), err)
	}
	if r.Accepted {
		p, err := c.provisioned()
		if err != nil {
			return err
		}
		if r.Ran && !r.Already {
			p.awaitRecorder(ctx)
			c.light(ctx, stickReading) // which is another one now
		}
		r.look(ctx, p)
	}
	if err := errors.Join(r.write(s), os.Remove(c.handedOver())); err != nil {
		return err
	}
	if !r.Accepted {
		return fmt.Errorf("the bundle is refused: %s", r.Reason)
	}
	return nil
}
