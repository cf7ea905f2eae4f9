package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/uplink/courier"
	"github.com/linekeeper/linekeeper/verify"
)

func courierCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "courier FOLDER",
		Short: "Take calls out on a USB stick",
		Long: `Puts the calls that headquarters does not have onto the USB stick that is mounted at FOLDER: those that it asked for, then
those on hold, then from the oldest, with the entries of the ledger. ` + "`linekeeper-hq import`" + ` takes them in, and writes receipts onto the stick: when
it comes back, the recorder releases what is receipted, and the stick is cleared of it.

The stick may be pulled out at any moment, and goes on the next time. It may serve several recorders. A recorder that runs
goes on recording; where none runs, its ring is opened for as long as this takes.

Exit codes: 0 all that waits is on the stick, 3 some of it is not; 1 failed, 2 wrong usage.`,
		Args: command.Exactly(1, "the folder at which the stick is mounted"),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := o.courier(cmd, args[0])
			if o.JSON {
				err = errors.Join(err, command.PrintJSON(cmd.OutOrStdout(), done))
			} else if err == nil || done.Written > 0 || len(done.Accepted.Calls) > 0 {
				printDone(cmd.OutOrStdout(), done)
			}
			if err == nil && !done.Complete() {
				err = &incompleteError{}
			}
			return err
		},
	}
	o.AddJSON(cmd)
	return cmd
}

// incompleteError says that something stayed at the recorder, which has been printed.
type incompleteError struct{}

// Error implements error.
func (*incompleteError) Error() string { return "some calls are not on the stick" }

// ExitCode is amber's.
func (*incompleteError) ExitCode() int { return verify.Amber.ExitCode() }

func (o *options) courier(cmd *cobra.Command, dir string) (courier.Done, error) {
	ctx := cmd.Context()
	cfg, err := loadConfig(o.Config)
	if err != nil {
		return courier.Done{}, err
	}
	s, err := stick.Open(dir, stick.Options{})
	if err != nil {
		return courier.Done{}, err
	}
	defer s.Close()
	progress := courierProgress(cmd.ErrOrStderr())
	var running statusReport
	err = askControl(ctx, cfg.Control, controlStatus, &running)
	if errors.Is(err, errNotRunning) {
		return carryAlone(ctx, cfg, s, progress, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	}
	if err != nil {
		return courier.Done{}, err
	}
	return carryRunning(ctx, cfg.Control, s, progress)
}

// carryRunning carries the calls of the recorder that answers on a socket.
func carryRunning(ctx context.Context, socket string, s *stick.Stick, progress func(courier.Progress)) (courier.Done, error) {
	over := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer over.CloseIdleConnections()
	return courier.Carry(ctx, s, courier.NewClient(&http.Client{Transport: over}), progress)
}

// carryAlone carries the calls of a recorder that does not run.
func carryAlone(ctx context.Context, cfg config, s *stick.Stick, progress func(courier.Progress), log *slog.Logger) (done courier.Done, err error) {
	id, err := loadIdentity(cfg.identityDir(), cfg.hasUplink(), cfg.Uplink.HTTPS)
	if err != nil {
		return done, err
	}
	clock, err := newSystemClock()
	if err != nil {
		return done, err
	}
	cfg.Lines = nil // nothing is heard
	d, err := openDevice(cfg, id, clock, observer{log}, log)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, d.recorder.Stop(), d.ring.Close()) }()
	return courier.Carry(ctx, s, d.desk(log), progress)
}

// desk hands calls to a courier.
func (d *device) desk(log *slog.Logger) *courier.Desk {
	return courier.NewDesk(courier.DeskConfig{
		Store: d.ring, Epoch: d.ring.State().Epoch, LastEntry: func() uint64 { return d.ring.State().Last },
		Key: d.id.key, ReceiptKey: d.id.receipt, Now: time.Now,
		Accepted: func(id call.ID) { log.Info("delivered", "call", id, "via", "courier") },
	})
}

// courierProgress shows how far a visit is: on one line of a terminal, or now and then on a line of its own.
func courierProgress(w io.Writer) func(courier.Progress) {
	every, format := 10*time.Second, "call %d of %d, %s of %s written\n"
	f, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	if terminal {
		every, format = time.Second/4, "\r\x1b[Kcall %d of %d, %s of %s written"
	}
	shown := time.Now()
	return func(p courier.Progress) {
		last := terminal && p.Call == p.Calls && p.Written == p.Bytes
		if time.Since(shown) < every && !last {
			return
		}
		shown = time.Now()
		fmt.Fprintf(w, format, p.Call, p.Calls, bytesText(p.Written), bytesText(p.Bytes))
		if last {
			fmt.Fprintln(w)
		}
	}
}

func printDone(w io.Writer, d courier.Done) {
	fmt.Fprintf(w, "recorder %s: %d calls waited; %d written (%s), %d were on the stick already; %d entries\n",
		d.Device, d.Waiting, d.Written, bytesText(d.Bytes), d.There, d.Entries)
	if n := len(d.Accepted.Calls); n > 0 || d.Accepted.Entries > 0 {
		fmt.Fprintf(w, "receipts of %d calls accepted, %d call files cleared from the stick\n", n, d.Cleared)
	}
	for _, why := range d.Accepted.Refused {
		fmt.Fprintf(w, "a receipt is not accepted: %s\n", why)
	}
	for _, l := range d.Left {
		fmt.Fprintf(w, "call %s stays: %s\n", l.Call, l.Reason)
	}
	if d.NoRoom > 0 {
		fmt.Fprintf(w, "no room for %d calls, %s: have headquarters import the stick, or take another\n", d.NoRoom, bytesText(d.Missing))
	}
}
