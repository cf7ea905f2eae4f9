package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/bundle"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// bundleOptions are the flags of `linekeeper-hq bundle`.
type bundleOptions struct {
	site, device, out, settings, host, wifi, passwordFile, country, apn string
	days                                                                int
}

func bundleCommand(o *options) *cobra.Command {
	var b bundleOptions
	cmd := &cobra.Command{
		Use:   "bundle --site SITE --out FOLDER",
		Short: "Make the bundle that a recorder is set up with from a USB stick",
		Long: `Writes linekeeper/bundle.jws into FOLDER, which is that of an empty USB stick: what a new recorder has to know to become one of
this headquarters', and a token with which it fetches its certificate, once. Put the stick into the recorder; its light says
whether it took it, and its report stands in linekeeper/reports on the stick.

--settings names a file with the recorder's settings, such as its lines; headquarters' addresses are added where it names
none. Without it the recorder uses each USB sound card that it finds as a line.

Whoever has the stick can make one recorder one of yours: keep it until it is used. Wi-Fi passwords stand on it in clear.`,
		Args: command.Exactly(0, "no arguments, but --site and --out"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.site == "" || b.out == "" {
				return command.Usage("both --site and --out are needed; see `%s --help`", cmd.CommandPath())
			}
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			jws, err := b.make(cmd.Context(), o, c)
			if err != nil {
				return err
			}
			if err := writeBundle(b.out, jws); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "a bundle of %d bytes for %s, good for one recorder and %d days: %s in %s\n", len(jws), b.site, b.days, wire.BundleFile, b.out)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.site, "site", "", "office that the recorder is for")
	f.StringVar(&b.out, "out", "", "folder of the stick")
	f.StringVar(&b.device, "device", "", "the only recorder that it is for; needed to move one to another site")
	f.StringVar(&b.settings, "settings", "", "file with the recorder's settings")
	f.StringVar(&b.host, "host", "", "name by which the recorder reaches headquarters; the first of the settings' names")
	f.IntVar(&b.days, "days", 30, "for how many days the token is good")
	f.StringVar(&b.wifi, "wifi", "", "name (SSID) of a Wi-Fi network that the recorder may use")
	f.StringVar(&b.passwordFile, "wifi-password-file", "", "file with its password")
	f.StringVar(&b.country, "wifi-country", "", "two letters of the country whose radio rules hold")
	f.StringVar(&b.apn, "mobile-apn", "", "access point name of a mobile network that the recorder may use")
	return cmd
}

// make makes the bundle, and keeps its token.
func (b bundleOptions) make(ctx context.Context, o *options, c config) (jws string, err error) {
	ca, err := authority.Open(c.authorityDir(), time.Now)
	if err != nil {
		return "", err
	}
	order := hq.BundleOrder{Site: b.site, Device: call.DeviceID(b.device), Days: b.days}
	if b.settings != "" {
		text, err := os.ReadFile(b.settings)
		if err != nil {
			return "", fmt.Errorf("read the recorder's settings: %w", err)
		}
		order.Settings = string(text)
	}
	if order.Networks, err = b.networks(); err != nil {
		return "", err
	}
	err = o.withLibrary(func(lib *library.Library) (err error) {
		jws, err = c.bundles(ca, lib, b.host).Make(ctx, order)
		return err
	})
	if errors.Is(err, hq.ErrRefused) {
		err = command.Usage("%w", err)
	}
	return jws, err
}

// bundles makes the bundles of recorders that reach headquarters by the name of a host; empty: the first of the settings.
func (c *config) bundles(ca *authority.Authority, lib *library.Library, host string) bundle.Maker {
	if host == "" {
		host = c.Names[0]
	}
	address := func(listen string) string {
		if listen == "" {
			return ""
		}
		_, port, _ := net.SplitHostPort(listen) // checked with the settings
		return net.JoinHostPort(host, port)
	}
	return bundle.Maker{Authority: ca, Tokens: lib, HTTPS: address(c.Listen.Recorders), MQTT: address(c.Listen.MQTT), Now: time.Now}
}

func (b bundleOptions) networks() (all []wire.Network, err error) {
	if b.wifi != "" {
		n := wire.Network{Kind: wire.NetworkWiFi, Name: b.wifi, Country: b.country}
		if b.passwordFile != "" {
			password, err := os.ReadFile(b.passwordFile)
			if err != nil {
				return nil, fmt.Errorf("read the password of the Wi-Fi network: %w", err)
			}
			n.Password = strings.TrimSpace(string(password))
		}
		all = append(all, n)
	}
	if b.apn != "" {
		all = append(all, wire.Network{Kind: wire.NetworkMobile, Name: b.apn})
	}
	return all, nil
}

func writeBundle(dir, jws string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	s, err := stick.Open(dir, stick.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	err = s.Publish(wire.BundleFile, func(w io.Writer) error {
		_, err := io.WriteString(w, jws+"\n")
		return err
	})
	return errors.Join(err, s.Remove(wire.BundleAtTop)) // an older one, which would go before it
}
