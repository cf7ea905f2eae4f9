package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

func exportCommand(o *options) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export CALL... --out FOLDER",
		Short: "Copy calls with what proves them, for a verifier outside",
		Long: `Copies calls as their recorders sealed them into a folder, each with what its recorder has signed of it: its manifest,
amendments, and the corrections of the clock by which it began. The recorders' certificates lie beside. Whoever gets the
folder checks it with ` + "`linekeeper verify FOLDER --authority hq-ca.crt`" + `, for which give him headquarters' hq-ca.crt by
another way; to hear the calls he needs a key that opens them. It may run beside ` + "`linekeeper-hq serve`" + `.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || out == "" {
				return command.Usage("want calls, and --out; see `%s --help`", cmd.CommandPath())
			}
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			ca, err := authority.Open(c.authorityDir(), time.Now)
			if err != nil {
				return err
			}
			return o.withLibrary(func(lib *library.Library) error {
				e := export{source{lib, blob.Look(filepath.Join(c.Data, "calls"))}, ca, out}
				for _, text := range args {
					id, err := call.ParseID(text)
					if err != nil {
						return command.Usage("%w; the call's page has it, under identity and proof", err)
					}
					if err := e.call(cmd.Context(), id); err != nil {
						return fmt.Errorf("export call %s: %w", id, err)
					}
					fmt.Fprintf(cmd.OutOrStdout(), "call %s is in %s\n", id, out)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to write to")
	return cmd
}

// export is a folder that calls are copied to.
type export struct {
	source
	authority *authority.Authority
	dir       string
}

// call copies a call: its file, the entries that go with it, and its recorder's certificate.
func (e export) call(ctx context.Context, id call.ID) error {
	c, err := e.library.Call(ctx, id)
	if errors.Is(err, hq.ErrNotFound) || err == nil && c.Stage != hq.StageDurable {
		return errors.New("it is not here whole")
	}
	if err != nil {
		return err
	}
	file, err := e.files.Open(ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	h, _, err := seal.NewReader(file).Unlock(nil)
	if h.Call != id {
		return fmt.Errorf("its file is damaged: run `linekeeper-hq verify`: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	entries, err := e.entries(ctx, h)
	if err != nil {
		return err
	}
	r, err := e.library.Recorder(ctx, c.Device)
	if err != nil {
		return err
	}
	certificate, err := e.authority.IssueDevice(r.Key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(e.dir, string(c.Device)+".crt"), certificate, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(e.dir, id.String()+".jws"), entries, 0o600); err != nil {
		return err
	}
	to, err := os.OpenFile(filepath.Join(e.dir, id.String()+".lkc"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return errors.Join(err, to.Close())
}

// entries gives what a call's recorder has signed of it, and of its clock in the boot in which the call began; a JWS a line,
// the manifest first.
func (e export) entries(ctx context.Context, h call.Header) ([]byte, error) {
	var ofCall, ofClock []byte
	ledgers, err := e.library.Ledgers(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range ledgers {
		if l.Device != h.Device {
			continue
		}
		for line, err := range e.Entries(ctx, verify.Ledger(l), 1) {
			if err != nil {
				return nil, err
			}
			entry, err := ledger.Parse(line.JWS)
			switch {
			case err != nil:
				return nil, err
			case (entry.Type == call.EntryEnd || entry.Type == call.EntryAmendment) && *entry.Call == h.Call:
				ofCall = append(append(ofCall, line.JWS...), '\n')
			case entry.Type == call.EntryCorrection && entry.Correction.BootID == h.Anchor.BootID:
				ofClock = append(append(ofClock, line.JWS...), '\n')
			}
		}
	}
	if ofCall == nil {
		return nil, errors.New("its manifest has not come: the recorder is still to send it")
	}
	return append(ofCall, ofClock...), nil
}
