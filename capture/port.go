package capture

import (
	"fmt"
	"io/fs"
	"regexp"

	"github.com/linekeeper/linekeeper/usbport"
)

// A card that the package's udev rules have named after its port.
var namedPort = regexp.MustCompile(`\bCARD=([^,\s]+)`)

// usbPort is the USB port that a sound card of the kernel is in, from sysfs; empty where it is in none.
func usbPort(sys fs.FS, card int) string {
	if card < 0 {
		return ""
	}
	to, err := fs.ReadLink(sys, fmt.Sprintf("class/sound/card%d", card))
	if err != nil {
		return ""
	}
	return usbport.Of(to)
}

// port is the USB port that the lines belong to; empty where they go with the device's name.
func (c Config) port() string {
	if c.Port != "" {
		return c.Port
	}
	if m := namedPort.FindStringSubmatch(c.Device); m != nil && usbport.Valid(m[1]) {
		return m[1]
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
