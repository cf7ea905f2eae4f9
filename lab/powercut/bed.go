package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bed is a card on this machine, with ext4 mounted on a device whose writes are logged. It takes root, qemu-storage-daemon,
// /dev/fuse and loop devices.
type Bed struct {
	Log  string // of its writes
	Root string // where it is mounted

	log    *os.File
	daemon *exec.Cmd
	ended  chan error
}

// logSpace bounds the log; the file has holes.
const logSpace = 8 << 30

// patience is how long a tool may take that takes milliseconds.
const patience = 20 * time.Second

// Format makes a card of so many bytes with an empty file system.
func Format(name string, size int64) error {
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
		return fmt.Errorf("make a card: %w", err)
	}
	if err := command("mke2fs", "-q", "-F", "-t", "ext4", name); err != nil {
		return fmt.Errorf("make a card: %w", err)
	}
	return nil
}

// NewBed mounts a copy of a card; the folder gets what it needs.
func NewBed(folder, base string) (_ *Bed, err error) {
	b := &Bed{Log: filepath.Join(folder, "log"), Root: filepath.Join(folder, "root")}
	card, export := filepath.Join(folder, "card"), filepath.Join(folder, "export")
	if os.Geteuid() != 0 {
		return nil, errors.New("a logged card needs root, to mount it: run this as root")
	}
	for name, size := range map[string]int64{b.Log: logSpace, export: 0} {
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(b.Root, 0o700); err != nil {
		return nil, err
	}
	if err := command("cp", "--sparse=always", base, card); err != nil {
		return nil, fmt.Errorf("copy the card: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.log, err = os.Open(b.Log); err != nil {
		return nil, err
	}
	if err := b.serve(card, export); err != nil {
		return nil, fmt.Errorf("serve the card: %w", err)
	}
	if err := command("mount", "-t", "ext4", "-o", "loop", export, b.Root); err != nil {
		return nil, fmt.Errorf("mount the card: %w", err)
	}
	return b, nil
}

// serve starts the daemon and waits until the export is there. What is flushed is logged and not brought to this
// machine's disk: the log is what counts.
func (b *Bed) serve(card, export string) error {
	b.daemon = exec.Command("qemu-storage-daemon",
		"--blockdev", "driver=file,node-name=card,cache.no-flush=on,filename="+card,
		"--blockdev", "driver=file,node-name=log,cache.no-flush=on,filename="+b.Log,
		"--blockdev", "driver=blklogwrites,node-name=logged,file=card,log=log,log-sector-size=512,log-super-update-interval=1",
		"--export", "type=fuse,id=export,node-name=logged,writable=on,mountpoint="+export)
	b.daemon.Stderr = os.Stderr
	b.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := b.daemon.Start(); err != nil {
		b.daemon = nil
		return fmt.Errorf("%w (Debian has it in qemu-system-common)", err)
	}
	b.ended = make(chan error, 1)
	go func() { b.ended <- b.daemon.Wait() }()
	late, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-b.ended:
			b.ended <- err
			return fmt.Errorf("qemu-storage-daemon ended: %w", err)
		case <-late:
			return fmt.Errorf("qemu-storage-daemon has no export after %v", patience)
		case <-tick.C:
			if st, err := os.Stat(export); err == nil && st.Size() > 0 {
				return nil
			}
		}
	}
}

// Length is how many entries the log has now.
func (b *Bed) Length() (uint64, error) { return Count(b.log) }

// Close takes the card away. The log stays, with what unmounting has written.
func (b *Bed) Close() error {
	var errs []error
	if mounted, _ := isMount(b.Root); mounted {
		errs = append(errs, command("umount", b.Root)) // which frees the loop device too
	}
	if b.daemon != nil {
		_ = b.daemon.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-b.ended:
			if err != nil {
				errs = append(errs, fmt.Errorf("qemu-storage-daemon: %w", err))
			}
		case <-time.After(patience):
			errs = append(errs, fmt.Errorf("qemu-storage-daemon does not end: %w", b.daemon.Process.Kill()))
		}
		b.daemon = nil
	}
	if b.log != nil {
		errs = append(errs, b.log.Close())
		b.log = nil
	}
	return errors.Join(errs...)
}

// isMount says whether something is mounted on a folder.
func isMount(folder string) (bool, error) {
	var here, above syscall.Stat_t
	if err := errors.Join(syscall.Stat(folder, &here), syscall.Stat(filepath.Dir(folder), &above)); err != nil {
		return false, err
	}
	return here.Dev != above.Dev, nil
}

func command(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd, out := tool(ctx, args[0], args[1:]...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(out.String()))
	}
	return nil
}
