package handset

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Descriptors: after the standard's short items (HID 1.11, 6.2.2.2), as handsets and headsets have them.
var (
	// A telephone: a hook switch that stays, flash, mute, 5 bits of padding, in report 2; behind volume keys in report 1.
	deskHandset = []byte{
		0x05, 0x0c, 0x09, 0x01, 0xa1, 0x01, 0x85, 0x01, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x02, 0x09, 0xe9, 0x09, 0xea, 0x81, 0x02,
		0x95, 0x06, 0x81, 0x03, 0xc0,
		0x05, 0x0b, 0x09, 0x04, 0xa1, 0x01, 0x85, 0x02, 0x95, 0x01, 0x81, 0x03, 0x95, 0x02, 0x09, 0x2f, 0x09, 0x20, 0x81, 0x22, 0x95, 0x05, 0x81, 0x03,
		0x05, 0x08, 0x95, 0x01, 0x09, 0x17, 0x91, 0x22, 0x95, 0x07, 0x91, 0x03, 0xc0,
	}
	// A headset whose button turns the hook: relative, without numbers.
	toggleHeadset = []byte{0x05, 0x0b, 0x09, 0x05, 0xa1, 0x01, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x01, 0x09, 0x20, 0x81, 0x06, 0x95, 0x07, 0x81, 0x03, 0xc0}
	// The usage with its page in it, from -1 to 1, between Push and Pop.
	onOffHandset = []byte{0x05, 0x01, 0xa4, 0x15, 0xff, 0x25, 0x01, 0x75, 0x02, 0x95, 0x01, 0x0b, 0x20, 0x00, 0x0b, 0x00, 0x81, 0x06, 0xb4}
	// A keypad that is an array of two elements, of usages 0x20 to 0x2f.
	arrayHandset = []byte{0x05, 0x0b, 0x15, 0x01, 0x25, 0x10, 0x19, 0x20, 0x29, 0x2f, 0x75, 0x08, 0x95, 0x02, 0x81, 0x00}
	// A boot keyboard.
	keyboard = []byte{
		0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
		0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
	}
)

func TestReports(t *testing.T) {
	for _, tt := range []struct {
		name       string
		descriptor []byte
		reports    [][]byte
		want       []bool
		known      bool
	}{
		{"a hook that stays", deskHandset, [][]byte{{2, 0x04}, {1, 0xff}, {2, 0x06}, {2, 0x02}, {2}, {}}, []bool{true, true, false}, true},
		{"a button", toggleHeadset, [][]byte{{1}, {1}, {0}, {0xfe}, {1}, {0}}, []bool{true, false}, false},
		{"on and off", onOffHandset, [][]byte{{1}, {0}, {3}, {0}}, []bool{true, false}, false},
		{"an array", arrayHandset, [][]byte{{0, 1}, {1, 5}, {5, 0}, {1}}, []bool{true, true, false}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			field, err := findHook(tt.descriptor)
			if err != nil {
				t.Fatal(err)
			}
			r := &reports{field: field}
			var told []bool
			for _, report := range tt.reports {
				r.read(report, time.Second, func(c Change) {
					if c.At != time.Second {
						t.Errorf("told at %v", c.At)
					}
					told = append(told, c.Lifted)
				})
			}
			if !slices.Equal(told, tt.want) {
				t.Errorf("told %v, want %v", told, tt.want)
			}
			lifted, known := r.state(tt.reports[0])
			if known != tt.known || lifted != known {
				t.Errorf("state %v, %v", lifted, known)
			}
		})
	}
}

func TestDescriptorsWithoutAHook(t *testing.T) {
	for name, tt := range map[string]struct {
		descriptor []byte
		want       error
	}{
		"nothing":                    {nil, errNoHook},
		"a keyboard":                 {keyboard, errNoHook},
		"an output":                  {[]byte{0x05, 0x0b, 0x75, 0x01, 0x95, 0x01, 0x09, 0x20, 0x91, 0x02}, errNoHook},
		"of no size":                 {[]byte{0x05, 0x0b, 0x75, 0x00, 0x95, 0x01, 0x09, 0x20, 0x81, 0x02}, errNoHook},
		"more usages than fields":    {[]byte{0x05, 0x0b, 0x75, 0x01, 0x95, 0x01, 0x09, 0x21, 0x09, 0x20, 0x81, 0x02}, errNoHook},
		"a long item":                {[]byte{0xfe, 0x02, 0x10, 0x05, 0x0b}, errNoHook},
		"cut in an item":             {[]byte{0x05}, errBadDescriptor},
		"cut in a long item":         {[]byte{0xfe, 0xff, 0, 0}, errBadDescriptor},
		"a pop too many":             {[]byte{0xb4}, errBadDescriptor},
		"pushes without end":         {slices.Repeat([]byte{0xa4}, 100), errBadDescriptor},
		"a report that never ends":   {[]byte{0x77, 0xff, 0xff, 0xff, 0xff, 0x97, 0xff, 0xff, 0xff, 0xff, 0x81, 0x02}, errBadDescriptor},
		"report 0":                   {[]byte{0x85, 0x00}, errBadDescriptor},
		"a range that is turned":     {[]byte{0x19, 0x20, 0x29, 0x1f}, errBadDescriptor},
		"usages without end":         {slices.Repeat([]byte{0x09, 0x01}, 2000), errBadDescriptor},
		"longer than the kernel has": {make([]byte, 5000), errBadDescriptor},
	} {
		if _, err := findHook(tt.descriptor); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// FuzzReports: whatever a device says of itself and then sends, nothing breaks, and only its hook is told of.
func FuzzReports(f *testing.F) {
	for _, d := range [][]byte{deskHandset, toggleHeadset, onOffHandset, arrayHandset, keyboard} {
		f.Add(d, []byte{2, 2, 1, 3, 0})
	}
	f.Fuzz(func(t *testing.T, descriptor, sent []byte) {
		field, err := findHook(descriptor)
		if err != nil {
			if !errors.Is(err, errNoHook) && !errors.Is(err, errBadDescriptor) {
				t.Fatal(err)
			}
			return
		}
		if field.bytes > longestReport || (field.bit+field.size*field.elements+7)/8 > field.bytes {
			t.Fatalf("a hook outside its report: %+v", field)
		}
		r := &reports{field: field}
		for n := range sent {
			count := 0
			r.read(sent[:n+1], 0, func(Change) { count++ })
			r.state(sent[n:])
			if count > 1 {
				t.Fatalf("%d changes in a report", count)
			}
		}
	})
}
