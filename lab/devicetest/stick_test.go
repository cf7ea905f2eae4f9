//go:build lab

package devicetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stick as they are sold has one partition, from its first MiB on.
const (
	sector         = 512
	stickSectors   = 64 << 20 / sector
	partitionBegin = 1 << 20 / sector
	stickDevice    = "installer" // its serial number
)

// usbStick is a USB stick that a person carries: its image, with a FAT32 file system.
type usbStick struct {
	t    *testing.T
	file string
}

// newStick makes an empty stick.
func newStick(t *testing.T) usbStick {
	t.Helper()
	s := usbStick{t, filepath.Join(t.TempDir(), "stick.img")}
	s.format()
	return s
}

// format makes the stick empty.
func (s usbStick) format() {
	s.t.Helper()
	boot := make([]byte, sector)
	entry := boot[446:]
	entry[4] = 0x0c // FAT32
	binary.LittleEndian.PutUint32(entry[8:], partitionBegin)
	binary.LittleEndian.PutUint32(entry[12:], stickSectors-partitionBegin)
	boot[510], boot[511] = 0x55, 0xaa
	err := os.WriteFile(s.file, boot, 0o600)
	if err = errors.Join(err, os.Truncate(s.file, stickSectors*sector)); err != nil {
		s.t.Fatal(err)
	}
	s.mtools("mformat", "-F", "-c", "1", "-h", "16", "-s", "32", "-T", "129024", "::")
}

// mtools runs one of the programs that reach into the image without mounting it.
func (s usbStick) mtools(program string, args ...string) string {
	s.t.Helper()
	out, err := s.tryMtools(program, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s usbStick) tryMtools(program string, args ...string) (string, error) {
	cmd := exec.Command(program, append([]string{"-i", s.file + "@@1M"}, args...)...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(program+" "+strings.Join(args, " ")+": "+said.String()))
	}
	return string(out), err
}

// put writes a file onto the stick, with the folder that it lies in.
func (s usbStick) put(name string, content []byte) {
	s.t.Helper()
	local := filepath.Join(s.t.TempDir(), "file")
	if err := os.WriteFile(local, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	for i, c := range name {
		if c == '/' {
			_, _ = s.tryMtools("mmd", "-D", "s", "::"+name[:i]) // it may be there
		}
	}
	s.mtools("mcopy", "-o", local, "::"+name)
}

// get copies a folder of the stick to the host; one that is not there comes to nothing.
func (s usbStick) get(folder string) (dir string) {
	s.t.Helper()
	dir = s.t.TempDir()
	if out, err := s.tryMtools("mcopy", "-s", "-n", "::"+folder, dir); err != nil && !strings.Contains(err.Error(), "not found") {
		s.t.Fatal(err, out)
	}
	return dir
}

// putBack makes the stick hold just what a folder of the host holds.
func (s usbStick) putBack(dir string) {
	s.t.Helper()
	s.format()
	s.mtools("mcopy", append(append([]string{"-s"}, must(filepath.Glob(filepath.Join(dir, "*")))(s.t)...), "::")...)
}

// report is what the recorder has written for people; empty: nothing.
func (s usbStick) report() (all string) {
	s.t.Helper()
	for _, file := range must(filepath.Glob(filepath.Join(s.get("linekeeper/reports"), "reports", "*.txt")))(s.t) {
		all += string(must(os.ReadFile(file))(s.t))
	}
	return all
}

// putIn puts a stick into the device.
func (o *office) putIn(s usbStick) {
	o.t.Helper()
	if err := o.device.PlugStick(within(o.t, time.Minute), stickDevice, s.file); err != nil {
		o.t.Fatal(err)
	}
}

// pullOut pulls it, whatever goes on.
func (o *office) pullOut() {
	o.t.Helper()
	if err := o.device.PullStick(within(o.t, time.Minute), stickDevice); err != nil {
		o.t.Fatal(err)
	}
}

// settled waits until the units of all sticks have ended.
func (o *office) settled() {
	o.t.Helper()
	must(o.device.Poll(within(o.t, 2*time.Minute), `test -z "$(systemctl list-units --all --no-legend --plain 'linekeeper-stick@*' | awk '$3 != "inactive" && $3 != "failed"')"`))(o.t)
}

// signless waits until the light says nothing more of a stick: what is seen then is of the next one.
func (o *office) signless() {
	o.t.Helper()
	must(o.device.Poll(within(o.t, time.Minute), "status=$(linekeeper status) && ! echo \"$status\" | grep -q 'a stick \\(is\\|was\\) '"))(o.t)
}

// visit puts a stick in, waits until the light says of it what is wanted, and pulls it, as an installer does.
func (o *office) visit(s usbStick, want string) {
	o.t.Helper()
	begin := time.Now()
	seen := o.watchSigns(func() { o.putIn(s) }, func(signs []string) bool {
		return slices.Contains(signs, signAccepted) || slices.Contains(signs, signRefused)
	}, 40*time.Second)
	o.pullOut()
	o.settled()
	o.signless()
	o.t.Logf("the light said %v of the stick, within %v", seen, time.Since(begin).Round(time.Second))
	if !slices.Contains(seen, want) || len(slices.DeleteFunc(seen, func(s string) bool { return s == signReading })) != 1 {
		o.t.Errorf("the light said %v, wanted %s; report: %s; journal: %s", seen, want, s.report(), o.stickJournal())
	}
}

// watchSigns does something, and gives all that the light said from before it on, until there is enough, which is asked every
// second, or patience ends.
func (o *office) watchSigns(do func(), enough func([]string) bool, patience time.Duration) (signs []string) {
	o.t.Helper()
	ctx := within(o.t, time.Minute+patience)
	w := must(o.device.BeginWatch(ctx, pin))(o.t)
	do()
	for until := time.Now().Add(slowest * patience); ; o.talk(time.Second) {
		edges, _, err := w.Edges(ctx)
		if err != nil {
			o.t.Fatal(err)
		}
		if signs = readSigns(edges); enough(signs) || time.Now().After(until) {
			break
		}
	}
	if err := w.End(ctx); err != nil {
		o.t.Fatal(err)
	}
	return signs
}

// stickJournal is what the units of sticks have said.
func (o *office) stickJournal() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a test that is over may ask, too
	defer cancel()
	out, err := o.device.Exec(ctx, "journalctl", "--boot", "--no-pager", "--output=short-monotonic", "--lines=60", "--unit=linekeeper-stick@*")
	if err != nil {
		return err.Error()
	}
	return out.Stdout
}
