package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/wire"
)

func recorderCommand(o *options) *cobra.Command {
	recorder := &cobra.Command{Use: "recorder", Short: "Manage the recorders"}
	recorder.AddCommand(recorderAddCommand(o), recorderListCommand(o), revokeCommand(o, true), revokeCommand(o, false))
	return recorder
}

func recorderAddCommand(o *options) *cobra.Command {
	var site, out string
	cmd := &cobra.Command{
		Use:   "add --site SITE --out FOLDER",
		Short: "Make a recorder's identity",
		Long: `Makes the identity of a new recorder: its key and certificate, headquarters' authority and receipt key, and whom
its calls are sealed to. Copy the folder to the recorder as /var/lib/linekeeper/identity, and keep no copy: who has the
key is the recorder.`,
		Args: command.Exactly(0, "no arguments, but --site and --out"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if site == "" || out == "" {
				return command.Usage("both --site and --out are needed; see `%s --help`", cmd.CommandPath())
			}
			ca, err := o.authority()
			if err != nil {
				return err
			}
			key, err := writeIdentity(ca, out)
			if err != nil {
				return err
			}
			err = o.withLibrary(func(lib *library.Library) error {
				return lib.SaveRecorder(cmd.Context(), hq.Recorder{Device: call.DeviceIDOf(key), Key: key, Site: site})
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "recorder %s of %s: its identity is in %s\n", call.DeviceIDOf(key), site, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "office that the recorder is for")
	cmd.Flags().StringVar(&out, "out", "", "folder to write the identity to, which must not exist yet")
	return cmd
}

func (o *options) authority() (*authority.Authority, error) {
	c, err := loadConfig(o.Config)
	if err != nil {
		return nil, err
	}
	return authority.Open(c.authorityDir(), time.Now)
}

// writeIdentity makes the folder that the recorder's program reads, and gives the public half of the recorder's key.
func writeIdentity(ca *authority.Authority, out string) (ed25519.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	certificate, err := ca.IssueDevice(public)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	receipt, err := x509.MarshalPKIXPublicKey(ca.ReceiptKey().Public())
	if err != nil {
		return nil, fmt.Errorf("receipt key: %w", err)
	}
	recipient, err := ca.Recipient()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(out, 0o700); err != nil {
		return nil, fmt.Errorf("make identity folder: %w", err)
	}
	for name, content := range map[string][]byte{
		"device.key":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"device.crt":  certificate,
		"hq-ca.crt":   ca.CertificatePEM(),
		"receipt.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: receipt}),

		"recipients.txt": []byte(recipient + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
			return nil, fmt.Errorf("write identity: %w", err)
		}
	}
	return public, nil
}

func recorderListCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the recorders, and when each was last heard of",
		Args:  command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withLibrary(func(lib *library.Library) error {
				recorders, err := lib.Recorders(cmd.Context())
				if err != nil {
					return err
				}
				if o.JSON {
					return command.PrintJSON(cmd.OutOrStdout(), recorderRows(recorders))
				}
				t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "RECORDER\tSITE\tLAST SEEN\tSTATE")
				for _, r := range recorders {
					seen, state := "never", ""
					if !r.Seen.IsZero() {
						seen = r.Seen.Local().Format(time.DateTime)
					}
					if r.Status != nil {
						state = string(r.Status.State)
					}
					if !r.Revoked.IsZero() {
						state = "shut out since " + r.Revoked.Local().Format(time.DateTime)
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Device, r.Site, seen, state)
				}
				return t.Flush()
			})
		},
	}
	o.AddJSON(cmd)
	return cmd
}

// recorderRow is a recorder as a script sees it.
type recorderRow struct {
	Device call.DeviceID     `json:"device"`
	Site   string            `json:"site"`
	Key    ed25519.PublicKey `json:"key"` // that signs its ledger
	Added  time.Time         `json:"added"`
	Seen   time.Time         `json:"seen,omitzero"` // not there: never
	Via    string            `json:"via,omitempty"`
	Status *wire.Status      `json:"status,omitempty"` // the last one

	Revoked time.Time `json:"revoked,omitzero"` // since when it is shut out
}

func recorderRows(recorders []hq.Recorder) []recorderRow {
	rows := make([]recorderRow, len(recorders))
	for i, r := range recorders {
		rows[i] = recorderRow(r)
	}
	return rows
}

// revokeCommand shuts recorders out, or lets them in again.
func revokeCommand(o *options, out bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke RECORDER",
		Short: "Shut a recorder out at once",
		Long: `Shuts a recorder out: from its next word on, also over connections that stand, nothing of it is taken, and its
certificate is not renewed. What it sent before stays. Its calls stay on its card.`,
		Args: command.Exactly(1, "a recorder's device ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			device, err := call.ParseDeviceID(args[0])
			if err != nil {
				return command.Usage("%v", err)
			}
			err = o.withLibrary(func(lib *library.Library) error { return lib.Revoke(cmd.Context(), device, out) })
			if err != nil {
				return err
			}
			said := "is shut out"
			if !out {
				said = "is let in again"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "recorder %s %s\n", device, said)
			return nil
		},
	}
	if !out {
		cmd.Use, cmd.Short, cmd.Long = "restore RECORDER", "Let a recorder in again that was shut out", "Lets a recorder in again that was shut out."
	}
	return cmd
}

func certificateCommand(o *options) *cobra.Command {
	var names []string
	var out string
	cmd := &cobra.Command{
		Use:   "certificate --name NAME --out FOLDER",
		Short: "Make a certificate for a broker beside headquarters",
		Long: `Makes a server certificate by headquarters' authority, for an MQTT broker that stands beside headquarters: recorders
trust no other. Writes server.key, server.crt and hq-ca.crt.`,
		Args: command.Exactly(0, "no arguments, but --name and --out"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(names) == 0 || out == "" {
				return command.Usage("both --name and --out are needed; see `%s --help`", cmd.CommandPath())
			}
			ca, err := o.authority()
			if err != nil {
				return err
			}
			key, certificate, err := ca.IssueServer(names)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return fmt.Errorf("make folder: %w", err)
			}
			return errors.Join(
				os.WriteFile(filepath.Join(out, "server.key"), key, 0o600),
				os.WriteFile(filepath.Join(out, "server.crt"), certificate, 0o644),
				os.WriteFile(filepath.Join(out, "hq-ca.crt"), ca.CertificatePEM(), 0o644))
		},
	}
	cmd.Flags().StringSliceVar(&names, "name", nil, "host name or address of the broker; may be given again")
	cmd.Flags().StringVar(&out, "out", "", "folder to write to")
	return cmd
}
