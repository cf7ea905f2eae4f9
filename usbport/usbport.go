// Package usbport names USB ports after where they are: the controller, then the ports of the hubs that lead there.
//
//	usbport.Of("devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0/sound/card1") // "usbe23b_1_2"
//
// The kernel's own names begin with the number of a bus, and it numbers buses in the order in which it finds their
// controllers: on a board with two of them, 1-1.2 may be another port after the next boot. A controller's name in sysfs is
// its address, which stays. That is too long for a sound card's name, which has at most 15 characters; of its SHA-256 the
// first four digits stand here. systemd/linekeeper.rules gives sound cards the same names.
//
// Limits: ports behind five hubs or more, whose names are longer, cannot be names of sound cards.
package usbport

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"strings"
)

var (
	form = regexp.MustCompile(`^usb[0-9a-f]{4}(_\d+)+$`)

	// A device in sysfs, below its controller and bus: bus, then port by port. Its interfaces have a colon behind that.
	device = regexp.MustCompile(`^(.*)/usb\d+/(?:.*/)?\d+-(\d+(?:\.\d+)*)(?:/|$)`)
)

// Of is the port of what a folder of sysfs is about, a USB device or anything below one; empty where that is in none.
func Of(folder string) string {
	m := device.FindStringSubmatch(folder)
	if m == nil {
		return ""
	}
	controller := path.Base(m[1])
	if strings.HasPrefix(controller, "xhci-hcd.") { // numbered in the order of finding; what it is a part of is not
		controller = path.Base(path.Dir(m[1]))
	}
	return fmt.Sprintf("usb%.2x_%s", sha256.Sum256([]byte(controller)), strings.ReplaceAll(m[2], ".", "_"))
}

// Valid says whether a name is one of a port.
func Valid(name string) bool { return form.MatchString(name) }
