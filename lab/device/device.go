package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config is how a device is made. The zero value is a board without a data disk.
type Config struct {
	Dir       string // of disks and the console's log, kept; empty: a temporary one that Close removes
	CPUs      int    // 0: 2
	MemoryMiB int    // 0: 512
	Data      *Disk  // the data disk; nil: none
	Slot      bool   // for SD cards: PlugSDCard
	Clock     time.Time
	Boot      time.Duration // that a boot may take at most; 0: 5 minutes, of the 10 s that it takes where nothing else runs

	// OnAck is called, one line after the other, with what the guest writes to /dev/virtio-ports/lab.ack. All that was
	// written before a power cut is told before PowerCut returns. nil: nobody listens.
	OnAck func(line string)

	Kernel []string // more words for the kernel's command line
	QEMU   []string // more arguments
}

// Disk is an ext4 data disk, /dev/disk/by-id/virtio-data in the guest.
type Disk struct {
	Base  string // an image to begin with, which is copied; empty: a new file system
	Bytes int64  // of a new one; 0: 1 GiB
	Mount string // where the guest mounts it at each boot; empty: it does not

	// Log has QEMU write down each write and flush (blklogwrites, sectors of 512 bytes) in the file DataLog, made anew
	// at each PowerOn. What it begins with is a copy of the disk at that time: DataBefore.
	Log bool
}

// Device is a virtual board. Its methods may be called from several goroutines, but for PowerCut, PowerOn and Close.
type Device struct {
	image Image
	cfg   Config
	dir   string
	free  func() // removes what Start made
	boots int

	mu   sync.Mutex
	boot *boot // nil while the power is off
}

// ErrOff is returned by what needs a device that runs.
var ErrOff = errors.New("the device's power is off")

// Start makes a device and powers it on. Its disks begin as the image, and live until Close.
func Start(ctx context.Context, image Image, cfg Config) (*Device, error) {
	d := &Device{image: image, cfg: cfg, dir: cfg.Dir, free: func() {}}
	if d.cfg.CPUs == 0 {
		d.cfg.CPUs = 2
	}
	if d.cfg.MemoryMiB == 0 {
		d.cfg.MemoryMiB = 512
	}
	if d.cfg.Boot == 0 {
		d.cfg.Boot = 5 * time.Minute
	}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make the device: %w", err), d.Close())
	}
	if err := d.PowerOn(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// prepare makes the folder and the disks.
func (d *Device) prepare(ctx context.Context) (err error) {
	if d.dir == "" {
		if d.dir, d.free, err = tempFolder(); err != nil {
			return err
		}
	} else if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	if _, err := output(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", d.image.Root, d.file("root.qcow2")); err != nil {
		return err
	}
	data := d.cfg.Data
	switch {
	case data == nil:
		return nil
	case data.Base != "":
		return d.copySparse(ctx, data.Base, d.Data())
	}
	size := data.Bytes
	if size == 0 {
		size = 1 << 30
	}
	if err := emptyFile(d.Data(), size); err != nil {
		return err
	}
	_, err = output(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-L", "data", "-m", "0", d.Data())
	return err
}

func (d *Device) file(name string) string { return filepath.Join(d.dir, name) }

// Data is the data disk's file; to be read while the power is off.
func (d *Device) Data() string { return d.file("data.img") }

// DataBefore is the data disk as it was at the last PowerOn, where it is logged.
func (d *Device) DataBefore() string { return d.file("data-before.img") }

// DataLog is the log of all writes and flushes of the data disk since the last PowerOn, where it is logged.
func (d *Device) DataLog() string { return d.file("data.log") }

// Console is the file with what the guest's kernel said in all boots.
func (d *Device) Console() string { return d.file("console") }

// Booted is how long the last boot took from power on until the agent answered.
func (d *Device) Booted() time.Duration {
	b, err := d.current()
	if err != nil {
		return 0
	}
	return b.took
}

func (d *Device) copySparse(ctx context.Context, from, to string) error {
	_, err := output(ctx, "cp", "--sparse=always", "--reflink=auto", from, to)
	return err
}

// PowerOn boots the device, and waits until its agent answers. Other services may still be starting.
func (d *Device) PowerOn(ctx context.Context) error {
	if _, err := d.current(); err == nil {
		return errors.New("power on: the device runs already")
	}
	if data := d.cfg.Data; data != nil && data.Log {
		if err := d.copySparse(ctx, d.Data(), d.DataBefore()); err != nil {
			return fmt.Errorf("power on: %w", err)
		}
		_ = os.Remove(d.DataLog())
		// Sparse: only what is logged takes room.
		if err := emptyFile(d.DataLog(), 64<<30); err != nil {
			return fmt.Errorf("power on: %w", err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.cfg.Boot, fmt.Errorf("the agent did not answer within %v", d.cfg.Boot))
	defer cancel()
	d.boots++
	b, err := d.startBoot(ctx)
	if err != nil {
		return fmt.Errorf("power on: %w%s", err, d.lastWords())
	}
	d.mu.Lock()
	d.boot = b
	d.mu.Unlock()
	return nil
}

// lastWords is the end of the console, for an error.
func (d *Device) lastWords() string {
	text, err := os.ReadFile(d.Console())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "; the console ends:\n" + lastLines(string(text))
}

// current is the boot that runs.
func (d *Device) current() (*boot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.boot == nil {
		return nil, ErrOff
	}
	return d.boot, nil
}

// PowerCut takes the power away: nothing in the guest runs any more when it returns, and each wait for it has ended.
// What the guest wrote stays as far as the host's files have it, which is more than a real card would keep: see
// Disk.Log.
func (d *Device) PowerCut() {
	d.mu.Lock()
	b := d.boot
	d.boot = nil
	d.mu.Unlock()
	if b != nil {
		b.end()
	}
}

// Dead is closed when the guest that runs now has ended, by a power cut or on its own.
func (d *Device) Dead() <-chan struct{} {
	b, err := d.current()
	if err != nil {
		dead := make(chan struct{})
		close(dead)
		return dead
	}
	return b.dead
}

// Close cuts the power and removes what Start made.
func (d *Device) Close() error {
	d.PowerCut()
	d.free()
	return nil
}

const folderPrefix = "linekeeper-device-"

// tempFolder is a new folder, locked for as long as this program lives, and what removes it. Those of programs that
// died without removing them are removed first.
func tempFolder() (dir string, remove func(), err error) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, dir := range old {
		if f, err := os.Open(dir); err == nil {
			if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
				_ = os.RemoveAll(dir)
			}
			_ = f.Close()
		}
	}
	// Locked under a name that nobody sweeps, and only then given its own.
	made, err := os.MkdirTemp("", "linekeeper-new-device-")
	if err != nil {
		return "", nil, err
	}
	held, err := os.Open(made)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(made))
	}
	dir = filepath.Join(filepath.Dir(made), folderPrefix+filepath.Base(made)[len("linekeeper-new-device-"):])
	remove = func() {
		_ = os.RemoveAll(dir)
		_ = held.Close()
	}
	if err := errors.Join(syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), os.Rename(made, dir)); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(made), held.Close())
	}
	return dir, remove, nil
}

func emptyFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
