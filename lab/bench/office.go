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

	"github.com/linekeeper/linekeeper/lab/station"
)

const ringBytes = 64 << 20 // the least that is allowed, so that it is soon in its steady state

// office is a recorder that runs, with its ring on a disk of its own where there can be one.
type office struct {
	recorder station.Recorder
	process  *station.Process
	disk     *disk // nil: none can be made
}

// settings are those of a recorder with so many lines: one on a card of its own, or all on stereo cards.
func settings(data, control string, lines int) string {
	var t strings.Builder
	fmt.Fprintf(&t, "data = %q\ncontrol = %q\n[ring]\nsize = \"%dMiB\"\nwhen_full = \"overwrite\"\n", data, control, ringBytes>>20)
	if lines == 1 {
		fmt.Fprintf(&t, "[[line]]\nname = \"line 0\"\ncountry = \"za\"\ndevice = %q\n", monoCard(0))
		return t.String()
	}
	for i := range lines {
		fmt.Fprintf(&t, "[[line]]\nname = \"line %d\"\ncountry = \"za\"\ndevice = %q\nchannels = [%d]\n", i, stereoCard(i/2), i%2)
	}
	return t.String()
}

// warmRing fills a ring until each of its segments was used, after which it only overwrites: the steady state. The first
// use of a segment writes all of its blocks once, which a card sees once in its life.
func (b *bench) warmRing(ctx context.Context) error {
	const length = 20 * time.Minute
	b.say("filling a ring of %d MiB", ringBytes>>20)
	dir := filepath.Join(b.dir, "warm")
	file, err := writeWAV(b.dir, "warm.wav", b.calls(length))
	if err != nil {
		return err
	}
	if err := station.NameRecipient(dir); err != nil {
		return err
	}
	config := dir + ".toml"
	if err := os.WriteFile(config, []byte(settings(dir, dir+".sock", 1)), 0o600); err != nil {
		return err
	}
	for size := int64(0); size < ringBytes; {
		r, err := b.replay(ctx, file, "--keep", "--codec", "flac", "--config", config)
		if err != nil {
			return fmt.Errorf("fill the ring: %w", err)
		}
		if r.size == 0 {
			return errors.New("fill the ring: replay found no call")
		}
		size += r.size
	}
	return nil
}

// openOffice starts a recorder on a copy of the warm ring.
func (b *bench) openOffice(ctx context.Context, name, mount string, lines int) (*office, error) {
	o := &office{recorder: station.Recorder{Program: b.program(), Dir: filepath.Join(b.dir, name+".office"), Env: []string{b.sim.Env()}}}
	o.recorder.Config = filepath.Join(o.recorder.Dir, "linekeeper.toml")
	if err := os.Mkdir(o.recorder.Dir, 0o700); err != nil {
		return nil, err
	}
	data := filepath.Join(o.recorder.Dir, "data")
	var err error
	if o.disk, err = newDisk(ctx, b.dir, name, mount); err != nil {
		b.say("no disk to count the writes of: %v", err)
	} else {
		data = filepath.Join(o.disk.dir, "data")
	}
	return o, o.start(ctx, filepath.Join(b.dir, "warm"), data, lines)
}

func (o *office) start(ctx context.Context, warm, data string, lines int) error {
	// Synced at once, so that the kernel does not write it while writes are counted.
	for _, args := range [][]string{{"cp", "-a", warm, data}, {"sync", "-f", data}} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("copy the ring: %s: %w: %s", args[0], err, out)
		}
	}
	text := settings(data, filepath.Join(o.recorder.Dir, "sock"), lines)
	if err := os.WriteFile(o.recorder.Config, []byte(text), 0o600); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var err error
	o.process, err = o.recorder.Start(starting, nil)
	return err
}

// inCalls waits until all lines are in a call.
func (o *office) inCalls(ctx context.Context, lines int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := o.process.Await(ctx, lines, station.Message("call began"))
	return err
}

func (o *office) pid() int { return o.process.PID() }

// written is how many bytes went to the disk, or to write calls where it has no disk of its own.
func (o *office) written() (int64, error) {
	if o.disk == nil {
		return written(o.pid())
	}
	return o.disk.written()
}

// media is the size of the calls in progress, as they stand on the disk.
func (o *office) media(ctx context.Context) (int64, error) {
	out, err := exec.CommandContext(ctx, o.recorder.Program, "calls", "--json", "--config", o.recorder.Config).Output()
	if err != nil {
		return 0, fmt.Errorf("linekeeper calls: %w", err)
	}
	var calls []struct {
		State string `json:"state"`
		Size  int64  `json:"size"`
	}
	if err := json.Unmarshal(out, &calls); err != nil {
		return 0, fmt.Errorf("read what linekeeper calls prints: %w", err)
	}
	sum := int64(0)
	for _, c := range calls {
		if c.State == "recording" {
			sum += c.Size
		}
	}
	return sum, nil
}

// close stops the recorder.
func (o *office) close() (err error) {
	if o.process != nil {
		err = o.process.Stop()
	}
	if o.disk != nil {
		err = errors.Join(err, o.disk.close())
	}
	return err
}

// recordedAll looks at the log of a recorder that has ended. A run in which it lost audio, or did not keep each line in
// one call, proves nothing.
func (o *office) recordedAll(lines int) error {
	began, lost := 0, 0
	text := o.process.AllWords()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "call began") {
			began++
		} else if strings.HasPrefix(line, "audio was lost") {
			lost++
		}
	}
	if lost > 0 || began != lines {
		return fmt.Errorf("%d calls began on %d lines, and audio was lost %d times: the run does not count\n%s", began, lines, lost, text)
	}
	return nil
}
