// Command linekeeper-hq is headquarters: it receives the calls of recorders, keeps them, and shows and plays them in its
// web pages. `linekeeper-hq --help` lists what it does.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/cmd/internal/proof"
)

// version is set by the Makefile.
var version = "development"

func main() { os.Exit(command.Main(newRoot())) }

// options are the flags that several commands share.
type options struct{ command.Options }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "linekeeper-hq",
		Short: "Receives the calls of recorders, keeps them, and plays them",
		Long: `linekeeper-hq is headquarters: it receives the calls of recorders over HTTPS and MQTT, keeps them, and shows and
plays them in its web pages.

Exit codes: 0 well, 1 failed, 2 wrong usage or configuration; of verify and import: 3 amber, 4 red.`,
		Version: version,
	}
	var o options
	o.AddConfig(root, defaultConfig)
	root.AddCommand(
		proof.VerifyCommand(o.headquarters()), proof.OpenCommand(),
		serveCommand(&o), userCommand(&o), recorderCommand(&o), tellCommand(&o),
		bundleCommand(&o), importCommand(&o), exportCommand(&o),
		certificateCommand(&o), callKeyCommand(&o),
		command.CheckConfig("linekeeper-hq serve", describe),
	)
	return root
}

// describe says what is in a settings file.
func describe(file string) (string, error) {
	c, err := loadConfig(file)
	return fmt.Sprintf("pages on %s, recorders on %s", c.Listen.Web, c.Listen.Recorders), err
}
