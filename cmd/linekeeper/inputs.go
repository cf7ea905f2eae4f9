package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/pcm"
)

func inputsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inputs",
		Short: "List the sound cards that can be recorded",
		Long: `Lists the sound cards that can be recorded, by names that stay the same when cards are plugged in another
order. Put a name into the settings file as the device of a line.`,
		Args: command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			inputs, err := capture.Inputs()
			if err != nil {
				return err
			}
			if o.JSON {
				return command.PrintJSON(cmd.OutOrStdout(), append([]capture.Input{}, inputs...)) // never null
			}
			printInputs(cmd.OutOrStdout(), inputs)
			return nil
		},
	}
	o.AddJSON(cmd)
	return cmd
}

func printInputs(w io.Writer, inputs []capture.Input) {
	if len(inputs) == 0 {
		fmt.Fprintln(w, "no sound card that records: plug one in, and see whether `arecord -l` lists it")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "DEVICE\tCARD\tCHANNELS\tRATES")
	for _, in := range inputs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", in.Device, in.Description, fmt.Sprint(in.Channels), numbers(in.Rates))
	}
}

func numbers(n []int) string { return strings.Trim(fmt.Sprint(n), "[]") }

func meterCommand(o *options) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "meter [DEVICE]",
		Short: "Show how loud each line is, live",
		Long: `Shows the level of each line, five times a second until Ctrl-C: of the running recorder where there is one, else
of the cards in the settings file, or of DEVICE (its first channel).`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := meter{out: cmd.OutOrStdout(), json: o.JSON, once: once}
			if len(args) == 1 {
				return m.cards(cmd.Context(), map[string][]capture.LineConfig{args[0]: {{Name: args[0], Channels: []int{0}}}}, capture.Config{})
			}
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			if err := m.running(cmd.Context(), c.Control); !errors.Is(err, errNotRunning) {
				return err
			}
			return m.cards(cmd.Context(), c.cards(), c.captureConfig())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one reading and stop")
	o.AddJSON(cmd)
	return cmd
}

// meter prints levels.
type meter struct {
	out  io.Writer
	json bool
	once bool
}

// meterEvery is how often levels are shown.
const meterEvery = 200 * time.Millisecond

// reading is the level of a line.
type reading struct {
	Line    string  `json:"line"`
	LevelDB float64 `json:"level_db"` // RMS, dBFS
	Error   string  `json:"error,omitempty"`
}

// running shows what the running recorder says.
func (m meter) running(ctx context.Context, socket string) error {
	return m.every(ctx, func() ([]reading, error) {
		var s statusReport
		if err := askControl(ctx, socket, controlStatus, &s); err != nil {
			return nil, err
		}
		var all []reading
		for _, l := range s.Lines {
			all = append(all, reading{Line: l.Line, LevelDB: l.LevelDB, Error: l.Alarm})
		}
		return all, nil
	})
}

// cards opens cards for itself.
func (m meter) cards(ctx context.Context, cards map[string][]capture.LineConfig, base capture.Config) error {
	if len(cards) == 0 {
		return command.Usage("no line in the settings file: name a device; `linekeeper inputs` lists them")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := make(chan reading)
	for device, lines := range cards {
		cfg := base
		cfg.Device, cfg.Lines, cfg.Period = device, lines, meterEvery
		card := capture.New(cfg, slog.New(slog.DiscardHandler))
		go func() {
			_ = card.Run(ctx, func(line int, p pcm.Period) {
				rms, _ := capture.Level(p.Samples, 0, p.Format.Channels)
				r := reading{Line: lines[line].Name, LevelDB: rms, Error: card.Status().Err}
				select {
				case heard <- r:
				case <-ctx.Done():
				}
			})
		}()
	}
	latest := map[string]reading{}
	return m.every(ctx, func() ([]reading, error) {
		timeout := time.After(meterEvery)
		for {
			select {
			case r := <-heard:
				latest[r.Line] = r
			case <-timeout:
				var all []reading
				for _, lines := range cards {
					for _, l := range lines {
						if r, known := latest[l.Name]; known {
							all = append(all, r)
						}
					}
				}
				return all, nil
			}
		}
	})
}

// every prints readings until ctx ends; with once, the first that are there.
func (m meter) every(ctx context.Context, read func() ([]reading, error)) error {
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		all, err := read()
		if err != nil {
			return err
		}
		if len(all) > 0 {
			if err := m.print(all, first); err != nil || m.once {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m meter) print(all []reading, first bool) error {
	if m.json {
		return command.PrintJSON(m.out, all)
	}
	const upLine, clearRest = "\x1b[A", "\x1b[K"
	if !first {
		fmt.Fprint(m.out, strings.Repeat(upLine, len(all))) // back over the last readings
	}
	for _, r := range all {
		const width, floor = 40, -80.0
		filled := int(max(0, min(width, (r.LevelDB-floor)/-floor*width)))
		fmt.Fprintf(m.out, "%-20s %6.1f dBFS |%-*s| %s%s\n", r.Line, r.LevelDB, width, strings.Repeat("#", filled), r.Error, clearRest)
	}
	return nil
}
