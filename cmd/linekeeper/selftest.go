package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/cmd/internal/selftest"
	"github.com/linekeeper/linekeeper/gpio"
	"github.com/linekeeper/linekeeper/pcm"
)

const selftestLong = `Tries a recorder that has just been installed, and prints PASS, FAIL with what to do, or SKIP with the reason, for each
of: level, hum, hook, digits, caller ID and tone country of each line; light, clock, link, headquarters, card and seal.

It tells what to do, step by step: be quiet, lift the handset, press the keys, speak, put it back. Each step ends when it
has succeeded, when its time is over, or (but for the first) with Enter, which leaves it out. With --call somebody also
calls the line from another telephone. With --unattended it waits for nobody, and leaves out what needs somebody.

The recorder must not run, since a line can be heard by one program: stop it first (systemctl stop linekeeper) and start it
again afterwards. Beside one that runs, what needs no line is tried. Nothing that is heard is kept.

Exit codes: 0 nothing failed, 1 something did, 2 wrong usage or configuration.`

func selftestCommand(o *options) *cobra.Command {
	var unattended bool
	var plan selftest.Plan
	cmd := &cobra.Command{
		Use:   "selftest [LINE]",
		Short: "Try whether lines, light, clock, link, headquarters and card are as they should be",
		Long:  selftestLong,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			if err := cfg.onlyLine(args); err != nil {
				return err
			}
			t := selftester{cfg: cfg, plan: plan}
			if plan.Attended = !unattended; plan.Attended {
				t.plan, t.person = plan, selftest.NewPerson(cmd.ErrOrStderr(), cmd.InOrStdin())
			}
			results, err := t.run(cmd.Context())
			if err != nil {
				return err
			}
			report := selftest.NewReport(results)
			if o.JSON {
				err = command.PrintJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.Print(cmd.OutOrStdout())
			}
			if err == nil && !report.Passed {
				err = selftestFailedError(report.Failed)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&unattended, "unattended", false, "wait for nobody: try only what needs no person")
	cmd.Flags().BoolVar(&plan.Call, "call", false, "have somebody call each line, for its caller ID")
	o.AddJSON(cmd)
	return cmd
}

// selftestFailedError is how many checks failed. It is a verdict: the report has been printed.
type selftestFailedError int

// Error implements error.
func (e selftestFailedError) Error() string { return fmt.Sprintf("%d checks failed", int(e)) }

// ExitCode is that of a failure.
func (selftestFailedError) ExitCode() int { return command.ExitFailed }

// onlyLine leaves the line that the command line names, if it names one.
func (c *config) onlyLine(names []string) error {
	if len(names) == 0 {
		return nil
	}
	at := slices.IndexFunc(c.Lines, func(l lineConfig) bool { return l.Name == names[0] })
	if at < 0 {
		return command.Usage("the settings have no line %q", names[0])
	}
	c.Lines = c.Lines[at : at+1]
	return nil
}

// selftester tries the recorder of a settings file.
type selftester struct {
	cfg    config
	plan   selftest.Plan
	person *selftest.Person // nil: nobody is there
	status *statusReport    // of the recorder that runs; nil: none does
	hooks  map[string]*hook // of the lines that have one, by name
}

// run makes all checks.
func (t *selftester) run(ctx context.Context) ([]selftest.Result, error) {
	var status statusReport
	switch err := askControl(ctx, t.cfg.Control, controlStatus, &status); {
	case err == nil:
		t.status = &status
		t.person.Tell("The recorder runs: what needs the lines for itself is left out. To try it: `systemctl stop linekeeper`, and run this again.")
	case !errors.Is(err, errNotRunning):
		return nil, err
	}
	results, err := t.lines(ctx)
	if err != nil {
		return nil, err
	}
	results = append(results, t.light(ctx), t.clock())
	results = append(results, t.headquarters(ctx)...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("stopped before the end: %w", err)
	}
	return append(results, t.card(), t.seal()), nil
}

// lines tries each line: by what the running recorder says, or by listening.
func (t *selftester) lines(ctx context.Context) ([]selftest.Result, error) {
	var results []selftest.Result
	if t.status != nil {
		for _, l := range t.status.Lines {
			if slices.ContainsFunc(t.cfg.Lines, func(c lineConfig) bool { return c.Name == l.Line }) {
				results = append(results, selftest.Running(l.Line, l.Alarm, l.LevelDB)...)
			}
		}
		return results, nil
	}
	if len(t.cfg.Lines) == 0 {
		return []selftest.Result{{Check: selftest.CheckLevel, Verdict: selftest.Fail, Says: "the settings have no line",
			Do: "add a [[line]] with a name and a device; `linekeeper inputs` lists the devices"}}, nil
	}
	tones, err := t.cfg.tones()
	if err != nil {
		return nil, err
	}
	t.hooks = openHooks(t.cfg.Lines, slog.New(slog.DiscardHandler))
	listening := selftest.Listening{Person: t.person}
	for i := range t.cfg.Lines {
		listening.Walks = append(listening.Walks, selftest.NewWalk(t.line(i), t.plan, tones))
	}
	if t.person != nil {
		t.person.Tell("Enter leaves a step out.")
	}
	err = t.hear(ctx, func(ctx context.Context, heard <-chan selftest.Heard) { listening.Run(ctx, heard) })
	for _, walk := range listening.Walks {
		results = append(results, walk.Results()...)
	}
	return results, err
}

// line is the i-th line of the settings.
func (t *selftester) line(i int) selftest.Line {
	l := t.cfg.Lines[i]
	line := selftest.Line{Name: l.Name, Country: t.cfg.country(i), Sides: l.Sides, Format: pcm.Format{Rate: t.cfg.Capture.LineRate, Channels: len(t.cfg.channels(i))}}
	if h := t.hooks[l.Name]; h != nil {
		line.Hook, line.Reads = h, h.Known
		return line
	}
	switch place, err := l.hookPlace(); {
	case l.Hook == "":
	case err != nil:
		line.HookErr = err
	case l.Hook == hookAuto:
		line.NoHook = "the line's sound card has none: calls are known by what is heard"
	default:
		_, line.HookErr = gpio.OpenContact(place.pin, slog.New(slog.DiscardHandler))
	}
	return line
}

// hear opens the cards of the lines and has listen take what they give, until it returns.
func (t *selftester) hear(ctx context.Context, listen func(context.Context, <-chan selftest.Heard)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer watchHooks(ctx, slices.Collect(maps.Values(t.hooks)))()
	heard := make(chan selftest.Heard)
	var cards sync.WaitGroup
	var mu sync.Mutex
	var wrong error
	for device, lines := range t.cfg.cards() {
		cfg := t.cfg.captureConfig()
		cfg.Device, cfg.Lines, cfg.Port = device, lines, t.cfg.port(device)
		card := capture.New(cfg, slog.New(slog.DiscardHandler))
		cards.Go(func() {
			err := card.Run(ctx, func(i int, p pcm.Period) {
				p.Samples = slices.Clone(p.Samples)
				h := selftest.Heard{Line: t.cfg.place(lines[i].Name), Period: p, Away: card.Status().Err}
				select {
				case heard <- h:
				case <-ctx.Done():
				}
			})
			if err != nil {
				mu.Lock()
				wrong = errors.Join(wrong, err)
				mu.Unlock()
				cancel() // no line of this card would ever end
			}
		})
	}
	listen(ctx, heard)
	cancel()
	cards.Wait()
	return wrong
}

// place is which of the settings' lines has a name.
func (c *config) place(name string) int {
	return slices.IndexFunc(c.Lines, func(l lineConfig) bool { return l.Name == name })
}

// shortened is the beginning of a long public key, enough to tell it from others.
func shortened(key string) string {
	const enough = 16
	if len(key) <= enough {
		return key
	}
	return strings.ToValidUTF8(key[:enough], "") + "..."
}
