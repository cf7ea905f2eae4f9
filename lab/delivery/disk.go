package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside says, in the environment, that the program runs in its own mount namespace.
const inside = "LINEKEEPER_DELIVERY_INSIDE"

// enter runs the program again in a mount namespace of its own, where it may mount headquarters' disk: as root, or where
// the kernel lets anybody have a namespace of users. entered: this is the one inside.
func enter(ctx context.Context) (entered bool, err error) {
	if os.Getenv(inside) != "" {
		return true, unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
	}
	again := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.Env = append(os.Environ(), inside+"=1")
	again.Cancel = func() error { return again.Process.Signal(syscall.SIGTERM) }
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		again.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	err = again.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return false, fmt.Errorf("a mount namespace for headquarters' disk: %w: run this as root, or allow user namespaces (kernel.unprivileged_userns_clone=1)", err)
	}
	return false, err
}

// disk is a file system that can be made full, and have room again, at any moment.
type disk struct{ path string }

// roomy is its size while it is not full. It is in memory, and takes no more than what is written.
const roomy = "size=4g"

func newDisk(path string) (disk, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return disk{}, err
	}
	if err := unix.Mount("linekeeper", path, "tmpfs", 0, roomy+",mode=0700"); err != nil {
		return disk{}, fmt.Errorf("mount headquarters' disk on %s: %w", path, err)
	}
	return disk{path}, nil
}

// fill leaves so many bytes free.
func (d disk) fill(left int64) error {
	for range 100 { // it is written to meanwhile
		var s unix.Statfs_t
		if err := unix.Statfs(d.path, &s); err != nil {
			return err
		}
		used := int64(s.Blocks-s.Bfree) * s.Bsize
		err := unix.Mount("", d.path, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", used+left))
		if err == nil || !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return fmt.Errorf("headquarters' disk cannot be filled: it grows faster than that")
}

func (d disk) empty() error { return unix.Mount("", d.path, "", unix.MS_REMOUNT, roomy) }

func (d disk) close() error { return unix.Unmount(d.path, unix.MNT_DETACH) }
