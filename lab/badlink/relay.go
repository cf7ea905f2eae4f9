package badlink

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// wireLength is more packets than can be under way: a queue of the smallest, and what a long delay holds.
const wireLength = 1 << 15

// direction carries packets one way: through the queue, at the rate, and with the delay.
type direction struct {
	cfg      Config
	from, to *os.File
	down     *atomic.Bool
	random   *rand.Rand // of deliver
	began    func()
	wire     chan packet
	free     time.Time // when the bottleneck has sent all that came before; of receive

	mu    sync.Mutex
	count Count
}

type packet struct {
	bytes []byte
	due   time.Time // when it arrives
}

// receive takes packets until the device is closed.
func (d *direction) receive() {
	defer close(d.wire)
	buffer := make([]byte, 64<<10)
	for {
		n, err := d.from.Read(buffer)
		if err != nil {
			return
		}
		b := append([]byte(nil), buffer[:n]...)
		if isIPv4(b) { // the kernel's own IPv6 chatter is of no connection
			d.take(b)
		}
	}
}

func isIPv4(b []byte) bool { return len(b) >= 20 && b[0]>>4 == 4 }

// take lets a packet into the queue, if there is room.
func (d *direction) take(b []byte) {
	d.began()
	payload := tcpPayload(b)
	d.note(func(c *Count) {
		c.Packets++
		c.Bytes += int64(len(b))
		c.Payload += payload
	})
	if d.down.Load() {
		d.note(func(c *Count) { c.Cut++ })
		return
	}
	now := time.Now()
	if d.free.Before(now) {
		d.free = now
	}
	perByte := float64(8*time.Second) / float64(d.cfg.Rate)
	if waiting := int(float64(d.free.Sub(now)) / perByte); waiting+len(b) > d.cfg.Queue {
		d.note(func(c *Count) { c.Overflowed++ })
		return
	}
	d.free = d.free.Add(time.Duration(float64(len(b)) * perByte))
	d.wire <- packet{b, d.free.Add(d.cfg.Delay)}
}

// deliver brings packets to the other end when they are due. Those that a cut catches on their way are lost.
func (d *direction) deliver() {
	for p := range d.wire {
		time.Sleep(time.Until(p.due))
		lost := d.random.Float64() < d.cfg.Loss // drawn for each, so that a cut does not shift what comes after
		switch {
		case d.down.Load():
			d.note(func(c *Count) { c.Cut++ })
		case lost:
			d.note(func(c *Count) { c.Lost++ })
		default:
			d.note(func(c *Count) { c.Delivered += tcpPayload(p.bytes) })
			_, _ = d.to.Write(p.bytes) // the device may be down for a moment more
		}
	}
}

func (d *direction) note(change func(c *Count)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.count)
}

func (d *direction) counted() Count {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// tcpPayload is how many bytes of TCP are in an IPv4 packet.
func tcpPayload(p []byte) int64 {
	const tcp = 6
	head := int(p[0]&15) * 4
	if p[9] != tcp || len(p) < head+20 {
		return 0
	}
	total := int(binary.BigEndian.Uint16(p[2:]))
	return int64(total - head - int(p[head+12]>>4)*4)
}
