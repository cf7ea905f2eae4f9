package capture

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

var (
	// A card that the package's udev rules have named: bus, then port by port.
	namedPort = regexp.MustCompile(`\bCARD=usb(\d+)_(\d+(?:_\d+)*)\b`)

	// A USB device in sysfs: bus, then port by port. Its interfaces have a colon behind that.
	portPath = regexp.MustCompile(`^\d+-\d+(\.\d+)*$`)
)

// usbPort is the USB port that a sound card of the kernel is in, from sysfs; empty where it is in none.
func usbPort(sys fs.FS, card int) string {
	if card < 0 {
		return ""
	}
	to, err := fs.ReadLink(sys, fmt.Sprintf("class/sound/card%d", card))
	if err != nil {
		return ""
	}
	// .../usb1/1-1/1-1.2/1-1.2:1.0/sound/card1
	for dir := path.Dir(to); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if name := path.Base(dir); portPath.MatchString(name) {
			return name
		}
	}
	return ""
}

// port is the USB port that the lines belong to; empty where they go with the device's name.
func (c Config) port() string {
	if c.Port != "" {
		return c.Port
	}
	if m := namedPort.FindStringSubmatch(c.Device); m != nil {
		return m[1] + "-" + strings.ReplaceAll(m[2], "_", ".")
	}
	return ""
}

// rightPort refuses a card in another port than that of the lines: they are other people's.
func (c Config) rightPort(is string) error {
	want := c.port()
	switch {
	case want == "" || is == want:
		return nil
	case is == "" && c.Port == "": // somebody else's card that has such a name
		return nil
	case is == "":
		return fmt.Errorf("sound card %s is in no USB port, and its lines are those of the card in port %s: name that port's card, or take the port out of the settings", c.Device, want)
	}
	return fmt.Errorf("sound card %s is in USB port %s, and its lines are those of the card in port %s: put it back, or correct the settings", c.Device, is, want)
}
