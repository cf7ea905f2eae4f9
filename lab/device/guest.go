package device

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

// Output is what a command gave.
type Output struct {
	Stdout, Stderr string
	Code           int // exit code; -1 where a signal ended it
}

// ask asks the agent of the boot that runs.
func (d *Device) ask(ctx context.Context, q frame.Request) (frame.Reply, error) {
	b, err := d.current()
	if err != nil {
		return frame.Reply{}, err
	}
	return b.agent.ask(ctx, q)
}

// Exec executes a command in the guest, as root, and gives what it printed and its exit code. The error says only why it
// could not be executed to its end. A command whose ctx ends is killed, with what it started.
func (d *Device) Exec(ctx context.Context, command ...string) (Output, error) {
	r, err := d.ask(ctx, frame.Request{Run: &frame.Run{Command: command}})
	if err != nil {
		return Output{}, fmt.Errorf("in the guest, %s: %w", strings.Join(command, " "), err)
	}
	return Output{Stdout: string(r.Stdout), Stderr: string(r.Stderr), Code: r.Code}, nil
}

// Run executes a command in the guest, as root, and gives what it printed. An exit code other than 0 is an error that
// says what the command complained of.
func (d *Device) Run(ctx context.Context, command ...string) (string, error) {
	out, err := d.Exec(ctx, command...)
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("in the guest, %s: exit code %d: %s", strings.Join(command, " "), out.Code, lastLines(out.Stderr+out.Stdout))
	}
	return out.Stdout, err
}

// Shell runs a line of shell in the guest, as Run does.
func (d *Device) Shell(ctx context.Context, line string) (string, error) {
	return d.Run(ctx, "sh", "-c", line)
}

// WriteFile makes a file in the guest, of root, with the folders that lead to it. It is not synced.
func (d *Device) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	_, err := d.ask(ctx, frame.Request{Write: &frame.Write{Path: path, Mode: uint32(mode.Perm()), Data: data}})
	if err != nil {
		return fmt.Errorf("write %s in the guest: %w", path, err)
	}
	return nil
}

// ReadFile reads a file of the guest.
func (d *Device) ReadFile(ctx context.Context, path string) ([]byte, error) {
	r, err := d.ask(ctx, frame.Request{Read: &frame.Read{Path: path}})
	if err != nil {
		return nil, fmt.Errorf("read %s in the guest: %w", path, err)
	}
	return r.Data, nil
}

// SetClock sets the guest's clock.
func (d *Device) SetClock(ctx context.Context, to time.Time) error {
	_, err := d.Run(ctx, "date", "-u", "-s", fmt.Sprintf("@%d.%09d", to.Unix(), to.Nanosecond()))
	return err
}

// Poll runs a line of shell until it succeeds, and gives what it printed then; it is an error that ctx ends first.
func (d *Device) Poll(ctx context.Context, line string) (string, error) {
	for {
		out, err := d.Exec(ctx, "sh", "-c", line)
		if err != nil {
			return "", err
		}
		if out.Code == 0 {
			return out.Stdout, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("in the guest, %s: exit code %d: %s: %w", line, out.Code, lastLines(out.Stderr), context.Cause(ctx))
		}
	}
}
