package handset

import (
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/usbport"
)

// Place says which handset is meant.
type Place struct {
	Port string // the USB port that it is in, as package usbport names it; or
	Name string // the name of an input device, as in /proc/bus/input/devices
}

func (p Place) String() string {
	if p.Port != "" {
		return "USB port " + p.Port
	}
	return "input device " + p.Name
}

// node is what a handset's hook is read from.
type node struct {
	path  string // below /dev
	raw   bool   // raw HID; otherwise events
	field switchField
	keys  keys
}

// decoder reads what comes from a node. It is pure, and for one goroutine.
type decoder interface {
	// state reads what the device says when it is asked.
	state(answer []byte) (lifted, known bool)

	// read reads what one read from the node gave. Again says that the device has to be asked.
	read(data []byte, now time.Duration, tell func(Change)) (again bool)
}

func (n node) decoder(lifted bool) decoder {
	if n.raw {
		return &reports{field: n.field, lifted: lifted}
	}
	return n.keys
}

// longest is how many bytes a read may give.
func (n node) longest() int {
	if n.raw {
		return 1 + n.field.bytes
	}
	return 64 * eventSize
}

// find finds the nodes of a handset's hook, by what sysfs says: raw HID first. A device that cannot say where its hook is
// is not among them, whatever else it says.
func (p Place) find(sys fs.FS) (nodes []node) {
	for _, class := range []string{"hidraw", "input"} {
		entries, _ := fs.ReadDir(sys, "class/"+class) // not there: nothing of its kind is
		for _, e := range entries {
			to, err := fs.ReadLink(sys, "class/"+class+"/"+e.Name())
			if err != nil {
				continue
			}
			if n, ok := p.node(sys, path.Join("class", class, to)); ok {
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

// node looks at the folder of a node, which is that of a HID device's hidraw/hidraw0, or an input device's event0.
func (p Place) node(sys fs.FS, folder string) (n node, ok bool) {
	name := path.Base(folder)
	switch {
	case !p.holds(sys, folder):
	case strings.HasPrefix(name, "hidraw"):
		descriptor, err := fs.ReadFile(sys, path.Join(folder, "../../report_descriptor"))
		if err != nil {
			return n, false
		}
		field, err := findHook(descriptor)
		return node{path: name, raw: true, field: field}, err == nil
	case strings.HasPrefix(name, "event"):
		capabilities, err := fs.ReadFile(sys, path.Join(folder, "../capabilities/key"))
		n = node{path: "input/" + name, keys: parseKeys(string(capabilities))}
		return n, err == nil && n.keys.hook()
	}
	return n, false
}

// holds says whether a node is of the place.
func (p Place) holds(sys fs.FS, folder string) bool {
	if p.Port != "" {
		return usbport.Of(folder) == p.Port
	}
	is, err := fs.ReadFile(sys, path.Join(folder, "../name"))
	return err == nil && p.Name != "" && strings.TrimSuffix(string(is), "\n") == p.Name
}
