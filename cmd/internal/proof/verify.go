// Package proof is the commands of both programs for calls that have left the recorder: verify, which says whether they
// are what was recorded, and open, which makes a file of one that can be played. Both work without a network.
//
//	root.AddCommand(proof.VerifyCommand(proof.Headquarters{}), proof.OpenCommand())
package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

// Headquarters is what a program has of it. Both may be nil.
type Headquarters struct {
	// Library opens the library, which is verified where no path is given.
	Library func(ctx context.Context) (verify.Source, func() error, error)

	// Authority gives the certificate of its authority in PEM, for --authority where that is not given.
	Authority func() ([]byte, error)
}

// VerdictError is a verdict that is not green. It is no failure: the report has been printed, and the program's exit code
// is the colour's.
type VerdictError struct{ Report verify.Report }

// Error implements error.
func (e *VerdictError) Error() string { return e.Report.String() }

// ExitCode is that of the colour.
func (e *VerdictError) ExitCode() int { return e.Report.Colour.ExitCode() }

// look is how the command line says to look.
type look struct {
	command.Options
	authority    string
	certificates []string
	keys         string
}

const verifyLong = `Says whether calls are what their recorder recorded, and all of them, and prints what is not, with the reason and the
place. A FOLDER is searched for call files (.lkc), ledgers (.ledger), manifests (CALL.jws) and the recorders'
certificates (.crt, .pem); of a FILE the same is looked for beside it.

The certificates that lie beside are believed where headquarters' authority has signed them: give its certificate
(hq-ca.crt) with --authority, or a recorder's with --recorder-cert. With the secret key that opens the calls (--key) every
record is tried, so that what was altered can be named.

Of calls whose recorder's clock was not synchronised it says when they began: as the recorder believed, and as an entry of its
ledger corrects that, with how far each can be believed (none: nobody had set the clock; rtc: a clock on the board; hq:
headquarters' time; ntp: synchronised).

Exit codes: 0 green: whole, signed, and all there; 3 amber: incomplete, and honestly so as far as can be seen; 4 red:
something was altered, is missing, or was signed by somebody else. 1 failed, 2 wrong usage.`

// VerifyCommand is `verify`.
func VerifyCommand(hq Headquarters) *cobra.Command {
	var l look
	cmd := &cobra.Command{
		Use:   "verify FILE|FOLDER...",
		Short: "Say whether calls are what was recorded, and all of them",
		Long:  verifyLong,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return command.Usage("%s takes call files or folders; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := l.verify(cmd.Context(), hq, args)
			if err != nil {
				return err
			}
			if err := l.print(cmd.OutOrStdout(), report); err != nil {
				return err
			}
			if report.Colour == verify.Green {
				return nil
			}
			return &VerdictError{report}
		},
	}
	if hq.Library != nil {
		cmd.Use = "verify [FILE|FOLDER...]"
		cmd.Long = strings.Replace(verifyLong, "\n\n", " Without\neither, headquarters' library is verified.\n\n", 1)
		cmd.Args = nil
	}
	cmd.Flags().StringVar(&l.authority, "authority", "", "certificate of headquarters' authority (hq-ca.crt)")
	cmd.Flags().StringArrayVar(&l.certificates, "recorder-cert", nil, "certificate or public key of a recorder; may be given again")
	cmd.Flags().StringVar(&l.keys, "key", "", "file with the secret keys that open the calls (AGE-SECRET-KEY-1...)")
	l.AddJSON(cmd)
	return cmd
}

func (l *look) verify(ctx context.Context, hq Headquarters, paths []string) (verify.Report, error) {
	keys, err := readKeys(l.keys)
	if err != nil {
		return verify.Report{}, err
	}
	if len(paths) == 0 {
		return checkLibrary(ctx, hq, verify.Options{Keys: keys})
	}
	trust, err := l.trust(hq)
	if err != nil {
		return verify.Report{}, err
	}
	return verify.Paths(ctx, paths, verify.Options{Keys: keys, Trust: trust})
}

func checkLibrary(ctx context.Context, hq Headquarters, o verify.Options) (report verify.Report, err error) {
	src, shut, err := hq.Library(ctx)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, shut()) }()
	return verify.Check(ctx, src, o)
}

func (l *look) trust(hq Headquarters) (*verify.Trust, error) {
	var authority []byte
	var err error
	switch {
	case l.authority != "":
		authority, err = os.ReadFile(l.authority)
	case hq.Authority != nil:
		authority, err = hq.Authority()
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate of headquarters' authority: %w", err)
	}
	trust, err := verify.NewTrust(authority)
	if err != nil {
		return nil, err
	}
	for _, path := range l.certificates {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read recorder's certificate: %w", err)
		}
		if err := trust.Add(text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return trust, nil
}

// readKeys reads a file of secret keys; none where there is no path.
func readKeys(path string) (seal.Keys, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	defer clear(text)
	keys, err := seal.ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// print writes a report: as JSON, or for a person, red first.
func (l *look) print(w io.Writer, r verify.Report) error {
	if l.JSON {
		return command.PrintJSON(w, r)
	}
	var text strings.Builder
	for _, colour := range []verify.Colour{verify.Red, verify.Amber} {
		for _, f := range r.Findings {
			if f.Colour == colour {
				fmt.Fprintf(&text, "%s (%s) %s\n", strings.ToUpper(string(f.Colour)), f.Code, f.Text)
				if p := place(f); p != "" {
					fmt.Fprintf(&text, "    %s\n", p)
				}
			}
		}
	}
	if r.Omitted > 0 {
		fmt.Fprintf(&text, "and %d more\n", r.Omitted)
	}
	for _, t := range r.Times {
		fmt.Fprintf(&text, "CLOCK call %s %s\n", t.Call, began(t))
	}
	if r.OmittedTimes > 0 {
		fmt.Fprintf(&text, "and %d more whose recorder's clock was not synchronised\n", r.OmittedTimes)
	}
	fmt.Fprintf(&text, "%s: %d calls and %d entries verified, %d findings\n", r.Colour, r.Calls, r.Entries, len(r.Findings)+r.Omitted)
	_, err := io.WriteString(w, text.String())
	return err
}

// began says when a call began by a doubtful clock.
func began(t verify.Time) string {
	const form = time.DateTime + " MST"
	if t.Epoch == nil {
		return fmt.Sprintf("began at %s (%s), as its recorder believed: nothing here corrects that", t.Believed.Format(form), t.BelievedGrade)
	}
	return fmt.Sprintf("began at %s (%s), by entry %d of epoch %s; its recorder believed %s (%s)",
		t.Began.Format(form), t.Grade, t.Entry, t.Epoch, t.Believed.Format(form), t.BelievedGrade)
}

// place says where a finding is.
func place(f verify.Finding) string {
	var at []string
	if f.File != "" {
		at = append(at, f.File)
	}
	if f.Call != nil {
		at = append(at, fmt.Sprintf("call %s", f.Call))
	}
	if f.Record != nil {
		at = append(at, fmt.Sprintf("record %d", *f.Record))
	}
	if f.Offset != nil {
		at = append(at, fmt.Sprintf("byte %d", *f.Offset))
	}
	if f.Device != "" {
		at = append(at, fmt.Sprintf("recorder %s", f.Device))
	}
	if f.Epoch != nil {
		at = append(at, fmt.Sprintf("epoch %s", f.Epoch))
	}
	if f.Entry > 0 {
		at = append(at, fmt.Sprintf("entry %d", f.Entry))
	}
	return strings.Join(at, ", ")
}
