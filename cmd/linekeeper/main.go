// Command linekeeper is the recorder: it hears telephone lines, keeps their calls on its card and delivers them to
// headquarters. `linekeeper --help` lists what it does.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

// version is set by the Makefile.
var version = "development"

func main() { os.Exit(command.Main(newRoot())) }

// options are the flags that several commands share.
type options struct {
	config string
	json   bool
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "linekeeper",
		Short: "Records the calls of telephone lines and delivers them to headquarters",
		Long: `linekeeper records the calls of telephone lines, keeps them in a ring on the card, and delivers
each of them to headquarters over HTTPS or MQTT whenever the link is there.

Exit codes: 0 well, 1 failed, 2 wrong usage or configuration.`,
		Version: version,
	}
	var o options
	root.PersistentFlags().StringVarP(&o.config, "config", "c", defaultConfig, "settings file")
	root.AddCommand(runCommand(&o), statusCommand(&o), inputsCommand(&o), meterCommand(&o), callsCommand(&o),
		replayCommand(&o), checkConfigCommand())
	return root
}

func (o *options) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a settings file",
		Long: `Reads a settings file as ` + "`linekeeper run`" + ` would, and names each mistake with its line, its key and the nearest
key that is known.`,
		Args: command.Exactly(1, "a settings file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is well: %d lines, %s, ring of %d MiB\n", args[0], len(c.Lines), c.Encoder.Codec, c.Ring.Size>>20)
			return nil
		},
	}
}
