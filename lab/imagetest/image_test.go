//go:build lab

package imagetest

import (
	"context"
	"encoding/json"
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

	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/lab/powercut"
	"github.com/linekeeper/linekeeper/wire"
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
`

const wifiPassword = ` a \ password; `

// newBundle makes one of a headquarters that nobody reaches.
func newBundle(t *testing.T) string {
	t.Helper()
	hq, err := authority.Open(filepath.Join(t.TempDir(), "authority"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := hq.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	jws, err := wire.SignBundle(hq.ReceiptKey(), wire.Bundle{
		Number: 1, Time: time.Now(), Site: "Lichinga", Enrol: "https://192.0.2.1:8444", Token: wire.NewToken(), Authority: string(hq.CertificatePEM()),
		SealTo: []string{recipient}, Settings: settings + "[uplink]\nhttps = \"https://192.0.2.1:8444\"\n",
		Networks: []wire.Network{{Kind: wire.NetworkWiFi, Name: "1;2 office", Password: wifiPassword, Country: "MZ"}, {Kind: wire.NetworkMobile, Name: "internet"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// run runs a program of this machine's.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

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

// TestVirt boots the image on a card of 8 GiB: first boot, a recorder that waits, and runs when it has a bundle, the bundle's
// networks, a ring as large as its file system, nothing written to the roots, nobody listening; a power cut, and the same device
// again; a factory reset; then without a kernel in root A.
func TestVirt(t *testing.T) {
	card := copyImage(t, cardSize)
	b := virt(t, Virt{Card: card})
	b.divided(t)
	id := b.run(t, "cat /etc/machine-id")
	b.run(t, "modprobe snd-aloop")
	b.until(t, "systemctl is-active --quiet linekeeper.service")
	b.run(t, "install -d -o linekeeper /run/stick /run/stick/linekeeper && echo "+newBundle(t)+" >/run/stick/"+wire.BundleFile)
	report := b.run(t, "runuser -u linekeeper -- linekeeper provision /run/stick || true") // whose selftest lacks a headquarters
	if !strings.Contains(report, "ACCEPTED: this is recorder") {
		t.Errorf("the bundle: %s", report)
	}
	t.Logf("status: %s", b.until(t, "linekeeper status | grep -q 'front desk' && linekeeper status"))
	b.hasNetworks(t)
	b.ringFits(t)
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
	if keyboard := b.run(t, "systemctl is-enabled ctrl-alt-del.target; cat /proc/sys/kernel/sysrq"); strings.Join(strings.Fields(keyboard), " ") != "masked 0" {
		t.Errorf("what a keyboard could do: %s", keyboard)
	}
	b.unwritten(t)
	b.PowerCut()

	b = virt(t, Virt{Card: card})
	b.divided(t)
	b.until(t, "systemctl is-active --quiet linekeeper.service")
	b.hasNetworks(t)
	if again := b.run(t, "cat /etc/machine-id"); again != id {
		t.Errorf("another machine ID after a power cut: %s, and %s before", again, id)
	}
	if slot := b.run(t, "/usr/lib/linekeeper/slot show"); slot != "A" {
		t.Errorf("root %s runs", slot)
	}
	b.unwritten(t)
	b.becomesNew(t)
	b.PowerCut()

	debugfs(t, card, rootAAt, "rm boot/vmlinuz")
	b = virt(t, Virt{Card: card})
	if slot := b.run(t, "/usr/lib/linekeeper/slot show"); slot != "B" {
		t.Errorf("root %s runs, and A has no kernel", slot)
	}
	b.divided(t)
	b.until(t, "systemctl is-active --quiet linekeeper.service")
}

// hasNetworks looks for the bundle's networks where they are to be, and for their secrets where they are not to be.
func (b *Board) hasNetworks(t *testing.T) {
	t.Helper()
	b.until(t, "nmcli -t -f NAME,TYPE connection show | grep -qx 'internet:gsm'")
	if got := b.run(t, "nmcli -g 802-11-wireless.ssid connection show '1;2 office'"); got != "1;2 office" {
		t.Errorf("the network's name: %q", got)
	}
	b.run(t, "nmcli -s -g 802-11-wireless-security.psk connection show '1;2 office' >/run/psk")
	if got := b.run(t, `printf '<%s>' "$(cat /run/psk)"`); strings.ReplaceAll(got, `\\`, `\`) != "<"+wifiPassword+">" {
		t.Errorf("the network's password: %q", got)
	}
	if got := b.run(t, "stat -c '%n %a %U' /data/etc/network/*"); got != "/data/etc/network/linekeeper-mobile-2.nmconnection 600 root\n/data/etc/network/linekeeper-wifi-1.nmconnection 600 root" {
		t.Errorf("its profiles: %s", got)
	}
	b.run(t, "! journalctl --no-pager | grep -F 'password; '")
}

// becomesNew finishes a factory reset, as one that was cut short is finished at the next start: nothing is left of the key, of
// calls, and of the networks' secrets.
func (b *Board) becomesNew(t *testing.T) {
	t.Helper()
	b.run(t, "systemctl stop linekeeper && touch /var/lib/linekeeper/reset && systemctl start linekeeper")
	b.until(t, "linekeeper status | grep -q 'not set up'")
	b.until(t, "test -z \"$(ls -A /data/etc/network)\"")
	b.until(t, "! nmcli -t -f NAME,TYPE connection show | grep 'internet\\|office'")
	if left := b.run(t, "cd /var/lib/linekeeper && ls -d identity* index* reset ring/* 2>/dev/null; true"); left != "ring/lost+found" {
		t.Errorf("after a reset these are left: %s", left)
	}
}

// ringFits checks that the ring is as large as its file system, but for its spare.
func (b *Board) ringFits(t *testing.T) {
	t.Helper()
	total, err := strconv.ParseInt(b.run(t, "stat -f -c '%b %S' /var/lib/linekeeper/ring | awk '{print $1 * $2}'"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Ring struct {
			Size int64 `json:"size_bytes"`
		} `json:"ring"`
	}
	if err := json.Unmarshal([]byte(b.run(t, "linekeeper status --json")), &status); err != nil {
		t.Fatal(err)
	}
	if spare := total - status.Ring.Size; spare < 64<<20 || spare > total/32 {
		t.Errorf("a ring of %d bytes on a file system of %d", status.Ring.Size, total)
	}
}

// debugfs changes a file system on the card.
func debugfs(t *testing.T, card string, at int64, command string) {
	t.Helper()
	run(t, "debugfs", "-w", "-R", command, fmt.Sprintf("%s?offset=%d", card, at))
}

// TestRingAway boots a recorder whose ring's partition cannot be mounted: it records beside it, and says so; and when it
// can be mounted again it is not, until headquarters has what is beside it.
func TestRingAway(t *testing.T) {
	card := copyImage(t, cardSize)
	configure(t, card)
	b := virt(t, Virt{Card: card})
	b.divided(t)
	b.run(t, "modprobe snd-aloop")
	b.until(t, "systemctl is-active --quiet linekeeper.service && ls /var/lib/linekeeper/ring/*.lkr")
	b.run(t, "! linekeeper status | grep -F 'not mounted'")
	six := strings.Fields(b.run(t, "sync; cat /sys/class/block/vda6/start /sys/class/block/vda6/size"))
	b.PowerCut()

	aside := filepath.Join(filepath.Dir(card), "aside.img")
	run(t, "cp", "--sparse=always", card, aside)
	run(t, "sh", "-c", fmt.Sprintf("fallocate --punch-hole --offset $((%s * 512)) --length $((%s * 512)) %s", six[0], six[1], card))
	b = virt(t, Virt{Card: card})
	b.isBeside(t)
	b.PowerCut()

	run(t, "dd", "if="+aside, "of="+card, "bs=512", "skip="+six[0], "seek="+six[0], "count="+six[1], "conv=notrunc,sparse", "status=none")
	b = virt(t, Virt{Card: card})
	b.isBeside(t)
	// As headquarters' receipts would have it.
	b.run(t, "systemctl stop linekeeper && rm /var/lib/linekeeper/ring/*.lkr && systemctl restart linekeeper-card && systemctl start linekeeper")
	b.divided(t)
	b.until(t, "linekeeper status && ! linekeeper status | grep -F 'not mounted'")
}

// isBeside checks that the recorder keeps calls beside the ring's file system, and says so.
func (b *Board) isBeside(t *testing.T) {
	t.Helper()
	b.run(t, "modprobe snd-aloop")
	status := b.until(t, "linekeeper status | grep -q 'front desk' && linekeeper status")
	if !strings.Contains(status, "the ring's own file system is not mounted") {
		t.Errorf("its status: %s", status)
	}
	b.until(t, "systemctl is-active --quiet linekeeper linekeeper-slot")
	if out := b.run(t, "! findmnt /var/lib/linekeeper/ring && ls /var/lib/linekeeper/ring/*.lkr"); !strings.Contains(out, "segment") {
		t.Errorf("where it records: %s", out)
	}
}

// configure puts settings onto a card, of a line and of calls in clear.
func configure(t *testing.T, card string) {
	t.Helper()
	toml := filepath.Join(filepath.Dir(card), "linekeeper.toml")
	if err := os.WriteFile(toml, []byte(settings+"[seal]\nclear = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	debugfs(t, card, dataAt, "rm etc/linekeeper/linekeeper.toml")
	debugfs(t, card, dataAt, "write "+toml+" etc/linekeeper/linekeeper.toml")
	debugfs(t, card, dataAt, "set_inode_field etc/linekeeper/linekeeper.toml mode 0100644")
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
	configure(t, card)
	for _, name := range []string{"u-boot.bin", "bcm2837-rpi-3-b.dtb"} {
		run(t, "mcopy", "-i", fmt.Sprintf("%s@@%d", card, bootAt), "::"+name, folder)
	}
	begin := time.Now()
	b, err := StartPi(card, folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.PowerCut)
	if err := b.Says(within(t, 25*time.Minute), "root A; tries left: A 2, B 3", "Started linekeeper.service"); err != nil {
		t.Fatal(err)
	}
	t.Logf("the recorder runs %v after power on", time.Since(begin).Round(time.Second))
}
