// Package badlink is a bad link between two network namespaces: a rate, a delay, losses, a bounded queue at the
// bottleneck, and cuts of every kind. What runs over it are real programs over the kernel's own TCP.
//
//	link, err := badlink.Open(badlink.Config{Rate: 64_000, Delay: 300 * time.Millisecond, Queue: 32 << 10, Seed: 7})
//	defer link.Close()
//	err = link.Far.Start(exec.Command("linekeeper-hq", "serve"))   // hears at badlink.FarAddress
//	err = link.Near.Start(exec.Command("linekeeper", "run"))
//	link.Cut()                                                     // nothing passes, and nobody is told
//	link.Restore()
//	sent := link.Counters().Up.Payload                             // bytes of TCP, retransmissions included
//
// Near is the branch office with the recorder, far is headquarters; up is from near to far. The same seed gives the same
// losses to the same packets. A namespace, and with it every program started in it, ends with the link.
//
// It needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN), /dev/net/tun, and Debian's iproute2; where namespaces are not allowed
// Open's error is ErrNotAllowed. What it does not emulate: a rate that changes, losses in bursts, packets out of order.
package badlink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// Addresses of the two ends.
const (
	NearAddress  = "10.77.0.1"
	OtherAddress = "10.77.0.3" // of the near end, after ChangeAddress
	FarAddress   = "10.77.0.2"
)

// ErrNotAllowed says that this machine lets nobody make network namespaces or TUN devices here.
var ErrNotAllowed = errors.New("network namespaces with TUN devices are not allowed here: run it as root, with CAP_NET_ADMIN, CAP_SYS_ADMIN and /dev/net/tun")

// mtu is what a mobile network often has.
const mtu = 1400

// Config is what a link is like, the same in both directions.
type Config struct {
	Rate    int           // bit/s of IP packets
	Delay   time.Duration // one way, beside what the rate and the queue add
	Loss    float64       // of packets, 0 to 1
	Queue   int           // bytes of packets that wait at the bottleneck; what comes beyond is dropped
	Seed    uint64
	Control string // congestion control of both ends; empty: cubic, as Linux has it
}

// Counters are what has come to the link and what has left it, since Open.
type Counters struct{ Up, Down Count }

// Count is of one direction.
type Count struct {
	Packets, Bytes int64 // IP packets that came to the link
	Payload        int64 // bytes of TCP in them, retransmissions and what was dropped included
	Delivered      int64 // bytes of TCP that left it at the other end
	Lost           int64 // packets: drawn by chance
	Overflowed     int64 // packets: the queue was full
	Cut            int64 // packets: the link was down
}

// Link is a bad link and the namespaces at its ends.
type Link struct {
	Near, Far *Namespace

	cfg      Config
	up, down *direction
	tuns     [2]*os.File
	cut      atomic.Bool
	first    chan struct{}
	began    time.Time // when first was closed
	relays   sync.WaitGroup
}

// Open makes a link that is up.
func Open(cfg Config) (_ *Link, err error) {
	if cfg.Rate <= 0 || cfg.Queue < mtu || cfg.Loss < 0 || cfg.Loss >= 1 {
		return nil, fmt.Errorf("bad link %+v: want a rate, a queue of at least a packet, and a loss below 1", cfg)
	}
	if cfg.Control == "" {
		cfg.Control = "cubic"
	}
	if err := allowControl(cfg.Control); err != nil {
		return nil, fmt.Errorf("bad link: %w", err)
	}
	l := &Link{cfg: cfg, first: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if l.Near, l.tuns[0], err = l.end(NearAddress); err != nil {
		return nil, fmt.Errorf("bad link, near end: %w", err)
	}
	if l.Far, l.tuns[1], err = l.end(FarAddress); err != nil {
		return nil, fmt.Errorf("bad link, far end: %w", err)
	}
	l.up = l.relay(l.tuns[0], l.tuns[1], 0)
	l.down = l.relay(l.tuns[1], l.tuns[0], 1)
	return l, nil
}

// device is the name of the link's device in each namespace.
const device = "bad0"

// end makes a namespace with its end of the link.
func (l *Link) end(address string) (*Namespace, *os.File, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, nil, err
	}
	var tun *os.File
	err = ns.Do(func() (err error) {
		if tun, err = openTUN(device); err != nil {
			return err
		}
		return setControl(l.cfg.Control)
	})
	if err == nil {
		err = ns.ip("link set lo up", fmt.Sprintf("link set %s mtu %d", device, mtu), "addr add "+address+"/24 dev "+device,
			"link set "+device+" up", "route add default dev "+device)
	}
	return ns, tun, err
}

func (l *Link) relay(from, to *os.File, stream uint64) *direction {
	d := &direction{cfg: l.cfg, from: from, to: to, down: &l.cut, random: rand.New(rand.NewPCG(l.cfg.Seed, stream)), wire: make(chan packet, wireLength)}
	if stream == 0 {
		d.began = sync.OnceFunc(func() { l.began = time.Now(); close(l.first) })
	} else {
		d.began = func() {}
	}
	l.relays.Go(d.receive)
	l.relays.Go(d.deliver)
	return d
}

// First is closed when the near end sends its first packet.
func (l *Link) First() <-chan struct{} { return l.first }

// Began is when the near end sent its first packet; First must be closed.
func (l *Link) Began() time.Time { return l.began }

// Counters may be asked for at any time.
func (l *Link) Counters() Counters {
	return Counters{Up: l.up.counted(), Down: l.down.counted()}
}

// Cut takes the link down as a hole in the ground does: what is on its way or comes from now on is lost, and neither end
// is told.
func (l *Link) Cut() { l.cut.Store(true) }

// Restore takes the link up again.
func (l *Link) Restore() { l.cut.Store(false) }

// Reset ends every connection at both ends, as a gateway that has lost its table does.
func (l *Link) Reset() error {
	return errors.Join(l.Near.killSockets(), l.Far.killSockets())
}

// Unplug takes the near end's device down, which its programs can hear of: the modem has hung up. Its address is gone.
func (l *Link) Unplug() error {
	l.Cut()
	return l.Near.ip("addr flush dev "+device, "link set "+device+" down")
}

// Plug takes it up again under another address.
func (l *Link) Plug(address string) error {
	l.Restore()
	return l.Near.ip("link set "+device+" up", "addr add "+address+"/24 dev "+device, "route add default dev "+device)
}

// Controls gives the congestion control of each connection of the near end that stands.
func (l *Link) Controls() ([]string, error) { return l.Near.controls() }

// Close ends the link, its namespaces, and what still runs in them.
func (l *Link) Close() error {
	var errs []error
	for _, tun := range l.tuns {
		if tun != nil {
			errs = append(errs, tun.Close())
		}
	}
	l.relays.Wait()
	for _, ns := range []*Namespace{l.Near, l.Far} {
		if ns != nil {
			ns.close()
		}
	}
	return errors.Join(errs...)
}

// output runs a program to its end and gives what it says.
func output(cmd *exec.Cmd, run func(*exec.Cmd) error) (string, error) {
	var out, complaint limited
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := run(cmd); err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, complaint.text)
	}
	return string(out.text), nil
}

// limited keeps the first bytes of what a program says.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	const most = 64 << 10
	l.text = append(l.text, p[:min(len(p), most-len(l.text))]...)
	return len(p), nil
}
