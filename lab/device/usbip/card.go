package usbip

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kind is what a card is.
type Kind struct {
	Rate     int // of frames a second; the only one that it offers
	Channels int // 1 or 2

	// Delivers is how many frames a second really come, where that is another number: a card whose clock is wrong, or
	// that lies. 0: Rate.
	Delivers int `json:",omitempty"`
}

func (k Kind) delivers() int {
	if k.Delivers > 0 {
		return k.Delivers
	}
	return k.Rate
}

const longestPacket = 1023 // bytes, at full speed

// packet is how many milliseconds of sound come in a packet, and how many bytes that is at most. A real card sends one
// each millisecond; on an emulated board whose machine has other work too, that many wake-ups are what the stream chokes
// on. So these send longer ones more seldom, which the driver, who counts bytes, takes as well. It keeps 12 waiting.
func (k Kind) packet() (ms, size int) {
	bytes := func(ms int) int { return ((k.delivers()*ms+999)/1000 + 1) * 2 * k.Channels }
	for ms = 8; ms > 1 && bytes(ms) > longestPacket; {
		ms--
	}
	return ms, bytes(ms)
}

// Check says whether a card of full speed can be of a kind: at most 1023 bytes come in a millisecond.
func (k Kind) Check() error {
	if k.Rate < 1000 || k.Channels < 1 || k.Channels > 2 || k.Delivers < 0 {
		return fmt.Errorf("no USB sound card is like %+v", k)
	}
	if _, size := k.packet(); size > longestPacket {
		return fmt.Errorf("no USB card of full speed is like %+v", k)
	}
	return nil
}

// Fault is how a card misbehaves.
type Fault string

// Faults.
const (
	Healthy Fault = ""
	Silent  Fault = "silent"  // it delivers zeros, whatever is played
	Hanging Fault = "hanging" // it delivers nothing, and says nothing
	Broken  Fault = "broken"  // each packet ends with a stalled endpoint (EPIPE)
	Refuses Fault = "refuses" // it stalls when it is told to begin; what runs goes on
)

// longestDelay is how late a driver may be and still get all that it has missed; a real card would keep nothing for it.
const longestDelay = 5 * time.Second

// Card is a card that can be put in once.
type Card struct {
	kind Kind
	wire *Wire

	mu      sync.Mutex // also held while an answer is written
	fault   Fault
	to      io.Writer
	waiting []command // for their time, in the order in which they came
	running bool      // since epoch, with sent packets and frames behind it
	epoch   time.Time
	sent    int64
	frames  int64
	each    time.Duration // of a packet
	ear     ear
	due     *time.Timer
}

// NewCard makes a card at the end of a wire. Kind.Check must hold.
func NewCard(k Kind, w *Wire) *Card {
	ms, _ := k.packet()
	return &Card{kind: k, wire: w, each: time.Duration(ms) * time.Millisecond}
}

// SetFault makes the card misbehave, or not any longer.
func (c *Card) SetFault(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
	if c.due != nil {
		c.due.Reset(0)
	}
}

// Serve answers the driver until the connection is closed, from either end, which is no error. It is called once.
func (c *Card) Serve(conn io.ReadWriter) error {
	c.mu.Lock()
	c.to = conn
	c.due = time.AfterFunc(time.Hour, c.deliver)
	c.mu.Unlock()
	defer c.due.Stop()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.obey(command)
		}
		if err != nil {
			return fmt.Errorf("USB card: %w", err)
		}
	}
}

// obey answers a command, or puts it where it waits.
func (c *Card) obey(q command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case q.unlink != 0:
		return c.send(appendUnlinked(nil, q.seq, c.takeBack(q.unlink)))
	case q.endpoint == 0:
		data, status := c.control(q)
		return c.send(appendResult(nil, q, status, data))
	case q.endpoint == soundEndpoint && q.in && len(q.packets) > 0:
		// A driver that asked for nothing for so long has begun anew; one that is late has lost nothing.
		if len(c.waiting) == 0 && time.Since(c.epoch)-time.Duration(c.sent)*c.each > longestDelay {
			c.running = false
		}
		if !c.running {
			c.running, c.epoch, c.sent, c.frames = true, time.Now(), 0, 0
			c.ear = ear{wire: c.wire, kind: c.kind}
		}
		c.waiting = append(c.waiting, q)
		if len(c.waiting) == 1 {
			c.due.Reset(c.wait())
		}
		return nil
	}
	return c.send(appendResult(nil, q, stalled, nil))
}

func (c *Card) send(answer []byte) error {
	_, err := c.to.Write(answer)
	return err
}

// takeBack forgets a transfer that waits; what was answered already is done. The stream ends when its last one goes.
func (c *Card) takeBack(seq uint32) int32 {
	status := done
	for i, q := range c.waiting {
		if q.seq == seq {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			status = unasked
			break
		}
	}
	c.running = c.running && len(c.waiting) > 0
	return status
}

// control is the answer to a request on endpoint 0.
func (c *Card) control(q command) (data []byte, status int32) {
	s := q.setup
	rate := []byte{byte(c.kind.Rate), byte(c.kind.Rate >> 8), byte(c.kind.Rate >> 16)}
	switch [2]byte{s.kind, s.request} {
	case [2]byte{fromDevice, getDescriptor}:
		data = c.kind.descriptor(s.value)
	case [2]byte{fromDevice, getStatus}, [2]byte{fromInterface, getStatus}, [2]byte{fromEndpoint, getStatus}:
		data = []byte{0, 0}
	case [2]byte{fromDevice, getConfiguration}:
		data = []byte{1}
	case [2]byte{fromInterface, getInterface}:
		data = []byte{0}
	case [2]byte{audioFromPoint, audioGetCurrent}:
		data = rate
	case [2]byte{toDevice, setConfiguration}, [2]byte{toEndpoint, clearFeature}, [2]byte{audioToPoint, audioSetCurrent}:
		return nil, done
	case [2]byte{toInterface, setInterface}:
		if c.fault == Refuses && s.value != 0 {
			return nil, stalled
		}
		c.running = false
		return nil, done
	}
	if data == nil {
		return nil, stalled
	}
	return data[:min(len(data), int(s.length), q.length)], done
}

// wait is how long it is until the first transfer that waits is due; 0 or less: it is.
func (c *Card) wait() time.Duration {
	return time.Until(c.epoch.Add(time.Duration(c.sent+int64(len(c.waiting[0].packets))) * c.each))
}

// deliver answers the transfers whose time has gone by.
func (c *Card) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault == Hanging {
		return
	}
	var answers []byte
	for len(c.waiting) > 0 && c.wait() <= 0 {
		answers = c.answer(answers, c.waiting[0])
		c.waiting = c.waiting[1:]
	}
	if len(answers) > 0 && c.send(answers) != nil {
		return // Serve hears of it as well
	}
	if len(c.waiting) > 0 {
		c.due.Reset(c.wait())
	}
}

// answer appends the answer to an isochronous transfer: of each packet the frames of its time.
func (c *Card) answer(to []byte, q command) []byte {
	status, data := done, make([][]byte, len(q.packets))
	for i, p := range q.packets {
		c.sent++
		upTo := c.sent * c.each.Milliseconds() * int64(c.kind.delivers()) / 1000
		count := int(upTo - c.frames)
		switch c.fault {
		case Broken:
			status = stalled
		case Silent:
			data[i] = make([]byte, 2*c.kind.Channels*count)
		default:
			data[i] = c.ear.hear(c.epoch, c.frames, count)
		}
		data[i] = data[i][:min(len(data[i]), int(p.length))]
		c.frames = upTo
	}
	return appendPackets(to, q, status, data)
}
