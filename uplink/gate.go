package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Names in Memory, and when the volume is kept there: what a power cut may forget of it.
const (
	keptVolume = "volume"
	keptPause  = "uplink-pause"

	saveBytes = 256 << 10
	saveEvery = time.Minute
)

// gateEvery is how often it is looked at what the policy allows: a call stops within that time.
const gateEvery = time.Second

// errNotNow ends a session, or a transfer, that the policy does not allow any more.
var errNotNow = errors.New("the link policy does not allow it now")

// gate knows what the policy allows, and counts the volume.
type gate struct {
	policy  Policy
	traffic *Traffic
	memory  Memory
	clock   func() (now time.Time, known bool)

	mu      sync.Mutex
	paused  bool
	volume  Volume
	counted int64 // of traffic
	saved   Volume
	savedAt time.Time
}

func openGate(cfg Config) (*gate, error) {
	g := &gate{policy: cfg.Policy, traffic: cfg.Traffic, memory: cfg.Memory, clock: cfg.Clock}
	if g.traffic == nil {
		g.traffic = NewTraffic(0)
	}
	if g.clock == nil {
		g.clock = func() (time.Time, bool) { return time.Now(), true }
	}
	if g.memory == nil {
		return g, nil
	}
	if b := g.memory.Kept(keptVolume); b != nil {
		if err := json.Unmarshal(b, &g.volume); err != nil {
			return nil, fmt.Errorf("uplink: what was kept of the volume is unreadable: %w", err)
		}
	}
	g.paused = string(g.memory.Kept(keptPause)) == "on"
	g.saved, g.counted = g.volume, g.traffic.Total()
	return g, nil
}

// permit counts what has gone since it was last asked, and says what is allowed now.
func (g *gate) permit() Permit {
	now, known := g.clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(now)
	return g.policy.permit(now, known, g.volume, g.paused)
}

// count adds what has gone to the volume; g.mu is held.
func (g *gate) count(now time.Time) {
	total := g.traffic.Total()
	if total == g.counted && g.volume.Day != "" {
		return
	}
	g.volume = g.volume.add(g.policy, now, total-g.counted)
	g.counted = total
	unsaved := g.volume.DayBytes - g.saved.DayBytes
	if g.volume.Day == g.saved.Day && unsaved < saveBytes && time.Since(g.savedAt) < saveEvery {
		return
	}
	g.save()
}

// save keeps the volume; g.mu is held. What is not kept now is the next time.
func (g *gate) save() {
	if g.memory == nil || g.volume == g.saved {
		return
	}
	b, err := json.Marshal(g.volume)
	if err == nil && g.memory.Keep(keptVolume, b) == nil {
		g.saved, g.savedAt = g.volume, time.Now()
	}
}

func (g *gate) used() Volume {
	now, _ := g.clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(now)
	return g.volume.add(g.policy, now, 0)
}

// Pause keeps everything from the link until it is called again, also through a restart: status, entries, calls and
// commands. What goes is stopped within a second.
func (u *Uplink) Pause(on bool) error {
	if u.gate.memory == nil {
		return errors.New("pause the uplink: there is nothing to remember it with")
	}
	value := "off"
	if on {
		value = "on"
	}
	if err := errors.Join(u.gate.memory.Keep(keptPause, []byte(value)), u.gate.memory.Sync()); err != nil {
		return fmt.Errorf("pause the uplink: %w", err)
	}
	u.gate.mu.Lock()
	u.gate.paused = on
	u.gate.mu.Unlock()
	u.Wake()
	return nil
}

// Permit says what the link policy allows now.
func (u *Uplink) Permit() Permit { return u.gate.permit() }

// Used is what has gone over the link today and this month.
func (u *Uplink) Used() Volume { return u.gate.used() }

// Forecast says what it takes to send so many calls, which are so many bytes of call files together, and entries.
func (u *Uplink) Forecast(calls int, bytes int64, entries int) Forecast {
	f := Forecast{Bytes: cost(calls, bytes, entries), Rate: u.meter.rate(time.Now())}
	if f.Rate == 0 || calls == 0 {
		return f
	}
	f.Seconds = float64(f.Bytes) / f.Rate
	now, _ := u.gate.clock()
	if !u.gate.permit().Connect && u.gate.pausedNow() {
		return f
	}
	f.Done = u.gate.policy.finish(now, u.gate.used(), f.Bytes, f.Rate)
	return f
}

func (g *gate) pausedNow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused
}

// What goes over the link besides the bytes of the call files: an estimate. lab/linkbench measured some 3,600 bytes for one
// call of 40 KB and 5,600 for one of 200 KB, each with a connection of its own, which these leave out.
const (
	perCall  = 1200 // questions, answers, receipt
	perEntry = 700  // compressed, with its share of a receipt
	perMille = 15   // of the bytes: framing and TLS
)

func cost(calls int, bytes int64, entries int) int64 {
	return bytes + bytes*perMille/1000 + int64(calls)*perCall + int64(entries)*perEntry
}

// watchGate tells the session when what is allowed has changed, until ctx ends.
func (s *session) watchGate(ctx context.Context, told Permit) {
	tick := time.NewTicker(gateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.gate.permit()
		if now.Connect == told.Connect && now.Calls == told.Calls && now.Asked == told.Asked {
			continue
		}
		select {
		case s.gated <- now:
			told = now
			s.Wake()
		case <-ctx.Done():
			return
		}
	}
}

// allow takes over what is allowed from now on: transfers that are not, any more, end. Its error ends the session.
func (s *session) allow(p Permit) error {
	s.permitted, s.stale = p, true
	if !p.Connect {
		return fmt.Errorf("%w: %s", errNotNow, p.Why)
	}
	for _, t := range s.transfers {
		if !p.admits(call.Waiting{Asked: t.call.Asked}) {
			t.cancel(errNotNow)
		}
	}
	return nil
}

// closed waits while there may be no connection.
func (u *Uplink) closed(ctx context.Context) {
	tick := time.NewTicker(gateEvery)
	defer tick.Stop()
	for p := u.gate.permit(); !p.Connect; p = u.gate.permit() {
		u.note(func(n *Snapshot) { n.LastError = p.Why })
		select {
		case <-ctx.Done():
			return
		case <-u.wake:
		case <-tick.C:
		}
	}
}
