// Command linekeeper-hq is headquarters: it receives the calls of recorders, keeps them, and shows and plays them in its
// web pages. `linekeeper-hq --help` lists what it does.
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
		Use:   "linekeeper-hq",
		Short: "Receives the calls of recorders, keeps them, and plays them",
		Long: `linekeeper-hq is headquarters: it receives the calls of recorders over HTTPS and MQTT, keeps them, and shows and
plays them in its web pages.

Exit codes: 0 well, 1 failed, 2 wrong usage or configuration.`,
		Version: version,
	}
	var o options
	root.PersistentFlags().StringVarP(&o.config, "config", "c", defaultConfig, "settings file")
	root.AddCommand(serveCommand(&o), userCommand(&o), recorderCommand(&o), certificateCommand(&o), checkConfigCommand())
	return root
}

func (o *options) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a settings file",
		Long: `Reads a settings file as ` + "`linekeeper-hq serve`" + ` would, and names each mistake with its line, its key and the nearest
key that is known.`,
		Args: command.Exactly(1, "a settings file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := loadConfig(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is well\n", args[0])
			return nil
		},
	}
}
