package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
)

// notMounted is a file in the folder over which the ring's own file system is mounted: whoever sees it sees that it is not. The
// SD card's image makes it (images/card/root/usr/lib/linekeeper/card).
const notMounted = "not-mounted"

// ringIsBeside says whether the ring is not on the file system that is there for it.
func (c *config) ringIsBeside() bool {
	_, err := os.Stat(filepath.Join(c.ringDir(), notMounted))
	return err == nil
}

const ringBeside = "the ring's own file system is not mounted: calls are kept beside it, where there is less room, and those on it cannot be sent. " +
	"Once nothing waits, switch the recorder off and on; if that does not mend it, take another card"

// owesCommand is what the SD card's image asks at boot of a ring that is not where it should be.
func owesCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "owes",
		Short:  "Exit with 0 where the ring holds what headquarters lacks, or what is on hold, and with 1 where it does not",
		Args:   command.Exactly(0, "no arguments"),
		Hidden: true,
	}
	newLog := command.LogFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		log, err := newLog()
		if err != nil {
			return err
		}
		c, err := loadConfig(o.Config)
		if err != nil {
			return nil //nolint:nilerr // settings that cannot be read do not say that nothing is owed
		}
		if !c.wouldLose(log) {
			return errors.New("headquarters has all that is in the ring")
		}
		return nil
	}
	return cmd
}
