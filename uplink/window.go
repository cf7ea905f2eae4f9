package uplink

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// fast is a rate, in bytes a second, from which on a link needs no window of ours: what a cut wastes is soon sent again.
	fast = 250_000
	// probing and settled are how much more than the link holds may be under way: while its round trips are as short as
	// they ever were, so that the rate is found, and once packets wait.
	probing, settled = 1.5, 1.25
	// inflated is how much longer than the shortest a round trip is when packets wait.
	inflated = 1.1
	// atLeast is how many packets may be under way in any case: fewer, and the link would be idle while one is acknowledged.
	atLeast = 2
	// tolerant is a congestion control that does not take a loss by chance for a full queue. It is chosen where others are
	// held back by losses, and only there: every 10 s it lets the link run empty for a round trip, to measure it, and of a
	// link that loses one packet in a hundred others make more.
	tolerant = "bbr"
	// losses is how many retransmissions tell how many packets are lost: more than one in rare, and others fill too little
	// of a link with long round trips. A connection is held back where it has less under way than so much of what the link
	// holds, without a break for so many of its shortest round trips: from a single loss others recover sooner.
	losses, rare      = 12, 50
	starved, enduring = 0.75, 8
	// record is a write behind which another one is to be expected, and linger how long its last packet waits for that.
	record = 4 << 10
	linger = 30 * time.Millisecond
	// small is a write, in bytes, that waits for gather for others to go with.
	small  = 1 << 10
	gather = 3 * time.Millisecond
)

// flow is a connection's window: it keeps under way little more than what the link holds, by the rate at which the other
// end acknowledges and the shortest round trip. What congestion control alone would put into the queue at the bottleneck
// is lost at a cut, and is what a small queue has no room for. Writes wait for their turn; how the kernel shares the link
// with others is not its concern.
type flow struct {
	raw syscall.RawConn

	// Of turn:
	chosen bool      // the tolerant congestion control, or that the kernel does not have it
	held   time.Time // since when losses hold it back; zero: they do not
	best   uint64    // rate that the link has shown, bytes a second
	swift  bool      // the link needs no window of ours, as it seems

	mu       sync.Mutex
	deadline time.Time // of writes
	ended    bool
}

// window is how many bytes may be under way; ok is false where that is for the kernel alone to say.
func window(i *unix.TCPInfo) (bytes int64, ok bool) {
	if i.Delivery_rate >= fast {
		return 0, false
	}
	gain := settled
	if float64(i.Rtt) < inflated*float64(i.Min_rtt) {
		gain = probing
	}
	holds := float64(i.Delivery_rate) * float64(i.Min_rtt) / 1e6
	return max(int64(gain*holds)+int64(i.Snd_mss), atLeast*int64(i.Snd_mss)), true
}

// underWay is how many of the queued bytes are still on their way: behind a loss wait some that have arrived, or are lost.
func underWay(i *unix.TCPInfo, queued int64) int64 {
	gone := int64(i.Sacked) + int64(i.Lost) - int64(i.Retrans)
	return queued - max(gone, 0)*int64(i.Snd_mss)
}

// heldBack says whether frequent losses keep the kernel from having under way what a link holds that has shown such a
// rate, in bytes a second.
func heldBack(i *unix.TCPInfo, rate uint64) bool {
	holds := float64(rate) * float64(i.Min_rtt) / 1e6
	lossy := i.Total_retrans >= losses && uint64(i.Total_retrans)*rare > uint64(i.Data_segs_out)
	return lossy && float64(i.Snd_cwnd)*float64(i.Snd_mss) < starved*holds
}

// endures says whether losses have held the connection back for long.
func (f *flow) endures(i *unix.TCPInfo, now time.Time) bool {
	const open = 0 // TCP_CA_Open: no recovery from a loss is under way
	f.best = max(f.best, i.Delivery_rate)
	switch {
	case i.Ca_state != open:
		return false
	case !heldBack(i, f.best):
		f.held = time.Time{}
	case f.held.IsZero():
		f.held = now
	}
	return !f.held.IsZero() && now.Sub(f.held) > enduring*time.Duration(i.Min_rtt)*time.Microsecond
}

// choose takes the tolerant congestion control, where the kernel has it.
func (f *flow) choose() {
	f.chosen = true
	_ = f.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, tolerant)
	})
}

// turn waits until some of want bytes may be written, and says how many, and how many a packet holds.
func (f *flow) turn(want int) (n, packet int, err error) {
	for {
		info, queued, err := f.look()
		if err != nil {
			return 0, 0, err
		}
		packet = int(max(info.Snd_mss, 1))
		limit, ok := window(info)
		f.swift = !ok
		if !ok || info.State != established {
			return want, packet, nil // of a connection that is over, the write says why
		}
		if !f.chosen && f.endures(info, time.Now()) {
			f.choose()
		}
		if room := int(limit - underWay(info, queued)); room >= want {
			return want, packet, nil
		} else if room >= packet {
			return room - room%packet, packet, nil
		}
		f.mu.Lock()
		deadline, ended := f.deadline, f.ended
		f.mu.Unlock()
		switch {
		case ended:
			return 0, 0, net.ErrClosed
		case !deadline.IsZero() && !time.Now().Before(deadline):
			return 0, 0, os.ErrDeadlineExceeded
		}
		time.Sleep(pause(info))
	}
}

// pause is how long to wait before it is looked again: a part of the time that a packet takes.
func pause(i *unix.TCPInfo) time.Duration {
	const shortest, longest = 2 * time.Millisecond, 50 * time.Millisecond
	packet := time.Duration(float64(i.Snd_mss) / float64(max(i.Delivery_rate, 1)) * float64(time.Second))
	return min(max(packet/4, shortest), longest)
}

// established is TCP_ESTABLISHED of the kernel's include/net/tcp_states.h.
const established = 1

// look asks the kernel how the connection is, and how much it holds that is not acknowledged.
func (f *flow) look() (info *unix.TCPInfo, queued int64, err error) {
	controlErr := f.raw.Control(func(fd uintptr) {
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			var n int
			n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			queued = int64(n)
		}
	})
	if controlErr != nil {
		return nil, 0, controlErr
	}
	return info, queued, err
}

// send writes at once what it is given.
func (f *flow) send(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		waitErr := f.raw.Write(func(fd uintptr) bool {
			var k int
			k, err = syscall.Write(int(fd), b[n:]) // as net does it, which the race detector knows
			n += max(k, 0)
			return !errors.Is(err, unix.EAGAIN)
		})
		if waitErr != nil {
			return n, waitErr
		}
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return n, os.NewSyscallError("send", err)
}

func (f *flow) setDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
}
