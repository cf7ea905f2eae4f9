package handset

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// Of linux/input-event-codes.h.
const (
	eventSync, eventKey = 0, 1
	syncDropped         = 3

	keyPhone  = 169   // down while the handset is lifted
	keyPickup = 0x1bd // pressed to answer
	keyHangup = 0x1be // pressed to hang up

	keyCount = 0x300
)

// hookKeys are all keys that are listened to.
func hookKeys() []int { return []int{keyPhone, keyPickup, keyHangup} }

// eventSize is the length of struct input_event of linux/input.h on 64-bit machines: seconds and microseconds of 8 bytes,
// type and code of 2, value of 4.
const eventSize = 24

// event is what an input device tells.
type event struct {
	at         time.Duration // by the clock that the device was told to use
	kind, code uint16
	value      int32
}

func parseEvent(b []byte) event {
	seconds, micros := int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	return event{
		at:   time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond,
		kind: binary.LittleEndian.Uint16(b[16:]), code: binary.LittleEndian.Uint16(b[18:]),
		value: int32(binary.LittleEndian.Uint32(b[20:])),
	}
}

// keys reads the hook from an input device.
type keys struct {
	has map[int]bool // of hookKeys
}

// parseKeys finds the hook's keys in what sysfs says of a device's (capabilities/key: words of 64 bits in hexadecimal,
// the highest first).
func parseKeys(capabilities string) keys {
	k := keys{has: map[int]bool{}}
	words := strings.Fields(capabilities)
	for _, key := range hookKeys() {
		if i := len(words) - 1 - key/64; i >= 0 {
			word, err := strconv.ParseUint(words[i], 16, 64)
			k.has[key] = err == nil && word>>(key%64)&1 == 1
		}
	}
	return k
}

// hook says whether the hook can be known from these keys.
func (k keys) hook() bool { return k.has[keyPhone] || k.has[keyPickup] && k.has[keyHangup] }

// state reads the keys that are down, a bit for each. Known is only what is down for as long as the handset is lifted.
func (k keys) state(down []byte) (lifted, known bool) {
	if !k.has[keyPhone] || len(down) <= keyPhone/8 {
		return false, false
	}
	return down[keyPhone/8]>>(keyPhone%8)&1 == 1, true
}

// read reads events, whole ones, and tells of the hook's. Again says that the kernel has dropped some, so that the state
// has to be asked for.
func (k keys) read(events []byte, _ time.Duration, tell func(Change)) (again bool) {
	for ; len(events) >= eventSize; events = events[eventSize:] {
		e := parseEvent(events)
		switch {
		case e.kind == eventSync && e.code == syncDropped:
			again = true
		case e.kind != eventKey || !k.has[int(e.code)] || e.value != 0 && e.value != 1: // 2: it repeats while it is down
		case e.code == keyPhone:
			tell(Change{Lifted: e.value == 1, At: e.at})
		case e.value == 1:
			tell(Change{Lifted: e.code == keyPickup, At: e.at})
		}
	}
	return again
}
