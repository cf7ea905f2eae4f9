package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/cmd/internal/selftest"
	"github.com/linekeeper/linekeeper/provision"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// filePinned is the receipt key that an image pins: a new recorder then takes bundles of that headquarters alone.
const filePinned = "/etc/linekeeper/headquarters.pub"

func provisionCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "provision FOLDER",
		Short: "Take the bundle on a USB stick: become one of headquarters' recorders",
		Long: `Takes the bundle that ` + "`linekeeper-hq bundle`" + ` has put on the USB stick that is mounted at FOLDER. All of it is checked before
anything is changed; then all of it holds, or nothing. A new recorder takes any bundle (or those of the headquarters whose key
stands in ` + filePinned + `); later only those of the same headquarters, for its site or for itself by name.

What became of it, the lines that were found and an unattended selftest are printed, and written to the stick
(` + wire.ReportFolder + `). A recorder that runs takes the new settings up by starting again, when no call goes on.

Exit codes: 0 accepted, or taken before; 1 refused, or failed; 2 wrong usage or configuration.`,
		Args: command.Exactly(1, "the folder at which the stick is mounted"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.bare()
			if err != nil {
				return err
			}
			s, err := stick.Open(args[0], stick.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			report, err := c.provision(cmd.Context(), s)
			if report != nil {
				err = errors.Join(err, report.Print(cmd.OutOrStdout()))
				if wrote := report.write(s); wrote != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "the report is not on the stick: %v\n", wrote)
				}
			}
			return err
		},
	}
}

// bare gives the machine's own settings, which have to leave the rest to a bundle.
func (o *options) bare() (config, error) {
	c, err := loadMachine(o.Config)
	if err == nil && !c.isBare() {
		err = command.Usage("%s names lines or headquarters of its own, which hold: take them out, so that a bundle's can", o.Config)
	}
	return c, err
}

// provision judges the bundle on a stick, and applies it. The report says what became of it, also of one that is refused.
func (c config) provision(ctx context.Context, s *stick.Stick) (*provisionReport, error) {
	waited := c.light(ctx, stickReading)
	report, err := c.takeBundle(s)
	shown := stickAccepted
	if err != nil {
		shown = stickRefused
	}
	c.light(ctx, shown)
	if report == nil || err != nil {
		return report, err
	}
	p, err := c.provisioned()
	if err != nil {
		return report, fmt.Errorf("read the bundle's settings back: %w", err)
	}
	if waited && !report.Already {
		p.awaitRecorder(ctx)
	}
	report.look(ctx, p)
	return report, nil
}

var errNoBundle = errors.New("neither " + wire.BundleAtTop + " nor " + wire.BundleFile + " lies on the stick: headquarters makes one, on its page of recorders or with `linekeeper-hq bundle`")

// readBundle reads the bundle that lies at the top of a stick, where a browser has saved it, or the one in the folder.
func readBundle(s *stick.Stick) ([]byte, error) {
	b, err := s.Read(wire.BundleAtTop, wire.MaxBundle+2)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = s.Read(wire.BundleFile, wire.MaxBundle+2)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoBundle
	}
	return b, err
}

// takeBundle judges and applies. The report is nil where there was no bundle, or the fault is not the bundle's.
func (c config) takeBundle(s *stick.Stick) (*provisionReport, error) {
	b, err := readBundle(s)
	if errors.Is(err, errNoBundle) {
		return nil, err
	}
	r := newReport()
	if errors.Is(err, stick.ErrHostile) {
		r.Reason = err.Error()
		return r, fmt.Errorf("the bundle is refused: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if !c.isBare() {
		r.Reason = c.file + " names lines or headquarters of its own, which hold"
		return r, fmt.Errorf("the bundle is refused: %s", r.Reason)
	}
	pinned, err := pinnedKey()
	if err != nil {
		return nil, err
	}
	plan, err := provision.Judge(provision.Config{Dir: c.identityDir(), Pinned: pinned, Settings: c.complete}, string(b))
	var refused *provision.RefusedError
	if errors.As(err, &refused) {
		r.Reason = refused.Error()
		if id, err := readKey(path.Join(c.identityDir(), fileKey)); err == nil {
			r.Device = call.DeviceIDOf(id.Public().(ed25519.PublicKey))
		}
		return r, fmt.Errorf("the bundle is refused: %w", err)
	}
	if err == nil {
		err = plan.Apply()
	}
	if err != nil {
		return nil, err
	}
	r.Accepted, r.Already, r.Device, r.Site = true, plan.Done, plan.Device, plan.Bundle.Site
	return r, nil
}

func pinnedKey() (ed25519.PublicKey, error) {
	text, err := os.ReadFile(filePinned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the pinned receipt key: %w", err)
	}
	key, err := provision.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("pinned receipt key %s: %w", filePinned, err)
	}
	return key, nil
}

// recorderWait is how long a recorder that runs may take to start again with its new settings.
const recorderWait = 20 * time.Second

// awaitRecorder waits until the recorder hears its new lines and has reached headquarters, so that the report can say how both
// are.
func (c config) awaitRecorder(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recorderWait)
	defer cancel()
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		var s statusReport
		if askControl(ctx, c.Control, controlStatus, &s) == nil && len(s.Lines) == len(c.Lines) && len(s.Lines) > 0 && (s.Waiting.Link != "" || !c.hasUplink()) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// provisionReport is what a recorder says of a bundle. Nothing in it is secret.
type provisionReport struct {
	Device   call.DeviceID    `json:"device,omitempty"` // empty: it has no key yet
	Time     time.Time        `json:"time"`             // as the recorder believes
	Software string           `json:"software"`
	Accepted bool             `json:"accepted"`
	Already  bool             `json:"already,omitempty"` // it had been applied before
	Reason   string           `json:"reason,omitempty"`  // why it was refused
	Site     string           `json:"site,omitempty"`
	Lines    []capture.Input  `json:"cards"`              // sound cards that were found
	Selftest *selftest.Report `json:"selftest,omitempty"` // with the levels of the lines
}

func newReport() *provisionReport {
	return &provisionReport{Time: time.Now().UTC(), Software: version, Lines: []capture.Input{}}
}

// look adds what there is to say of the machine.
func (r *provisionReport) look(ctx context.Context, c config) {
	if inputs, err := capture.Inputs(); err == nil {
		r.Lines = append(r.Lines, inputs...)
	}
	t := selftester{cfg: c}
	if results, err := t.run(ctx); err == nil {
		report := selftest.NewReport(results)
		r.Selftest = &report
	}
}

// Print writes the report for a person.
func (r *provisionReport) Print(w io.Writer) error {
	var text strings.Builder
	switch {
	case !r.Accepted:
		fmt.Fprintf(&text, "REFUSED: %s\n", r.Reason)
	case r.Already:
		fmt.Fprintf(&text, "ACCEPTED before: recorder %s of %s\n", r.Device, r.Site)
	default:
		fmt.Fprintf(&text, "ACCEPTED: this is recorder %s of %s now\n", r.Device, r.Site)
	}
	if r.Accepted {
		printInputs(&text, r.Lines)
	}
	if r.Selftest != nil {
		if err := r.Selftest.Print(&text); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// write puts the report onto the stick, for people and for programs.
func (r *provisionReport) write(s *stick.Stick) error {
	name := string(r.Device)
	if name == "" {
		name = "new"
	}
	return errors.Join(
		s.Publish(path.Join(wire.ReportFolder, name+".txt"), func(w io.Writer) error {
			if _, err := fmt.Fprintf(w, "%s, linekeeper %s\n", r.Time.Format(time.DateTime+" MST"), r.Software); err != nil {
				return err
			}
			return r.Print(w)
		}),
		s.Publish(path.Join(wire.ReportFolder, name+".json"), func(w io.Writer) error { return command.PrintJSON(w, r) }))
}
