package powercut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Checker checks cards, several at once.
type Checker struct {
	// Folder is where the checks put their files; best in memory. Empty: where temporary files go.
	Folder string

	// Keep is how many cards that failed are left there, to be looked at; their errors say where.
	Keep int32
	kept atomic.Int32

	// rings is held to read while a ring is open, and to write while a tool is started: until it runs, a child process
	// has all that its parent has, the locks of rings too, which then cannot be opened again.
	rings sync.RWMutex
}

// Check repairs the file system of a card that lost power, takes its files out and looks at the ring in them: see
// CheckRing.
func (c *Checker) Check(ctx context.Context, card *Image, p *Promise) (err error) {
	folder, err := os.MkdirTemp(c.Folder, "linekeeper-card-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && c.kept.Add(1) <= c.Keep {
			err = fmt.Errorf("%w (kept in %s)", err, folder)
			return
		}
		err = errors.Join(err, os.RemoveAll(folder))
	}()
	image, root := filepath.Join(folder, "card"), filepath.Join(folder, "root")
	if err := errors.Join(card.WriteFile(image), os.Mkdir(root, 0o700)); err != nil {
		return err
	}
	if err := c.fsck(ctx, image); err != nil {
		return err
	}
	if out, err := c.run(ctx, "debugfs", "-R", "rdump "+strings.Join(kept, " ")+" "+root, image); err != nil {
		return fmt.Errorf("take the files out of the card: %w: %s", err, out)
	}
	c.rings.RLock()
	defer c.rings.RUnlock()
	return CheckRing(root, p)
}

// kept is what the recorder has in the root folder of a card. What is missing debugfs passes over.
var kept = []string{"/" + RingFolder, "/" + indexFile, "/" + indexFile + "-wal", "/" + indexFile + "-shm", "/" + indexFile + "-journal"}

// fsck does what happens at boot; whatever it cannot mend, or does not leave clean, is an error.
func (c *Checker) fsck(ctx context.Context, image string) error {
	out, err := c.run(ctx, "e2fsck", "-fy", image)
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.ExitCode() == 1 { // 1: it mended something
		return nil
	}
	return fmt.Errorf("repair the file system: %w: %s", err, out)
}

func (c *Checker) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd, out := tool(ctx, name, args...)
	c.rings.Lock()
	err := cmd.Start()
	c.rings.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	return strings.TrimSpace(out.String()), err
}

// tool is a program of the system, and what it says.
func tool(ctx context.Context, name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	path, err := exec.LookPath(name)
	if err != nil { // of others than root PATH has no sbin
		path = filepath.Join("/usr/sbin", name)
	}
	cmd, out := exec.CommandContext(ctx, path, args...), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}
