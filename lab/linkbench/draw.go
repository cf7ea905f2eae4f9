package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// cutKind is what happens to a delivery on its way.
type cutKind int

const (
	noCut         cutKind = iota
	reset                 // both ends lose the connection, and the link is down for a while
	blackHole             // the link is down for a while, and nobody is told
	addressChange         // the modem hangs up and comes back with another address
	senderKilled          // the recorder's program is killed, and started again
	finishKilled          // headquarters is killed between the last byte and its answer, and started again
	cutKinds
)

func (c cutKind) String() string {
	return [...]string{"no cut", "reset", "black hole", "address change", "sender killed", "receiver killed at the end"}[c]
}

// draw is a link, a file and a cut, the same for every peer.
type draw struct {
	Rate  int // bit/s
	RTT   time.Duration
	Loss  float64
	Queue int // bytes
	Size  int // bytes of the file
	Cut   cutKind
	At    float64       // part of the file after which it is cut
	Down  time.Duration // how long the cut lasts
	Seed  uint64        // of the link's losses
}

func (d draw) String() string {
	return fmt.Sprintf("%g kbit/s, %v, loss %g %%, queue %d KB, %d KB, %s at %.2f for %v", float64(d.Rate)/1000, d.RTT, 100*d.Loss, d.Queue>>10, d.Size/1000, d.Cut, d.At, d.Down)
}

var rates = []int{9_600, 64_000, 256_000}

const (
	large = 200_000 // bytes
	small = 40_000
)

// draws gives count draws for each rate. Cuts, sizes and losses take turns, so that a small count has some of each; the
// rest is by chance. More draws leave the first ones as they are.
func draws(seed uint64, count int) []draw {
	var all []draw
	for r, rate := range rates {
		random := rand.New(rand.NewPCG(seed, uint64(r)))
		for i := range count {
			turn, kind := i/int(cutKinds), i%int(cutKinds)
			d := draw{
				Rate: rate, Cut: cutKind(kind),
				Size: []int{large, small}[turn%2],
				Loss: []float64{0, 0.01, 0.03}[(turn+kind)%3],
			}
			if d.Cut == noCut && turn < 2 {
				d.Loss = 0
			}
			d.RTT = []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}[random.IntN(2)]
			d.Queue = []int{8 << 10, 32 << 10, 128 << 10}[random.IntN(3)]
			d.At = 0.15 + 0.7*random.Float64()
			d.Down = 4*time.Second + time.Duration(random.Int64N(int64(16*time.Second)))
			d.Seed = random.Uint64()
			switch d.Cut {
			case noCut:
				d.At, d.Down = 0, 0
			case finishKilled:
				d.At = 1
			}
			all = append(all, d)
		}
	}
	return all
}

// ideal is how long the file's bytes alone keep the link busy.
func (d draw) ideal() time.Duration {
	return time.Duration(float64(d.Size*8) / float64(d.Rate) * float64(time.Second))
}

// floors are the bytes to be sent for each byte of the file at the least: by one who starts again from nothing after a
// cut, and by one who sends again only what the cut caught on the wire. Both send again what was lost by chance.
func (d draw) floors() (restart, resume float64) {
	restart, resume = 1, 1
	if d.Cut != noCut {
		onTheWire := float64(d.Rate) / 8 * d.RTT.Seconds() / 2
		restart += d.At
		resume += min(onTheWire/float64(d.Size), 1-d.At)
	}
	return restart / (1 - d.Loss), resume / (1 - d.Loss)
}
