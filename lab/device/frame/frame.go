// Package frame is what the host and the agent in a virtual device say to each other: messages of JSON, each after its
// length, over a port that carries bytes in order. The host asks, the agent answers, and several questions may be open.
package frame

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/linekeeper/linekeeper/lab/device/usbip"
)

// The ports of a device, below /dev/virtio-ports.
const (
	Port    = "lab.agent"
	AckPort = "lab.ack"
)

// Longest is the longest message, in bytes.
const Longest = 256 << 20

// Request is what the host asks for. A Cancel ends the command of that ID.
type Request struct {
	ID     uint64
	Cancel bool   `json:",omitempty"`
	Run    *Run   `json:",omitempty"`
	Write  *Write `json:",omitempty"`
	Read   *Read  `json:",omitempty"`
	USB    *USB   `json:",omitempty"`
	Key    *Key   `json:",omitempty"`
}

// Run executes a command and waits for its end.
type Run struct {
	Command []string
	Stdin   []byte `json:",omitempty"`
}

// Write makes a file whole, with the folders that lead to it.
type Write struct {
	Path string
	Mode uint32
	Data []byte
}

// Read reads a whole file.
type Read struct{ Path string }

// USB is about a USB port of the agent's own and the card in it: one of what follows Port is set.
type USB struct {
	Port  int          // from 1
	Plug  *usbip.Kind  `json:",omitempty"`
	Pull  bool         `json:",omitempty"`
	Fault *usbip.Fault `json:",omitempty"`
	Play  *Sound       `json:",omitempty"` // until it is over
}

// Sound is 16-bit samples, little-endian and interleaved.
type Sound struct {
	Rate, Channels int
	Samples        []byte
}

// Key presses a key of the agent's input device, or releases it; the device is made where there is none. The reply has
// its node as Data.
type Key struct {
	Name  string // one of Hooks; empty: only the device
	Press bool
}

// Types of events.
const (
	EventKey    = 1
	EventSwitch = 5
)

// Hook is an event by which a handset says that it was lifted or put down, or that a button of it was pressed.
type Hook struct{ Type, Code uint16 }

// Hooks are the keys and switches of the agent's input device, by their names in linux/input-event-codes.h. What a USB
// handset says of its hook on the telephony page is none of them: Linux 6.1 passes that on as raw HID only.
func Hooks() map[string]Hook {
	return map[string]Hook{
		"KEY_PLAYPAUSE":       {EventKey, 164},
		"KEY_PHONE":           {EventKey, 169},
		"KEY_MEDIA":           {EventKey, 226},
		"KEY_MICMUTE":         {EventKey, 248},
		"KEY_PICKUP_PHONE":    {EventKey, 0x1bd},
		"KEY_HANGUP_PHONE":    {EventKey, 0x1be},
		"SW_HEADPHONE_INSERT": {EventSwitch, 2},
	}
}

// Reply is the agent's answer. The first one after a boot has no ID and says that the agent is there.
type Reply struct {
	ID     uint64 `json:",omitempty"`
	Ready  bool   `json:",omitempty"`
	Error  string `json:",omitempty"` // why it could not be done at all
	Code   int    `json:",omitempty"` // of a command: its exit code, or -1 where a signal ended it
	Stdout []byte `json:",omitempty"`
	Stderr []byte `json:",omitempty"`
	Data   []byte `json:",omitempty"`
}

// Send writes one message, with a single call of Write.
func Send(w io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	if len(body) > Longest {
		return fmt.Errorf("send a message of %d bytes: the longest is %d", len(body), Longest)
	}
	_, err = w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// Receive reads one message; io.EOF where the other side ended between two.
func Receive(r io.Reader, message any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length > Longest {
		return fmt.Errorf("receive a message of %d bytes: the longest is %d", length, Longest)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("receive a message of %d bytes: %w", length, err)
	}
	return json.Unmarshal(body, message)
}
