package handset

import (
	"encoding/binary"
	"errors"
	"time"
)

// Of the Device Class Definition for HID 1.11, section 6.2.2, and the HID Usage Tables, section 14 (Telephony page).
const (
	hookSwitch = 0x0b<<16 | 0x20 // usage page and usage

	mainInput                          = 8
	globalPage, globalMin              = 0, 1
	globalSize, globalReport           = 7, 8
	globalCount, globalPush, globalPop = 9, 10, 11
	localUsage, localMin, localMax     = 0, 1, 2

	flagVariable, flagRelative = 1 << 1, 1 << 2
)

// Bounds of what a device may say of itself; the kernel's are no wider (HID_MAX_DESCRIPTOR_SIZE, HID_MAX_BUFFER_SIZE,
// HID_GLOBAL_STACK_SIZE).
const (
	longestDescriptor = 4096
	longestReport     = 16384 // bytes
	mostRanges        = 1024
	deepest           = 4
)

var (
	errNoHook        = errors.New("its report descriptor has no hook switch")
	errBadDescriptor = errors.New("its report descriptor is damaged")
)

// control is how a hook switch speaks (HID Usage Tables 1.12, section 3.4.1.2, on/off control).
type control int

const (
	level  control = iota // 1 while the handset is lifted
	toggle                // each 1 turns it
	onOff                 // 1 lifts, -1 puts back
)

// switchField is where a hook switch stands in a device's input reports.
type switchField struct {
	numbered bool // reports begin with their number
	report   byte
	bytes    int // of that report, without its number
	bit      int // of the first element, behind that number
	size     int // bits of an element, 1 to 32
	array    bool
	elements int    // 1, or those of the array
	want     uint32 // what any element of the array holds while the switch is on
	control  control
}

// global is the state of the global items.
type global struct {
	page, size, count uint32
	min               int32
	report            byte
}

// usages are from one to another, both included.
type usages struct{ from, to uint32 }

// description reads a report descriptor.
type description struct {
	global
	stack    []global
	local    []usages
	from     uint32
	numbered bool
	bits     [256]uint64 // of each input report, so far
	found    *switchField
}

// findHook finds the first hook switch in a report descriptor. The error is errNoHook or errBadDescriptor.
func findHook(descriptor []byte) (switchField, error) {
	if len(descriptor) > longestDescriptor {
		return switchField{}, errBadDescriptor
	}
	var d description
	for len(descriptor) > 0 {
		prefix := descriptor[0]
		size := [4]int{0, 1, 2, 4}[prefix&3]
		if prefix == 0xfe { // a long item, of which none is defined
			if len(descriptor) < 3 {
				return switchField{}, errBadDescriptor
			}
			size = 2 + int(descriptor[1])
		}
		if len(descriptor) < 1+size {
			return switchField{}, errBadDescriptor
		}
		if prefix != 0xfe {
			if err := d.item(prefix>>2&3, prefix>>4, descriptor[1:1+size]); err != nil {
				return switchField{}, err
			}
		}
		descriptor = descriptor[1+size:]
	}
	if d.found == nil {
		return switchField{}, errNoHook
	}
	d.found.numbered = d.numbered
	d.found.bytes = int(d.bits[d.found.report]+7) / 8
	return *d.found, nil
}

func (d *description) item(kind, tag byte, data []byte) error {
	var raw [4]byte
	copy(raw[:], data)
	value := binary.LittleEndian.Uint32(raw[:])
	switch kind {
	case 0:
		return d.main(tag, value)
	case 1:
		return d.setGlobal(tag, value, len(data))
	case 2:
		return d.setLocal(tag, value)
	}
	return nil
}

func (d *description) main(tag byte, flags uint32) error {
	defer func() { d.local, d.from = d.local[:0], 0 }()
	if tag != mainInput {
		return nil
	}
	bit := d.bits[d.report]
	d.bits[d.report] += uint64(d.size) * uint64(d.count)
	if d.bits[d.report] > longestReport*8 {
		return errBadDescriptor
	}
	if d.found != nil || d.size < 1 || d.size > 32 || d.count == 0 {
		return nil
	}
	index, ok := d.indexOf(hookSwitch)
	if !ok {
		return nil
	}
	f := switchField{report: d.report, bit: int(bit), size: int(d.size), elements: 1}
	switch {
	case flags&flagVariable == 0:
		f.array, f.elements, f.want = true, int(d.count), uint32(d.min)+index
	case index >= d.count:
		return nil // a usage without a field
	default:
		f.bit += int(index * d.size)
	}
	switch {
	case flags&flagRelative == 0:
	case d.min < 0:
		f.control = onOff
	default:
		f.control = toggle
	}
	d.found = &f
	return nil
}

// indexOf is how many usages stand before one.
func (d *description) indexOf(usage uint32) (index uint32, ok bool) {
	for _, u := range d.local {
		// A usage of less than four bytes is of the page that is in force when its field comes.
		if u.from>>16 == 0 && u.to>>16 == 0 {
			u.from |= d.page << 16
			u.to |= d.page << 16
		}
		if usage >= u.from && usage <= u.to {
			return index + usage - u.from, true
		}
		index += u.to - u.from + 1
	}
	return 0, false
}

func (d *description) setGlobal(tag byte, value uint32, size int) error {
	switch tag {
	case globalPage:
		d.page = value & 0xffff
	case globalMin:
		d.min = signed(value, size*8)
	case globalSize:
		d.size = value
	case globalReport:
		if value == 0 || value > 255 {
			return errBadDescriptor
		}
		d.numbered, d.report = true, byte(value)
	case globalCount:
		d.count = value
	case globalPush:
		if len(d.stack) == deepest {
			return errBadDescriptor
		}
		d.stack = append(d.stack, d.global)
	case globalPop:
		if len(d.stack) == 0 {
			return errBadDescriptor
		}
		d.global, d.stack = d.stack[len(d.stack)-1], d.stack[:len(d.stack)-1]
	}
	return nil
}

func (d *description) setLocal(tag byte, value uint32) error {
	switch tag {
	case localUsage:
		d.local = append(d.local, usages{value, value})
	case localMin:
		d.from = value
	case localMax:
		if value < d.from {
			return errBadDescriptor
		}
		d.local = append(d.local, usages{d.from, value})
	}
	if len(d.local) > mostRanges {
		return errBadDescriptor
	}
	return nil
}

// signed is a number of some bits, of two's complement.
func signed(value uint32, bits int) int32 {
	if bits <= 0 || bits > 32 {
		return 0
	}
	return int32(value<<(32-bits)) >> (32 - bits)
}

// value reads the hook switch in a report as the kernel delivers it: 1, 0, or -1 where there is such a thing. Not ok is
// a report that does not hold it.
func (f switchField) value(report []byte) (value int, ok bool) {
	if f.numbered {
		if len(report) == 0 || report[0] != f.report {
			return 0, false
		}
		report = report[1:]
	}
	if len(report)*8 < f.bit+f.size*f.elements {
		return 0, false
	}
	if f.array {
		for i := range f.elements {
			if bitsAt(report, f.bit+i*f.size, f.size) == f.want {
				return 1, true
			}
		}
		return 0, true
	}
	raw := bitsAt(report, f.bit, f.size)
	switch {
	case f.control == onOff:
		return int(signed(raw, f.size)), true
	case raw != 0:
		return 1, true
	}
	return 0, true
}

// bitsAt reads up to 32 bits, the least significant first.
func bitsAt(report []byte, at, size int) (value uint32) {
	for i := range size {
		bit := at + i
		value |= uint32(report[bit/8]>>(bit%8)&1) << i
	}
	return value
}

// reports reads the hook from raw HID reports.
type reports struct {
	field  switchField
	lifted bool // where it is toggled
	on     bool // where it is toggled: what the last report said
}

// state reads the report that the device gives when it is asked. Known is only a switch that says where it is.
func (r *reports) state(report []byte) (lifted, known bool) {
	value, ok := r.field.value(report)
	if r.field.control != level {
		return false, false
	}
	return value != 0, ok
}

// read reads one report. Nothing but its hook switch is looked at.
func (r *reports) read(report []byte, now time.Duration, tell func(Change)) (again bool) {
	value, ok := r.field.value(report)
	if !ok {
		return false
	}
	switch r.field.control {
	case level:
		tell(Change{Lifted: value != 0, At: now})
	case toggle:
		if value != 0 && !r.on {
			r.lifted = !r.lifted
			tell(Change{Lifted: r.lifted, At: now})
		}
		r.on = value != 0
	case onOff:
		if value != 0 {
			tell(Change{Lifted: value > 0, At: now})
		}
	}
	return false
}
