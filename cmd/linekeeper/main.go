// Command linekeeper is the recorder: it hears telephone lines, keeps their calls on its card and delivers them to
// headquarters. `linekeeper --help` lists what it does.
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
		Use:   "linekeeper",
		Short: "Records the calls of telephone lines and delivers them to headquarters",
		Long: `linekeeper records the calls of telephone lines, keeps them in a ring on the card, and delivers
each of them to headquarters over HTTPS or MQTT whenever the link is there.

Exit codes: 0 well, 1 failed, 2 wrong usage or configuration; of verify: 3 amber, 4 red; of courier: 3, some calls
are not on the stick.`,
		Version: version,
	}
	var o options
	o.AddConfig(root, defaultConfig)
	root.AddCommand(proof.VerifyCommand(proof.Headquarters{}), proof.OpenCommand(), runCommand(&o), statusCommand(&o), inputsCommand(&o), meterCommand(&o), callsCommand(&o),
		replayCommand(&o), selftestCommand(&o), pauseCommand(&o), holdCommand(&o), uplinkCommand(&o), courierCommand(&o), provisionCommand(&o), stickCommand(&o), networksCommand(), owesCommand(&o), command.CheckConfig("linekeeper run", describe))
	return root
}

// describe says what is in a settings file.
func describe(file string) (string, error) {
	c, err := loadConfig(file)
	if err != nil {
		return "", err
	}
	size, err := c.ringBytes()
	return fmt.Sprintf("%d lines, %s, ring of %d MiB", len(c.Lines), c.Encoder.Codec, size>>20), err
}
