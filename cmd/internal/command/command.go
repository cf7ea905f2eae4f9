// Package command is what the command lines of both programs have in common: exit codes, errors of usage, JSON and the
// log.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/manual"
	"github.com/linekeeper/linekeeper/cmd/internal/settings"
)

// Exit codes of both programs.
const (
	ExitWell   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or configuration
)

// Main runs the command line of a program until it ends or is told to stop, and gives the exit code.
func Main(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Execute(ctx, root, os.Args[1:])
}

// Execute runs one command line. An error is one line (or one for each mistake) on standard error; one that has an ExitCode
// of its own is a verdict, which has been printed.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.AddCommand(manual.Command())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usage("%w; see `%s --help`", err, cmd.CommandPath())
	})
	for _, cmd := range append(root.Commands(), root) {
		if cmd.HasSubCommands() && cmd.RunE == nil {
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, needSubcommand
		}
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitWell
	}
	var verdict interface{ ExitCode() int } // no failure: what it says has been printed
	if errors.As(err, &verdict) {
		return verdict.ExitCode()
	}
	fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", root.Name(), err)
	var wrong *settings.Error
	var usage *UsageError
	if errors.As(err, &wrong) || errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitFailed
}

func needSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		var known []string
		for _, sub := range cmd.Commands() {
			known = append(known, sub.Name())
		}
		near := settings.Nearest(args[0], known)
		if near != "" {
			near = fmt.Sprintf("; did you mean %q?", near)
		}
		return Usage("%s has no command %q%s; see `%s --help`", cmd.CommandPath(), args[0], near, cmd.CommandPath())
	}
	return Usage("%s needs a command; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
}

// UsageError is a command line that cannot be carried out.
type UsageError struct{ err error }

// Error implements error.
func (e *UsageError) Error() string { return e.err.Error() }

// Unwrap implements errors' interface.
func (e *UsageError) Unwrap() error { return e.err }

// Options are the flags that commands share.
type Options struct {
	Config string // settings file
	JSON   bool
}

// AddConfig adds --config to a program.
func (o *Options) AddConfig(root *cobra.Command, otherwise string) {
	root.PersistentFlags().StringVarP(&o.Config, "config", "c", otherwise, "settings file")
}

// AddJSON adds --json to a command.
func (o *Options) AddJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print JSON")
}

// CheckConfig is the command that reads a settings file as another command (run, serve) would; load says in a few words
// what is in it.
func CheckConfig(as string, load func(file string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a settings file",
		Long: "Reads a settings file as `" + as + "` would, and names each mistake with its line, its key and the nearest\n" +
			"key that is known.",
		Args: Exactly(1, "a settings file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			what, err := load(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is well: %s\n", args[0], what)
			return nil
		},
	}
}

// Usage makes a *UsageError.
func Usage(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// Exactly is for commands that take n arguments; what says which.
func Exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return Usage("%s takes %s; see `%s --help`", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

// PrintJSON writes v for a script.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// LogFlag adds --log to a command. The function it returns makes the log, on standard error.
func LogFlag(cmd *cobra.Command) func() (*slog.Logger, error) {
	form := cmd.Flags().String("log", "text", "form of the log on standard error: text or json")
	return func() (*slog.Logger, error) {
		switch *form {
		case "text":
			return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)), nil
		case "json":
			return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil)), nil
		}
		return nil, Usage("--log %q is neither text nor json", *form)
	}
}
