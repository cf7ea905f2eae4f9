package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

// How the file systems are mounted that are written to. The first is what a ring on a file system of its own wants:
// otherwise ext4 writes the time stamps of the segment every 5 s.
const (
	mountRing  = "noatime,commit=600"
	mountPlain = "noatime"
)

const diskBytes = 192 << 20 // a ring of 64 MiB, the index, ext4's own

// disk is an ext4 file system on a loop device of its own, whose block writes the kernel counts.
type disk struct {
	dir    string
	device string // loopN
}

// newDisk makes and mounts one. It needs root and loop devices.
func newDisk(ctx context.Context, dir, name, options string) (*disk, error) {
	image, d := filepath.Join(dir, name+".img"), &disk{dir: filepath.Join(dir, name)}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(image, diskBytes); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		// Blocks as on a whole card, where so small a file system would get smaller ones. Without the lazy_ settings
		// ext4 goes on initialising itself in the background, megabytes of it.
		{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image},
		{"mount", "-o", "loop," + options, image, d.dir},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.device = deviceAt(string(mounts), d.dir); d.device == "" {
		return nil, errors.Join(fmt.Errorf("%s is not among the mounts", d.dir), d.close())
	}
	return d, nil
}

// deviceAt finds the block device that is mounted on a folder.
func deviceAt(mounts, folder string) string {
	for line := range strings.Lines(mounts) {
		if words := strings.Fields(line); len(words) > 1 && words[1] == folder {
			return filepath.Base(words[0])
		}
	}
	return ""
}

// written is how many bytes the device was given.
func (d *disk) written() (int64, error) {
	text, err := os.ReadFile(filepath.Join("/sys/block", d.device, "stat"))
	if err != nil {
		return 0, err
	}
	return figures.SectorsWritten(string(text))
}

// close unmounts it; the loop device goes with the mount.
func (d *disk) close() error {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount %s: %w: %s", d.dir, err, out)
	}
	return nil
}
