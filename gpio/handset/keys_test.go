package handset

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// bytesOf is an event as the kernel delivers it.
func bytesOf(events ...event) (b []byte) {
	for _, e := range events {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.at/time.Second))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.at%time.Second/time.Microsecond))
		b = binary.LittleEndian.AppendUint16(b, e.kind)
		b = binary.LittleEndian.AppendUint16(b, e.code)
		b = binary.LittleEndian.AppendUint32(b, uint32(e.value))
	}
	return b
}

// What sysfs says of devices' keys.
const (
	phoneKey      = "20000000000 0 0" // KEY_PHONE alone
	pickupAndHang = "6000000000000000 0 0 0 0 0 0"
	pickupAlone   = "2000000000000000 0 0 0 0 0 0"
	everyKey      = "7fffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff fffffffffffffffe"
)

func TestKeysOfADevice(t *testing.T) {
	for capabilities, want := range map[string]bool{
		phoneKey: true, pickupAndHang: true, everyKey: true,
		pickupAlone: false, "": false, "0": false, "e080ffdf01cfffff fffffffffffffffe": false, "x 0 0": false, "-20000000000 0 0": false,
	} {
		if got := parseKeys(capabilities).hook(); got != want {
			t.Errorf("keys %q: hook %t", capabilities, got)
		}
	}
}

func TestKeys(t *testing.T) {
	const secret = 30 // KEY_A
	at := func(n int) time.Duration { return time.Hour + time.Duration(n)*time.Microsecond }
	all := bytesOf(
		event{at(1), eventKey, keyPhone, 1}, event{at(1), eventSync, 0, 0},
		event{at(2), eventKey, keyPhone, 2}, // repeated
		event{at(3), eventKey, secret, 1}, event{at(3), 4, 4, 0x70004},
		event{at(4), eventKey, keyPhone, 0}, event{at(5), 5, keyPhone, 1},
		event{at(6), eventKey, keyPickup, 1}, event{at(7), eventKey, keyPickup, 0},
		event{at(8), eventKey, keyHangup, 1}, event{at(9), eventKey, keyHangup, 0},
		event{at(10), eventKey, keyPhone, -1},
	)
	all = append(all, make([]byte, eventSize-1)...) // a piece of an event is none
	phone := []Change{{true, at(1)}, {false, at(4)}}
	buttons := []Change{{true, at(6)}, {false, at(8)}}
	for capabilities, want := range map[string][]Change{phoneKey: phone, pickupAndHang: buttons, everyKey: slices.Concat(phone, buttons)} {
		var told []Change
		if parseKeys(capabilities).read(all, 0, func(c Change) { told = append(told, c) }) {
			t.Error("it asks although nothing was dropped")
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %v, want %v", capabilities, told, want)
		}
	}
	if !parseKeys(phoneKey).read(bytesOf(event{0, eventSync, syncDropped, 0}), 0, nil) {
		t.Error("it does not ask after events were dropped")
	}
}

func TestStateOfKeys(t *testing.T) {
	down := make([]byte, keyCount/8)
	down[keyPhone/8] = 1 << (keyPhone % 8)
	for _, tt := range []struct {
		capabilities  string
		down          []byte
		lifted, known bool
	}{
		{phoneKey, down, true, true}, {phoneKey, make([]byte, keyCount/8), false, true},
		{phoneKey, nil, false, false}, {pickupAndHang, down, false, false},
	} {
		if lifted, known := parseKeys(tt.capabilities).state(tt.down); lifted != tt.lifted || known != tt.known {
			t.Errorf("%s: %t, %t", tt.capabilities, lifted, known)
		}
	}
}

// FuzzKeys: of any bytes, at most a change for each event comes.
func FuzzKeys(f *testing.F) {
	f.Add(phoneKey, bytesOf(event{time.Second, eventKey, keyPhone, 1}))
	f.Add(everyKey, bytesOf(event{-time.Second, eventKey, keyHangup, 1}, event{0, eventSync, syncDropped, 0}))
	f.Fuzz(func(t *testing.T, capabilities string, sent []byte) {
		k, count := parseKeys(capabilities), 0
		k.read(sent, 0, func(Change) { count++ })
		k.state(sent)
		if count > len(sent)/eventSize || count > 0 && len(k.has) == 0 {
			t.Fatalf("%d changes of %d bytes", count, len(sent))
		}
	})
}
