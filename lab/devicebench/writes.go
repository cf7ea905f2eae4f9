package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/bench/talk"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/pcm"
)

// How the two file systems are mounted. The first is what a ring on a file system of its own wants: otherwise ext4 writes
// the time stamps of the segment every 5 s.
const (
	mountRing  = "noatime,commit=600"
	mountFiles = "noatime"
)

const (
	pagesOverFloor = 1.2
	filesFolder    = "/srv/files"
)

// target is what quality.md asks of a number of lines.
type target struct {
	name  string
	lines int
	files float64 // of the bytes of one file a call
}

var targets = [...]target{{"one line", 1, 1. / 4}, {"eight lines", 8, 1. / 8}}

// sample is what had been written at a moment of the guest's clock.
type sample struct {
	at          time.Duration
	ring, files counter
	media       int64 // bytes of the calls in progress, on the card
	calls       []call.ID
}

// counter is what a disk was given since it was there.
type counter struct {
	bytes, flushes, commits int64 // commits of ext4's journal
}

// inputs are one mono substream of the first card, or four stereo ones of both.
func inputs(lines int) []input {
	if lines == 1 {
		return []input{{device.Microphone(1, 0), 0}}
	}
	var all []input
	for i := range lines {
		pair := i / 2
		all = append(all, input{device.Microphone(1+pair%device.Cards, pair/device.Cards), i % 2})
	}
	return all
}

// measureWrites records so many lines in calls that do not end, and keeps files of as many beside it, on two disks of one
// kind in one device.
func (b *bench) measureWrites(ctx context.Context, t target) error {
	d, err := b.startWriting(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := b.beginCalls(ctx, d, t.lines); err != nil {
		return err
	}
	b.say("%s: settling for %v, then counting for %v", t.name, b.settle, b.span)
	if err := wait(ctx, d, b.settle); err != nil {
		return err
	}
	begin, err := look(ctx, d)
	if err != nil {
		return err
	}
	if err := wait(ctx, d, b.span); err != nil {
		return err
	}
	end, err := look(ctx, d)
	if err != nil {
		return err
	}
	if err := recordedAll(ctx, d, t.lines); err != nil {
		return err
	}
	d.PowerCut()
	syncs, err := b.readGroups(ctx, d.Data(), end.calls)
	if err != nil {
		return err
	}
	b.reportWrites(t, begin, end, syncs)
	return nil
}

// startWriting boots a device with both disks.
func (b *bench) startWriting(ctx context.Context) (*device.Device, error) {
	if err := makeDisk(ctx, b.filesDisk()); err != nil {
		return nil, err
	}
	return device.Start(ctx, b.image, device.Config{
		Data: &device.Disk{Base: b.ringDisk()},
		Boot: patience,
		// A disk like that of device.Disk.
		QEMU: []string{"-blockdev", "driver=file,node-name=files,cache.direct=off,discard=unmap,filename=" + b.filesDisk(),
			"-device", "virtio-blk-pci,serial=files,drive=files"},
	})
}

// beginCalls installs the recorder on a device and starts all that is to be measured; it returns when every line is in a
// call.
func (b *bench) beginCalls(ctx context.Context, d *device.Device, lines int) error {
	program, err := b.buildGuest(ctx)
	if err != nil {
		return err
	}
	if err := d.WriteFile(ctx, "/root/guest", program, 0o755); err != nil {
		return err
	}
	if _, err := d.Shell(ctx, fmt.Sprintf(`udevadm settle && systemctl is-system-running --wait && mkdir -p %[1]s %[2]s &&
		mount -o %[3]s /dev/disk/by-id/virtio-data %[1]s && mount -o %[4]s /dev/disk/by-id/virtio-files %[2]s`,
		data, filesFolder, mountRing, mountFiles)); err != nil {
		return err
	}
	if err := b.install(ctx, d, inputs(lines)); err != nil {
		return err
	}
	if err := speak(ctx, d, lines); err != nil {
		return err
	}
	if _, err := d.Shell(ctx, fmt.Sprintf(`systemd-run --quiet --unit=lab-files /root/guest files %s %d %d &&
		systemctl start linekeeper`, filesFolder, lines, perSecond)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("not all of %d lines were in a call within a minute", lines))
	defer cancel()
	_, err = d.Poll(ctx, fmt.Sprintf(`test "$(journalctl --boot --unit=linekeeper --output=cat | grep -c 'call began')" -ge %d`, lines))
	return err
}

// buildGuest builds what runs beside the recorder.
func (b *bench) buildGuest(ctx context.Context) ([]byte, error) {
	program := filepath.Join(b.dir, "guest")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/linekeeper/linekeeper/lab/devicebench/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build what runs in the guest: %w: %s", err, out)
	}
	return os.ReadFile(program)
}

// speak has people talk on all lines without an end. The players come first, so that the recorder opens the cards at the
// rate of the lines.
func speak(ctx context.Context, d *device.Device, lines int) error {
	const loop, file = 10 * time.Minute, "/root/talk.raw"
	speaker, err := talk.New()
	if err != nil {
		return err
	}
	if err := d.WriteFile(ctx, file, pcm.AppendBytes(nil, speaker.Talk(0, loop)), 0o644); err != nil {
		return err
	}
	parts, channels := []string{"0"}, 1
	if lines > 1 {
		parts, channels = []string{"0 1", "2 3", "4 5", "6 7"}, 2
	}
	for i, part := range parts {
		_, err := d.Shell(ctx, fmt.Sprintf(`systemd-run --quiet --unit=lab-talk%d sh -c '/root/guest talk %s %s |
			aplay -q -D hw:CARD=Line%d,DEV=0,SUBDEV=%d -t raw -f S16_LE -r %d -c %d --buffer-time=500000 -'`,
			i, file, part, 1+i%device.Cards, i/device.Cards, talk.Rate, channels))
		if err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, d *device.Device, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.Dead():
		return errors.New("the guest is gone")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// look takes a sample. Asking the recorder for its calls comes last, since the question costs it something.
func look(ctx context.Context, d *device.Device) (s sample, err error) {
	text, err := d.Shell(ctx, `cat /proc/uptime; for disk in data files; do
		at=$(basename "$(readlink -f /dev/disk/by-id/virtio-$disk)"); cat /sys/block/$at/stat; head -n 1 /proc/fs/jbd2/$at-8/info; done`)
	if err != nil {
		return s, err
	}
	if s, err = parseSample(text); err != nil {
		return s, err
	}
	out, err := d.Run(ctx, "linekeeper", "calls", "--json")
	if err != nil {
		return s, err
	}
	var calls []struct {
		Call  call.ID `json:"call"`
		State string  `json:"state"`
		Size  int64   `json:"size"`
	}
	if err := json.Unmarshal([]byte(out), &calls); err != nil {
		return s, fmt.Errorf("read what linekeeper calls prints: %w", err)
	}
	for _, c := range calls {
		if c.State == "recording" {
			s.media += c.Size
			s.calls = append(s.calls, c.Call)
		}
	}
	return s, nil
}

// parseSample reads the guest's uptime, and of each disk its stat and how often its journal was committed.
func parseSample(text string) (s sample, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 5 {
		return s, fmt.Errorf("the guest's counters have %d lines: %q", len(lines), text)
	}
	uptime, err := strconv.ParseFloat(strings.Fields(lines[0] + " -")[0], 64)
	if err != nil {
		return s, fmt.Errorf("read the guest's uptime: %w", err)
	}
	s.at = time.Duration(uptime * float64(time.Second))
	for i, c := range []*counter{&s.ring, &s.files} {
		stat, journal := lines[1+2*i], lines[2+2*i]
		if c.bytes, err = figures.SectorsWritten(stat); err != nil {
			return s, err
		}
		const flushes = 15 // of the columns of stat
		words := strings.Fields(stat)
		if len(words) <= flushes {
			return s, fmt.Errorf("a block device's stat has only %d columns", len(words))
		}
		if c.flushes, err = strconv.ParseInt(words[flushes], 10, 64); err != nil {
			return s, err
		}
		if _, err := fmt.Sscanf(journal, "%d transactions", &c.commits); err != nil {
			return s, fmt.Errorf("read how often a journal was committed from %q: %w", journal, err)
		}
	}
	return s, nil
}

// recordedAll looks at the recorder's log. A run in which it lost audio, or did not keep each line in one call, proves
// nothing.
func recordedAll(ctx context.Context, d *device.Device, lines int) error {
	text, err := d.Shell(ctx, "journalctl --boot --unit=linekeeper --output=cat")
	if err != nil {
		return err
	}
	began, lost := strings.Count(text, `msg="call began"`), strings.Count(text, "was lost")+strings.Count(text, "audio lost")
	if lost > 0 || began != lines {
		return fmt.Errorf("%d calls began on %d lines, and audio was lost %d times: the run does not count; is the host too busy?", began, lines, lost)
	}
	return nil
}

func (b *bench) reportWrites(t target, begin, end sample, syncs groups) {
	took := end.at - begin.at
	hour := func(from, to int64) float64 { return float64(to-from) * float64(time.Hour) / float64(took) }
	second := func(perHour float64) string { return figures.KB(perHour / 3600) }
	own, files, media := hour(begin.ring.bytes, end.ring.bytes), hour(begin.files.bytes, end.files.bytes), hour(begin.media, end.media)
	pages := figures.PageFloor(media/3600, time.Second) * 3600
	extrapolated := ""
	if took < time.Hour {
		extrapolated = ", and extrapolated to an hour"
	}
	b.note("%s: counted for %v, from %v after all lines were in a call%s. A second: the call files grew by %s, the recorder's disk was given %s in %.2f flushes, "+
		"the other %s in %.2f flushes. The journals were committed %d and %d times meanwhile.",
		t.name, took.Round(time.Second), b.settle, extrapolated, second(media),
		second(own), float64(end.ring.flushes-begin.ring.flushes)/took.Seconds(),
		second(files), float64(end.files.flushes-begin.files.flushes)/took.Seconds(),
		end.ring.commits-begin.ring.commits, end.files.commits-begin.files.commits)
	beside := func(peer string, than, limit float64) {
		b.row(figures.Row{What: t.name + ": written an hour", Peer: peer + " " + figures.MB(than), Ours: figures.MB(own), Ratio: own / than, Limit: limit})
	}
	beside("the pages", pages, pagesOverFloor)
	beside("the pages of each sync", syncs.pages()*float64(end.ring.flushes-begin.ring.flushes)*float64(time.Hour)/float64(took), pagesOverFloor)
	beside("a file a call", files, t.files)
}
