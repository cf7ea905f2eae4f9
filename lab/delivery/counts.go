package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// kind is a fault.
type kind string

// Faults of a recorder and its link, each at a byte of what goes over the link.
const (
	reset      kind = "connection reset"
	loseAnswer kind = "answer lost, and the connection"
	shortHole  kind = "black hole, up to 5 s"
	longHole   kind = "black hole, 70 s"
	move       kind = "address changed"
	killed     kind = "recorder killed"
	unindexed  kind = "recorder killed, its index deleted"
	clockJump  kind = "recorder's clock jumped, connection reset"
)

// Faults of headquarters, each after a number of calls that arrived.
const (
	headKilled   kind = "headquarters killed, and its broker"
	finishKilled kind = "headquarters killed as it finished a call"
	headStopped  kind = "headquarters stopped and started"
	diskFull     kind = "headquarters' disk full"
	headClock    kind = "headquarters' clock jumped"
	brokerKilled kind = "Mosquitto killed"
)

// weighted is a kind with its share of the draws.
type weighted struct {
	kind  kind
	share int
}

var (
	linkFaults = []weighted{{reset, 35}, {loseAnswer, 15}, {shortHole, 10}, {longHole, 2}, {move, 3}, {killed, 20}, {unindexed, 8}, {clockJump, 7}}
	headFaults = []weighted{{headKilled, 25}, {finishKilled, 35}, {headStopped, 8}, {diskFull, 5}, {headClock, 8}, {brokerKilled, 12}}
)

func draw(random *rand.Rand, from []weighted) kind {
	all := 0
	for _, w := range from {
		all += w.share
	}
	at := random.IntN(all)
	for _, w := range from {
		if at -= w.share; at < 0 {
			return w.kind
		}
	}
	panic("the shares do not add up")
}

// jump is by how much a clock is wrong: by minutes up to years, and where it starts in 1970.
func jump(random *rand.Rand) time.Duration {
	if random.IntN(6) == 0 {
		return time.Until(time.Unix(60, 0))
	}
	by := []time.Duration{10 * time.Minute, 5 * time.Hour, 3 * 24 * time.Hour, 400 * 24 * time.Hour, 11 * 365 * 24 * time.Hour}[random.IntN(5)]
	if random.IntN(2) == 0 {
		by = -by
	}
	return by
}

// counts counts the faults.
type counts struct {
	mu sync.Mutex
	of map[kind]int
	// unfinished is how often headquarters was killed when a call's last byte had come, and its receipt was not made yet.
	unfinished int
}

func (c *counts) add(k kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[k]++
}

func (c *counts) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.of {
		n += k
	}
	return n
}

// table is one line a kind.
func (c *counts) table() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, w := range append(append([]weighted{}, linkFaults...), headFaults...) {
		note := ""
		if w.kind == finishKilled {
			note = fmt.Sprintf(", of which %d before its receipt was made", c.unfinished)
		}
		fmt.Fprintf(t, "  %s\t%d%s\n", w.kind, c.of[w.kind], note)
	}
	_ = t.Flush()
	return b.String()
}
