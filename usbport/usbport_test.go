package usbport

import "testing"

// What `printf %s CONTROLLER | sha256sum` begins with.
const (
	pci    = "e23b" // 0000:00:14.0
	soc    = "21f3" // fe980000.usb
	second = "e2c1" // 1f00300000.usb
)

func TestOf(t *testing.T) {
	for folder, want := range map[string]string{
		"../../devices/pci0000:00/0000:00:1b.0/sound/card0":                                    "",
		"../../devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0/sound/card1":           "usb" + pci + "_1_2",
		"../../devices/pci0000:00/0000:00:14.0/usb3/3-1/3-1.2/3-1.2:1.0/sound/card1":           "usb" + pci + "_1_2", // another bus
		"devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.3/0003:0B0E:1017.0001/hidraw/": "usb" + pci + "_1_2",
		"/devices/platform/soc/fe980000.usb/usb3/3-1/3-1:1.1/sound/card2":                      "usb" + soc + "_1",
		"/devices/platform/soc/fe980000.usb/usb3/3-10":                                         "usb" + soc + "_10",
		"/devices/platform/axi/1000120000.pcie/1f00300000.usb/xhci-hcd.1/usb1/1-2/1-2:1.0":     "usb" + second + "_2",
		"/devices/platform/axi/1000120000.pcie/1f00300000.usb/xhci-hcd.0.auto/usb4/4-2":        "usb" + second + "_2",
		"devices/platform/handset/input/input0":                                                "",
		"":                                                                                     "",
	} {
		if got := Of(folder); got != want {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
		if got := Of(folder); got != "" && !Valid(got) {
			t.Errorf("%s is not valid", got)
		}
	}
}

func TestValid(t *testing.T) {
	for name, want := range map[string]bool{
		"usbe23b_1_2": true, "usb0000_12": true,
		"usb1_1_2": false, "usbc8c7": false, "usbc8c7_": false, "usbc8c7_1_x": false, "usbC8C7_1": false, "1-1.2": false, "": false,
	} {
		if Valid(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
}
