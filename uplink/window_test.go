package uplink

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWindowHoldsALittleMoreThanTheLink(t *testing.T) {
	const mss = 1348
	for _, tt := range []struct {
		name       string
		rate       uint64 // bytes a second, as acknowledged
		least, now uint32 // round trips, microseconds
		want       int64  // -1: the kernel's
	}{
		{"nothing known yet", 0, 600_000, 600_000, 2 * mss},
		{"9.6 kbit/s: two packets", 1200, 600_000, 2_000_000, 2 * mss},
		{"64 kbit/s, the queue empty", 8000, 600_000, 610_000, 7200 + mss},
		{"64 kbit/s, packets wait", 8000, 600_000, 900_000, 6000 + mss},
		{"256 kbit/s, packets wait", 32_000, 200_000, 260_000, 8000 + mss},
		{"fast", 250_000, 20_000, 20_000, -1},
	} {
		got, ok := window(&unix.TCPInfo{Delivery_rate: tt.rate, Min_rtt: tt.least, Rtt: tt.now, Snd_mss: mss})
		if !ok {
			got = -1
		}
		if got != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.name, got, tt.want)
		}
	}
}

func TestUnderWayBehindALoss(t *testing.T) {
	for _, tt := range []struct {
		name string
		info unix.TCPInfo
		want int64
	}{
		{"nothing is lost", unix.TCPInfo{Snd_mss: 1000}, 8000},
		{"a hole, and three packets that have arrived behind it", unix.TCPInfo{Snd_mss: 1000, Sacked: 3}, 5000},
		{"the hole is known to be a loss", unix.TCPInfo{Snd_mss: 1000, Sacked: 3, Lost: 1}, 4000},
		{"and is sent again", unix.TCPInfo{Snd_mss: 1000, Sacked: 3, Lost: 1, Retrans: 1}, 5000},
		{"sent again too soon", unix.TCPInfo{Snd_mss: 1000, Retrans: 1}, 8000},
	} {
		if got := underWay(&tt.info, 8000); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.name, got, tt.want)
		}
	}
}

// TestHeldBackByLosses has a link of 19.2 KB, as it has shown, and looks at a connection every half second.
func TestHeldBackByLosses(t *testing.T) {
	const mss, ok, low = 1348, 14, 9 // packets
	for _, tt := range []struct {
		name    string
		retrans uint32   // of 500 packets
		windows []uint32 // packets; 0: a recovery is under way
		want    bool
	}{
		{"no losses, at the beginning", 0, slices.Repeat([]uint32{low}, 40), false},
		{"losses, and enough under way all the same", 20, slices.Repeat([]uint32{ok}, 40), false},
		{"few losses", 10, slices.Repeat([]uint32{low}, 40), false},
		{"too little under way, for a while", 20, append(slices.Repeat([]uint32{low}, 9), ok, low, low), false},
		{"too little under way, for long", 20, slices.Repeat([]uint32{low}, 12), true},
		{"the same, with recoveries between", 20, slices.Repeat([]uint32{low, 0, low}, 4), true},
		{"a recovery", 20, slices.Repeat([]uint32{0}, 40), false},
	} {
		f, now, got := flow{best: 32_000}, time.Unix(0, 0), false
		for _, w := range tt.windows {
			i := unix.TCPInfo{Delivery_rate: 20_000, Min_rtt: 600_000, Snd_mss: mss, Snd_cwnd: max(w, low), Total_retrans: tt.retrans, Data_segs_out: 500}
			if w == 0 {
				i.Ca_state = 3
			}
			got = f.endures(&i, now) || got
			now = now.Add(500 * time.Millisecond)
		}
		if got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestWriteWaitsAndEnds has a peer that does not read: the window stays full, and a write ends with its deadline, or the
// connection.
func TestWriteWaitsAndEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(n *Network, c net.Conn)
		want error
	}{
		"deadline": {func(_ *Network, c net.Conn) { _ = c.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"cut":      {func(n *Network, _ net.Conn) { n.Cut() }, nil},
		"close":    {func(_ *Network, c net.Conn) { _ = c.Close() }, nil},
	} {
		address, accepted := listen(t)
		var n Network
		c, err := n.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		peer := <-accepted
		written := make(chan error, 1)
		go func() { _, err := c.Write(make([]byte, 64<<20)); written <- err }()
		for n.count() == 0 { // until it has begun
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("nothing is written")
			}
		}
		end.do(&n, c)
		if err := <-written; err == nil || end.want != nil && !errors.Is(err, end.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = errors.Join(c.Close(), peer.Close())
	}
}
