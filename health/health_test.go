package health_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/health"
	"github.com/linekeeper/linekeeper/wire"
)

// board is a root in which sys and proc say what a test wants.
type board struct {
	t    *testing.T
	root string
	card string
}

func newBoard(t *testing.T) *board {
	b := &board{t: t, root: t.TempDir(), card: t.TempDir()}
	b.says("proc/sys/kernel/random/boot_id", "first-boot")
	b.says("proc/uptime", "90061.25 170000.00")
	return b
}

func (b *board) says(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) open(log string) *health.Health {
	b.t.Helper()
	h, err := health.Open(log, health.Board{Root: b.root, Card: b.card, Now: func() time.Time { return time.Unix(1_800_000_000, 5) }})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// onDisk has the card stand on the second part of an eMMC.
func (b *board) onDisk() {
	b.t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(b.card, &st); err != nil {
		b.t.Fatal(err)
	}
	dev := filepath.Join(b.root, "sys/dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err := os.MkdirAll(filepath.Dir(dev), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink("../../devices/mmc0/block/mmcblk0/mmcblk0p2", dev); err != nil {
		b.t.Fatal(err)
	}
	const disk = "sys/devices/mmc0/block/mmcblk0/"
	b.says(disk+"mmcblk0p2/partition", "2")
	b.says(disk+"mmcblk0p2/stat", "1 1 1 1 1 1 7 1")
	b.says(disk+"stat", "   900  10  80000  300  500  20  4096  100 0 0 0")
	b.says(disk+"device/name", "SD32G")
	b.says(disk+"device/life_time", "0x02 0x0B")
	b.says(disk+"device/pre_eol_info", "0x02")
	b.says("sys/fs/ext4/mmcblk0p2/errors_count", "3")
}

func TestRead(t *testing.T) {
	b := newBoard(t)
	b.onDisk()
	b.says("sys/class/thermal/thermal_zone0/temp", "48312")
	b.says("sys/class/thermal/thermal_zone1/temp", "51000")
	b.says("sys/class/hwmon/hwmon0/name", "cpu_thermal")
	b.says("sys/class/hwmon/hwmon1/name", "rpi_volt")
	b.says("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")
	b.says("sys/bus/usb/devices/1-0:1.0/1-0:1.0-port1/over_current_count", "2")
	b.says("sys/bus/usb/devices/1-0:1.0/1-0:1.0-port2/over_current_count", "1")
	want := wire.Health{
		Time: time.Unix(1_800_000_000, 0).UTC(), Boot: "first-boot", Boots: 1, Uptime: 90061, Temperature: 51, UnderVoltage: true, OverCurrent: 3,
		Card: wire.CardHealth{Name: "SD32G", LifeUsed: 110, Spares: 2, Errors: 3, Written: 4096 * 512},
	}
	if got := b.open(t.TempDir()).Read(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBoardThatTellsNothing(t *testing.T) {
	b := newBoard(t)
	b.says("sys/class/thermal/thermal_zone0/temp", "what?")
	b.says("proc/uptime", "")
	want := wire.Health{Time: time.Unix(1_800_000_000, 0).UTC(), Boot: "first-boot", Boots: 1}
	if got := b.open(t.TempDir()).Read(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBoots(t *testing.T) {
	b := newBoard(t)
	log := t.TempDir()
	keep := func(stop bool) wire.Health {
		t.Helper()
		h := b.open(log)
		v := h.Read()
		err := h.Keep(v)
		if stop {
			err = h.Stop(v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		boot     string
		watchdog bool
		stop     bool
		boots    int64
		reset    string
	}{
		{boot: "a", boots: 1},
		{boot: "a", boots: 1}, // the program alone was started again
		{boot: "b", boots: 2, reset: wire.ResetPower, stop: true},
		{boot: "c", boots: 3, reset: wire.ResetOrderly},
		{boot: "d", boots: 4, reset: wire.ResetWatchdog, watchdog: true},
		{boot: "d", boots: 4, reset: wire.ResetWatchdog, stop: true},
		{boot: "e", boots: 5, reset: wire.ResetOrderly},
	} {
		b.says("proc/sys/kernel/random/boot_id", step.boot)
		b.says("sys/class/watchdog/watchdog0/bootstatus", map[bool]string{true: "32", false: "0"}[step.watchdog])
		if v := keep(step.stop); v.Boots != step.boots || v.Reset != step.reset {
			t.Errorf("boot %s: %d boots, the last ended by %q, want %+v", step.boot, v.Boots, v.Reset, step)
		}
	}
}

func TestLogIsBoundedAndNumbered(t *testing.T) {
	b := newBoard(t)
	folder := t.TempDir()
	h := b.open(folder)
	const lines = 900
	for range lines {
		if err := h.Keep(h.Read()); err != nil {
			t.Fatal(err)
		}
	}
	total := int64(0)
	for _, name := range []string{"health.log", "health.log.1"} {
		st, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	if total > 128<<10 {
		t.Errorf("%d lines took %d bytes", lines, total)
	}
	for name, h := range map[string]*health.Health{"as written": h, "opened again": b.open(folder)} {
		got := h.After(lines-3, 16)
		if len(got) != 3 || got[0].Number != lines-2 || h.Last() != lines {
			t.Errorf("%s: the last lines are %+v", name, got)
		}
		if got := h.After(0, 16); len(got) != 16 {
			t.Errorf("%s: %d lines, asked for 16", name, len(got))
		}
	}
}

func TestTornAndDamagedLog(t *testing.T) {
	b := newBoard(t)
	whole, err := json.Marshal(wire.Health{Number: 7, Boot: "first-boot", Boots: 4, Time: time.Unix(1, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"torn":            string(whole) + "\n" + string(whole)[:20],
		"zeros at end":    string(whole) + "\n" + strings.Repeat("\x00", 512),
		"noise before":    "\x00\xff\xfe{}[]\n" + string(whole) + "\n",
		"number repeated": string(whole) + "\n" + string(whole) + "\n",
		"no line's end":   string(whole),
		"overlong line":   string(whole) + "\n" + strings.Repeat("x", 10<<10) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "health.log"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			h := b.open(folder)
			if h.Last() != 7 || h.Read().Boots != 4 {
				t.Fatalf("the last line is %d, of boot %d", h.Last(), h.Read().Boots)
			}
			if err := h.Keep(h.Read()); err != nil {
				t.Fatal(err)
			}
			if got := b.open(folder).After(7, 16); len(got) != 1 || got[0].Number != 8 {
				t.Errorf("after it: %+v", got)
			}
		})
	}
}
