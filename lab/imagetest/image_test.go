//go:build lab

package imagetest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/powercut"
)

var (
	image = flag.String("image", "", "the SD card's image, as make image writes it")
	cuts  = flag.Int("cuts", 3, "power cuts during first boot, after each of which the card is booted again")
	seed  = flag.Uint64("seed", 1, "of the moments at which the power goes")
)

// Where the image's partitions begin (images/card.sh), in bytes.
const (
	bootAt  = 4 << 20
	rootAAt = 256 << 20
	dataAt  = (256 + 2*1152 + 4) << 20
)

const cardSize = 8 << 30

// settings are those of a recorder with one line, whose card may be missing.
const settings = `[[line]]
name = "front desk"
device = "hw:CARD=Loopback,DEV=1"
[seal]
clear = true
[ring]
size = "512MiB"
`

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func copyImage(t *testing.T, size int64) string {
	t.Helper()
	if *image == "" {
		t.Fatal("which image? make image-test says -image")
	}
	card, err := Copy(*image, t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func virt(t *testing.T, v Virt) *Board {
	t.Helper()
	begin := time.Now()
	b, err := StartVirt(within(t, 10*time.Minute), v)
	if b != nil {
		t.Cleanup(b.PowerCut)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a unit runs %v after power on", time.Since(begin).Round(time.Second))
	return b
}

// run runs a command on the board.
func (b *Board) run(t *testing.T, command string) string {
	t.Helper()
	out, err := b.Run(within(t, 5*time.Minute), command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// until waits for a command to succeed.
func (b *Board) until(t *testing.T, command string) string {
	t.Helper()
	out, err := b.Until(within(t, 10*time.Minute), command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// divided waits for the end of first boot's work, and looks at it.
func (b *Board) divided(t *testing.T) {
	t.Helper()
	b.until(t, "systemctl is-active --quiet linekeeper-card.service")
	for _, look := range []struct{ what, command, want string }{
		{"the ring's file system", "findmnt -n -o FSTYPE,OPTIONS /var/lib/linekeeper/ring", "commit=600"},
		{"who owns it", "stat -c '%U %a' /var/lib/linekeeper/ring", "linekeeper 700"},
		{"/data", "findmnt -n -o FSTYPE,OPTIONS /data", "rw,nosuid,nodev,noatime"},
		{"the root", "findmnt -n -o OPTIONS /", "ro,"},
		{"the state", "findmnt -n -o FSTYPE /var", "tmpfs"},
	} {
		if out := b.run(t, look.command); !strings.Contains(out, look.want) {
			t.Errorf("%s: %q, want %q in it", look.what, out, look.want)
		}
	}
	free, err := strconv.ParseInt(b.run(t, "df --output=size -B1 /var/lib/linekeeper/ring | tail -n 1"), 10, 64)
	if err != nil || free < (cardSize-(4<<30))*9/10 {
		t.Errorf("the ring's file system has %d bytes (%v): the card has %d", free, err, int64(cardSize))
	}
}

// unwritten checks that nothing was written to the roots since power on.
func (b *Board) unwritten(t *testing.T) {
	t.Helper()
	for _, root := range []string{"vda2", "vda3"} {
		if sectors := strings.Fields(b.run(t, "cat /sys/class/block/"+root+"/stat"))[6]; sectors != "0" {
			t.Errorf("%s sectors were written to %s", sectors, root)
		}
	}
}

// TestVirt boots the image on a card of 8 GiB: first boot, a recorder that runs, nothing written to the roots, nobody
// listening; a power cut, and the same device again; then without a kernel in root A.
func TestVirt(t *testing.T) {
	card := copyImage(t, cardSize)
	b := virt(t, Virt{Card: card})
	b.divided(t)
	id := b.run(t, "cat /etc/machine-id")
	b.run(t, "modprobe snd-aloop")
	for i, line := range strings.Split(strings.TrimSpace(settings), "\n") {
		into := ">>"
		if i == 0 {
			into = ">"
		}
		b.run(t, "echo '"+line+"' "+into+"/etc/linekeeper/linekeeper.toml")
	}
	b.run(t, "systemctl restart linekeeper.service")
	b.until(t, "systemctl is-active --quiet linekeeper.service")
	t.Logf("status: %s", b.until(t, "linekeeper status"))
	b.until(t, "systemctl is-active --quiet linekeeper-slot.service")
	if failed := b.run(t, "systemctl list-units --failed --plain --no-legend"); failed != "" {
		t.Errorf("units have failed: %s", failed)
	}
	if open := b.run(t, "cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\"'; awk 'FNR > 1 && $3 !~ /:0000$/ {next} FNR > 1 && $2 !~ /:(0044|0222)$/' /proc/net/udp /proc/net/udp6"); open != "" {
		t.Errorf("somebody listens: %s", open)
	}
	if shadow := b.run(t, "awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow"); shadow != "" {
		t.Errorf("a password or none is set for %s", shadow)
	}
	b.unwritten(t)
	b.PowerCut()

	b = virt(t, Virt{Card: card})
	b.divided(t)
	b.until(t, "systemctl is-active --quiet linekeeper.service")
	if again := b.run(t, "cat /etc/machine-id"); again != id {
		t.Errorf("another machine ID after a power cut: %s, and %s before", again, id)
	}
	if slot := b.run(t, "/usr/lib/linekeeper/slot show"); slot != "A" {
		t.Errorf("root %s runs", slot)
	}
	b.unwritten(t)
	b.PowerCut()

	debugfs(t, card, rootAAt, "rm boot/vmlinuz")
	b = virt(t, Virt{Card: card})
	if slot := b.run(t, "/usr/lib/linekeeper/slot show"); slot != "B" {
		t.Errorf("root %s runs, and A has no kernel", slot)
	}
	b.divided(t)
	b.until(t, "systemctl is-active --quiet linekeeper.service")
}

// debugfs changes a file system on the card.
func debugfs(t *testing.T, card string, at int64, command string) {
	t.Helper()
	if out, err := exec.Command("debugfs", "-w", "-R", command, fmt.Sprintf("%s?offset=%d", card, at)).CombinedOutput(); err != nil {
		t.Fatalf("debugfs %s: %v: %s", command, err, out)
	}
}

// TestFirstBootCuts logs all writes of a first boot, cuts the power at random moments of it, each time losing what no flush
// had covered, and boots what is left.
func TestFirstBootCuts(t *testing.T) {
	card := copyImage(t, cardSize)
	log := filepath.Join(filepath.Dir(card), "writes.log")
	b := virt(t, Virt{Card: card, Log: log})
	b.divided(t)
	b.run(t, "sync")
	b.PowerCut()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	count, err := powercut.Count(f)
	_ = f.Close()
	if err != nil || count < 10 {
		t.Fatalf("the log has %d entries: %v", count, err)
	}
	moments := rand.New(rand.NewPCG(*seed, 0))
	for i := range *cuts {
		n := moments.Uint64N(count)
		t.Run(fmt.Sprintf("cut %d after %d of %d", i+1, n, count), func(t *testing.T) {
			card := copyImage(t, cardSize)
			if err := CutAt(card, log, n); err != nil {
				t.Fatal(err)
			}
			virt(t, Virt{Card: card}).divided(t)
		})
	}
}

// TestPi boots the image on a Raspberry Pi 3 as QEMU has it: by Debian's U-Boot, from the SD card, to a recorder that runs.
func TestPi(t *testing.T) {
	card := copyImage(t, 4<<30)
	folder := filepath.Dir(card)
	toml := filepath.Join(folder, "linekeeper.toml")
	if err := os.WriteFile(toml, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	debugfs(t, card, dataAt, "rm etc/linekeeper/linekeeper.toml")
	debugfs(t, card, dataAt, "write "+toml+" etc/linekeeper/linekeeper.toml")
	debugfs(t, card, dataAt, "set_inode_field etc/linekeeper/linekeeper.toml mode 0100644")
	for _, name := range []string{"u-boot.bin", "bcm2837-rpi-3-b.dtb"} {
		if out, err := exec.Command("mcopy", "-i", fmt.Sprintf("%s@@%d", card, bootAt), "::"+name, folder).CombinedOutput(); err != nil {
			t.Fatalf("take %s out of the image: %v: %s", name, err, out)
		}
	}
	begin := time.Now()
	b, err := StartPi(card, folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.PowerCut)
	if err := b.Says(within(t, 15*time.Minute), "root A; tries left: A 2, B 3", "Started linekeeper.service"); err != nil {
		t.Fatal(err)
	}
	t.Logf("the recorder runs %v after power on", time.Since(begin).Round(time.Second))
}
