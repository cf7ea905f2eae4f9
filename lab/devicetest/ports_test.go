//go:build lab

package devicetest

import (
	"log/slog"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/usbport"
)

// TestPortNames has two equal USB sound cards, each in the first port of a controller of its own, on a board that finds the
// controllers in one order and then in the other: the numbers of their buses change places, and the names of the cards, by
// the packaged udev rule, do not, and are those that package usbport gives.
func TestPortNames(t *testing.T) {
	image := must(device.Prepare(within(t, patience), cache, device.Options{Log: slog.Default()}))(t)
	d := must(device.Start(within(t, patience), image, device.Config{Boot: patience, QEMU: []string{
		"-device", "qemu-xhci,id=second", "-audiodev", "none,id=quiet",
		"-device", "usb-audio,bus=usb.0,port=1,audiodev=quiet", "-device", "usb-audio,bus=second.0,port=1,audiodev=quiet",
	}}))(t)
	t.Cleanup(func() { _ = d.Close() })
	ctx := within(t, patience)
	rules := must(os.ReadFile(repository + "/systemd/linekeeper.rules"))(t)
	if err := d.WriteFile(ctx, "/etc/udev/rules.d/60-linekeeper.rules", rules, 0o644); err != nil {
		t.Fatal(err)
	}
	controllers := strings.Fields(must(d.Poll(ctx, "udevadm control --reload; cd /sys/bus/pci/drivers/xhci_hcd && set -- *:*:* && test -n \"$2\" && echo \"$@\""))(t))
	if len(controllers) != 2 {
		t.Fatalf("controllers %v", controllers)
	}
	var names, buses [2]map[string]string // by controller
	for i, order := range [2][]string{controllers, {controllers[1], controllers[0]}} {
		line := "cd /sys/bus/pci/drivers/xhci_hcd"
		for _, c := range controllers {
			line += " && echo " + c + " >unbind"
		}
		for _, c := range order {
			line += " && echo " + c + " >bind"
		}
		must(d.Shell(ctx, line))(t)
		said := must(d.Poll(ctx, `udevadm settle; n=0; for c in /sys/class/sound/card*; do case $(readlink -f $c) in */usb*) n=$((n+1)); esac; done
			test $n = 2 && for c in /sys/class/sound/card*; do echo $(readlink -f $c) $(cat $c/id); done`))(t)
		names[i], buses[i] = map[string]string{}, map[string]string{}
		for line := range strings.Lines(said) {
			folder, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			before, rest, is := strings.Cut(folder, "/usb")
			if !is {
				continue
			}
			names[i][path.Base(before)], buses[i][path.Base(before)] = name, rest[:strings.Index(rest, "/")]
			if name != usbport.Of(folder) {
				t.Errorf("the card in %s is named %s, want %s", folder, name, usbport.Of(folder))
			}
		}
	}
	t.Logf("names %v, then %v; buses %v, then %v", names[0], names[1], buses[0], buses[1])
	for _, c := range controllers {
		if names[0][c] == "" || names[0][c] != names[1][c] || buses[0][c] == buses[1][c] {
			t.Errorf("of controller %s the card is %s on bus %s, then %s on bus %s", c, names[0][c], buses[0][c], names[1][c], buses[1][c])
		}
	}
	if names[0][controllers[0]] == names[0][controllers[1]] {
		t.Error("both cards have one name")
	}
}
