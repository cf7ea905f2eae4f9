// Package frame is what the host and the agent in a virtual device say to each other: messages of JSON, each after its
// length, over a port that carries bytes in order. The host asks, the agent answers, and several questions may be open.
package frame

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"
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
	Cancel bool    `json:",omitempty"`
	Run    *Run    `json:",omitempty"`
	Write  *Write  `json:",omitempty"`
	Read   *Read   `json:",omitempty"`
	Sample *Sample `json:",omitempty"`
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

// Sample reads a small file again and again, and tells when what stands in it changed.
type Sample struct {
	Path     string
	Interval time.Duration
	Length   time.Duration
}

// Reply is the agent's answer. The first one after a boot has no ID and says that the agent is there.
type Reply struct {
	ID      uint64   `json:",omitempty"`
	Ready   bool     `json:",omitempty"`
	Error   string   `json:",omitempty"` // why it could not be done at all
	Code    int      `json:",omitempty"` // of a command: its exit code, or -1 where a signal ended it
	Stdout  []byte   `json:",omitempty"`
	Stderr  []byte   `json:",omitempty"`
	Data    []byte   `json:",omitempty"`
	Changes []Change `json:",omitempty"`
}

// Change is what stood in a sampled file from a time on, counted from the first sample.
type Change struct {
	At    time.Duration
	Value string
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
