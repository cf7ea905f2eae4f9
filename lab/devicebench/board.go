package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/talk"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/pcm"
)

const (
	ringBytes = 64 << 20  // the least that is allowed, so that it is soon in its steady state
	diskBytes = 256 << 20 // the ring twice, while it is copied, the index, ext4's own
	perSecond = 2000      // bytes of a line: Opus at 16 kbit/s
)

// The files of the disks.
func (b *bench) ringDisk() string  { return filepath.Join(b.dir, "ring.img") }
func (b *bench) filesDisk() string { return filepath.Join(b.dir, "files.img") }

// makeRingDisk makes a file system with a ring whose segments were all used.
func (b *bench) makeRingDisk(ctx context.Context) error {
	b.say("filling a ring of %d MiB", ringBytes>>20)
	warm := filepath.Join(b.dir, "warm")
	if err := b.fillRing(ctx, warm); err != nil {
		return fmt.Errorf("fill a ring: %w", err)
	}
	return errors.Join(makeDisk(ctx, b.ringDisk(), "-d", warm), os.RemoveAll(warm))
}

// makeDisk makes a file system; all have the same form.
func makeDisk(ctx context.Context, file string, more ...string) error {
	if err := os.WriteFile(file, nil, 0o600); err != nil { // which empties it
		return err
	}
	if err := os.Truncate(file, diskBytes); err != nil {
		return err
	}
	// Blocks as on a whole card, where so small a file system would get smaller ones. Without the lazy_ settings ext4 goes
	// on initialising itself in the background, megabytes of it.
	args := append([]string{"-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"}, more...)
	if out, err := exec.CommandContext(ctx, "mke2fs", append(args, file)...).CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system: %w: %s", err, out)
	}
	return nil
}

// fillRing fills a ring until each of its segments was used, after which it only overwrites: the steady state. The first
// use of a segment writes all of its blocks once, which a card sees once in its life.
func (b *bench) fillRing(ctx context.Context, dir string) error {
	speaker, err := talk.New()
	if err != nil {
		return err
	}
	if err := station.NameRecipient(dir); err != nil {
		return err
	}
	people := speaker.Talk(time.Second, 20*time.Minute)
	audio, config := filepath.Join(b.dir, "warm.wav"), filepath.Join(b.dir, "warm.toml")
	wav := pcm.AppendBytes(pcm.WAVHeader(pcm.Format{Rate: talk.Rate, Channels: 1}, int64(len(people))), people)
	text := fmt.Sprintf("data = %q\ncontrol = %q\n", dir, dir+".sock") + settings([]input{{"nothing", 0}})
	if err := errors.Join(os.WriteFile(audio, wav, 0o600), os.WriteFile(config, []byte(text), 0o600)); err != nil {
		return err
	}
	for size := int64(0); size < ringBytes; {
		out, err := exec.CommandContext(ctx, b.program, "replay", "--json", audio, "--keep", "--codec", "flac", "--config", config).Output()
		if err != nil {
			return fmt.Errorf("linekeeper replay: %w", err)
		}
		var calls []struct{ Manifest struct{ Size int64 } }
		if err := json.Unmarshal(out, &calls); err != nil {
			return fmt.Errorf("read what replay prints: %w", err)
		}
		if len(calls) == 0 || calls[0].Manifest.Size == 0 {
			return errors.New("replay found no call")
		}
		for _, c := range calls {
			size += c.Manifest.Size
		}
	}
	return nil
}

// input is what a line hears.
type input struct {
	device  string
	channel int
}

// settings are those of a recorder with such lines, which delivers to nobody.
func settings(lines []input) string {
	var t strings.Builder
	fmt.Fprintf(&t, "[ring]\nsize = \"%dMiB\"\nwhen_full = \"overwrite\"\n", ringBytes>>20)
	for i, l := range lines {
		fmt.Fprintf(&t, "[[line]]\nname = \"line %d\"\ndevice = %q\nchannels = [%d]\n", i+1, l.device, l.channel)
	}
	return t.String()
}

// newestPackage is the recorder's package that was built last.
func newestPackage(folder string) (path string, err error) {
	files, _ := filepath.Glob(filepath.Join(folder, "linekeeper_*_amd64.deb"))
	var newest time.Time
	for _, file := range files {
		if s, err := os.Stat(file); err == nil && s.ModTime().After(newest) {
			path, newest = file, s.ModTime()
		}
	}
	if path == "" {
		return "", fmt.Errorf("no package of the recorder in %s: run `make deb` first", folder)
	}
	return path, nil
}

const data = "/var/lib/linekeeper" // the recorder's folder in a device, and the ring disk's

// install brings the recorder onto a device whose ring disk is mounted.
func (b *bench) install(ctx context.Context, d *device.Device, lines []input) error {
	pack, err := os.ReadFile(b.pack)
	if err != nil {
		return err
	}
	if err := d.WriteFile(ctx, "/root/linekeeper.deb", pack, 0o644); err != nil {
		return err
	}
	// What mke2fs left out of the ring because it was zero is written here, so that no block is used for the first time.
	_, err = d.Shell(ctx, "dpkg --install /root/linekeeper.deb && cd "+data+` &&
		cp -a --sparse=never ring ring.new && rm -r ring && mv ring.new ring && chown -R linekeeper:linekeeper . && sync`)
	if err != nil {
		return err
	}
	return b.configure(ctx, d, lines)
}

func (b *bench) configure(ctx context.Context, d *device.Device, lines []input) error {
	const file = "/etc/linekeeper/linekeeper.toml"
	if err := d.WriteFile(ctx, file, []byte(settings(lines)), 0o640); err != nil {
		return err
	}
	_, err := d.Shell(ctx, "chgrp linekeeper "+file+" && linekeeper check-config "+file)
	return err
}
