package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/provision"
	"github.com/linekeeper/linekeeper/wire"
)

// networksCommand is what linekeeper-networks.service runs at boot and after each bundle.
func networksCommand() *cobra.Command {
	var into, country string
	cmd := &cobra.Command{
		Use:   "networks --into FOLDER BUNDLE",
		Short: "Write NetworkManager's profiles of a bundle's networks",
		Long: `What linekeeper-networks.service runs, as root and without the recorder's rights: writes a profile for each network of the bundle
that was applied into FOLDER, and removes those of an earlier one; of a bundle that is empty, as after a reset, all. Profiles that
others have put there stay.`,
		Hidden: true,
		Args:   command.Exactly(1, "the bundle, bundle.jws of the identity"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if into == "" {
				return command.Usage("--into is needed: the folder of NetworkManager's profiles")
			}
			pinned, err := pinnedKey()
			if err != nil {
				return err
			}
			jws, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read the bundle: %w", err)
			}
			var b wire.Bundle
			if text := strings.TrimSpace(string(jws)); text != "" {
				if b, err = wire.VerifyBundle(pinned, text); err != nil {
					return err
				}
			}
			if err := wire.CheckNetworks(b.Networks); err != nil {
				return err
			}
			profiles, where := provision.Profiles(b.Networks)
			changed, err := provision.WriteProfiles(into, profiles)
			if err != nil {
				return err
			}
			if country != "" {
				if err := os.WriteFile(country, []byte(where), 0o600); err != nil {
					return fmt.Errorf("say whose radio rules hold: %w", err)
				}
			}
			switch {
			case changed && b.Number == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "no bundle, and no networks any more")
			case changed:
				fmt.Fprintf(cmd.OutOrStdout(), "%d networks of the bundle of %s\n", len(profiles), b.Time.Format("2006-01-02 15:04"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&into, "into", "", "folder of NetworkManager's profiles")
	cmd.Flags().StringVar(&country, "country", "", "file that gets the two letters of the country whose radio rules hold; empty where none is named")
	return cmd
}
