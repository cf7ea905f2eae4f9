// Package health reads how the recorder's board is, from what Linux says of it in /sys and /proc, and keeps what it read in
// a small log on the card that power cuts and reboots leave.
//
//	h, err := health.Open("/var/lib/linekeeper", health.Board{Root: "/", Card: "/var/lib/linekeeper/ring"})
//	now := h.Read()                    // wire.Health: temperature, supply, card, boots
//	err = h.Keep(now)                  // into the log, which headquarters is sent
//	lines := h.After(number, 16)       // of the log
//
// What a board does not tell is left at its zero value, which means "not known": not every board has a sensor for its
// supply, and SD cards say nothing of their wear (eMMC does). The files that are read are those of Linux' own
// documentation: Documentation/ABI/testing/sysfs-class-thermal, sysfs-bus-mmc (life_time, pre_eol_info), sysfs-fs-ext4
// (errors_count), sysfs-bus-usb (over_current_count), Documentation/hwmon/raspberrypi-hwmon.rst (in0_lcrit_alarm),
// and sysfs-class-watchdog (bootstatus).
package health

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/wire"
)

// Board says where to look.
type Board struct {
	Root string           // of /sys and /proc; "/" but for tests
	Card string           // a folder on the card whose wear counts
	Now  func() time.Time // nil: time.Now
}

// Health is one board's. Its methods are for one goroutine.
type Health struct {
	board  Board
	files  fs.FS
	log    *log
	boot   string // this one's ID
	boots  int64
	reset  string
	device string // the folder in sys of the disk, or of the part of one, that the card is; empty: not known
}

// Open looks at the log in folder, and counts this boot.
func Open(folder string, b Board) (*Health, error) {
	if b.Now == nil {
		b.Now = time.Now
	}
	l, err := openLog(folder)
	if err != nil {
		return nil, err
	}
	h := &Health{board: b, files: os.DirFS(b.Root), log: l}
	h.device = h.findCard()
	h.boot, h.boots, h.reset = h.text("proc/sys/kernel/random/boot_id"), l.boots, l.reset
	if h.boot != l.boot {
		h.boots++
		h.reset = h.cause()
	}
	return h, nil
}

// cause is why the last boot ended.
func (h *Health) cause() string {
	switch {
	case h.sum("sys/class/watchdog/*/bootstatus") != 0:
		return wire.ResetWatchdog
	case h.log.boot == "":
		return "" // the first
	case h.log.orderly:
		return wire.ResetOrderly
	default:
		return wire.ResetPower
	}
}

// Read looks at the board.
func (h *Health) Read() wire.Health {
	v := wire.Health{
		Time:        h.board.Now().UTC().Truncate(time.Second),
		Boot:        h.boot,
		Boots:       h.boots,
		Reset:       h.reset,
		Temperature: h.temperature(),
		Card:        h.card(),
		OverCurrent: h.sum("sys/bus/usb/devices/*/*-port*/over_current_count"),
	}
	if up, _, ok := strings.Cut(h.text("proc/uptime"), " "); ok {
		seconds, _ := strconv.ParseFloat(up, 64) // not a number: not known
		v.Uptime = int64(seconds)
	}
	for _, name := range h.glob("sys/class/hwmon/*/name") {
		if h.text(name) == "rpi_volt" && h.text(path.Dir(name)+"/in0_lcrit_alarm") == "1" {
			v.UnderVoltage = true
		}
	}
	return v
}

// temperature is the hottest zone's, in degrees Celsius.
func (h *Health) temperature() float64 {
	hottest := 0.0
	for _, name := range h.glob("sys/class/thermal/thermal_zone*/temp") {
		if thousandths, err := strconv.ParseFloat(h.text(name), 64); err == nil {
			hottest = max(hottest, thousandths/1000)
		}
	}
	return hottest
}

// findCard gives the folder in sys of the block device that a folder is on.
func (h *Health) findCard() string {
	var st syscall.Stat_t
	if err := syscall.Stat(h.board.Card, &st); err != nil {
		return ""
	}
	numbers := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	link, err := os.Readlink(filepath.Join(h.board.Root, "sys/dev/block", numbers))
	if err != nil {
		return "" // a file system without a disk
	}
	return path.Join("sys/dev/block", link)
}

// card is the card's part in it.
func (h *Health) card() wire.CardHealth {
	if h.device == "" {
		return wire.CardHealth{}
	}
	c := wire.CardHealth{Errors: h.number("sys/fs/ext4/" + path.Base(h.device) + "/errors_count")}
	disk := h.device
	if h.exists(disk + "/partition") {
		disk = path.Dir(disk) // which counts all that is written
	}
	if stat := strings.Fields(h.text(disk + "/stat")); len(stat) > 6 {
		sectors, _ := strconv.ParseInt(stat[6], 10, 64) // not a number: not known
		c.Written = sectors * 512
	}
	c.Name = h.text(disk + "/device/name")
	for _, half := range strings.Fields(h.text(disk + "/device/life_time")) {
		tenths, err := strconv.ParseInt(half, 0, 64) // 1: up to 10 % used, and so on; 11: more than it was made for
		if err == nil {
			c.LifeUsed = max(c.LifeUsed, int(tenths)*10)
		}
	}
	c.Spares = int(h.number(disk + "/device/pre_eol_info"))
	return c
}

func (h *Health) text(name string) string {
	b, err := fs.ReadFile(h.files, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h *Health) exists(name string) bool {
	_, err := fs.Stat(h.files, name)
	return err == nil
}

func (h *Health) number(name string) int64 {
	n, _ := strconv.ParseInt(h.text(name), 0, 64) // not a number: not known
	return n
}

func (h *Health) glob(pattern string) []string {
	names, _ := fs.Glob(h.files, pattern) // the patterns are ours, and right
	return names
}

func (h *Health) sum(pattern string) (total int64) {
	for _, name := range h.glob(pattern) {
		total += h.number(name)
	}
	return total
}
