package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/ingest"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/verify"
)

func importCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FOLDER",
		Short: "Take in the calls that a courier brings on a stick",
		Long: `Takes in the calls and the entries that recorders have put on a USB stick, which is mounted at FOLDER, and writes the
receipts back onto it: a recorder releases the calls when the stick is put in again, or when it is next connected, whichever
comes first. It may run beside ` + "`linekeeper-hq serve`" + `, as the same user. An import that is cut short is made up for by the
next; what is here already is passed over.

Each thing on the stick is green (it is here), amber (it is not whole, or not on the stick, and honestly so) or red (it was
refused, is damaged, or was altered), with the reason.

Exit codes: 0 all green, 3 amber, 4 red; 1 the import could not go on, 2 wrong usage.`,
		Args: command.Exactly(1, "the folder at which the stick is mounted"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(o.Config)
			if err != nil {
				return err
			}
			report, err := importStick(cmd.Context(), c, args[0], func(one ingest.Outcome) {
				if !o.JSON {
					printOutcome(cmd.OutOrStdout(), one)
				}
			})
			if o.JSON {
				err = errors.Join(err, command.PrintJSON(cmd.OutOrStdout(), report))
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%d green, %d amber, %d red\n", report.Green, report.Amber, report.Red)
			}
			if err == nil && report.Colour != verify.Green {
				err = &colourError{report.Colour}
			}
			return err
		},
	}
	o.AddJSON(cmd)
	return cmd
}

// importReport is what became of a stick.
type importReport struct {
	Colour   verify.Colour    `json:"colour"`
	Green    int              `json:"green"`
	Amber    int              `json:"amber"`
	Red      int              `json:"red"`
	Outcomes []ingest.Outcome `json:"outcomes"`
}

func (r *importReport) add(o ingest.Outcome) {
	r.Outcomes = append(r.Outcomes, o)
	switch o.Verdict {
	case ingest.Green:
		r.Green++
	case ingest.Amber:
		r.Amber++
	case ingest.Red:
		r.Red++
	}
	switch {
	case r.Red > 0:
		r.Colour = verify.Red
	case r.Amber > 0:
		r.Colour = verify.Amber
	}
}

// colourError is a verdict that is not green. It is no failure: the report has been printed.
type colourError struct{ colour verify.Colour }

// Error implements error.
func (e *colourError) Error() string { return string(e.colour) }

// ExitCode is that of the colour.
func (e *colourError) ExitCode() int { return e.colour.ExitCode() }

func printOutcome(w io.Writer, o ingest.Outcome) {
	of := ""
	if o.Call != nil {
		of = "call " + o.Call.String() + ": "
	}
	fmt.Fprintf(w, "%-5s %s  %s%s\n", strings.ToUpper(string(o.Verdict)), o.Device, of, o.Text)
}

// importStick takes in what lies on the stick at dir, beside a headquarters that may be running.
func importStick(ctx context.Context, c config, dir string, tell func(ingest.Outcome)) (report importReport, err error) {
	report = importReport{Colour: verify.Green, Outcomes: []ingest.Outcome{}}
	if err := asOwner(c.Data); err != nil {
		return report, err
	}
	s, err := stick.Open(dir, stick.Options{})
	if err != nil {
		return report, err
	}
	defer s.Close()
	ca, err := authority.Open(c.authorityDir(), time.Now)
	if err != nil {
		return report, err
	}
	lib, err := library.Open(c.libraryFile(), time.Now)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lib.Close()) }()
	files, err := blob.Open(filepath.Join(c.Data, "calls"), blob.Options{Beside: true})
	if err != nil {
		return report, err
	}
	im, err := ingest.OpenImporter(ingest.Config{
		Library: lib, Ledger: lib, Recorders: lib, Files: files, Spool: filepath.Join(c.Data, "spool"),
		Key: ca.ReceiptKey(), Recipient: ca.Recipient, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	return report, im.Import(ctx, s, func(o ingest.Outcome) {
		report.add(o)
		tell(o)
	})
}

// asOwner says whether this user is the one whose the data folder is: what another writes there headquarters could not read.
func asOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("headquarters' data: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return command.Usage("%s belongs to user %d and not to the one who runs this: run it as headquarters' user, such as with `runuser -u linekeeper-hq -- linekeeper-hq import FOLDER`", dir, owner)
	}
	return nil
}
